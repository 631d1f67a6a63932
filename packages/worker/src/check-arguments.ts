/**
 * Arguments of calls, above all of administration, as they come from programs without types: checked before anything is asked or
 * deleted, and what is wrong is said with what is allowed. A text where a list is meant would be taken letter by letter, and
 * `deleteTopics('abc')` would delete three topics.
 *
 * Does not say whether a group, topic or partition exists: that is the answer, item by item.
 * A1 one schema per call, its arguments by name in their order. A2 a misspelt option is an error; what is passed as an item may carry more
 *    than is asked for, so that the result of one call can go into the next.
 */

import { isGroupId, OFFSET_METADATA_LENGTH_MAX } from '@muster/protocol';
import { z } from 'zod';
import { problemsIn, type SchemaOf, topicOrName } from './check-options.js';
import { MusterError } from './errors.js';
import type { ResetOptions } from './group-offsets.js';
import type { WatchLagOptions } from './lag-monitor.js';

const SHOWN_MAX = 80;
const GROUP_STATES = 'Empty, PreparingRebalance, CompletingRebalance, Stable or Dead';
const groupStates = GROUP_STATES.toLowerCase().split(/, | or /);

/** The error of a schema: what is allowed, and what came instead. */
const allowed = (text: string) => ({
  error: (issue: { readonly input?: unknown }) => `${text}, not ${shown(issue.input)}`,
});
const listOf = <Item extends z.ZodType>(item: Item, what: string) => z.array(item, allowed(`a list of ${what}`));
const name = (what: string) => z.string(allowed(`the name of a ${what}`)).min(1, allowed(`the name of a ${what}`));
const names = (what: string) => listOf(name(what), `${what} names`);

const number = z.int(allowed('a whole number'));
const offset = z.int(allowed('an offset, a whole number')).min(0, allowed('an offset of at least 0'));
const placeFields = { topic: name('topic'), partition: number };
const place = z.looseObject(placeFields, allowed('{ topic, partition }'));
const metadata = z
  .string(allowed('a text'))
  .max(OFFSET_METADATA_LENGTH_MAX, allowed(`at most ${OFFSET_METADATA_LENGTH_MAX} characters`));
const placeAndOffset = z.looseObject(
  { ...placeFields, offset, metadata: metadata.optional() },
  allowed('{ topic, partition, offset }'),
);
const places = listOf(place, '{ topic, partition }');
const offsets = listOf(placeAndOffset, '{ topic, partition, offset }');
const ms = z.number(allowed('a number of milliseconds')).positive(allowed('a number of milliseconds above 0'));
const flag = z.boolean(allowed('true or false')).optional();
const options = <Fields extends z.ZodRawShape>(fields: Fields) =>
  z.strictObject(fields, allowed(`{ ${Object.keys(fields).join(', ')} }`)).optional();

const targets = z.discriminatedUnion(
  'to',
  [
    z.strictObject({ to: z.enum(['earliest', 'latest', 'current']) }),
    z.strictObject({ to: z.literal('offset'), offset }),
    z.strictObject({ to: z.literal('shift'), by: number }),
    z.strictObject({ to: z.literal('time'), timeMs: z.number(allowed('a time in milliseconds')) }),
    z.strictObject({ to: z.literal('duration'), durationMs: z.number(allowed('a number of milliseconds')) }),
    z.strictObject({ to: z.literal('group'), group: name('group') }),
    z.strictObject({ to: z.literal('offsets'), offsets }),
  ],
  {
    error: ({ input }) => {
      const kinds = "{ to: 'earliest' | 'latest' | 'current' } or { to: 'offset', offset }, { to: 'shift', by }";
      const more =
        "{ to: 'time', timeMs }, { to: 'duration', durationMs }, { to: 'group', group }, { to: 'offsets', offsets }";
      return `${kinds}, ${more}, not ${shown(input)}`;
    },
  },
);

const resetFields = {
  topics: names('topic').optional(),
  partitions: places.optional(),
  dryRun: flag,
  onProgress: z.custom((value) => typeof value === 'function', allowed('a function')).optional(),
} satisfies SchemaOf<ResetOptions>;

const watchFields = {
  topics: names('topic').optional(),
  stoppedAfterMs: ms.optional(),
  intervalMs: ms.optional(),
  signal: z.instanceof(AbortSignal, allowed('an AbortSignal')).optional(),
} satisfies SchemaOf<WatchLagOptions>;
const { topics, stoppedAfterMs, intervalMs, signal } = watchFields;

const member = z
  .looseObject(
    { memberId: z.string().min(1).optional(), instanceId: z.string().min(1).optional() },
    allowed('{ memberId } or { instanceId }'),
  )
  .refine(({ memberId, instanceId }) => memberId !== undefined || instanceId !== undefined, {
    error: '{ memberId } or { instanceId }',
  });
const group = name('group').refine(isGroupId, allowed('the name of a group, of at most 255 bytes'));
const stable = options({ stable: flag });
/** kafka: compared without case and surrounding blanks. One that there is none of would match nothing, and look like no groups at all. */
const groupState = z.string().refine((text) => groupStates.includes(text.trim().toLowerCase()), allowed(GROUP_STATES));

const topicsWanted = listOf(topicOrName, 'topic names').min(1, { error: 'at least one topic' });
const position = z.union(
  [z.enum(['earliest', 'latest']), offset, z.strictObject({ timeMs: z.number() })],
  allowed("an offset, a whole number, 'earliest', 'latest' or { timeMs }"),
);

/** A1. Calls of a consumer and of the topic registry; not those made for every message. */
export const otherArguments = {
  'consumer.subscribe': z.strictObject({ topics: topicsWanted }),
  'consumer.pause': z.strictObject({ partitions: places }),
  'consumer.resume': z.strictObject({ partitions: places }),
  'consumer.commit': z.strictObject({ offsets: listOf(place, '{ topic, partition, offset }') }),
  'consumer.seek': z.strictObject({ place, to: position }),
  'consumer.assigned': z.strictObject({ options: options({ timeoutMs: z.number().min(0).optional(), signal }) }),
  'topics.describe': z.strictObject({ name: name('topic') }),
  'topics.describeAll': z.strictObject({ names: names('topic') }),
  'topics.delete': z.strictObject({ name: name('topic') }),
  parseOffsets: z.strictObject({
    text: z.string(allowed('a text')),
    options: options({ group: name('group').optional() }),
  }),
} as const;

/** A1. Every call of `Admin` that takes anything, and of its lag monitor. */
export const adminArguments = {
  admin: z.strictObject({ options: options({ timeoutMs: ms.optional() }) }),
  listGroups: z.strictObject({
    filter: options({
      states: listOf(groupState, 'states').optional(),
      types: listOf(z.string(), 'types').optional(),
      stable: flag,
    }),
  }),
  findCoordinator: z.strictObject({ group }),
  describeGroup: z.strictObject({ group, options: stable }),
  describeGroups: z.strictObject({ groups: names('group') }),
  deleteGroups: z.strictObject({ groups: names('group') }),
  fetchOffsets: z.strictObject({ group, partitions: places.nullable() }),
  commitOffsets: z.strictObject({ group, offsets, options: options({ isUnchecked: flag }) }),
  resetOffsets: z.strictObject({ group, target: targets, options: options(resetFields) }),
  deleteOffsets: z.strictObject({ group, partitions: places }),
  removeMembers: z.strictObject({
    group,
    members: listOf(member, '{ memberId } or { instanceId }'),
    reason: z.string(allowed('a text')),
  }),
  lag: z.strictObject({ group, options: options({ topics }) }),
  lagMonitor: z.strictObject({ group, options: options({ topics, stoppedAfterMs }) }),
  watchLag: z.strictObject({ group, options: options(watchFields) }),
  watch: z.strictObject({ options: options({ intervalMs, signal }) }),
  endOffsets: z.strictObject({ partitions: places }),
  countMessages: z.strictObject({
    partitions: listOf(
      z.looseObject({ ...placeFields, fromOffset: number.optional() }, allowed('{ topic, partition }')),
      '{ topic, partition, fromOffset }',
    ),
  }),
  createTopics: z.strictObject({
    topics: listOf(z.looseObject({}, allowed('{ name, partitions }')), '{ name, partitions }'),
  }),
  deleteTopics: z.strictObject({ names: names('topic') }),
} as const;

const schemas = { ...adminArguments, ...otherArguments } as const;

/** @throws MusterError INVALID_ARGUMENT naming the argument that is wrong, and what is allowed */
export function checkArguments(call: keyof typeof schemas, given: Readonly<Record<string, unknown>>): void {
  const schema = schemas[call];
  const parsed = schema.safeParse(given);
  if (parsed.success) return;
  throw new MusterError('INVALID_ARGUMENT', `${call}: ${problemsIn(parsed.error, schema, given).join('; ')}`);
}

/** @returns a value for the text of an error, bounded */
function shown(value: unknown): string {
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    return 'an object';
  }
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}...` : text;
}
