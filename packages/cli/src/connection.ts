/**
 * Which NATS system to ask, and as whom: flags over environment over NATS context over defaults, as natscli has it.
 *
 * N1 who we are comes from one layer only: credentials of a context never mix with those of a flag.
 */

import { apiPrefixOf, type ConnectNatsOptions, type NatsTls, OWN_API } from '@muster/nats';
import { isNodeId } from '@muster/protocol';
import { type Command, Option } from 'commander';
import { exitCodes } from './exit-codes.js';
import { CliError } from './failure.js';
import { readNamedFile } from './named-file.js';
import { type ContextPlace, expandHome, type NatsContext, readNatsContext } from './nats-context.js';
import { durationOption } from './values.js';

/** The connection options as commander hands them over. */
export interface ConnectionFlags {
  readonly server?: string;
  readonly context?: string;
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  readonly creds?: string;
  readonly nkey?: string;
  readonly tlscert?: string;
  readonly tlskey?: string;
  readonly tlsca?: string;
  readonly tlsfirst?: boolean;
  readonly inboxPrefix?: string;
  readonly jsDomain?: string;
  readonly jsApiPrefix?: string;
  readonly socksProxy?: string;
  readonly cluster?: string;
  readonly timeout: number;
}

const DEFAULT_URL = 'nats://127.0.0.1:4222';
const DEFAULT_CLUSTER = 'default';
const TIMEOUT_MS = 10_000;

/** Flag, environment variable (natscli's own names), what it is. */
const connectionOptions = [
  [
    '-s, --server <urls>',
    'NATS_URL',
    `NATS servers, separated by commas (default: the context's, else ${DEFAULT_URL})`,
  ],
  ['--context <name>', 'NATS_CONTEXT', 'NATS context of natscli (default: the selected one)'],
  ['--user <name>', 'NATS_USER', 'user; without a password it is a token'],
  ['--password <text>', 'NATS_PASSWORD', 'password'],
  ['--token <text>', 'NATS_TOKEN', 'token'],
  ['--creds <file>', 'NATS_CREDS', 'credentials file'],
  ['--nkey <file>', 'NATS_NKEY', 'file with the seed of an nkey'],
  ['--tlscert <file>', 'NATS_CERT', 'client certificate'],
  ['--tlskey <file>', 'NATS_KEY', 'key of the client certificate'],
  ['--tlsca <file>', 'NATS_CA', 'certificates of the authority that signed the server'],
  ['--inbox-prefix <subject>', 'NATS_INBOX_PREFIX', 'prefix of the subjects of replies'],
  [
    '--js-domain <name>',
    'MUSTER_JETSTREAM_DOMAIN',
    'JetStream domain of the cluster, seen from a leaf node of another',
  ],
  [
    '--js-api-prefix <subject>',
    'MUSTER_JETSTREAM_API_PREFIX',
    'prefix of the JetStream API, seen from another account',
  ],
  ['--socks-proxy <url>', 'MUSTER_SOCKS_PROXY', 'SOCKS5 proxy on the way to NATS: socks5://[user:password@]host:port'],
  ['--cluster <name>', 'MUSTER_CLUSTER', `name of the Muster cluster (default: ${DEFAULT_CLUSTER})`],
] as const;

/** Adds the options that every command has which asks a cluster. */
export function addConnectionOptions(command: Command): Command {
  for (const [flags, env, what] of connectionOptions) {
    command.addOption(new Option(flags, `${what} [env: ${env}]`).helpGroup('Connection:'));
  }
  return command
    .addOption(new Option('--tlsfirst', 'TLS handshake before the server says anything').helpGroup('Connection:'))
    .addOption(
      durationOption('--timeout <time>', 'how long connecting may take, and then each answer', {
        minMs: 100,
        maxMs: 600_000,
      })
        .default(TIMEOUT_MS, '10s')
        .helpGroup('Connection:'),
    );
}

export interface Connection {
  readonly cluster: string;
  readonly timeoutMs: number;
  /** Name of the NATS context in use. */
  readonly context: string | undefined;
  readonly nats: ConnectNatsOptions;
  /** The JetStream of the cluster. */
  readonly jetStream: { readonly apiPrefix: string };
}

/**
 * Reads environment, context and key files.
 * @throws CliError for what contradicts itself or cannot be read
 */
export async function readConnection(flags: ConnectionFlags, place: ContextPlace): Promise<Connection> {
  const environment = fromEnvironment(place.env);
  const context = await readNatsContext(flags.context ?? environment.context, place);
  const pick = (key: keyof typeof environment) => flags[key] ?? environment[key];
  const { servers, urlAuth, isTls } = readServers(pick('server') ?? nonEmpty(context?.url) ?? DEFAULT_URL);
  const auth = firstOf(authOf(flags, place.home), authOf(environment, place.home), urlAuth, contextAuth(context)) ?? {};
  const tls = tlsOf(flags, environment, context, place.home);
  const inboxPrefix = pick('inboxPrefix') ?? nonEmpty(context?.inbox_prefix);
  const jetStream = {
    apiPrefix: firstOf(apiPrefix(flags), apiPrefix(environment), contextApiPrefix(context)) ?? OWN_API,
  };
  const socksProxy = pick('socksProxy') ?? nonEmpty(context?.socks_proxy);
  return {
    cluster: clusterName(pick('cluster') ?? DEFAULT_CLUSTER),
    timeoutMs: flags.timeout,
    context: context?.name,
    jetStream,
    nats: {
      servers,
      jetStream,
      name: 'muster-cli',
      ...(await natsAuth(auth)),
      ...(tls === undefined && !isTls ? {} : { tls: tls ?? {} }),
      ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
      ...(socksProxy === undefined ? {} : { socksProxy }),
    },
  };
}

function clusterName(name: string): string {
  // The same rule as for ids of nodes: both are tokens of subjects.
  if (isNodeId(name)) return name;
  throw new CliError(
    exitCodes.usage,
    `${JSON.stringify(name)} is no name of a cluster: 1 to 64 of A-Z a-z 0-9 _ - are allowed`,
    'check --cluster and MUSTER_CLUSTER',
  );
}

/**
 * @throws CliError for a file of these options that is not there, cannot be read or is none of its kind: before connecting, as every
 * command has it
 */
export async function requireFiles({ credsFile, tls }: ConnectNatsOptions): Promise<void> {
  if (credsFile !== undefined) requireCredentials(credsFile, await readNamedFile(credsFile));
  for (const path of [tls?.certFile, tls?.keyFile, tls?.caFile]) {
    if (path !== undefined) await readNamedFile(path);
  }
}

/** As the client reads them: what stands between lines of dashes, twice. */
const ARMOURED = /-{3,}[^\n]*-{3,}\n.+\n\s*-{3,}[^\n]*-{3,}\n/g;

function requireCredentials(path: string, content: string): void {
  if ([...content.matchAll(ARMOURED)].length >= 2) return;
  throw new CliError(
    exitCodes.usage,
    `${path} is no credentials file: it needs a JWT and the seed of a user, each between lines of dashes`,
    'nsc makes one: "nsc generate creds"; a file with a seed alone goes with --nkey',
  );
}

type Named = Partial<Record<Exclude<keyof ConnectionFlags, 'timeout' | 'tlsfirst'>, string>>;

function fromEnvironment(env: ContextPlace['env']): Named {
  const found: Record<string, string> = {};
  for (const [flags, name] of connectionOptions) {
    const value = nonEmpty(env[name]);
    if (value !== undefined) found[new Option(flags).attributeName()] = value;
  }
  return found;
}

type Auth = {
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  readonly creds?: string;
  readonly nkey?: string;
  /** From a context only, as its seed. */
  readonly jwt?: string;
  readonly seed?: string;
};

/** @returns who we are by these options; undefined where they do not say */
function authOf(options: Auth, home: string): Auth | undefined {
  const { user, password, token, creds, nkey } = options;
  const ways = [user, token, creds, nkey].filter((way) => way !== undefined);
  if (ways.length === 0) {
    if (password !== undefined) throw new CliError(exitCodes.usage, 'a password without --user says nothing');
    return undefined;
  }
  if (ways.length > 1) throw new CliError(exitCodes.usage, 'user, token, creds and nkey exclude each other: give one');
  if (creds !== undefined) return { creds: expandHome(creds, home) };
  if (nkey !== undefined) return { nkey: expandHome(nkey, home) };
  if (token !== undefined) return { token };
  if (user === undefined) return undefined;
  // natscli: a user without password is a token.
  return password === undefined ? { token: user } : { user, password };
}

function contextAuth(context: NatsContext | undefined): Auth | undefined {
  if (context === undefined) return undefined;
  const { user, password, token, creds, nkey, user_jwt: jwt, user_seed: seed } = context;
  if (creds !== '') return { creds };
  // natscli: a JWT is signed for with the seed beside it, else with that of the nkey file; without either it is a bearer's.
  if (jwt !== '') return { jwt, ...(seed === '' ? {} : { seed }), ...(nkey === '' ? {} : { nkey }) };
  if (nkey !== '') return { nkey };
  if (token !== '') return { token };
  if (user === '') return undefined;
  return password === '' ? { token: user } : { user, password };
}

async function natsAuth(auth: Auth): Promise<Partial<ConnectNatsOptions>> {
  if (auth.creds !== undefined) return { credsFile: auth.creds };
  if (auth.jwt !== undefined) {
    const seed = auth.seed ?? (auth.nkey === undefined ? undefined : await readSeed(auth.nkey));
    return { userJwt: auth.jwt, ...(seed === undefined ? {} : { nkeySeed: seed }) };
  }
  if (auth.nkey !== undefined) return { nkeySeed: await readSeed(auth.nkey) };
  if (auth.token !== undefined) return { token: auth.token };
  if (auth.user !== undefined) return { user: auth.user, pass: auth.password ?? '' };
  return {};
}

async function readSeed(path: string): Promise<string> {
  const content = await readNamedFile(path);
  const seed = /^S[A-Z2-7]{50,}$/m.exec(content)?.[0];
  if (seed === undefined)
    throw new CliError(exitCodes.usage, `${path} holds no seed of an nkey (a line beginning with S)`);
  return seed;
}

/** @returns where the JetStream is by these options; undefined where they do not say; throws CliError for what can be none */
function apiPrefix({ jsDomain: domain, jsApiPrefix: prefix }: Named): string | undefined {
  if (domain === undefined && prefix === undefined) return undefined;
  try {
    return apiPrefixOf({
      ...(domain === undefined ? {} : { domain }),
      ...(prefix === undefined ? {} : { apiPrefix: prefix }),
    });
  } catch (cause) {
    throw new CliError(exitCodes.usage, cause instanceof Error ? cause.message : String(cause));
  }
}

function contextApiPrefix(context: NatsContext | undefined): string | undefined {
  const jsDomain = nonEmpty(context?.jetstream_domain);
  const jsApiPrefix = nonEmpty(context?.jetstream_api_prefix);
  return apiPrefix({
    ...(jsDomain === undefined ? {} : { jsDomain }),
    ...(jsApiPrefix === undefined ? {} : { jsApiPrefix }),
  });
}

function tlsOf(
  flags: ConnectionFlags,
  environment: Named,
  context: NatsContext | undefined,
  home: string,
): NatsTls | undefined {
  const file = (key: 'tlscert' | 'tlskey' | 'tlsca', ofContext: string | undefined) => {
    const path = flags[key] ?? environment[key] ?? nonEmpty(ofContext);
    return path === undefined ? undefined : expandHome(path, home);
  };
  const certFile = file('tlscert', context?.cert);
  const keyFile = file('tlskey', context?.key);
  const caFile = file('tlsca', context?.ca);
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new CliError(exitCodes.usage, 'a client certificate needs both --tlscert and --tlskey');
  }
  const handshakeFirst = flags.tlsfirst ?? context?.tls_first ?? false;
  if (certFile === undefined && caFile === undefined && !handshakeFirst) return undefined;
  return {
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined || keyFile === undefined ? {} : { certFile, keyFile }),
    ...(handshakeFirst ? { handshakeFirst } : {}),
  };
}

/** Takes user, password or token out of the URLs: the client library does not. */
function readServers(list: string): {
  readonly servers: string[];
  readonly urlAuth: Auth | undefined;
  readonly isTls: boolean;
} {
  const servers: string[] = [];
  let urlAuth: Auth | undefined;
  let isTls = false;
  for (const entry of list.split(',').map((server) => server.trim())) {
    if (entry === '') continue;
    const url = parseUrl(entry);
    isTls ||= url.protocol === 'tls:';
    if (url.username !== '') {
      const user = decodeURIComponent(url.username);
      urlAuth ??= url.password === '' ? { token: user } : { user, password: decodeURIComponent(url.password) };
    }
    servers.push(`nats://${url.hostname}:${url.port === '' ? '4222' : url.port}`);
  }
  if (servers.length === 0) throw new CliError(exitCodes.usage, 'no NATS server is named', 'give one with --server');
  return { servers, urlAuth, isTls };
}

function parseUrl(entry: string): URL {
  const advice = 'write nats://host:port, tls://host:port or host:port';
  const withScheme = /^[a-z]+:\/\//i.test(entry) ? entry : `nats://${entry}`;
  if (!URL.canParse(withScheme))
    throw new CliError(exitCodes.usage, `${JSON.stringify(entry)} is no NATS server`, advice);
  const url = new URL(withScheme);
  if (url.protocol !== 'nats:' && url.protocol !== 'tls:') {
    throw new CliError(exitCodes.usage, `${url.protocol}// is not supported`, advice);
  }
  return url;
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value;
}

function firstOf<Value>(...values: readonly (Value | undefined)[]): Value | undefined {
  return values.find((value) => value !== undefined);
}
