/**
 * How a consumer ends: no more messages, what runs is drained, hooks, a last commit, leaving; in the time that was promised.
 *
 * Does not decide when (consumer.ts), nor what giving up partitions means (ownership.ts W1).
 *
 * Z1 every wait is bounded by what is left of the time; a quarter of it is kept for the last commit and the leave.
 * Z2 what runs gets `drainTimeoutMs`, as in a hand-over; three quarters of `timeoutMs` where the caller has said how long he will wait.
 * Z3 it never throws: what fails on the way is logged, and the end goes on.
 * Z4 what is handled is committed although the group is in the middle of a round: while the others join, the old generation still counts;
 *    once they have, only the new one does, and only after SyncGroup. So a round that is under way may end while handlers are drained, and a
 *    SyncGroup is waited for where there is something to commit. What is handled already is committed before, for a host that kills early.
 */

import type { Environment } from './clock.js';
import { COMMIT_TIMEOUT_MS, type ConsumerParts } from './consumer-parts.js';
import { MusterError, messageOf } from './errors.js';
import type { HandedOut } from './handed-out.js';
import { type Lane, placeOf } from './lane.js';
import type { Logger } from './logger.js';
import { withinMs } from './waiting.js';

export interface CloseOptions {
  /** Default: dynamic members leave, static ones stay for their session timeout. */
  readonly leave?: boolean;
  /** Everything together: drain, hooks, last commit, leave. Default 30,000 ms. */
  readonly timeoutMs?: number;
}

export const CLOSE_TIMEOUT_MS = 30_000;
/** What could not join is given up in this time. */
export const CLOSE_FAILED_MS = 1_000;
/** Part of a close that is kept for the last commit and the leave. */
export const CLOSE_RESERVE = 0.25;
/** In a line of the log. */
const PLACES_SHOWN = 8;

export interface Closing<Value> {
  readonly parts: ConsumerParts<Value>;
  readonly handedOut: HandedOut;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly drainTimeoutMs: number;
  /** Where the caller has not said. */
  readonly leavesByDefault: boolean;
}

/** Ends a consumer in order. Resolves when nothing of it is left but handlers that have not ended in time; never throws. */
export async function closeInOrder<Value>(closing: Closing<Value>, options: CloseOptions): Promise<void> {
  const { parts, handedOut, environment, logger, drainTimeoutMs } = closing;
  const { membership, ownership, committer, dispatch, runner, watchdog, topicWatch } = parts;
  const { clock } = environment;
  const deadlineAt = clock.now() + (options.timeoutMs ?? CLOSE_TIMEOUT_MS);
  const leftMs = () => Math.max(0, deadlineAt - clock.now());
  const reserveMs = leftMs() * CLOSE_RESERVE;
  dispatch.close();
  watchdog.stop();
  topicWatch.stop();
  handedOut.giveUpAbandoned();
  const untilReserveMs = () => Math.max(0, leftMs() - reserveMs);
  const owned = () => [...ownership.lanes()].filter((lane) => !lane.signal.aborted);
  try {
    const roundEnd = membership.finish();
    committer.soon();
    const mostMs = options.timeoutMs === undefined ? drainTimeoutMs : Number.POSITIVE_INFINITY;
    const drainMs = Math.min(mostMs, untilReserveMs());
    sayWhatIsWaitedFor(owned(), drainMs, logger);
    await ownership.drain(owned(), drainMs);
    const isSyncing = membership.state.kind === 'syncing' && owned().some(({ needsCommit }) => needsCommit);
    if (isSyncing) await withinMs(clock, Math.min(COMMIT_TIMEOUT_MS, untilReserveMs()), roundEnd);
    await withinMs(clock, untilReserveMs(), membership.hold());
    await withinMs(clock, leftMs(), ownership.giveUp(owned()));
    await withinMs(clock, leftMs(), ownership.tellLosses());
  } catch (thrown) {
    logger.error('closing went on after a failure', { error: messageOf(thrown) });
  }
  ownership.fence(new MusterError('OWNERSHIP_LOST', 'the consumer is closed'));
  committer.close();
  await membership.end({ leave: options.leave ?? closing.leavesByDefault, timeoutMs: leftMs() });
  runner.stop();
}

/** A close that seems to hang must not leave anybody guessing: most often an ack was forgotten. */
function sayWhatIsWaitedFor(lanes: readonly Lane[], drainMs: number, logger: Logger): void {
  const waitedFor = lanes.flatMap(({ place, oldestRunning }) =>
    oldestRunning === undefined ? [] : [`${placeOf(place.topic, place.partition)} from offset ${oldestRunning.offset}`],
  );
  if (waitedFor.length === 0) return;
  const rest = waitedFor.length - PLACES_SHOWN;
  const places = `${waitedFor.slice(0, PLACES_SHOWN).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  logger.info('closing waits for messages that are not handled, or not acked, yet', { places, drainMs });
}
