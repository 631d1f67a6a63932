/**
 * Configuration of a node: flags over environment over file over NATS_URL over defaults, validated before anything starts.
 *
 * The only place where a node reads its environment. An unknown key, a wrong type or a contradiction refuses the start and
 * says what was found, where, and what is allowed. Names follow Kafka's: `group.max.size` is `groupMaxSize` in the file,
 * `MUSTER_GROUP_MAX_SIZE` in the environment, `--group-max-size` as a flag.
 */

import { clusterSettingsDefaults, silenceMsMax } from '@muster/cluster';
import { groupConfigDefaults } from '@muster/group';
import { isNodeId } from '@muster/protocol';
import { z } from 'zod';

const ms = z.int().min(0).max(2_147_483_647);
const jetStreamToken = z.string().regex(/^[^\s.*>]+$/, { error: 'one token: no blanks, dots and wildcards' });
const token = z.custom<string>(isNodeId, { error: '1 to 64 of A-Z a-z 0-9 _ -' });

/** O5, architecture section 5: below this a failover could expel live members. */
const sessionTimeoutFloorMs = silenceMsMax(clusterSettingsDefaults);

const schema = z
  .strictObject({
    cluster: token.default('default').describe('name of the cluster; prefix of its subjects and streams'),
    id: token.optional().describe('node id, unique in the cluster; random by default'),
    servers: z
      .array(z.string().min(1))
      .min(1)
      .default(['nats://127.0.0.1:4222'])
      .describe('NATS servers; without this and without a file that names them, those of NATS_URL'),
    user: z.string().optional().describe('NATS user'),
    password: z.string().optional().describe('NATS password'),
    token: z.string().optional().describe('NATS token'),
    credsFile: z.string().optional().describe('NATS credentials file'),
    tlsCaFile: z.string().optional().describe('file with the CA certificates of the NATS servers'),
    tlsCertFile: z.string().optional().describe('client certificate file'),
    tlsKeyFile: z.string().optional().describe('key file of the client certificate'),
    jetstreamDomain: jetStreamToken
      .optional()
      .describe('JetStream domain of log and leases, seen from a leaf node of another'),
    jetstreamApiPrefix: z
      .string()
      .regex(/^[^\s.*>]+(\.[^\s.*>]+)*$/, { error: 'tokens with dots between them' })
      .optional()
      .describe('prefix of the JetStream API of log and leases, seen from another account'),
    clusterSecret: z
      .string()
      .min(1)
      .max(1_024)
      .optional()
      .describe('secret of the cluster: a node without it, or with another, does not start; fixed at creation'),
    partitions: z
      .int()
      .min(1)
      .max(10_000)
      .optional()
      .describe('coordinator partitions (50), fixed for life at creation'),
    logStreams: z.int().min(1).max(64).optional().describe('log streams (8 on a NATS cluster, 1 on one server)'),
    replicas: z
      .int()
      .min(1)
      .max(5)
      .optional()
      .describe('replicas of log and leases (3 on a NATS cluster, 1 on one server)'),
    groupMinSessionTimeoutMs: ms.default(groupConfigDefaults.minSessionTimeoutMs).describe('smallest session timeout'),
    groupMaxSessionTimeoutMs: ms.default(groupConfigDefaults.maxSessionTimeoutMs).describe('largest session timeout'),
    groupInitialRebalanceDelayMs: ms
      .default(groupConfigDefaults.initialRebalanceDelayMs)
      .describe('how long the first round of an empty group waits for more members'),
    groupMaxSize: z.int().min(1).default(groupConfigDefaults.maxSize).describe('most members of a group'),
    offsetsRetentionMinutes: z
      .int()
      .min(1)
      .default(groupConfigDefaults.offsetsRetentionMs / 60_000)
      .describe('how long offsets of an unused group are kept'),
    offsetMetadataMaxBytes: z
      .int()
      .min(0)
      .max(65_536)
      .default(groupConfigDefaults.offsetMetadataMaxLength)
      .describe('longest metadata text of a commit, in UTF-16 units as Kafka counts'),
    httpPort: z
      .int()
      .min(0)
      .max(65_535)
      .optional()
      .describe('port for /livez, /readyz and /metrics (Prometheus); none by default, 0 for any that is free'),
    httpHost: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe('address that it listens on; nothing there asks for a password'),
    lagGroupsMax: z
      .int()
      .min(0)
      .max(100_000)
      .default(1_000)
      .describe('groups whose lag is told in /metrics at the most; 0 for none'),
    logLevel: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
      .default('info')
      .describe('pino level'),
    shutdownGraceMs: ms.default(20_000).describe('how long a drain may take after SIGTERM'),
  })
  .refine((config) => config.jetstreamDomain === undefined || config.jetstreamApiPrefix === undefined, {
    path: ['jetstreamApiPrefix'],
    error: 'excludes jetstreamDomain',
  })
  .refine(
    (config) => config.replicas !== undefined || (config.jetstreamDomain ?? config.jetstreamApiPrefix) === undefined,
    {
      path: ['replicas'],
      error:
        'must be said where JetStream is another than that of the servers connected to: they cannot tell how many there are',
    },
  )
  .refine((config) => config.groupMinSessionTimeoutMs <= config.groupMaxSessionTimeoutMs, {
    path: ['groupMinSessionTimeoutMs'],
    error: 'must not exceed groupMaxSessionTimeoutMs',
  })
  .refine((config) => config.groupMinSessionTimeoutMs >= sessionTimeoutFloorMs, {
    path: ['groupMinSessionTimeoutMs'],
    error: `must be at least ${sessionTimeoutFloorMs} (the lease of a node plus one second), or a failover could expel live members`,
  });

export type NodeConfig = z.output<typeof schema>;

/** Options whose values are never printed or logged. */
const secretOptions: ReadonlySet<string> = new Set(['password', 'token', 'clusterSecret']);

/** A configuration that no node can start with. `problems` has one line for each thing that is wrong. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`the configuration is not usable:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/** Every option by its key, with what it is for: flags, environment and documentation are made from it. */
export const configOptions: readonly {
  readonly key: string;
  readonly flag: string;
  readonly env: string;
  readonly what: string;
  /** Its value must not be printed or logged. */
  readonly isSecret: boolean;
}[] = Object.entries(schema.shape).map(([key, field]) => ({
  key,
  flag: `--${words(key).join('-')}`,
  env: `MUSTER_${words(key).join('_').toUpperCase()}`,
  what: field.description ?? '',
  isSecret: secretOptions.has(key),
}));

/** `flags` and `file` by key, as they were read; `env` is the whole environment. */
export interface ConfigSources {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file: unknown;
}

/** Where the value of an option comes from; `NATS_URL` for servers only. */
export type ConfigSource = 'flag' | 'environment' | 'file' | 'NATS_URL' | 'default';

/**
 * Puts the configuration together.
 * @throws ConfigError naming every problem
 */
export function readConfig(sources: ConfigSources): NodeConfig {
  const problems: string[] = [];
  const file = asRecord(sources.file, problems);
  for (const key of Object.keys(file)) if (!isKey(key)) problems.push(unknownKey(key, 'the file'));
  for (const name of Object.keys(sources.env)) {
    // MUSTER_CACHE_DIR and the like belong to other parts; a misspelt option of the node should not pass unseen.
    if (
      /^MUSTER_(GROUP|OFFSETS?|LOG|SHUTDOWN|HTTP|LAG)_/.test(name) &&
      !configOptions.some(({ env }) => env === name)
    ) {
      problems.push(`${name} in the environment is no option`);
    }
  }
  const merged: Record<string, unknown> = {};
  for (const { key } of configOptions) {
    const { value } = foundIn({ ...sources, file }, key);
    if (value !== undefined) merged[key] = typeof value === 'string' ? fromText(key, value) : value;
  }
  const parsed = schema.safeParse(merged);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      const key = String(path[0] ?? '');
      const value = secretOptions.has(key) ? '(set)' : JSON.stringify(merged[key]);
      problems.push(`${key} = ${value}: ${message}`);
    }
  }
  if (problems.length > 0 || !parsed.success) throw new ConfigError(problems);
  return parsed.data;
}

/** @returns where `readConfig` takes the value of this option from */
export function configSourceOf(sources: ConfigSources, key: string): ConfigSource {
  return foundIn(sources, key).source;
}

function foundIn({ flags, env, file }: ConfigSources, key: string): { source: ConfigSource; value: unknown } {
  const ofOption = configOptions.find((option) => option.key === key);
  const fromEnv = env[ofOption?.env ?? ''];
  const inFile = new Map<string, unknown>(typeof file === 'object' && file !== null ? Object.entries(file) : []);
  if (flags[key] !== undefined) return { source: 'flag', value: flags[key] };
  if (fromEnv !== undefined) return { source: 'environment', value: fromEnv };
  if (inFile.has(key)) return { source: 'file', value: inFile.get(key) };
  // It is a default for all tools of NATS: what is said to Muster goes before it. Set to nothing it is not set.
  const natsUrl = key === 'servers' ? (env['NATS_URL'] ?? '') : '';
  return natsUrl === '' ? { source: 'default', value: undefined } : { source: 'NATS_URL', value: natsUrl };
}

function isKey(key: string): boolean {
  return Object.hasOwn(schema.shape, key);
}

function unknownKey(key: string, where: string): string {
  return `${JSON.stringify(key)} in ${where} is no option; options are ${Object.keys(schema.shape).join(', ')}`;
}

function asRecord(file: unknown, problems: string[]): Readonly<Record<string, unknown>> {
  if (file === undefined) return {};
  const parsed = z.record(z.string(), z.unknown()).safeParse(file);
  if (parsed.success) return parsed.data;
  problems.push('the file must hold one JSON object');
  return {};
}

/** Flags and environment are text; what the schema wants decides what it means. */
function fromText(key: string, text: string): unknown {
  if (key === 'servers') return text.split(',').map((server) => server.trim());
  return numericKeys.has(key) && /^-?\d+$/.test(text) ? Number(text) : text;
}

const numericKeys = new Set(
  Object.entries(schema.shape)
    .filter(([, field]) => z.safeParse(field, 1_000).success || z.safeParse(field, 5).success)
    .map(([key]) => key),
);

function words(key: string): string[] {
  return key.split(/(?=[A-Z])/).map((word) => word.toLowerCase());
}
