/**
 * Writes a partition of the new log: a claim of nobody that serves, the groups, and a release to nobody.
 *
 * N1: the release is the last append, so a partition that ends with it is whole. N2: the log id is new with every run, so nobody
 * else writes these subjects; what an earlier try of the same run has left is purged first.
 */

import { claimPartition, type LogListener, type LogStore, logLimitsDefaults } from '@muster/log';
import { logStreamOf, purgeLogSubject, SystemClock, SystemRandom } from '@muster/nats';
import { incarnation, type LogId, type Partition } from '@muster/protocol';
import type { NatsConnection } from 'nats';
import { type LogsPlace, type OldGroup, WRITER } from './copied.js';
import { RestoreRefused } from './refusal.js';

const TRIES = 3;
/** The leader of a stream that is lost is replaced within 9 s (O12). */
const DEADLINE_MS = 10_000;

const clock = new SystemClock();
const random = new SystemRandom();

/** @throws RestoreRefused */
export async function writeNewPartition(
  nc: NatsConnection,
  store: LogStore,
  place: LogsPlace,
  target: { readonly logId: LogId; readonly partition: Partition; readonly epochFloor: number },
  groups: readonly OldGroup[],
): Promise<void> {
  const { logId, partition } = target;
  const stream = logStreamOf(place, partition);
  let cause = '';
  for (let tries = 0; tries < TRIES; tries += 1) {
    try {
      // N2
      await purgeLogSubject(nc, stream, place.subjects.log(logId, partition));
      const outcome = await writeOnce(store, target, groups);
      if (outcome === undefined) return;
      cause = outcome;
    } catch (thrown) {
      if (thrown instanceof RestoreRefused) throw thrown;
      cause = thrown instanceof Error ? thrown.message : String(thrown);
    }
  }
  throw new RestoreRefused('UNAVAILABLE', `partition ${partition} could not be written: ${cause}`);
}

/** @returns why it did not work; undefined where all of it is durable (N1) */
async function writeOnce(
  store: LogStore,
  { partition, epochFloor }: { readonly partition: Partition; readonly epochFloor: number },
  groups: readonly OldGroup[],
): Promise<string | undefined> {
  const listener = new FullListener();
  const claimed = await claimPartition({
    store: tellingWhenFull(store, listener),
    clock,
    partition,
    node: WRITER,
    incarnation: incarnation(random.id()),
    newNonce: () => random.id(),
    sink: { record: () => {}, forgetBelow: () => {} },
    listener,
    limits: { ...logLimitsDefaults, releaseGiveUpMs: DEADLINE_MS },
    deadlineMs: DEADLINE_MS,
    epochFloor,
  });
  if (claimed.kind !== 'claimed') {
    if (listener.isFull) throw fullError(partition);
    return 'cause' in claimed ? claimed.cause : claimed.detail;
  }
  const { log, loadedFrames } = claimed;
  if (loadedFrames !== 1) {
    log.close();
    return 'somebody else has written into it';
  }
  for (const { group, records } of groups) log.append(group, records);
  const ended = await Promise.race([log.release(null), listener.noRoom]);
  if (ended === 'released') return undefined;
  log.close();
  if (ended === 'gave-up') return 'the outcome of the last frame is unknown';
  throw fullError(partition);
}

function fullError(partition: Partition): RestoreRefused {
  return new RestoreRefused(
    'LOG_FULL',
    `the log stream of partition ${partition} is full: old and new log need room side by side, so raise its max_bytes and run this again`,
  );
}

/** A claim that finds no room has no listener yet. */
function tellingWhenFull(store: LogStore, listener: FullListener): LogStore {
  return {
    frameBytesMax: store.frameBytesMax,
    append: async (...frame) => {
      const outcome = await store.append(...frame);
      if (outcome.kind === 'full') listener.full();
      return outcome;
    },
    last: (partition) => store.last(partition),
    read: (...range) => store.read(...range),
    purgeBelow: (...range) => store.purgeBelow(...range),
  };
}

class FullListener implements LogListener {
  #tell: (full: 'full') => void = () => {};
  readonly noRoom = new Promise<'full'>((resolve) => {
    this.#tell = resolve;
  });

  isFull = false;

  durable(): void {}
  stalled(): void {}
  lost(): void {}
  full(): void {
    this.isFull = true;
    this.#tell('full');
  }
}
