/**
 * The part of a node that serves the partitions it is given: turn engine, actors, ingress, logs. Who gives them is not its
 * business; membership joins in assembly.ts.
 */

import type { Bus, Clock, Random } from '@muster/cluster';
import type { GroupConfig, TurnContext } from '@muster/group';
import type { LogRoom, LogStore } from '@muster/log';
import type { Epoch, Incarnation, LogId, MonotonicMs, NodeId, Partition, Subjects } from '@muster/protocol';
import { wallMs } from '@muster/protocol';
import type { Logger } from 'pino';
import { makeIngress } from './ingress.js';
import { nodeLimits } from './limits.js';
import { measuredLogStore } from './observe/measured-log-store.js';
import { type NodeMeter, noMeter } from './observe/meter.js';
import { NodePartitions } from './partition-host.js';
import { makeRefusalLog } from './refusal-log.js';
import { TurnEngine } from './turn-engine.js';

export type NodeIdentity = {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly subjects: Subjects;
  readonly logId: LogId;
  readonly partitionCount: number;
  readonly epochFloor: number;
};

export type ServingPorts = {
  readonly bus: Bus;
  readonly store: LogStore;
  /** Without it the room of the log streams is not watched (L7). */
  readonly room?: LogRoom;
  readonly clock: Clock;
  readonly random: Random;
  /** Runs later, after pending input: `setImmediate` in a process. */
  readonly defer: (run: () => void) => void;
  /** Who counts; nobody by default. */
  readonly meter?: NodeMeter;
};

/** What the owner of the partitions says, and hears. */
export type ServingOwner = {
  /** O3: looked at before every turn and whenever replies leave. */
  readonly mayServe: (partition: Partition) => boolean;
  /** A client has seen a later reign (C2). @returns whether the request is left for later, because ours is in doubt */
  readonly onLaterEpoch: (partition: Partition, epoch: Epoch) => boolean;
  readonly onLost: (partition: Partition, detail: string) => void;
  /** An append has had no answer for too long (O12). */
  readonly onStalled: (partition: Partition) => void;
  /** The process stood still; without it pauses are not watched for. */
  readonly onStall?: (stalledMs: number, since: MonotonicMs) => void;
  /** O5: how long after a claim without release no loaded member is dropped. */
  readonly graceMs: number;
};

export type Serving = {
  readonly partitions: NodePartitions;
  readonly stop: () => void;
};

/** Puts the serving part together. Nothing is served before a partition is claimed. */
export function assembleServing(
  identity: NodeIdentity,
  ports: ServingPorts,
  groupConfig: GroupConfig,
  owner: ServingOwner,
  log: Logger,
  tickMs: number = nodeLimits.tickMs,
): Serving {
  const { node, incarnation, subjects, logId, partitionCount, epochFloor } = identity;
  const { bus, room, clock, random, defer, meter = noMeter } = ports;
  const store = meter === noMeter ? ports.store : measuredLogStore(ports.store, meter, clock);
  const { mayServe, onLaterEpoch, onLost, onStalled, onStall, graceMs } = owner;
  const context = (): TurnContext => ({
    now: clock.now(),
    wallNow: wallMs(clock.wallNow()),
    newUuid: () => random.uuid(),
    config: groupConfig,
  });
  const engine = new TurnEngine({
    clock,
    defer,
    tickMs,
    onSliceEnd: () => {
      for (const runtime of partitions.all()) runtime.flush();
    },
    onThrow: (error) => log.error({ err: error }, 'a visit of the turn loop threw'),
    ...(onStall === undefined ? {} : { onStall }),
  });
  const logRefused = makeRefusalLog(log, clock);
  const onRefused: typeof logRefused = (refusal) => {
    meter.answered('unreadable', refusal.error);
    logRefused(refusal);
  };
  const partitions = new NodePartitions({
    node,
    incarnation,
    store,
    clock,
    context,
    newNonce: () => random.id(),
    epochFloor,
    graceMs,
    parts: {
      node,
      logId,
      subjects,
      bus,
      loop: engine.loop,
      wheel: engine.wheel,
      context,
      mayServe,
      meter,
      onRequest: makeIngress({ subjects, partitionCount, logId, onRefused, onLaterEpoch }),
      onUndeliverable: (returnAddress, cause) => log.warn({ returnAddress, err: cause }, 'reply undeliverable'),
      onQuarantine: (group, command, error) =>
        log.error({ group, command, err: error }, 'group quarantined: its turn threw'),
    },
    onLost: (partition, reason, detail) => {
      partitions.drop(partition);
      onLost(partition, `${reason}: ${detail}`);
    },
    onStalled,
    onFull: (partition) => log.error({ partition }, 'the log stream is full: nothing can be recorded'),
    onLoaded: (loaded) => {
      engine.waitForTimers();
      meter.loaded(loaded);
      log.debug(loaded, 'partition loaded');
      const { partition, skipped } = loaded;
      if (skipped !== undefined) log.warn({ partition, ...skipped }, 'records of a newer version were skipped');
    },
  });
  const lookAtRoom = async () => {
    let fullest = 0;
    for (const runtime of [...partitions.all()]) {
      const share = await room?.fullness(runtime.partition).catch(() => undefined);
      if (share === undefined) continue;
      fullest = Math.max(fullest, share);
      runtime.noteFullness(share);
    }
    if (fullest >= nodeLimits.roomShortShare) log.warn({ share: fullest }, 'the log streams run full');
  };
  let isLooking = false;
  const watchRoom = () => {
    // One look at a time: a store that does not answer holds up the next.
    if (isLooking) return;
    isLooking = true;
    void lookAtRoom().finally(() => {
      isLooking = false;
    });
  };
  const stopRoomWatch = room === undefined ? () => {} : every(clock, nodeLimits.roomIntervalMs, watchRoom);
  const stopSweep = every(clock, nodeLimits.sweepIntervalMs, () => {
    for (const runtime of partitions.all()) runtime.orderAll({ kind: 'sweep' });
  });
  return {
    partitions,
    stop: () => {
      stopSweep();
      stopRoomWatch();
      engine.stop();
    },
  };
}

function every(clock: Clock, ms: number, run: () => void): () => void {
  let cancel = () => {};
  const again = () => {
    cancel = clock.after(ms, () => {
      again();
      run();
    });
  };
  again();
  return () => cancel();
}
