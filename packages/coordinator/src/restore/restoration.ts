/**
 * Makes a new log from what is left of an old one (O2): no node may run, every member joins again once, nobody is given an epoch or
 * a generation that somebody has seen.
 *
 * The steps, each harmless when done again; the next run finishes what one has left:
 * (a) the record says that the log is being restored: from here on no node starts.
 * (b) the streams take the new log's subjects only: from here on nothing that an old owner appends is acknowledged, a node that stood
 *     still through all checks included. Streams that are missing are made.
 * (c) each partition is read from the old log and written into the new one.
 * (d) the record names the new log and lets nodes start.
 * (e) the old frames are purged.
 *
 * M1: every run has a log id of its own, so that two that run at once write different logs, and only the one whose record stands at
 * (d) counts. M2: each write of the record is conditional on the one before.
 */

import {
  type Clock,
  type ClusterRecord,
  hashSecret,
  type LeaseStore,
  type Random,
  replaceClusterRecord,
  type StoredRecord,
} from '@muster/cluster';
import {
  ensureLogStreams,
  JetStreamLogStore,
  logStreamName,
  openLeaseStore,
  purgeLogSubject,
  retargetLogStream,
  SystemClock,
  SystemRandom,
} from '@muster/nats';
import { type LogId, Subjects, logId as toLogId, partition as toPartition } from '@muster/protocol';
import type { NatsConnection } from 'nats';
import { writeNewPartition } from './new-log.js';
import { NODE_WATCH_MS, NodeWatch } from './node-watch.js';
import { RESTORED_ABOVE } from './old-log.js';
import {
  existingLeases,
  factsOf,
  forEachPartition,
  makePlan,
  oldLogsOf,
  type PartitionFacts,
  type PlannedPartition,
  type RestoreOptions,
  type RestorePlan,
  readPatiently,
} from './plan.js';
import { RestoreRefused } from './refusal.js';
import { sourceOf } from './survey.js';

/** The steps by what has just been done. */
export type RestoreStep = 'record-restoring' | 'streams-taken' | 'partition-written' | 'record-ready' | 'purged';
/** Called, and waited for, after each step; what it throws interrupts the run there. */
export type OnRestoreStep = (step: RestoreStep) => void | Promise<void>;

/** What became of a partition. */
export type RestoredPartition = Pick<PlannedPartition, 'partition' | 'stream' | 'from'> & {
  /** What was found when it was written; `read` = all of that is in the new log, but for `--empty`. */
  readonly found: PartitionFacts;
  readonly isWritten: boolean;
};

export class Restoration {
  readonly plan: RestorePlan;
  readonly #nc: NatsConnection;
  readonly #options: RestoreOptions;
  readonly #leases: LeaseStore | undefined;
  readonly #watch: NodeWatch;
  readonly #clock: Clock;
  readonly #random: Random = new SystemRandom();

  private constructor(
    nc: NatsConnection,
    options: RestoreOptions,
    found: { leases: LeaseStore | undefined; watch: NodeWatch; plan: RestorePlan; clock: Clock },
  ) {
    this.#nc = nc;
    this.#options = options;
    this.#leases = found.leases;
    this.#watch = found.watch;
    this.#clock = found.clock;
    this.plan = found.plan;
  }

  /**
   * Looks at everything, changes nothing, and begins to watch for nodes. To be closed.
   * @param watchMs how long no node may be heard of before `execute` begins
   * @throws RestoreRefused, LogStreamError, LeaseStreamError, ClusterRecordMismatch, LeaseStoreUnavailable
   */
  static async open(
    nc: NatsConnection,
    options: RestoreOptions,
    watchMs: number = NODE_WATCH_MS,
  ): Promise<Restoration> {
    const clock = new SystemClock();
    const leases = await existingLeases(nc, options.cluster);
    const watch = new NodeWatch(nc, new Subjects(options.cluster), leases, watchMs);
    try {
      const plan = await makePlan(nc, leases, clock, options);
      return new Restoration(nc, options, { leases, watch, plan, clock });
    } catch (cause) {
      watch.stop();
      throw cause;
    }
  }

  /** Settles when nodes have been watched for long enough. @returns those that run */
  nodes(): Promise<readonly string[]> {
    return this.plan.kind === 'purge' ? Promise.resolve([]) : this.#watch.watched();
  }

  /** @throws RestoreRefused where the plan cannot be carried out as it is */
  refuseLoss(): void {
    const { isEmpty, skipsDamaged } = this.#options;
    if (
      this.plan.kind === 'restore' &&
      !isEmpty &&
      this.plan.partitions.every(({ found }) => found.kind === 'nothing')
    ) {
      const message = 'no partition has a frame to copy: nothing was changed; an empty log has to be asked for';
      throw new RestoreRefused('NOTHING_TO_COPY', message);
    }
    const damaged = this.plan.partitions.filter(({ found }) => found.kind === 'damaged');
    const [first] = damaged;
    if (first?.found.kind !== 'damaged' || isEmpty || skipsDamaged) return;
    const which = damaged.map(({ partition }) => partition).join(', ');
    throw new RestoreRefused(
      'DAMAGED',
      `the log of ${damaged.length === 1 ? 'partition' : 'partitions'} ${which} is damaged (${first.found.detail}): nothing was changed`,
    );
  }

  /**
   * Does it.
   * @returns what became of each partition; nothing where only old frames were to be purged
   * @throws RestoreRefused and what the stores throw; a later run finishes what was begun
   */
  async execute(onStep: OnRestoreStep = () => {}): Promise<readonly RestoredPartition[]> {
    const { plan } = this;
    if (plan.kind === 'purge' && plan.stored !== undefined) {
      await this.#purge(this.#leases, plan.stored);
      await onStep('purged');
      return [];
    }
    this.refuseLoss();
    await this.#refuseNodes();
    const { replicas } = plan.layout;
    const leases = this.#leases ?? (await openLeaseStore(this.#nc, { cluster: this.#options.cluster, replicas }));
    const restoring = await this.#replace(leases, plan.stored, this.#restoringRecord());
    await onStep('record-restoring');
    await this.#takeStreams(restoring.record);
    await onStep('streams-taken');
    const partitions = await this.#writePartitions(restoring.record, onStep);
    await this.#verify(restoring.record);
    const { restoring: _, ...rest } = restoring.record;
    const oldLogs = oldLogsOf(plan, rest.logId);
    const ready = await this.#replace(leases, restoring, { ...rest, format: 1, streamsMade: true, oldLogs });
    await onStep('record-ready');
    await this.#purge(leases, ready);
    await onStep('purged');
    return partitions;
  }

  close(): void {
    this.#watch.stop();
  }

  async #refuseNodes(): Promise<void> {
    const nodes = await this.#watch.watched();
    if (nodes.length === 0) return;
    throw new RestoreRefused(
      'NODES_RUNNING',
      `coordinator nodes run: ${nodes.join(', ')}. Stop every node of the cluster first, then run this again`,
    );
  }

  /** (a) */
  #restoringRecord(): ClusterRecord {
    const { plan } = this;
    const { layout, stored, sources, highestEpoch, highestGeneration } = plan;
    const before = stored?.record;
    const secret = before?.secret ?? this.#newSecret();
    // What an earlier run has raised already is high enough for what it had found.
    const raised = before?.restoring === undefined ? RESTORED_ABOVE : 0;
    return {
      format: 2,
      clusterId: before?.clusterId ?? this.#random.id(),
      logId: toLogId(this.#random.id()),
      ...layout,
      epochFloor: Math.max((before?.epochFloor ?? 0) + raised, highestEpoch + RESTORED_ABOVE),
      generationFloor: Math.max((before?.generationFloor ?? 0) + raised, highestGeneration + RESTORED_ABOVE),
      streamsMade: before?.streamsMade ?? true,
      oldLogs: before?.oldLogs ?? [],
      restoring: { from: sources.preferred ?? null, abandoned: [...sources.ignored] },
      ...(secret === undefined ? {} : { secret }),
    };
  }

  #newSecret() {
    const { secret } = this.#options;
    return secret === undefined ? undefined : hashSecret(secret, this.#random.id());
  }

  /** M2 */
  async #replace(leases: LeaseStore, before: StoredRecord | undefined, record: ClusterRecord): Promise<StoredRecord> {
    const written = await replaceClusterRecord(leases, this.#clock, before, record);
    if (written !== undefined) return written;
    throw new RestoreRefused('INTERFERED', 'somebody else has written the cluster record meanwhile: run this again');
  }

  /** (b) */
  async #takeStreams({ logId, replicas }: ClusterRecord): Promise<void> {
    const { place, survey } = this.plan;
    const options = { ...place, logId, replicas };
    for (const stream of survey.streams) await retargetLogStream(this.#nc, stream, options);
    await ensureLogStreams(this.#nc, options);
    // M1: what earlier tries have written helps nobody and takes room.
    await this.#purgeLogs([...this.plan.sources.ignored]);
  }

  /** (c) */
  async #writePartitions(record: ClusterRecord, onStep: OnRestoreStep): Promise<RestoredPartition[]> {
    const { place, survey, sources, layout } = this.plan;
    const { logId, epochFloor } = record;
    const store = new JetStreamLogStore(this.#nc, { ...place, logId });
    const done: RestoredPartition[] = [];
    await forEachPartition(layout.partitionCount, async (partition) => {
      const from = sourceOf(survey, partition, sources);
      // Read again: only since (b) nothing comes to it any more.
      const old = await readPatiently(this.#nc, place, partition, from);
      if (old.kind === 'damaged' && !this.#options.isEmpty && !this.#options.skipsDamaged) {
        throw new RestoreRefused('DAMAGED', `the log of partition ${partition} is damaged: ${old.detail}`);
      }
      const groups = old.kind === 'read' && !this.#options.isEmpty ? old.groups : [];
      await writeNewPartition(this.#nc, store, place, { logId, partition, epochFloor }, groups);
      const stream = logStreamName(place, partition % place.streamCount);
      done[partition] = { partition, stream, from, found: factsOf(old), isWritten: groups.length > 0 };
      await onStep('partition-written');
    });
    return done;
  }

  /** Nothing of what was checked at the beginning may have changed: whoever has started meanwhile knows another log. */
  async #verify({ logId, replicas }: ClusterRecord): Promise<void> {
    await this.#refuseNodes();
    await ensureLogStreams(this.#nc, { ...this.plan.place, logId, replicas, provision: 'verify' });
  }

  /** (e) */
  async #purge(leases: LeaseStore | undefined, stored: StoredRecord): Promise<void> {
    await this.#purgeLogs(stored.record.oldLogs);
    if (leases !== undefined) await this.#replace(leases, stored, { ...stored.record, oldLogs: [] });
  }

  async #purgeLogs(logs: readonly LogId[]): Promise<void> {
    const { place, layout } = this.plan;
    for (const log of logs) {
      const anyPartition = place.subjects.log(log, toPartition(0)).replace(/0$/, '*');
      for (let index = 0; index < layout.streamCount; index += 1) {
        await purgeLogSubject(this.#nc, logStreamName(place, index), anyPartition);
      }
    }
  }
}
