/**
 * The committed offsets of one group, seen and set from outside: by administration, not by a member.
 *
 * Does not check arguments (check-arguments.ts) and does not plan where a reset goes (offset-reset.ts).
 *
 * I1 every partition has a result of its own; one that is refused holds up no other.
 * I2 what is written carries no generation: the coordinator takes it only while the group has no members.
 */

import {
  errorName,
  type GroupId,
  generation,
  groupId as groupIdOf,
  memberId,
  type TopicPartition,
} from '@muster/protocol';
import { asMusterError, MusterError, type MusterErrorCode } from './errors.js';
import { eachAtMost } from './gate.js';
import { type ItemResult, perPartition } from './item-result.js';
import { partitionOfPlace, placeOf } from './lane.js';
import { type CommittedOffset, lastCommits } from './lanes-opening.js';
import type { MusterContext } from './muster-context.js';
import { type OffsetReset, type PartitionOffset, planReset, type ResetTarget } from './offset-reset.js';
import { PARTITIONS_AT_ONCE } from './partition-facts.js';
import type { Questions } from './questions.js';

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

export class GroupOffsets {
  readonly #context: MusterContext;
  readonly #questions: Questions;
  readonly #groupId: GroupId;

  constructor(context: MusterContext, questions: Questions, groupId: GroupId) {
    this.#context = context;
    this.#questions = questions;
    this.#groupId = groupId;
  }

  /** @returns what is committed, by place; partitions without a commit are missing */
  commits(partitions: readonly TopicPartition[] | null = null): Promise<Map<string, CommittedOffset>> {
    const { client, environment } = this.#context;
    const { timeoutMs, resendMs } = this.#questions;
    return lastCommits({ client, environment, groupId: this.#groupId, timeoutMs, resendMs }, partitions);
  }

  /** @returns the same as a list */
  async fetch(partitions: readonly TopicPartition[] | null): Promise<PartitionOffset[]> {
    return [...(await this.commits(partitions))].map(([place, { offset, metadata }]) => {
      return { ...partitionOfPlace(place), offset, ...(metadata === '' ? {} : { metadata }) };
    });
  }

  /** Sets offsets, those within their streams or all of them. */
  async commit(offsets: readonly PartitionOffset[], isUnchecked: boolean): Promise<ItemResult<PartitionOffset>[]> {
    const errors = await eachAtMost(PARTITIONS_AT_ONCE, offsets, async (item) => {
      return isUnchecked ? ('NONE' as const) : await this.#checked(item);
    });
    const good = offsets.filter((_, at) => errors[at] === 'NONE');
    const written = await this.#write(good);
    return offsets.map((item, at) => {
      const refused = errors[at] ?? 'NONE';
      const error = written.get(placeOf(item.topic, item.partition)) ?? 'UNKNOWN_SERVER_ERROR';
      return { item, error: refused === 'NONE' ? error : refused };
    });
  }

  async delete(partitions: readonly TopicPartition[]): Promise<ItemResult<TopicPartition>[]> {
    const wanted = partitions.map(({ topic, partition }): [string, number] => [topic, partition]);
    const reply = await this.#questions.ask('delete-offsets', { groupId: this.#groupId, partitions: wanted });
    return perPartition(partitions, reply.partitions);
  }

  /** Moves offsets, or says where they would go. Throws MusterError NON_EMPTY_GROUP, TIMEOUT. */
  async reset(target: ResetTarget, options: ResetOptions): Promise<OffsetReset[]> {
    await this.#requireInactive();
    const before = await this.commits();
    const copied = await this.#copied(target);
    const places = await this.#scope(options, before.keys(), copied);
    let done = 0;
    const plan = await eachAtMost(PARTITIONS_AT_ONCE, places, async (place) => {
      const committed = before.get(placeOf(place.topic, place.partition))?.offset;
      const reset = await planReset(this.#context, place, target, committed, copied);
      done += 1;
      options.onProgress?.(done, places.length);
      return reset;
    });
    if (options.dryRun !== false) return plan;
    const errors = await this.#write(
      plan.flatMap(({ topic, partition, after: offset }) =>
        offset === undefined ? [] : [{ topic, partition, offset }],
      ),
    );
    return plan.map((reset) => {
      const error =
        reset.error === 'NONE' ? (errors.get(placeOf(reset.topic, reset.partition)) ?? 'NONE') : reset.error;
      return error === 'NONE' ? reset : { ...reset, after: undefined, error };
    });
  }

  // kafka: assignments can only be reset if the group is inactive.
  async #requireInactive(): Promise<void> {
    const groupId = this.#groupId;
    const { state, members } = await this.#questions.ask('describe', { groupId, stable: false });
    if (state === 'Empty' || state === 'Dead') return;
    throw new MusterError('NON_EMPTY_GROUP', `${groupId} is ${state} with ${members.length} members: stop them first`);
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

  /** @returns the outcome by place */
  async #write(offsets: readonly PartitionOffset[]): Promise<ReadonlyMap<string, MusterErrorCode>> {
    if (offsets.length === 0) return new Map();
    const reply = await this.#questions.ask('commit', {
      groupId: this.#groupId,
      memberId: memberId(''),
      groupInstanceId: null,
      generationId: generation(-1),
      commitSeq: null,
      retentionTimeMs: null,
      offsets: offsets.map(({ topic, partition, offset, metadata = '' }) => {
        return { topic, partition, offset, leaderEpoch: -1, metadata, commitTimestamp: null };
      }),
    });
    return new Map(
      reply.partitions.map(({ topic, partition, error }) => [placeOf(topic, partition), errorName(error)]),
    );
  }

  async #copied(target: ResetTarget): Promise<ReadonlyMap<string, number>> {
    if (target.to === 'offsets') {
      return new Map(target.offsets.map(({ topic, partition, offset }) => [placeOf(topic, partition), offset]));
    }
    if (target.to !== 'group') return new Map();
    const other = new GroupOffsets(this.#context, this.#questions, groupIdOf(target.group));
    return new Map([...(await other.commits())].map(([place, { offset }]) => [place, offset]));
  }

  async #scope(
    options: ResetOptions,
    committed: Iterable<string>,
    copied: ReadonlyMap<string, number>,
  ): Promise<readonly TopicPartition[]> {
    if (options.partitions !== undefined) return options.partitions;
    if (options.topics === undefined) return [...(copied.size > 0 ? copied.keys() : committed)].map(partitionOfPlace);
    const counts = await this.#context.topics.partitionCounts(options.topics);
    return options.topics.flatMap((topic) =>
      // An unknown topic keeps one line, which says so.
      Array.from({ length: counts.get(topic) ?? 1 }, (_, partition) => ({ topic, partition })),
    );
  }
}
