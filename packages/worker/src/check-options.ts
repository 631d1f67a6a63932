/**
 * Options as they come from programs without types: everything is checked before anything happens, and what is wrong is said with what
 * is allowed. A misspelt option is an error, never silence.
 *
 * Types and defaults are in options.ts; what needs more than one option at a time is checked there, too.
 */

import { z } from 'zod';
import { MusterError } from './errors.js';

const ms = z.number().positive();
const count = z.int().min(1);
const text = z.string().min(1);
const hook = z.custom((value) => typeof value === 'function', { error: 'a function' }).optional();
const lastResort = z.union(
  [z.enum(['stop', 'skip']), z.strictObject({ kind: z.literal('dead-letter'), topic: text })],
  {
    error: "'stop', 'skip' or { kind: 'dead-letter', topic }",
  },
);
const methods = (names: readonly string[]) =>
  z.custom(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      names.every((name) => typeof Reflect.get(value, name) === 'function'),
    { error: `an object with ${names.join(', ')}` },
  );

const memberFields = {
  group: z.string(),
  instanceId: text.optional(),
  sessionTimeoutMs: ms.optional(),
  rebalanceTimeoutMs: ms.optional(),
  heartbeatIntervalMs: ms.optional(),
  logger: methods(['debug', 'info', 'warn', 'error']).optional(),
};

const consumerSchema = z.strictObject({
  ...memberFields,
  topics: z
    .array(z.union([text, z.looseObject({ name: text })]), { error: 'a list of topic names' })
    .min(1, { error: 'at least one topic' }),
  codec: methods(['encode', 'decode']).optional(),
  assignors: z
    .array(methods(['assign']))
    .min(1)
    .optional(),
  commit: z
    .discriminatedUnion(
      'kind',
      [
        z.strictObject({ kind: z.literal('auto'), intervalMs: ms.optional(), count: count.optional() }),
        z.strictObject({ kind: z.literal('each') }),
        z.strictObject({ kind: z.literal('manual') }),
      ],
      { error: "{ kind: 'auto' | 'each' | 'manual' }" },
    )
    .optional(),
  start: z
    .union([z.enum(['earliest', 'latest', 'committed']), z.strictObject({ timeMs: z.number() })], {
      error: "'earliest', 'latest', 'committed' or { timeMs }",
    })
    .optional(),
  startFallback: z.enum(['earliest', 'latest', 'fail'], { error: "'earliest', 'latest' or 'fail'" }).optional(),
  onFailure: z
    .discriminatedUnion(
      'kind',
      [
        z.strictObject({ kind: z.literal('stop') }),
        z.strictObject({ kind: z.literal('skip') }),
        z.strictObject({ kind: z.literal('dead-letter'), topic: text }),
        z.strictObject({
          kind: z.literal('retry'),
          attempts: count,
          backoffMs: ms.optional(),
          backoffMaxMs: ms.optional(),
          lastly: lastResort.optional(),
        }),
      ],
      { error: "{ kind: 'stop' | 'skip' | 'dead-letter' | 'retry' }" },
    )
    .optional(),
  onDecodeFailure: lastResort.optional(),
  maxPollIntervalMs: ms.optional(),
  stallTimeoutMs: ms.optional(),
  blockedWarningMs: ms.optional(),
  bufferMessages: count.optional(),
  unackedMessages: count.optional(),
  drainTimeoutMs: z.number().min(0).optional(),
  joinTimeoutMs: ms.optional(),
  onAssigned: hook,
  onRevoked: hook,
  onLost: hook,
});

/** @throws MusterError INVALID_ARGUMENT naming every option that is wrong, and what is allowed */
export function checkConsumerOptions(options: unknown): void {
  const parsed = consumerSchema.safeParse(options);
  if (parsed.success) return;
  const problems = parsed.error.issues.map((issue) => {
    const where = issue.path.map(String).join('.');
    if (issue.code === 'unrecognized_keys') {
      const known = where === '' ? `; options are ${Object.keys(consumerSchema.shape).join(', ')}` : '';
      return `${where === '' ? '' : `${where}: `}no such option: ${issue.keys.join(', ')}${known}`;
    }
    return where === '' ? issue.message : `${where}: ${issue.message}`;
  });
  throw new MusterError('INVALID_ARGUMENT', problems.join('; '));
}
