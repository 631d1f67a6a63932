/**
 * The format of conformance cases (their README says what each key means), and the reading of a folder of them.
 *
 * Every file is an array of cases. What does not fit the format is an error that names file, case and key, never a guess.
 */

import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';

const base64 = z.string();
const topicPartition = z.tuple([z.string(), z.int()]);
const identity = { memberId: z.string(), groupInstanceId: z.string().nullable().default(null) };
const group = { groupId: z.string() };
const offset = z.object({
  topic: z.string(),
  partition: z.int(),
  offset: z.int(),
  leaderEpoch: z.int().default(-1),
  metadata: z.string().nullable().default(''),
  commitTimestamp: z.int().optional(),
});
const commitArgs = {
  ...group,
  memberId: z.string().default(''),
  groupInstanceId: z.string().nullable().default(null),
  generationId: z.int().default(-1),
  offsets: z.array(offset),
};

/** Arguments of each request, references already put in or not: a reference stands only where text is expected. */
export const requestArgs = {
  join: z.object({
    ...group,
    ...identity,
    requireKnownMemberId: z.boolean().default(false),
    clientId: z.string().default('c'),
    clientHost: z.string().default('h'),
    sessionTimeoutMs: z.int().default(10_000),
    rebalanceTimeoutMs: z.int().default(30_000),
    protocolType: z.string().default('consumer'),
    protocols: z.array(z.tuple([z.string(), base64])).default([['range', 'bWV0YQ==']]),
    supportSkippingAssignment: z.boolean().default(true),
  }),
  sync: z.object({
    ...group,
    ...identity,
    generationId: z.int(),
    protocolType: z.string().nullable().default(null),
    protocolName: z.string().nullable().default(null),
    assignments: z.record(z.string(), base64).default({}),
  }),
  heartbeat: z.object({ ...group, ...identity, generationId: z.int() }),
  leave: z.object({ ...group, members: z.array(z.object(identity)) }),
  commit: z.object({ ...commitArgs, retentionTimeMs: z.int().optional() }),
  txnCommit: z.object({
    ...commitArgs,
    transactionalId: z.string().default('tx'),
    producerId: z.int().default(1000),
    producerEpoch: z.int().default(2),
  }),
  fetch: z.object({
    ...group,
    requireStable: z.boolean().default(false),
    partitions: z.array(topicPartition).nullable(),
  }),
  deleteOffsets: z.object({ ...group, partitions: z.array(topicPartition) }),
  describe: z.object(group),
  list: z.object({ statesFilter: z.array(z.string()).default([]), typesFilter: z.array(z.string()).default([]) }),
  deleteGroups: z.object({ groupIds: z.array(z.string()) }),
} as const;

/** Name of a request. */
export type RequestOp = keyof typeof requestArgs;
/** A request of a case, by `op`. */
export type CaseRequest = {
  [Op in RequestOp]: { readonly op: Op; readonly args: z.output<(typeof requestArgs)[Op]> };
}[RequestOp];

function requestStep<Op extends RequestOp>(op: Op) {
  return z.object({ op: z.literal(op), as: z.string(), args: requestArgs[op] });
}

const epoch = z.int().optional();
const seedMember = z.object({
  ...identity,
  clientId: z.string().default('c'),
  clientHost: z.string().default('h'),
  sessionTimeoutMs: z.int(),
  rebalanceTimeoutMs: z.int(),
  subscription: base64,
  assignment: base64,
});
const hooks = [
  z.object({ op: z.literal('failNextStore'), error: z.string() }),
  z.object({ op: z.literal('holdStore') }),
  z.object({ op: z.literal('releaseStore'), count: z.int().optional(), error: z.string().optional() }),
  z.object({ op: z.literal('resign'), ...group, epoch }),
  z.object({ op: z.literal('elect'), ...group, epoch }),
  z.object({ op: z.literal('beginLoad'), ...group, epoch }),
  z.object({ op: z.literal('endLoad'), ...group, epoch }),
  z.object({ op: z.literal('shutdown') }),
  z.object({ op: z.literal('markDead'), ...group }),
  z.object({
    op: z.literal('endTxn'),
    producerId: z.int(),
    result: z.enum(['COMMIT', 'ABORT']),
    groupIds: z.array(z.string()),
  }),
  z.object({ op: z.literal('failNextTxnVerification'), error: z.string() }),
  z.object({ op: z.literal('deletePartitions'), partitions: z.array(topicPartition) }),
  z.object({
    op: z.literal('seedGroup'),
    ...group,
    generationId: z.int(),
    protocolType: z.string().nullable(),
    protocol: z.string().nullable(),
    leader: z.string().nullable(),
    members: z.array(seedMember),
  }),
  z.object({
    op: z.literal('seedOffset'),
    ...group,
    topic: z.string(),
    partition: z.int(),
    offset: z.int(),
    leaderEpoch: z.int().default(-1),
    metadata: z.string().default(''),
    commitTimestamp: z.int().optional(),
    expireTimestamp: z.int().optional(),
  }),
  z.object({
    op: z.literal('seedTombstone'),
    ...group,
    topic: z.string().optional(),
    partition: z.int().optional(),
  }),
  z.object({
    op: z.literal('seedTxnMarker'),
    ...group,
    producerId: z.int(),
    result: z.enum(['COMMIT', 'ABORT']),
  }),
] as const;
const hook = z.discriminatedUnion('op', hooks);
/** Something done behind the coordinator's back. */
export type Hook = z.output<typeof hook>;

const step = z.discriminatedUnion('op', [
  requestStep('join'),
  requestStep('sync'),
  requestStep('heartbeat'),
  requestStep('leave'),
  requestStep('commit'),
  requestStep('txnCommit'),
  requestStep('fetch'),
  requestStep('deleteOffsets'),
  requestStep('describe'),
  requestStep('list'),
  requestStep('deleteGroups'),
  z.object({ op: z.literal('advance'), ms: z.number().min(0) }),
  z.object({
    op: z.literal('expect'),
    of: z.string(),
    error: z.unknown(),
    fields: z.record(z.string(), z.unknown()).default({}),
  }),
  z.object({ op: z.literal('expectPending'), of: z.string() }),
  z.looseObject({ op: z.literal('expectGroup'), ...group }),
  ...hooks,
]);
/** One step of a case. */
export type Step = z.output<typeof step>;

const config = z.object({
  groupMinSessionTimeoutMs: z.int().default(6_000),
  groupMaxSessionTimeoutMs: z.int().default(1_800_000),
  groupInitialRebalanceDelayMs: z.int().default(3_000),
  groupMaxSize: z.int().default(2_147_483_647),
  offsetsRetentionMs: z.int().default(604_800_000),
  offsetMetadataMaxBytes: z.int().default(4_096),
});
/** Settings of the coordinator under test. */
export type CaseConfig = z.output<typeof config>;

const conformanceCase = z.object({
  id: z.string(),
  why: z.string(),
  level: z.enum(['protocol', 'internal']),
  divergence: z.string().optional(),
  note: z.string().optional(),
  config: config.prefault({}),
  steps: z.array(step),
});
/** One behaviour: what to do and what to see, in order. */
export type ConformanceCase = z.output<typeof conformanceCase>;

/** The folder cannot be read as cases. */
export class CaseFilesError extends Error {
  override readonly name = 'CaseFilesError';
}

/** @returns all cases of a folder, files in order of their names. @throws CaseFilesError for what is no folder of cases */
export async function readCases(folder: string): Promise<readonly ConformanceCase[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw new CaseFilesError(`cannot read the folder ${folder}: ${messageOf(error)}`);
  });
  const files = names.filter((name) => name.endsWith('.json')).sort();
  if (files.length === 0) throw new CaseFilesError(`no *.json files in ${folder}`);
  const cases: ConformanceCase[] = [];
  for (const file of files) cases.push(...parseCases(file, await readFile(path.join(folder, file), 'utf8')));
  return cases;
}

/** @returns the cases of one file. @throws CaseFilesError naming the case and the key that does not fit */
export function parseCases(file: string, text: string): readonly ConformanceCase[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CaseFilesError(`${file} is not JSON: ${messageOf(error)}`);
  }
  if (!Array.isArray(value)) throw new CaseFilesError(`${file} is not an array of cases`);
  return value.map((each: unknown, index) => {
    const parsed = conformanceCase.safeParse(each);
    if (parsed.success) return parsed.data;
    const id = typeof each === 'object' && each !== null && 'id' in each ? String(each.id) : `case ${index}`;
    const issues = parsed.error.issues.slice(0, 3).map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new CaseFilesError(`${file}, ${id}: ${issues.join('; ')}`);
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
