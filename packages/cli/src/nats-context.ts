/**
 * NATS contexts: the connections that natscli keeps in `~/.config/nats/context/<name>.json`. Only read, never written.
 *
 * Which one: `--context`, else NATS_CONTEXT, else the one that `nats context select` has chosen (`context.txt`), else none.
 */

import { readdir, readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { exitCodes } from './exit-codes.js';
import { CliError } from './failure.js';
import { askNsc } from './nsc.js';

const text = z.string().default('');

/** The keys that matter here; natscli's others (colours, descriptions) are ignored. */
const schema = z.object({
  url: text,
  token: text,
  user: text,
  password: text,
  creds: text,
  nkey: text,
  cert: text,
  key: text,
  ca: text,
  tls_first: z.boolean().default(false),
  inbox_prefix: text,
  nsc: text,
  user_jwt: text,
  user_seed: text,
  socks_proxy: text,
  jetstream_domain: text,
  jetstream_api_prefix: text,
});

export type NatsContext = z.output<typeof schema> & { readonly name: string };

export interface ContextPlace {
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * @param wanted the name asked for; undefined for the selected one
 * @returns the context, undefined where none is asked for and none selected
 * @throws CliError where it does not exist, or is damaged
 */
export async function readNatsContext(
  wanted: string | undefined,
  place: ContextPlace,
): Promise<NatsContext | undefined> {
  const folder = contextFolder(place);
  const name = wanted ?? (await selectedContext(folder));
  if (name === undefined) return undefined;
  const isPath = isAbsolute(name);
  if (!isPath && /[/\\]|^\.\.?$/.test(name)) {
    throw new CliError(exitCodes.usage, `${JSON.stringify(name)} is no name of a NATS context`);
  }
  const path = isPath ? name : join(folder, 'context', `${name}.json`);
  const context = checkContext(name, path, await readContextFile(name, path, folder), place.home);
  if (context.nsc === '') return context;
  // natscli: what nsc knows is the credentials file, and the server where the context names none.
  const profile = await askNsc(context.nsc, place);
  return { ...context, creds: profile.credsFile, url: context.url === '' ? profile.url : context.url };
}

async function readContextFile(name: string, path: string, folder: string): Promise<unknown> {
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch {
    const known = await knownContexts(folder);
    const there = known.length === 0 ? 'there are none' : `there are: ${known.join(', ')}`;
    throw new CliError(
      exitCodes.notFound,
      `the NATS context ${JSON.stringify(name)} cannot be read (${path}); ${there}`,
      'choose one with --context, or make one with "nats context save"',
    );
  }
  try {
    return JSON.parse(content);
  } catch (cause) {
    throw new CliError(
      exitCodes.usage,
      `${path} is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      mending(name),
    );
  }
}

function mending(name: string): string {
  return `mend it with "nats context edit ${name}", or choose another with --context`;
}

function checkContext(name: string, path: string, content: unknown, home: string): NatsContext {
  const parsed = schema.safeParse(content);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new CliError(exitCodes.usage, `${path} is no NATS context: ${problems.join('; ')}`, mending(name));
  }
  const file = (path: string) => fileOf(name, path, home);
  const { creds, nkey, cert, key, ca } = parsed.data;
  return { ...parsed.data, name, creds: file(creds), nkey: file(nkey), cert: file(cert), key: file(key), ca: file(ca) };
}

/** @returns the path; throws CliError for a reference to another kind of store, which newer versions of natscli know */
function fileOf(context: string, reference: string, home: string): string {
  const [, scheme, rest = ''] = /^([a-z]{2,}):(?:\/\/)?(.*)$/i.exec(reference) ?? [];
  if (scheme === undefined) return expandHome(reference, home);
  if (scheme.toLowerCase() === 'file') return expandHome(rest, home);
  throw new CliError(
    exitCodes.usage,
    `the NATS context ${JSON.stringify(context)} refers to ${scheme}:, which muster does not read`,
    'keep it in a file, or connect with --server and --creds',
  );
}

/** natscli writes paths with a tilde. */
export function expandHome(path: string, home: string): string {
  return path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : path;
}

function contextFolder({ home, env }: ContextPlace): string {
  const base = env['XDG_CONFIG_HOME'];
  return join(base === undefined || base === '' ? join(home, '.config') : base, 'nats');
}

async function selectedContext(folder: string): Promise<string | undefined> {
  const selected = await readFile(join(folder, 'context.txt'), 'utf8').catch(() => '');
  return selected.trim() === '' ? undefined : selected.trim();
}

async function knownContexts(folder: string): Promise<string[]> {
  const files = await readdir(join(folder, 'context')).catch(() => []);
  return files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length));
}
