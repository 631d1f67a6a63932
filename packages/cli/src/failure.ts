/**
 * From anything that was thrown to what a person reads and a script gets: message, advice, exit code. The only such place.
 */

import { ConfigError } from '@muster/coordinator';
import { LeaseStreamError, LogStreamError, NatsConnectError } from '@muster/nats';
import { NatsServerError } from '@muster/nats-server';
import { MusterError } from '@muster/worker';
import { CommanderError } from 'commander';
import { type ExitCode, exitCodes } from './exit-codes.js';

/** A failure that a command has found itself. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;
  /** What to do next. */
  readonly advice: string | undefined;

  constructor(exitCode: ExitCode, message: string, advice?: string) {
    super(message);
    this.exitCode = exitCode;
    this.advice = advice;
  }
}

export type Failure = { readonly exitCode: ExitCode; readonly message: string; readonly advice?: string };

type Verdict = { readonly exitCode: ExitCode; readonly advice?: string };

const startCoordinator =
  'start a coordinator with "muster node", or check --cluster; "muster cluster status" shows who is there';
const listTopics = '"muster topics list" shows the topics, "muster topics create" makes one';
const describeTopic = '"muster topics describe <topic>" shows its partitions, "muster topics list" the topics';
const listGroups = '"muster groups list" shows the groups of this cluster';
const stopMembers = 'stop its members first; "muster groups members <group>" shows them';
const seeMembers = '"muster groups members <group>" shows the members';
const tryAgain = 'try again in a moment; "muster groups state <group>" shows how the group stands';
const checkServer =
  'check --server, NATS_URL or the NATS context; "muster dev" starts a server and a coordinator for development';
/** What to do about something that is forbidden. */
export const permissionsAdvice =
  'use another context or user, or permit it to this one: deploy/nats/accounts.conf has what workers and administrators need';
const checkJetStream = 'check that JetStream is enabled and has a leader, then try again';

/** By error code of the library or the coordinator; others count as `failed`. */
const verdicts: Readonly<Record<string, Verdict>> = {
  GROUP_ID_NOT_FOUND: { exitCode: exitCodes.notFound, advice: listGroups },
  UNKNOWN_TOPIC: { exitCode: exitCodes.notFound, advice: listTopics },
  UNKNOWN_TOPIC_OR_PARTITION: { exitCode: exitCodes.notFound, advice: describeTopic },
  UNKNOWN_MEMBER_ID: { exitCode: exitCodes.notFound, advice: seeMembers },
  UNKNOWN_STREAM: { exitCode: exitCodes.notFound, advice: '"nats stream ls" shows the streams of this account' },
  PARTITION_COUNT_MISMATCH: {
    exitCode: exitCodes.conflict,
    advice: 'give the --partitions and --subject that the stream really has',
  },
  NO_COMMITTED_OFFSET: {
    exitCode: exitCodes.notFound,
    advice: 'choose another start, such as earliest; "muster groups describe <group>" shows the offsets that there are',
  },
  NON_EMPTY_GROUP: { exitCode: exitCodes.conflict, advice: stopMembers },
  GROUP_SUBSCRIBED_TO_TOPIC: { exitCode: exitCodes.conflict, advice: stopMembers },
  TOPIC_EXISTS: {
    exitCode: exitCodes.conflict,
    advice: 'choose another name; "muster topics describe" shows the one that exists',
  },
  REBALANCE_IN_PROGRESS: { exitCode: exitCodes.conflict, advice: tryAgain },
  ILLEGAL_GENERATION: { exitCode: exitCodes.conflict, advice: stopMembers },
  FENCED_INSTANCE_ID: { exitCode: exitCodes.conflict, advice: seeMembers },
  INCONSISTENT_GROUP_PROTOCOL: { exitCode: exitCodes.conflict, advice: seeMembers },
  GROUP_MAX_SIZE_REACHED: { exitCode: exitCodes.conflict, advice: seeMembers },
  UNSTABLE_OFFSET_COMMIT: { exitCode: exitCodes.conflict, advice: tryAgain },
  INVALID_ARGUMENT: { exitCode: exitCodes.usage },
  INVALID_GROUP_ID: { exitCode: exitCodes.usage },
  INVALID_REQUEST: { exitCode: exitCodes.usage },
  CONNECTION_FAILED: { exitCode: exitCodes.unreachable, advice: checkServer },
  TIMEOUT: { exitCode: exitCodes.unreachable, advice: startCoordinator },
  INCOMPLETE_ANSWER: { exitCode: exitCodes.unreachable, advice: startCoordinator },
  COORDINATOR_NOT_AVAILABLE: { exitCode: exitCodes.unreachable, advice: startCoordinator },
  COORDINATOR_LOAD_IN_PROGRESS: { exitCode: exitCodes.unreachable, advice: tryAgain },
  NOT_COORDINATOR: { exitCode: exitCodes.unreachable, advice: tryAgain },
  STREAM_UNAVAILABLE: { exitCode: exitCodes.unreachable, advice: checkJetStream },
  GROUP_AUTHORIZATION_FAILED: {
    exitCode: exitCodes.failed,
    advice: permissionsAdvice,
  },
};

/** What is refused, by the words of JetStream and the library: their codes say less. */
const refusals: readonly (readonly [RegExp, string])[] = [
  [/permissions violation/i, permissionsAdvice],
  [
    /value of \d+ bytes .*too large/i,
    'store what is large elsewhere, such as in a NATS object store, and send where it is; or raise max_payload of the servers',
  ],
  [/has no partition \d/i, describeTopic],
  [
    /key of \d+ bytes .*too long/i,
    'shorten the key; the key of a topic whose --subject ends without {key} goes in a header',
  ],
  [
    /subjects overlap/i,
    '"nats stream ls --subjects" shows whose they are: give another --subject, or register that stream with "muster topics adopt"',
  ],
  [
    /no suitable peers/i,
    'too few NATS servers with JetStream, or with room for it: give fewer --replicas; "nats server report jetstream" shows the servers',
  ],
  [
    /replicas? > 1 not supported|maximum replicas/i,
    'give at most as many --replicas as there are NATS servers, 1 on one server',
  ],
  [
    /insufficient (storage|memory|resources)|(storage|streams?) .*exceeded/i,
    'the account or the server has no room left: "nats account info" shows the limits; --max-bytes bounds a topic',
  ],
];

function refusalAdvice(message: string): string | undefined {
  return refusals.find(([words]) => words.test(message))?.[1];
}

/** @returns exit code and advice for an error code of the library, such as `NON_EMPTY_GROUP`; `NONE` is ok */
export function verdictOf(code: string): Verdict {
  if (code === 'NONE') return { exitCode: exitCodes.ok };
  return verdicts[code] ?? { exitCode: exitCodes.failed };
}

const connectVerdicts = {
  AUTHENTICATION_FAILED: {
    exitCode: exitCodes.failed,
    advice: 'check --user and --password, --token, --creds or --nkey, or choose another --context',
  },
  UNREACHABLE: { exitCode: exitCodes.unreachable, advice: checkServer },
  TLS_FAILED: { exitCode: exitCodes.failed, advice: 'check --tlsca, --tlscert and --tlskey' },
  BAD_OPTION: { exitCode: exitCodes.usage },
} as const satisfies Record<NatsConnectError['code'], Verdict>;

const serverVerdicts = {
  'bad-option': { exitCode: exitCodes.usage },
  'bad-binary': { exitCode: exitCodes.usage, advice: 'NATS_SERVER_BIN must name a nats-server executable' },
  'not-found': { exitCode: exitCodes.notFound, advice: 'install nats-server, or name one in NATS_SERVER_BIN' },
  'not-cluster-safe': {
    exitCode: exitCodes.conflict,
    advice: 'install nats-server 2.10.27 or newer, or run one server',
  },
  'port-taken': { exitCode: exitCodes.conflict, advice: 'choose another --port; 0 takes any that is free' },
  'start-failed': { exitCode: exitCodes.failed },
  'not-ready': { exitCode: exitCodes.unreachable },
  'cluster-misfounded': { exitCode: exitCodes.failed },
  'supervisor-lost': { exitCode: exitCodes.failed },
  stopped: { exitCode: exitCodes.failed },
} as const satisfies Record<NatsServerError['code'], Verdict>;

/** What is wrong with the streams of a cluster. */
const streamVerdicts = {
  LEASE_STREAM_DIFFERS: { exitCode: exitCodes.conflict },
  LOG_STREAM_DIFFERS: { exitCode: exitCodes.conflict },
  LEASE_STREAM_MISSING: { exitCode: exitCodes.notFound },
  LOG_STREAM_MISSING: { exitCode: exitCodes.notFound },
  LEASE_STREAM_REFUSED: { exitCode: exitCodes.failed },
  LOG_STREAM_REFUSED: { exitCode: exitCodes.failed },
  LEASE_STREAM_UNAVAILABLE: { exitCode: exitCodes.unreachable, advice: checkJetStream },
  LOG_STREAM_UNAVAILABLE: { exitCode: exitCodes.unreachable, advice: checkJetStream },
  SERVER_TOO_OLD: { exitCode: exitCodes.failed },
} as const satisfies Record<LeaseStreamError['code'] | LogStreamError['code'], Verdict>;

/** What a coordinator node refuses to start with, by the name of its error. */
const nodeVerdicts: Readonly<Record<string, Verdict>> = {
  LeaseStoreUnavailable: { exitCode: exitCodes.unreachable, advice: checkJetStream },
  StatusPortUnavailable: { exitCode: exitCodes.conflict },
  ServerUnfit: { exitCode: exitCodes.failed },
  ClusterRecordMismatch: { exitCode: exitCodes.conflict },
  ClusterRecordLost: { exitCode: exitCodes.conflict },
  LogRestoring: { exitCode: exitCodes.conflict },
  NodeIdInUse: { exitCode: exitCodes.conflict },
};

/** @returns what to say and how to end after `thrown` */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof CliError) return failure(thrown.message, thrown);
  if (thrown instanceof MusterError) {
    const verdict = verdictOf(thrown.code);
    const isRefused = thrown.code === 'STREAM_REFUSED' || thrown.code === 'INVALID_ARGUMENT';
    const advice = isRefused ? refusalAdvice(thrown.message) : verdict.advice;
    return failure(`${thrown.message} (${thrown.code})`, { ...verdict, ...(advice === undefined ? {} : { advice }) });
  }
  if (thrown instanceof NatsConnectError) return failure(thrown.message, connectVerdicts[thrown.code]);
  if (thrown instanceof LeaseStreamError || thrown instanceof LogStreamError) {
    return failure(thrown.message, streamVerdicts[thrown.code]);
  }
  if (thrown instanceof NatsServerError) return failure(thrown.message, serverVerdicts[thrown.code]);
  if (thrown instanceof ConfigError) {
    return failure(thrown.message, { exitCode: exitCodes.usage, advice: '"muster node --help" lists every option' });
  }
  if (thrown instanceof CommanderError) {
    // Help and version end this way too.
    return failure(thrown.message, { exitCode: thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage });
  }
  if (thrown instanceof Error) {
    return failure(thrown.message, nodeVerdicts[thrown.name] ?? { exitCode: exitCodes.failed });
  }
  return { exitCode: exitCodes.failed, message: String(thrown) };
}

function failure(
  message: string,
  { exitCode, advice }: { readonly exitCode: ExitCode; readonly advice?: string | undefined },
): Failure {
  return { exitCode, message, ...(advice === undefined ? {} : { advice }) };
}
