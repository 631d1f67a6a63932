/**
 * Options as they come from programs without types: everything is checked before anything happens, and what is wrong is said with what
 * is allowed. A misspelt option is an error, never silence.
 *
 * Types and defaults are beside what they are for (options.ts and others), and so is what needs more than one option at a time.
 * O1 a schema has exactly the options of its type: each is `satisfies` it, and docs/worker.md has a table of the same names.
 */

import { z } from 'zod';
import type { CloseOptions } from './consumer.js';
import { MusterError } from './errors.js';
import type { PlainMemberOptions } from './member.js';
import type { OfferedProtocol } from './member-handler.js';
import type { ConnectOptions, ProducerOptions } from './muster.js';
import type { NatsOptions } from './nats-transport.js';
import type { ConsumerOptions, MemberOptions } from './options.js';
import type { BatchRunOptions, MessageRunOptions } from './run-options.js';
import type { CloseOnSignalsOptions } from './shutdown.js';
import type { TopicSpec } from './topic.js';
import type { AdoptOptions, TopicOptions } from './topics.js';

/** A schema for each option of a type. */
export type SchemaOf<Options> = { readonly [Name in keyof Required<Options>]: z.ZodType };

const ms = z.number().positive();
const count = z.int().min(1);
const text = z.string().min(1);
const flag = z.boolean().optional();
const anything = z.unknown().optional();
const method = z.custom((value) => typeof value === 'function', { error: 'a function' });
const hook = method.optional();
const deadLetter = z.strictObject({ kind: z.literal('dead-letter'), topic: text, timeoutMs: ms.optional() });
const lastResort = z.union([z.enum(['stop', 'skip']), deadLetter], {
  error: "'stop', 'skip' or { kind: 'dead-letter', topic }",
});
const methods = (names: readonly string[]) =>
  z.custom(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      names.every((name) => typeof Reflect.get(value, name) === 'function'),
    { error: `an object with ${names.join(', ')}` },
  );
const logger = methods(['debug', 'info', 'warn', 'error']).optional();
const codec = methods(['encode', 'decode']).optional();
const keyHash = z.enum(['fnv1a', 'murmur2'], { error: "'fnv1a' or 'murmur2'" }).optional();
/** A topic by name, or given inline with all that a registry entry has. */
export const topicOrName = z.union(
  [
    text,
    z.strictObject({
      name: text,
      stream: text,
      subject: text,
      partitions: count,
      keyHash: z.enum(['fnv1a', 'murmur2'], { error: "'fnv1a' or 'murmur2'" }),
      publish: z.string().nullable().optional(),
    } satisfies SchemaOf<TopicSpec>),
  ],
  { error: 'a topic name, or a topic { name, stream, subject, partitions, keyHash }' },
);

/** Everything of nats.js, which checks it itself. */
const natsFields = {
  authenticator: anything,
  ignoreAuthErrorAbort: anything,
  ignoreClusterUpdates: anything,
  inboxPrefix: anything,
  maxPingOut: anything,
  maxReconnectAttempts: anything,
  name: anything,
  noAsyncTraces: anything,
  noEcho: anything,
  noRandomize: anything,
  pass: anything,
  pingInterval: anything,
  port: anything,
  reconnect: anything,
  reconnectDelayHandler: anything,
  reconnectJitter: anything,
  reconnectJitterTLS: anything,
  reconnectTimeWait: anything,
  resolve: anything,
  servers: z
    .union([text, z.array(text).min(1, { error: 'at least one server' })], {
      error: "'host:port' or a list of them",
    })
    .optional(),
  timeout: anything,
  tls: anything,
  token: anything,
  user: anything,
  waitOnFirstConnect: anything,
} satisfies SchemaOf<NatsOptions>;

const subjectToken = '[^\\s.*>]+';
const jetStream = z.union(
  [
    z.strictObject({ domain: z.string().regex(new RegExp(`^${subjectToken}$`)) }),
    z.strictObject({ apiPrefix: z.string().regex(new RegExp(`^${subjectToken}(\\.${subjectToken})*$`)) }),
  ],
  { error: '{ domain } with one token, or { apiPrefix } with tokens and dots between them' },
);

const connectFields = {
  cluster: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, { error: 'a cluster name has 1 to 64 of A-Z a-z 0-9 _ -' })
    .optional(),
  clientId: text.optional(),
  connection: methods(['publish', 'subscribe', 'jetstream']).optional(),
  jetStream: jetStream.optional(),
  logger,
  openTelemetry: flag,
} satisfies SchemaOf<Omit<ConnectOptions, keyof NatsOptions>>;

const memberFields = {
  group: z.string(),
  instanceId: text.optional(),
  sessionTimeoutMs: ms.optional(),
  rebalanceTimeoutMs: ms.optional(),
  heartbeatIntervalMs: ms.optional(),
  joinTimeoutMs: ms.optional(),
  logger,
} satisfies SchemaOf<MemberOptions>;

const commit = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ kind: z.literal('auto'), intervalMs: ms.optional(), count: count.optional() }),
    z.strictObject({ kind: z.literal('each') }),
    z.strictObject({ kind: z.literal('manual') }),
  ],
  { error: "{ kind: 'auto' | 'each' | 'manual' }" },
);
const retry = z.strictObject({
  kind: z.literal('retry'),
  attempts: count,
  backoffMs: ms.optional(),
  backoffMaxMs: ms.optional(),
  lastly: lastResort.optional(),
});
const failure = z.discriminatedUnion(
  'kind',
  [z.strictObject({ kind: z.literal('stop') }), z.strictObject({ kind: z.literal('skip') }), deadLetter, retry],
  { error: "{ kind: 'stop' | 'skip' | 'dead-letter' | 'retry' }" },
);

const consumerFields = {
  ...memberFields,
  topics: z.array(topicOrName, { error: 'a list of topic names' }).min(1, { error: 'at least one topic' }),
  codec,
  assignors: z
    .array(methods(['assign']))
    .min(1)
    .optional(),
  commit: commit.optional(),
  start: z
    .union([z.enum(['earliest', 'latest', 'committed']), z.strictObject({ timeMs: z.number() })], {
      error: "'earliest', 'latest', 'committed' or { timeMs }",
    })
    .optional(),
  startFallback: z.enum(['earliest', 'latest', 'fail'], { error: "'earliest', 'latest' or 'fail'" }).optional(),
  onTopicMissing: z.enum(['wait', 'stop'], { error: "'wait' or 'stop'" }).optional(),
  onFailure: failure.optional(),
  onDecodeFailure: lastResort.optional(),
  maxPollIntervalMs: ms.optional(),
  stallTimeoutMs: ms.optional(),
  blockedWarningMs: ms.optional(),
  bufferMessages: count.optional(),
  unackedMessages: count.optional(),
  drainTimeoutMs: z.number().min(0).optional(),
  onAssigned: hook,
  onRevoked: hook,
  onLost: hook,
} satisfies SchemaOf<ConsumerOptions<unknown>>;

const plainMemberFields = {
  ...memberFields,
  protocolType: text.refine((type) => type !== 'consumer', {
    error: "any but 'consumer', which is the protocol of muster.consumer",
  }),
  protocols: z
    .array(
      z.strictObject({
        name: text,
        metadata: z.instanceof(Uint8Array, { error: 'bytes' }),
      } satisfies SchemaOf<OfferedProtocol>),
      { error: 'a list of { name, metadata }' },
    )
    .min(1, { error: 'at least one protocol' }),
  assign: method,
  onAssigned: hook,
  onRevoked: hook,
  onLost: hook,
} satisfies SchemaOf<PlainMemberOptions>;

const producerFields = {
  topic: topicOrName,
  codec,
  keyHash,
  maxInFlight: count.optional(),
  maxInFlightPerPartition: count.optional(),
  maxWaiting: z.int().min(0).optional(),
  deliveryTimeoutMs: ms.optional(),
} satisfies SchemaOf<ProducerOptions<unknown>>;

const runFields = {
  concurrency: count.optional(),
  eachMessage: hook,
  eachBatch: hook,
  batchMessages: count.optional(),
} satisfies SchemaOf<MessageRunOptions<unknown> & BatchRunOptions<unknown>>;

const newTopicFields = {
  name: text,
  partitions: count,
  stream: text.optional(),
  subject: text.optional(),
  keyHash,
  replicas: count.optional(),
  storage: z.enum(['file', 'memory'], { error: "'file' or 'memory'" }).optional(),
  maxAgeMs: z.number().min(0).optional(),
  maxBytes: z.int().min(0).optional(),
  duplicateWindowMs: ms.optional(),
} satisfies SchemaOf<TopicOptions>;

const adoptFields = {
  name: text,
  stream: text,
  subject: text,
  partitions: count,
  keyHash,
  replicas: count.optional(),
} satisfies SchemaOf<AdoptOptions>;

const closeFields = { leave: flag, timeoutMs: z.number().min(0).optional() } satisfies SchemaOf<CloseOptions>;

const signalFields = {
  signals: z.array(text).min(1).optional(),
  timeoutMs: ms.optional(),
  leave: flag,
  onClosed: hook,
  process: anything,
} satisfies SchemaOf<CloseOnSignalsOptions>;

/** Every set of options that is checked, by what it is for. */
export const optionFields = {
  connect: connectFields,
  consumer: consumerFields,
  member: plainMemberFields,
  producer: producerFields,
  run: runFields,
  close: closeFields,
  closeOnSignals: signalFields,
  'topics.create': newTopicFields,
  'topics.adopt': adoptFields,
} as const;

const schemas = {
  connect: z.strictObject({ ...connectFields, ...natsFields }),
  consumer: z.strictObject(consumerFields),
  member: z.strictObject(plainMemberFields),
  producer: z.strictObject(producerFields),
  run: z
    .strictObject(runFields)
    .refine(({ eachMessage, eachBatch }) => (eachMessage === undefined) !== (eachBatch === undefined), {
      error: 'either eachMessage or eachBatch',
    }),
  close: z.strictObject(closeFields),
  closeOnSignals: z.strictObject(signalFields),
  'topics.create': z.strictObject(newTopicFields),
  'topics.adopt': z.strictObject(adoptFields),
} as const satisfies { readonly [Name in keyof typeof optionFields]: z.ZodType };

/** @throws MusterError INVALID_ARGUMENT naming every option that is wrong, and what is allowed */
export function checkOptions(what: keyof typeof schemas, options: unknown): void {
  const schema = schemas[what];
  const parsed = schema.safeParse(options);
  if (parsed.success) return;
  throw new MusterError('INVALID_ARGUMENT', `${what}: ${problemsIn(parsed.error, schema, options).join('; ')}`);
}

/** @returns what a schema found wrong with what was given, one text for each; beside a misspelt option those that there are */
export function problemsIn(error: z.ZodError, schema: z.ZodType, given: unknown): string[] {
  return error.issues.map((issue) => {
    const where = issue.path.map(String).join('.');
    if (issue.code !== 'unrecognized_keys') return where === '' ? issue.message : `${where}: ${issue.message}`;
    const names = optionsAt(schema, given, issue.path);
    const known = names === undefined ? '' : `; options are ${names.join(', ')}`;
    return `${where === '' ? '' : `${where}: `}no such option: ${issue.keys.join(', ')}${known}`;
  });
}

/** @returns the options of the object at a path; undefined where it cannot be told which of several it is meant to be */
function optionsAt(schema: unknown, given: unknown, path: readonly PropertyKey[]): string[] | undefined {
  const [step, ...rest] = path;
  if (step !== undefined) {
    const whole = objectIn(schema, given);
    const inner = whole === undefined && schema instanceof z.ZodArray ? schema.element : whole?.shape[String(step)];
    return optionsAt(bare(inner), fieldOf(given, step), rest);
  }
  const found = objectIn(schema, given);
  return found === undefined ? undefined : Object.keys(found.shape);
}

/** @returns the object schema, of a choice the one whose kind was given, or the only one */
function objectIn(schema: unknown, given: unknown): z.ZodObject | undefined {
  if (schema instanceof z.ZodObject) return schema;
  if (!(schema instanceof z.ZodUnion)) return undefined;
  const objects = schema.options.flatMap((option) => objectIn(bare(option), given) ?? []);
  return objects.length === 1 ? objects[0] : objects.find((object) => isOfKind(object, given));
}

function isOfKind(object: z.ZodObject, given: unknown): boolean {
  return Object.entries(object.shape).some(([name, field]) => {
    return (
      (field instanceof z.ZodLiteral || field instanceof z.ZodEnum) && field.safeParse(fieldOf(given, name)).success
    );
  });
}

function fieldOf(given: unknown, name: PropertyKey): unknown {
  return typeof given === 'object' && given !== null ? Reflect.get(given, name) : undefined;
}

function bare(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? schema.unwrap() : schema;
}
