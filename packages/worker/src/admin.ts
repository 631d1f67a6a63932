/**
 * Looking at groups and changing them from outside. Every call is bounded by its timeout and answers per item; what it is given is checked
 * first (check-arguments.ts): all of them throw MusterError INVALID_ARGUMENT.
 */

import {
  type DescribeReply,
  errorName,
  groupId,
  instanceId,
  type ListReply,
  memberId,
  type TopicPartition,
} from '@muster/protocol';
import { checkArguments } from './check-arguments.js';
import { MusterError } from './errors.js';
import { eachAtMost } from './gate.js';
import { GroupOffsets, type ResetOptions } from './group-offsets.js';
import { eachItem, failed, type ItemResult } from './item-result.js';
import { consumersOf, lagOf, type PartitionLag } from './lag.js';
import {
  type GroupFacts,
  type GroupLook,
  LagMonitor,
  type LagMonitorOptions,
  type WatchLagOptions,
} from './lag-monitor.js';
import { partitionOfPlace } from './lane.js';
import type { MusterContext } from './muster-context.js';
import type { OffsetReset, PartitionOffset, ResetTarget } from './offset-reset.js';
import { countsOf, endsOf, type PartitionCount, type PartitionEnd } from './partition-facts.js';
import { Questions } from './questions.js';
import type { TopicSpec } from './topic.js';
import type { TopicOptions } from './topics.js';

export type { ResetOptions } from './group-offsets.js';
export type { ItemResult } from './item-result.js';

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

const TIMEOUT_MS = 15_000;
/** More questions at a time would only wait in the coordinators. */
const GROUPS_AT_ONCE = 64;

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
    return await eachAtMost(GROUPS_AT_ONCE, groups, async (item) => {
      try {
        return { item, error: 'NONE' as const, group: await this.describeGroup(item) };
      } catch (thrown) {
        return { ...failed(item, thrown), group: undefined };
      }
    });
  }

  /** Deletes groups without members, with their offsets. */
  async deleteGroups(groups: readonly string[]): Promise<ItemResult<string>[]> {
    checkArguments('deleteGroups', { groups });
    return await eachItem(groups, async (group) => {
      await this.#questions.ask('delete', { groupId: groupId(group) });
    });
  }

  /** @returns the committed offsets of a group, all or those asked for; partitions without one are missing */
  async fetchOffsets(group: string, partitions: readonly TopicPartition[] | null = null): Promise<PartitionOffset[]> {
    checkArguments('fetchOffsets', { group, partitions });
    return await this.#offsetsOf(group).fetch(partitions);
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
    return await this.#offsetsOf(group).commit(offsets, options.isUnchecked === true);
  }

  /**
   * Moves the offsets of a group that has no members now, or says where they would go.
   * @returns every partition with its offset before and after; throws MusterError NON_EMPTY_GROUP, TIMEOUT, INVALID_ARGUMENT
   */
  async resetOffsets(group: string, target: ResetTarget, options: ResetOptions = {}): Promise<OffsetReset[]> {
    checkArguments('resetOffsets', { group, target, options });
    return await this.#offsetsOf(group).reset(target, options);
  }

  /** Deletes committed offsets of topics that no member subscribes to. */
  async deleteOffsets(group: string, partitions: readonly TopicPartition[]): Promise<ItemResult<TopicPartition>[]> {
    checkArguments('deleteOffsets', { group, partitions });
    return await this.#offsetsOf(group).delete(partitions);
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
   * subscribe to, and of `topics`, whether anybody consumes them or not. Throws MusterError GROUP_ID_NOT_FOUND where there is no such group
   * and no topic is named: nothing left would be the wrong answer to a misspelt name.
   */
  async lag(group: string, options: { readonly topics?: readonly string[] } = {}): Promise<PartitionLag[]> {
    checkArguments('lag', { group, options });
    const { described, commits, lags } = await this.#factsOf(group, options.topics);
    if (described.state === 'Dead' && commits.size === 0 && options.topics === undefined) {
      throw new MusterError('GROUP_ID_NOT_FOUND', group);
    }
    return [...lags];
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
    return await eachItem(topics, async (topic): Promise<TopicSpec> => await this.#context.topics.create(topic));
  }

  /** Deletes topics with their streams and all messages, each with a result of its own. */
  async deleteTopics(names: readonly string[]): Promise<ItemResult<string>[]> {
    checkArguments('deleteTopics', { names });
    return await eachItem(names, async (name) => await this.#context.topics.delete(name));
  }

  async #factsOf(group: string, moreTopics: readonly string[] = []): Promise<GroupFacts> {
    const [commits, described] = await Promise.all([this.#offsetsOf(group).commits(), this.describeGroup(group)]);
    const { topics, owners } = consumersOf(described);
    const committed = new Map([...commits].map(([place, { offset }]) => [place, offset]));
    const names = [...[...committed.keys()].map((place) => partitionOfPlace(place).topic), ...topics, ...moreTopics];
    return { described, commits, lags: await lagOf(this.#context, names, committed, owners) };
  }

  #offsetsOf(group: string): GroupOffsets {
    return new GroupOffsets(this.#context, this.#questions, groupId(group));
  }
}
