/**
 * `muster node`: one coordinator node as a process. SIGTERM, SIGINT and SIGHUP drain it; a second signal ends it at once.
 *
 * Flags are made from the node's own list of options, so that they cannot fall behind it.
 */

import { extname } from 'node:path';
import { ConfigError, configOptions, readConfig, startNode } from '@muster/coordinator';
import { Command } from 'commander';
import { pino } from 'pino';
import { parse as parseYaml } from 'yaml';
import { examples, notes } from './commands.js';
import { listenForEnd } from './ending.js';
import { exitCodes } from './exit-codes.js';
import { failureOf } from './failure.js';
import type { Cli } from './io.js';
import { readNamedFile } from './named-file.js';

/** What `--config` takes, for every command that has it. */
export const CONFIG_FILE = 'file with options, YAML (.yaml, .yml) or JSON (.json); flags and environment go before it';

/** @returns the command, with one flag for each option of a node */
export function nodeCommand(cli: Cli): Command {
  const command = new Command('node').description('run a coordinator node').option('--config <file>', CONFIG_FILE);
  for (const { flag, env, what } of configOptions) command.option(`${flag} <value>`, `${what} [env: ${env}]`);
  examples(
    command,
    'muster node --servers nats://127.0.0.1:4222',
    'muster node --cluster orders --id a --servers nats://n1:4222,nats://n2:4222 --creds-file node.creds',
    'MUSTER_LOG_LEVEL=debug muster node --config node.yaml',
  );
  notes(
    command,
    'A node that cannot start says why in its last log line, and its exit code is that of every command: 5 where NATS does not answer, 4',
    'where another node has its id or the cluster has other settings, 2 for its options. One that has lost its lease ends with 1: start it',
    'again.',
  );
  return command.action(async (flags: Record<string, unknown>) => {
    cli.exitCode = await runNode(flags, cli);
  });
}

/** What a node whose incarnation is over gets to take leave of NATS: its connection may be half-open. */
const STOP_MS_MAX = 1_000;

async function runNode(flags: Readonly<Record<string, unknown>>, { io }: Cli): Promise<number> {
  const config = readConfig({ flags, env: io.env, file: await readConfigFile(flags['config']) });
  const log = pino({ level: config.logLevel, name: 'muster' });
  // Until the node has started there is nothing to hand over.
  let onTold = (): void => process.exit(exitCodes.ok);
  const onAgain = () => {
    log.warn('second signal: ending at once');
    process.exit(exitCodes.failed);
  };
  listenForEnd(() => onTold(), onAgain);
  try {
    const node = await startNode(config, log);
    const told = new Promise<undefined>((resolve) => {
      onTold = () => resolve(undefined);
    });
    const ended = await Promise.race([node.over.then((detail) => ({ detail })), told]);
    if (ended !== undefined) {
      log.fatal({ detail: ended.detail }, 'this incarnation is over: start the node again');
      await Promise.race([node.stop(), new Promise((resolve) => setTimeout(resolve, STOP_MS_MAX))]);
      // Timers of what was under way (claims, appends without an answer) would keep the process up to ten seconds more, and
      // whoever starts nodes starts the next one only then.
      process.exit(exitCodes.failed);
    }
    await node.drain();
    return exitCodes.ok;
  } catch (error) {
    // What has a name of its own says what was found and what is allowed; a stack helps only with what nobody foresaw.
    if (error instanceof Error && /^(Type|Range|Reference|Syntax)?Error$/.test(error.name))
      log.fatal({ err: error }, error.message);
    else log.fatal(error instanceof Error ? error.message : String(error));
    return failureOf(error).exitCode;
  }
}

/** @returns what is in the file; throws ConfigError where it cannot be read as YAML (.yaml, .yml) or JSON (.json or no suffix) */
export async function readConfigFile(path: unknown): Promise<unknown> {
  if (typeof path !== 'string') return undefined;
  const suffix = extname(path).toLowerCase();
  if (!knownSuffixes.has(suffix)) {
    throw new ConfigError([`--config ${path}: the suffix ${suffix} is not known; write .yaml, .yml or .json`]);
  }
  const isYaml = suffix === '.yaml' || suffix === '.yml';
  const content = await readNamedFile(path);
  try {
    // Nothing but comments is a file without options.
    return isYaml ? (parseYaml(content) ?? {}) : JSON.parse(content);
  } catch (cause) {
    throw new ConfigError([
      `--config ${path} cannot be read as ${isYaml ? 'YAML' : 'JSON'}: ${cause instanceof Error ? cause.message.trimEnd() : String(cause)}`,
    ]);
  }
}

/** Without a suffix it is JSON. */
const knownSuffixes: ReadonlySet<string> = new Set(['', '.yaml', '.yml', '.json']);
