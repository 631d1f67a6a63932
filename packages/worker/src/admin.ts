/**
 * Looking at groups and changing them from outside. Every call is bounded by its timeout and answers per item; what it is given is checked
 * first (check-arguments.ts): all of them throw MusterError INVALID_ARGUMENT.
 */

import {
  type DescribeReply,
  errorName,
  generation,
  groupId,
  instanceId,
  type ListReply,
  memberId,
  type TopicPartition,
} from '@muster/protocol';
import { checkArguments } from './check-arguments.js';
import { asMusterError, MusterError, type MusterErrorCode } from './errors.js';
import { eachAtMost } from './gate.js';
import { consumersOf, lagOf, type PartitionLag } from './lag.js';
import {
  type GroupFacts,
  type GroupLook,
  LagMonitor,
  type LagMonitorOptions,
  type WatchLagOptions,
} from './lag-monitor.js';
import { placeOf } from './lane.js';
import { type CommittedOffset, lastCommits } from './lanes-opening.js';
import type { MusterContext } from './muster-context.js';
import { type OffsetReset, type PartitionOffset, planReset, type ResetTarget } from './offset-reset.js';
import { countsOf, endsOf, PARTITIONS_AT_ONCE, type PartitionCount, type PartitionEnd } from './partition-facts.js';
import { Questions } from './questions.js';
import type { TopicSpec } from './topic.js';
import type { TopicOptions } from './topics.js';

/** The result for one item of a request about several. */
export interface ItemResult<Item> {
  readonly item: Item;
  /** `NONE` where it worked. */
  readonly error: MusterErrorCode;
  /** What the error was about. */
  readonly detail?: string;
}

/** A node and the coordinator partitions it owns. */
export interface NodeDescription {
  readonly nodeId: string;
  readonly partitions: readonly number[];
}

export interface ClusterDescription {
  readonly partitionCount: number;
  /** By id. A node that owns nothing may be missing: the answer is complete when every partition has been named. */
  readonly nodes: readonly NodeDescription[];
  /** Partitions that nobody owned until the deadline. */
  readonly unowned: readonly number[];
}

export interface CoordinatorDescription {
  /** The group's coordinator partition. */
  readonly partition: number;
  readonly partitionCount: number;
  readonly nodeId: string;
  readonly epoch: number;
}

export interface ResetOptions {
  /** All partitions of these topics. Default: every partition with a committed offset, or those of the target. */
  readonly topics?: readonly string[];
  /** These alone. */
  readonly partitions?: readonly TopicPartition[];
  /** Says what would happen and writes nothing. Default true. */
  readonly dryRun?: boolean;
  /** Called after each partition that is planned: to shift by messages takes some questions for each. */
  onProgress?(done: number, total: number): void;
}

const TIMEOUT_MS = 15_000;

export class Admin {
  readonly #context: MusterContext;
  readonly #questions: Questions;

  constructor(context: MusterContext, options: { readonly timeoutMs?: number } = {}) {
    checkArguments('admin', { options });
    this.#context = context;
    this.#questions = new Questions(context, options.timeoutMs ?? TIMEOUT_MS);
  }

  /**
   * Every group of the cluster, from every node.
   * @param filter `stable`: nothing that a failover could take back; each partition's answer waits for an append
   * @returns the groups by name; throws MusterError INCOMPLETE_ANSWER where a partition had no owner until the deadline
   */
  async listGroups(
    filter: { readonly states?: readonly string[]; readonly types?: readonly string[]; readonly stable?: boolean } = {},
  ): Promise<ListReply['groups']> {
    checkArguments('listGroups', { filter });
    const { states = [], types = [], stable = false } = filter;
    const found = await this.#questions.everyNode({ statesFilter: states, typesFilter: types, stable });
    if (!found.isComplete) {
      const count = this.#context.client.partitionCount;
      if (count === undefined) throw new MusterError('TIMEOUT', 'no coordinator node answers');
      throw new MusterError('INCOMPLETE_ANSWER', `${found.covered} of ${count} partitions`);
    }
    const groups = new Map(found.answers.flatMap((answer) => answer.groups.map((group) => [group.groupId, group])));
    return [...groups.values()].sort((a, b) => (a.groupId < b.groupId ? -1 : 1));
  }

  /** The nodes with what they own. Throws MusterError TIMEOUT where no node answers at all. */
  async describeCluster(): Promise<ClusterDescription> {
    // No group is ever listed as dead: the answers are about partitions alone.
    const { answers } = await this.#questions.everyNode({ statesFilter: ['Dead'], typesFilter: [] });
    const { partitionCount } = this.#context.client;
    if (partitionCount === undefined) throw new MusterError('TIMEOUT', 'no coordinator node answers');
    const owned = new Map<string, Set<number>>();
    for (const { node, partitions } of answers) owned.set(node, new Set([...(owned.get(node) ?? []), ...partitions]));
    const ownedByAny = new Set(answers.flatMap(({ partitions }) => partitions));
    const all = Array.from({ length: partitionCount }, (_, partition) => partition);
    return {
      partitionCount,
      nodes: [...owned]
        .map(([nodeId, partitions]) => ({ nodeId, partitions: [...partitions].sort((a, b) => a - b) }))
        .sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1)),
      unowned: all.filter((partition) => !ownedByAny.has(partition)),
    };
  }

  /** Which node coordinates a group; the group need not exist. Throws MusterError COORDINATOR_NOT_AVAILABLE. */
  async findCoordinator(group: string): Promise<CoordinatorDescription> {
    checkArguments('findCoordinator', { group });
    const { partition, partitionCount, nodeId, ownerEpoch } = await this.#questions.coordinatorOf(groupId(group));
    return { partition, partitionCount, nodeId, epoch: ownerEpoch };
  }

  /**
   * State, members and the last rebalances of a group. kafka: a group that does not exist is in state `Dead`.
   * @param options `stable`: nothing that a failover could take back; the answer waits for an append
   */
  async describeGroup(group: string, options: { readonly stable?: boolean } = {}): Promise<DescribeReply> {
    checkArguments('describeGroup', { group, options });
    return await this.#questions.ask('describe', { groupId: groupId(group), stable: options.stable ?? false });
  }

  /** The same for several, each with a result of its own. */
  async describeGroups(
    groups: readonly string[],
  ): Promise<(ItemResult<string> & { readonly group: DescribeReply | undefined })[]> {
    checkArguments('describeGroups', { groups });
    return await Promise.all(
      groups.map(async (item) => {
        try {
          return { item, error: 'NONE' as const, group: await this.describeGroup(item) };
        } catch (thrown) {
          return { ...failed(item, thrown), group: undefined };
        }
      }),
    );
  }

  /** Deletes groups without members, with their offsets. */
  async deleteGroups(groups: readonly string[]): Promise<ItemResult<string>[]> {
    checkArguments('deleteGroups', { groups });
    return await this.#each(groups, async (group) => {
      await this.#questions.ask('delete', { groupId: groupId(group) });
    });
  }

  /** @returns the committed offsets of a group, all or those asked for; partitions without one are missing */
  async fetchOffsets(group: string, partitions: readonly TopicPartition[] | null = null): Promise<PartitionOffset[]> {
    checkArguments('fetchOffsets', { group, partitions });
    return [...(await this.#committed(group, partitions))].map(([place, offset]) => ({
      ...partitionOf(place),
      offset,
    }));
  }

  /**
   * Sets offsets of a group without members, each that of the next message to read. An offset outside of the stream, an unknown
   * topic or partition is refused for its item, unless `isUnchecked`.
   */
  async commitOffsets(
    group: string,
    offsets: readonly PartitionOffset[],
    options: { readonly isUnchecked?: boolean } = {},
  ): Promise<ItemResult<PartitionOffset>[]> {
    checkArguments('commitOffsets', { group, offsets, options });
    const isUnchecked = options.isUnchecked === true;
    const errors = await Promise.all(offsets.map((item) => (isUnchecked ? 'NONE' : this.#checked(item))));
    const good = offsets.filter((_, at) => errors[at] === 'NONE');
    const written = good.length === 0 ? [] : await this.#commit(group, good);
    const results = new Map(written.map(({ item, error }) => [placeOf(item.topic, item.partition), error]));
    return offsets.map((item, at) => {
      const refused = errors[at] ?? 'NONE';
      const error = results.get(placeOf(item.topic, item.partition)) ?? 'UNKNOWN_SERVER_ERROR';
      return { item, error: refused === 'NONE' ? error : refused };
    });
  }

  /**
   * Moves the offsets of a group that has no members now, or says where they would go.
   * @returns every partition with its offset before and after; throws MusterError NON_EMPTY_GROUP, TIMEOUT, INVALID_ARGUMENT
   */
  async resetOffsets(group: string, target: ResetTarget, options: ResetOptions = {}): Promise<OffsetReset[]> {
    checkArguments('resetOffsets', { group, target, options });
    const { state, members } = await this.describeGroup(group);
    // kafka: assignments can only be reset if the group is inactive.
    if (state !== 'Empty' && state !== 'Dead') {
      throw new MusterError('NON_EMPTY_GROUP', `${group} is ${state} with ${members.length} members: stop them first`);
    }
    const before = await this.#committed(group, null);
    const copied = await this.#copied(target);
    const places = await this.#scope(options, before, copied);
    let done = 0;
    const plan = await eachAtMost(PARTITIONS_AT_ONCE, places, async (place) => {
      const committed = before.get(placeOf(place.topic, place.partition));
      const reset = await planReset(this.#context, place, target, committed, copied);
      done += 1;
      options.onProgress?.(done, places.length);
      return reset;
    });
    if (options.dryRun !== false) return plan;
    const toWrite = plan.flatMap(({ topic, partition, after }) => {
      return after === undefined ? [] : [{ topic, partition, offset: after }];
    });
    const written = toWrite.length === 0 ? [] : await this.#commit(group, toWrite);
    const errors = new Map(written.map(({ item, error }) => [placeOf(item.topic, item.partition), error]));
    return plan.map((reset) => {
      const error =
        reset.error === 'NONE' ? (errors.get(placeOf(reset.topic, reset.partition)) ?? 'NONE') : reset.error;
      return error === 'NONE' ? reset : { ...reset, after: undefined, error };
    });
  }

  async deleteOffsets(group: string, partitions: readonly TopicPartition[]): Promise<ItemResult<TopicPartition>[]> {
    checkArguments('deleteOffsets', { group, partitions });
    const wanted = partitions.map(({ topic, partition }): [string, number] => [topic, partition]);
    const reply = await this.#questions.ask('delete-offsets', { groupId: groupId(group), partitions: wanted });
    return perPartition(partitions, reply.partitions);
  }

  /** Removes members as if they had left: by member id, or a static member by its instance id alone. */
  async removeMembers(
    group: string,
    members: readonly { readonly memberId?: string; readonly instanceId?: string }[],
    reason = 'removed by an administrator',
  ): Promise<ItemResult<{ readonly memberId?: string; readonly instanceId?: string }>[]> {
    checkArguments('removeMembers', { group, members, reason });
    const reply = await this.#questions.ask('leave', {
      groupId: groupId(group),
      members: members.map((member) => ({
        memberId: memberId(member.memberId ?? ''),
        groupInstanceId: member.instanceId === undefined ? null : instanceId(member.instanceId),
        reason,
      })),
    });
    // kafka: the answer has the order of the request.
    return members.map((item, at) => ({ item, error: errorName(reply.members[at]?.error ?? -1) }));
  }

  /**
   * What is left to read, in messages and in time: all partitions of the topics that the group has offsets for or its members
   * subscribe to, and of `topics`, whether anybody consumes them or not.
   */
  async lag(group: string, options: { readonly topics?: readonly string[] } = {}): Promise<PartitionLag[]> {
    checkArguments('lag', { group, options });
    return [...(await this.#factsOf(group, options.topics)).lags];
  }

  /** Judges how a group gets on, ours or not, look by look: ok, behind, stalled, stopped, rewound. */
  lagMonitor(group: string, options: LagMonitorOptions = {}): LagMonitor {
    checkArguments('lagMonitor', { group, options });
    const look = () => this.#factsOf(group, options.topics);
    return new LagMonitor(group, this.#context.environment.clock, look, options);
  }

  /** The same as an endless loop, until the signal aborts or the loop is left: `for await (const look of admin.watchLag('billing'))`. */
  watchLag(group: string, options: WatchLagOptions = {}): AsyncGenerator<GroupLook, void, void> {
    checkArguments('watchLag', { group, options });
    const { intervalMs, signal, ...monitored } = options;
    return this.lagMonitor(group, monitored).watch({
      ...(intervalMs === undefined ? {} : { intervalMs }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Where partitions end. The lag is no distance of two offsets: partitions of a topic share the sequence of their stream. */
  async endOffsets(partitions: readonly TopicPartition[]): Promise<PartitionEnd[]> {
    checkArguments('endOffsets', { partitions });
    return await endsOf(this.#context, partitions);
  }

  /** How many messages partitions have, from an offset on where one is given; none is read. */
  async countMessages(
    partitions: readonly (TopicPartition & { readonly fromOffset?: number })[],
  ): Promise<PartitionCount[]> {
    checkArguments('countMessages', { partitions });
    return await countsOf(this.#context, partitions);
  }

  /** Creates topics, each with a result of its own. */
  async createTopics(topics: readonly TopicOptions[]): Promise<ItemResult<TopicOptions>[]> {
    checkArguments('createTopics', { topics });
    return await this.#each(topics, async (topic): Promise<TopicSpec> => await this.#context.topics.create(topic));
  }

  /** Deletes topics with their streams and all messages, each with a result of its own. */
  async deleteTopics(names: readonly string[]): Promise<ItemResult<string>[]> {
    checkArguments('deleteTopics', { names });
    return await this.#each(names, async (name) => await this.#context.topics.delete(name));
  }

  async #each<Item>(items: readonly Item[], call: (item: Item) => Promise<unknown>): Promise<ItemResult<Item>[]> {
    const results: ItemResult<Item>[] = [];
    for (const item of items) {
      try {
        await call(item);
        results.push({ item, error: 'NONE' });
      } catch (thrown) {
        results.push(failed(item, thrown));
      }
    }
    return results;
  }

  async #factsOf(group: string, moreTopics: readonly string[] = []): Promise<GroupFacts> {
    const [commits, described] = await Promise.all([this.#commits(group, null), this.describeGroup(group)]);
    const { topics, owners } = consumersOf(described);
    const committed = new Map([...commits].map(([place, { offset }]) => [place, offset]));
    const names = [...[...committed.keys()].map((place) => partitionOf(place).topic), ...topics, ...moreTopics];
    return { described, commits, lags: await lagOf(this.#context, names, committed, owners) };
  }

  async #committed(group: string, partitions: readonly TopicPartition[] | null): Promise<Map<string, number>> {
    return new Map([...(await this.#commits(group, partitions))].map(([place, { offset }]) => [place, offset]));
  }

  #commits(group: string, partitions: readonly TopicPartition[] | null): Promise<Map<string, CommittedOffset>> {
    const { client, environment } = this.#context;
    const { timeoutMs, resendMs } = this.#questions;
    return lastCommits({ client, environment, groupId: groupId(group), timeoutMs, resendMs }, partitions);
  }

  async #commit(group: string, offsets: readonly PartitionOffset[]): Promise<ItemResult<PartitionOffset>[]> {
    const reply = await this.#questions.ask('commit', {
      groupId: groupId(group),
      memberId: memberId(''),
      groupInstanceId: null,
      generationId: generation(-1),
      commitSeq: null,
      retentionTimeMs: null,
      offsets: offsets.map(({ topic, partition, offset }) => {
        return { topic, partition, offset, leaderEpoch: -1, metadata: '', commitTimestamp: null };
      }),
    });
    return perPartition(offsets, reply.partitions);
  }

  async #checked({ topic, partition, offset }: PartitionOffset): Promise<MusterErrorCode> {
    try {
      const spec = await this.#context.topics.describe(topic);
      if (partition < 0 || partition >= spec.partitions) return 'UNKNOWN_TOPIC_OR_PARTITION';
      const { firstOffset, nextOffset } = await this.#context.streams.bounds(spec.stream);
      return offset >= firstOffset && offset <= nextOffset ? 'NONE' : 'OFFSET_OUT_OF_RANGE';
    } catch (thrown) {
      return asMusterError(thrown, 'STREAM_UNAVAILABLE').code;
    }
  }

  async #copied(target: ResetTarget): Promise<ReadonlyMap<string, number>> {
    if (target.to === 'group') return await this.#committed(target.group, null);
    if (target.to !== 'offsets') return new Map();
    return new Map(target.offsets.map(({ topic, partition, offset }) => [placeOf(topic, partition), offset]));
  }

  async #scope(
    options: ResetOptions,
    before: ReadonlyMap<string, number>,
    copied: ReadonlyMap<string, number>,
  ): Promise<readonly TopicPartition[]> {
    if (options.partitions !== undefined) return options.partitions;
    if (options.topics === undefined) return [...(copied.size > 0 ? copied : before).keys()].map(partitionOf);
    const counts = await this.#context.topics.partitionCounts(options.topics);
    return options.topics.flatMap((topic) =>
      // An unknown topic keeps one line, which says so.
      Array.from({ length: counts.get(topic) ?? 1 }, (_, partition) => ({ topic, partition })),
    );
  }
}

function failed<Item>(item: Item, thrown: unknown): ItemResult<Item> {
  const { code, message } = asMusterError(thrown, 'UNKNOWN_SERVER_ERROR');
  return { item, error: code, detail: message };
}

function partitionOf(place: string): TopicPartition {
  const slash = place.lastIndexOf('/');
  return { topic: place.slice(0, slash), partition: Number(place.slice(slash + 1)) };
}

function perPartition<Item extends TopicPartition>(
  items: readonly Item[],
  answers: readonly { readonly topic: string; readonly partition: number; readonly error: number }[],
): ItemResult<Item>[] {
  const errors = new Map(answers.map(({ topic, partition, error }) => [placeOf(topic, partition), error]));
  return items.map((item) => ({ item, error: errorName(errors.get(placeOf(item.topic, item.partition)) ?? -1) }));
}
