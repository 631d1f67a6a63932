/**
 * `muster config`: what a node would run with, and whether it could, without starting it.
 *
 * S1 secrets are never printed.
 */

import {
  ConfigError,
  type ConfigSource,
  configOptions,
  configSourceOf,
  type NodeConfig,
  readConfig,
} from '@muster/coordinator';
import type { Command } from 'commander';
import { examples, notes } from './commands.js';
import { exitCodes } from './exit-codes.js';
import type { Cli } from './io.js';
import { CONFIG_FILE, readConfigFile } from './node-command.js';
import { problemsOutside } from './node-surroundings.js';
import { type Cell, type OutputOptions, outputOption, type Row, show } from './output.js';

type ConfigFlags = OutputOptions & Readonly<Record<string, unknown>>;

/** By their names, so that one that is added later is none that is forgotten. */
const secretName = /password|token|secret/i;

export function addConfig(program: Command, cli: Cli): void {
  const config = program.command('config').description('check and print the configuration of a coordinator node');
  examples(config, 'muster config check --config node.json', 'muster config print');
  const check = withNodeFlags(
    config.command('check').description('say whether a node could start with this configuration'),
  );
  examples(
    check,
    'muster config check --config node.json',
    'MUSTER_GROUP_MAX_SIZE=50 muster config check && echo fine',
  );
  notes(
    check,
    'Beside the values it looks whether the files that are named are there and readable, whether servers are servers, and whether only one way',
    'says who the node is. It asks no server. Flags go before MUSTER_ variables, these before the file, the file before NATS_URL.',
  );
  check.addOption(outputOption()).action(async (flags: ConfigFlags) => {
    const read = await effective(flags, cli);
    const problems = await problemsOutside(read.config);
    if (problems.length > 0) throw new ConfigError(problems);
    const count = configOptions.filter(({ key }) => read.sourceOf(key) !== 'default').length;
    const row = { result: 'usable', cluster: read.config.cluster, settings: count };
    show(cli.io, flags.output, {
      columns: [
        { key: 'result', title: 'RESULT' },
        { key: 'cluster', title: 'CLUSTER' },
        { key: 'settings', title: 'SETTINGS' },
      ],
      rows: [row],
      name: 'result',
      empty: '',
    });
    cli.exitCode = exitCodes.ok;
  });
  const print = withNodeFlags(
    config.command('print').description('print every option with its value and where it comes from'),
  );
  examples(print, 'muster config print', 'muster config print --config node.yaml -o csv');
  print.addOption(outputOption()).action(async (flags: ConfigFlags) => {
    const { config: settings, sourceOf } = await effective(flags, cli);
    const rows = configOptions.map(({ key, flag, env, what }): Row => {
      return { option: key, value: shownValue(key, settings), source: sourceOf(key), flag, env, meaning: what };
    });
    show(cli.io, flags.output, {
      columns: [
        { key: 'option', title: 'OPTION' },
        { key: 'value', title: 'VALUE', isElastic: true },
        { key: 'source', title: 'SOURCE' },
        { key: 'meaning', title: 'MEANING', isElastic: true, leaveOut: 1 },
      ],
      rows,
      name: 'option',
      empty: '',
      document: Object.fromEntries(rows.map(({ option, value }) => [String(option), value])),
    });
    cli.exitCode = exitCodes.ok;
  });
}

function withNodeFlags(command: Command): Command {
  command.option('--config <file>', CONFIG_FILE);
  for (const { flag, env, what } of configOptions) command.option(`${flag} <value>`, `${what} [env: ${env}]`);
  return command;
}

/** @throws ConfigError naming every problem */
async function effective(
  flags: ConfigFlags,
  { io }: Cli,
): Promise<{ config: NodeConfig; sourceOf: (key: string) => ConfigSource }> {
  const sources = { flags, env: io.env, file: await readConfigFile(flags['config']) };
  return { config: readConfig(sources), sourceOf: (key) => configSourceOf(sources, key) };
}

function shownValue(key: string, settings: NodeConfig): Cell {
  const value = new Map<string, unknown>(Object.entries(settings)).get(key);
  if (value === undefined) return null;
  // S1
  if (secretName.test(key)) return '(set)';
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  return Array.isArray(value) ? value.map((entry) => withoutPassword(String(entry))) : JSON.stringify(value);
}

/** S1 A server may be written with user and password in its URL. */
function withoutPassword(server: string): string {
  return server.replace(/\/\/[^@/]*@/, '//(set)@');
}
