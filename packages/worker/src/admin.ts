/**
 * Looking at groups and changing them from outside. Every call is bounded by its timeout and answers per item.
 */

import {
  type ApiName,
  clusterApis,
  type DescribeReply,
  type ErrorName,
  encodeRequest,
  errorName,
  type GroupId,
  generation,
  groupId,
  instanceId,
  type ListReply,
  memberId,
  parseReply,
  type ReplyOf,
  type RequestOf,
  requestId,
  type TopicPartition,
} from '@muster/protocol';
import { MusterError } from './errors.js';
import { placeOf } from './lane.js';
import { committedOffsets } from './lanes-opening.js';
import type { MusterContext } from './muster-context.js';
import { partitionFilter } from './topic.js';
import { deferred, withinMs } from './waiting.js';

/** The result for one item of a request about several. */
export interface ItemResult<Item> {
  readonly item: Item;
  /** `NONE` where it worked. */
  readonly error: ErrorName;
}

export interface PartitionOffset extends TopicPartition {
  readonly offset: number;
}

export interface PartitionLag extends PartitionOffset {
  /** Messages at or after the committed offset. */
  readonly lag: number;
}

const TIMEOUT_MS = 15_000;
const RESEND_MS = 1_000;
const GATHER_AGAIN_MS = 500;

export class Admin {
  readonly #context: MusterContext;
  readonly #timeoutMs: number;

  constructor(context: MusterContext, options: { readonly timeoutMs?: number } = {}) {
    this.#context = context;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  /**
   * Every group of the cluster, from every node.
   * @returns the groups by name; throws MusterError INCOMPLETE_ANSWER where a partition had no owner until the deadline
   */
  async listGroups(filter: { readonly states?: readonly string[] } = {}): Promise<ListReply['groups']> {
    const { client, environment } = this.#context;
    const groups = new Map<GroupId, ListReply['groups'][number]>();
    const covered = new Set<number>();
    const complete = deferred();
    const fields = { api: 'list', statesFilter: filter.states ?? [], typesFilter: [] };
    const head = { id: requestId(environment.newId()), deadlineMs: this.#timeoutMs };
    const payload = encodeRequest(head, fields);
    const deadlineAt = environment.clock.now() + this.#timeoutMs;
    await client.discover(this.#timeoutMs);
    const onReply = (bytes: Uint8Array) => {
      const reply = parseReply(clusterApis.list, bytes);
      if (reply.kind === 'garbled' || reply.error !== 'NONE' || reply.fields === undefined) return;
      for (const partition of reply.fields.partitions) covered.add(partition);
      for (const group of reply.fields.groups) groups.set(group.groupId, group);
      if (covered.size >= (client.partitionCount ?? Number.POSITIVE_INFINITY)) complete.resolve();
    };
    while (true) {
      const leftMs = deadlineAt - environment.clock.now();
      if (leftMs <= 0) break;
      const stop = client.gather(client.subjects.all, payload, onReply);
      const outcome = await withinMs(environment.clock, Math.min(leftMs, GATHER_AGAIN_MS), complete.promise);
      stop();
      if (outcome.kind === 'done') return [...groups.values()].sort((a, b) => (a.groupId < b.groupId ? -1 : 1));
    }
    throw new MusterError('INCOMPLETE_ANSWER', `${covered.size} of ${client.partitionCount ?? 'unknown'} partitions`);
  }

  /** State, members and the last rebalances of a group. kafka: a group that does not exist is in state `Dead`. */
  async describeGroup(group: string): Promise<DescribeReply> {
    return await this.#ask('describe', { groupId: groupId(group) });
  }

  /** Deletes groups without members, with their offsets. */
  async deleteGroups(groups: readonly string[]): Promise<ItemResult<string>[]> {
    const results: ItemResult<string>[] = [];
    for (const group of groups) {
      const { error } = await this.#answer('delete', { groupId: groupId(group) });
      results.push({ item: group, error });
    }
    return results;
  }

  /** @returns the committed offsets of a group, all or those asked for; partitions without one are missing */
  async fetchOffsets(group: string, partitions: readonly TopicPartition[] | null = null): Promise<PartitionOffset[]> {
    const { client, environment } = this.#context;
    const times = { timeoutMs: this.#timeoutMs, resendMs: RESEND_MS };
    const offsets = await committedOffsets({ client, environment, groupId: groupId(group), ...times }, partitions);
    return [...offsets].map(([place, offset]) => {
      const slash = place.lastIndexOf('/');
      return { topic: place.slice(0, slash), partition: Number(place.slice(slash + 1)), offset };
    });
  }

  /** Sets offsets of a group without members, each the offset of the next message to read. */
  async commitOffsets(group: string, offsets: readonly PartitionOffset[]): Promise<ItemResult<PartitionOffset>[]> {
    const reply = await this.#ask('commit', {
      groupId: groupId(group),
      memberId: memberId(''),
      groupInstanceId: null,
      generationId: generation(-1),
      commitSeq: null,
      retentionTimeMs: null,
      offsets: offsets.map((offset) => ({ ...offset, leaderEpoch: -1, metadata: '', commitTimestamp: null })),
    });
    return perPartition(offsets, reply.partitions);
  }

  async deleteOffsets(group: string, partitions: readonly TopicPartition[]): Promise<ItemResult<TopicPartition>[]> {
    const wanted = partitions.map(({ topic, partition }): [string, number] => [topic, partition]);
    const reply = await this.#ask('delete-offsets', { groupId: groupId(group), partitions: wanted });
    return perPartition(partitions, reply.partitions);
  }

  /** Removes members as if they had left: by member id, or a static member by its instance id alone. */
  async removeMembers(
    group: string,
    members: readonly { readonly memberId?: string; readonly instanceId?: string }[],
    reason = 'removed by an administrator',
  ): Promise<ItemResult<{ readonly memberId?: string; readonly instanceId?: string }>[]> {
    const reply = await this.#ask('leave', {
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

  /** @returns what is left to read, for every partition with a committed offset whose topic is registered */
  async lag(group: string): Promise<PartitionLag[]> {
    const { topics, streams } = this.#context;
    const lags: PartitionLag[] = [];
    const offsets = await this.fetchOffsets(group);
    const counts = await topics.partitionCounts([...new Set(offsets.map(({ topic }) => topic))]);
    for (const committed of offsets) {
      if (!counts.has(committed.topic)) continue;
      const topic = await topics.describe(committed.topic);
      const subject = partitionFilter(topic, committed.partition);
      const lag = await streams.countFrom({ stream: topic.stream, subject, startOffset: committed.offset });
      lags.push({ ...committed, lag });
    }
    return lags;
  }

  async #ask<Api extends ApiName>(
    api: Api,
    body: RequestOf[Api] & { readonly groupId: GroupId },
  ): Promise<ReplyOf[Api]> {
    const { error, detail, fields } = await this.#answer(api, body);
    if (error !== 'NONE' || fields === undefined) throw new MusterError(error, detail);
    return fields;
  }

  async #answer<Api extends ApiName>(api: Api, body: RequestOf[Api] & { readonly groupId: GroupId }) {
    const times = { deadlineMs: this.#timeoutMs, resendMs: RESEND_MS };
    const outcome = await this.#context.client.request(api, body, times);
    if (outcome.kind === 'answered') return outcome;
    if (outcome.kind === 'expired') throw new MusterError('TIMEOUT', `${api}: ${outcome.lastProblem}`);
    throw new MusterError('CLOSED');
  }
}

function perPartition<Item extends TopicPartition>(
  items: readonly Item[],
  answers: readonly { readonly topic: string; readonly partition: number; readonly error: number }[],
): ItemResult<Item>[] {
  const errors = new Map(answers.map(({ topic, partition, error }) => [placeOf(topic, partition), error]));
  return items.map((item) => ({ item, error: errorName(errors.get(placeOf(item.topic, item.partition)) ?? -1) }));
}
