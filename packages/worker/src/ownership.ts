/**
 * What this consumer owns: taking partitions, giving them up in good order, losing them. The consumer's side of the
 * membership protocol, for both rebalance protocols (assignors.md 7.3).
 *
 * Does not talk join and sync (membership.ts), does not run handlers (consumer.ts).
 *
 * W1 giving up: stop delivery, drain up to a deadline, onRevoked, commit, end the lane; only then the membership goes on.
 * W2 losing: lanes are aborted at once, nothing is committed, then onLost.
 * W3 cooperative: what stays never stops.
 * W4 hooks come in pairs: what onAssigned was told is told to onRevoked or onLost, whatever happens in between.
 */

import {
  type Assignor,
  encodeSubscriptionFor,
  type JoinMember,
  type PreviousAssignment,
  partitionsMissingFrom,
  type RebalanceProtocol,
  runAssignor,
  topicsToLookUp,
} from '@muster/assignors';
import { decodeAssignment, type TopicPartition } from '@muster/protocol';
import type { Environment } from './clock.js';
import type { Committer } from './committer.js';
import { asMusterError, MusterError, messageOf } from './errors.js';
import { type EventName, emit } from './events.js';
import { callHook } from './hooks.js';
import { type Lane, placeOf } from './lane.js';
import type { Logger } from './logger.js';
import type { MemberHandler, NewAssignment, OfferedProtocol } from './member-handler.js';
import type { Topics } from './topics.js';

/** Called in order, awaited, never two at a time. Each has the rebalance timeout to end in. */
export interface OwnershipHooks {
  /** Before the first message of these partitions is delivered. */
  onAssigned?(partitions: readonly TopicPartition[]): Promise<void> | void;
  /** No message of these is delivered any more, running handlers have ended or run out of time; commits still work. */
  onRevoked?(partitions: readonly TopicPartition[]): Promise<void> | void;
  /** These are somebody else's already: nothing can be committed. */
  onLost?(partitions: readonly TopicPartition[], reason: MusterError): Promise<void> | void;
}

export interface OwnershipOptions {
  readonly group: string;
  /** What this consumer subscribes to now. */
  readonly topics: () => readonly string[];
  readonly registry: Topics;
  readonly assignors: readonly Assignor[];
  readonly rebalanceProtocol: RebalanceProtocol;
  readonly hooks: OwnershipHooks;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly drainTimeoutMs: number;
  readonly hookTimeoutMs: number;
  readonly commitTimeoutMs: number;
  readonly committer: () => Committer;
  /** Delivery that was held back may go on. */
  onResumed(): void;
  /** Partitions were taken. */
  onTaken(): void;
  /** Opens lanes at their start offsets; throws a retriable MusterError where that cannot be done now. */
  openLanes(partitions: readonly TopicPartition[]): Promise<readonly (() => Lane)[]>;
}

export class Ownership implements MemberHandler {
  readonly #options: OwnershipOptions;
  readonly #lanes = new Map<string, Lane>();
  /** Whose hook has been called already: a close does not call it again where the one of a hand-over hangs. */
  readonly #leaving = new Set<Lane>();
  #previous: PreviousAssignment | undefined;
  /** Why the last ownership has ended; undefined while there is one, and before the first. */
  #loss: MusterError | undefined;
  #memberId = '';
  #sharedOut: ReadonlyMap<string, number> | undefined;

  constructor(options: OwnershipOptions) {
    this.#options = options;
  }

  /** The lanes owned now. */
  lanes(): IterableIterator<Lane> {
    return this.#lanes.values();
  }

  /** @returns the lane of a partition that is owned now */
  lane(topic: string, partition: number): Lane | undefined {
    return this.#lanes.get(placeOf(topic, partition));
  }

  /** @returns the partitions owned now */
  assignment(): TopicPartition[] {
    return [...this.#lanes.values()].map(partitionOf);
  }

  /** The topics that this member, as the leader, has shared out last, with their partition counts; those that did not exist have 0. */
  get sharedOut(): ReadonlyMap<string, number> | undefined {
    return this.#sharedOut;
  }

  protocols(): readonly OfferedProtocol[] {
    const { assignors } = this.#options;
    const topics = this.#options.topics();
    const owned = this.#options.rebalanceProtocol === 'cooperative' ? this.assignment() : [];
    // kafka: sends the generation of its last JoinGroup. Here it is that of the assignment that `owned` comes from: a
    // member that missed a SyncGroup must not pass an old ownership off as a new one.
    const generation = this.#loss === undefined ? (this.#previous?.generation ?? -1) : -1;
    const previous = this.#previous === undefined ? {} : { previous: this.#previous };
    const state = { topics, owned, generation, ...previous };
    return assignors.map((assignor) => ({ name: assignor.name, metadata: encodeSubscriptionFor(assignor, state) }));
  }

  async prepare(loss: MusterError | undefined): Promise<void> {
    const { rebalanceProtocol, committer, commitTimeoutMs, logger } = this.#options;
    const lanes = [...this.#lanes.values()];
    this.#emit('rebalance');
    if (loss !== undefined) {
      await this.#lose(lanes, loss);
    } else if (rebalanceProtocol === 'eager') {
      await this.release(lanes, this.#options.drainTimeoutMs);
    } else if (lanes.length > 0) {
      // kafka: what is no longer subscribed is given up before the round that says so.
      const topics = this.#options.topics();
      const unwanted = lanes.filter((lane) => !topics.includes(lane.topic.name));
      await this.release(unwanted, this.#options.drainTimeoutMs);
      // kafka: a commit that fails here does not stop the rejoin; what it leaves out is handled again at worst.
      await committer()
        .flush([...this.#lanes.values()], commitTimeoutMs, 'give-up')
        .catch((thrown: unknown) => logger.debug('not committed before joining', { reason: messageOf(thrown) }));
    }
  }

  async assign(protocolName: string, members: readonly JoinMember[]): Promise<ReadonlyMap<string, Uint8Array>> {
    const { assignors, registry, rebalanceProtocol } = this.#options;
    const assignor = assignors.find(({ name }) => name === protocolName);
    if (assignor === undefined) throw new MusterError('ASSIGNOR_FAILED', `there is no assignor named ${protocolName}`);
    const names = topicsToLookUp(members);
    const counts = await registry.partitionCounts(names);
    this.#sharedOut = new Map(names.map((name) => [name, counts.get(name) ?? 0]));
    const run = runAssignor(assignor, members, counts, rebalanceProtocol);
    if (run.kind === 'assigned') return run.assignments;
    throw new MusterError('ASSIGNOR_FAILED', `${protocolName}: ${JSON.stringify(run.refusal)}`);
  }

  async install(given: NewAssignment): Promise<'stable' | 'rejoin' | 'again'> {
    const decoded = decodeAssignment(given.assignment);
    if (decoded.kind === 'malformed') throw new MusterError('ASSIGNOR_FAILED', decoded.reason);
    const assigned = decoded.value.partitions;
    const { logger, drainTimeoutMs } = this.#options;
    const topics = this.#options.topics();
    // kafka: a leader with another view of our subscription: join again instead of installing.
    if (assigned.some(({ topic }) => !topics.includes(topic))) return 'again';
    const generation = given.identity.generationId;
    const owned = this.assignment();
    const lost = partitionsMissingFrom(owned, assigned);
    const added = partitionsMissingFrom(assigned, owned);
    this.#loss = undefined;
    if (!given.isLeader) this.#sharedOut = undefined;
    this.#memberId = given.identity.memberId;
    await this.release(this.#lanesOf(lost), drainTimeoutMs);
    this.#previous = { partitions: assigned, generation };
    try {
      await this.#take(added);
    } catch (thrown) {
      const error = asMusterError(thrown, 'HOOK_FAILED');
      if (!error.retriable) throw error;
      logger.warn('cannot begin with what was assigned: joining again', { error: error.message });
      return 'again';
    }
    return lost.length > 0 ? 'rejoin' : 'stable';
  }

  fence(loss: MusterError): void {
    this.#loss = loss;
    for (const lane of this.#lanes.values()) lane.end(loss);
  }

  resume(): void {
    this.#options.onResumed();
  }

  /** Tells onLost of what was lost since the last round (W4): a member that closes begins no other that would. */
  async tellLosses(): Promise<void> {
    const lost = [...this.#lanes.values()].filter((lane) => !this.#leaving.has(lane));
    if (this.#loss !== undefined) await this.#lose(lost, this.#loss);
  }

  /** Gives lanes up in good order (W1), in about `drainTimeoutMs` and the time of a commit. */
  async release(lanes: readonly Lane[], drainTimeoutMs: number): Promise<void> {
    await this.drain(lanes, drainTimeoutMs);
    await this.giveUp(lanes);
  }

  /** W1, first half: delivers no more and waits for what runs, at most so long. */
  async drain(lanes: readonly Lane[], drainTimeoutMs: number): Promise<void> {
    const waitedFor = lanes.filter(({ running }) => running > 0);
    if (waitedFor.length > 0) this.#emit('waiting', waitedFor.map(partitionOf));
    const drained = await Promise.all(lanes.map((lane) => lane.drain(drainTimeoutMs)));
    const partitions = lanes.filter((_, at) => drained[at] === false).map(partitionOf);
    if (partitions.length === 0) return;
    this.#options.logger.warn('handlers still run on partitions that are given up', { partitions, drainTimeoutMs });
  }

  /** W1, second half: hook, commit, end. */
  async giveUp(given: readonly Lane[]): Promise<void> {
    const lanes = given.filter((lane) => !this.#leaving.has(lane));
    if (lanes.length === 0) return;
    for (const lane of lanes) this.#leaving.add(lane);
    const { committer, commitTimeoutMs, hooks, logger } = this.#options;
    const partitions = lanes.map(partitionOf);
    try {
      await this.#hook('onRevoked', hooks.onRevoked?.bind(hooks, partitions));
    } finally {
      // Also after a hook that has failed: what was acked is handled, and it says nothing of that.
      await committer()
        .flush(lanes, commitTimeoutMs)
        .catch((thrown: unknown) => logger.warn('given up without a commit', { reason: messageOf(thrown) }));
      for (const lane of lanes) {
        this.#leaving.delete(lane);
        lane.end(new MusterError('OWNERSHIP_LOST', 'the partition was given up'));
        this.#lanes.delete(placeOf(lane.topic.name, lane.partition));
      }
      this.#emit('revoked', partitions);
    }
  }

  async #take(added: readonly TopicPartition[]): Promise<void> {
    const { hooks, openLanes } = this.#options;
    const opened = added.length === 0 ? [] : await openLanes(added);
    await this.#hook('onAssigned', hooks.onAssigned?.bind(hooks, added));
    const loss = this.#loss;
    if (loss !== undefined) {
      // Lost while the hook ran: nothing of this was ever ours, but the application believes so (W4).
      if (added.length > 0) await this.#hook('onLost', hooks.onLost?.bind(hooks, added, loss));
      return;
    }
    for (const open of opened) {
      const lane = open();
      this.#lanes.set(placeOf(lane.topic.name, lane.partition), lane);
    }
    this.#emit('assigned', added);
    if (added.length > 0) this.#options.onTaken();
  }

  async #lose(lanes: readonly Lane[], loss: MusterError): Promise<void> {
    this.fence(loss);
    if (lanes.length === 0) return;
    const partitions = lanes.map(partitionOf);
    this.#lanes.clear();
    this.#emit('lost', partitions, loss);
    const { hooks } = this.#options;
    await this.#hook('onLost', hooks.onLost?.bind(hooks, partitions, loss));
  }

  async #hook(name: string, call: (() => Promise<void> | void) | undefined): Promise<void> {
    if (call === undefined) return;
    const { environment, hookTimeoutMs, logger } = this.#options;
    await callHook(name, call, { clock: environment.clock, hookTimeoutMs, logger });
  }

  #lanesOf(partitions: readonly TopicPartition[]): Lane[] {
    return partitions.flatMap(({ topic, partition }) => this.#lanes.get(placeOf(topic, partition)) ?? []);
  }

  #emit(name: EventName, partitions?: readonly TopicPartition[], error?: Error) {
    const { group } = this.#options;
    emit(name, {
      group,
      memberId: this.#memberId,
      generation: this.#previous?.generation ?? -1,
      ...(partitions === undefined ? {} : { partitions }),
      ...(error === undefined ? {} : { error }),
    });
  }
}

function partitionOf(lane: Lane): TopicPartition {
  return { topic: lane.topic.name, partition: lane.partition };
}

/** @returns the hooks among other options */
export function hooksIn({ onAssigned, onRevoked, onLost }: OwnershipHooks): OwnershipHooks {
  return {
    ...(onAssigned === undefined ? {} : { onAssigned }),
    ...(onRevoked === undefined ? {} : { onRevoked }),
    ...(onLost === undefined ? {} : { onLost }),
  };
}
