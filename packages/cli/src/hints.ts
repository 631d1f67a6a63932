/**
 * What somebody meant who writes a command line as Kafka's tools or natscli want it, or puts an option where it does not belong.
 * Only words; nothing is guessed and run.
 */

import type { Command, CommanderError } from 'commander';
import { everyCommand } from './commands.js';

const describe = 'the lag is a column of "muster groups describe <group>"; "muster groups watch <group>" repeats it';
const reset = '"muster groups reset-offsets <group>" moves offsets';
const named = 'groups are named without an option: "muster groups describe billing"';
const consume = '"muster consume <topic>" shows messages';
const produce = '"muster produce <topic>" writes messages';
const groups = 'groups are under "muster groups": "muster groups --help"';
const topics = 'topics are under "muster topics": "muster topics --help"';
const status = '"muster cluster status" shows the nodes';
const forced = '--force answers every question with yes';

const OWNERS_NAMED_MAX = 3;

/** Words of other tools in the place of a command. */
const commandHints: Readonly<Record<string, string>> = {
  lag: describe,
  offsets: describe,
  show: '"muster groups describe <group>", "muster topics describe <topic>" and "muster cluster status" show things',
  reset,
  'reset-offset': reset,
  seek: reset,
  rewind: reset,
  'consumer-groups': groups,
  consumer: groups,
  consumers: groups,
  con: groups,
  stream: topics,
  streams: topics,
  str: topics,
  pub: produce,
  publish: produce,
  send: produce,
  sub: consume,
  subscribe: consume,
  read: consume,
  tail: consume,
  cat: consume,
  server: '"muster node" runs a coordinator, "muster nats" a NATS server, "muster dev" both',
  start: '"muster dev" starts a NATS server and a coordinator, "muster node" a coordinator alone',
  run: '"muster dev" starts a NATS server and a coordinator, "muster node" a coordinator alone',
  coordinator: '"muster node" runs a coordinator; "muster cluster status" shows those that run',
  nodes: status,
  status,
  info: status,
  context: 'NATS contexts are natscli\'s: "nats context select <name>", or --context <name> with any command here',
  ctx: 'NATS contexts are natscli\'s: "nats context select <name>", or --context <name> with any command here',
  rm: '"delete" deletes groups and topics, "groups remove-member" removes members',
  remove: '"delete" deletes groups and topics, "groups remove-member" removes members',
  rebalances: '"muster groups history <group>" shows the last rebalances and why they happened',
};

/** Options of other tools. */
const optionHints: Readonly<Record<string, string>> = {
  '--bootstrap-server': 'here it is --server, or NATS_URL',
  '--broker-list': 'here it is --server, or NATS_URL',
  '--command-config': 'credentials come from --context, --creds, --nkey or --user; "--help" lists them',
  '--group': named,
  '--groups': named,
  '--list': '"muster groups list" and "muster topics list" are commands',
  '--describe': '"muster groups describe" and "muster topics describe" are commands',
  '--delete': '"muster groups delete" and "muster topics delete" are commands',
  '--create': '"muster topics create" is a command',
  '--reset-offsets': '"muster groups reset-offsets" is a command',
  '--delete-offsets': '"muster groups delete-offsets" is a command',
  '--lag': describe,
  '--replication-factor': 'here it is --replicas',
  '--from-beginning': 'without a group reading begins at the earliest message anyway; --from says where else',
  '--validate-regex': '"muster topics list --match <regex>" says what is wrong with a pattern, and what it matches',
  '--json': 'write -o json',
  '--yaml': 'write -o yaml',
  '--csv': 'write -o csv',
  '--format': 'write -o json, yaml, csv, name or table',
  '--yes': forced,
  '-y': forced,
  '-f': forced,
};

/**
 * @param args the whole command line, without node and script
 * @returns a line about what was probably meant; undefined where nobody knows
 */
export function hintFor(failure: CommanderError, program: Command, args: readonly string[]): string | undefined {
  const [, kind, word] = /unknown (command|option) '([^']+)'/.exec(failure.message) ?? [];
  if (word === undefined) return undefined;
  return kind === 'command' ? commandHint(word, program) : optionHint(word.replace(/=.*/, ''), program, args);
}

function commandHint(word: string, program: Command): string | undefined {
  const known = commandHints[word.toLowerCase()];
  if (known !== undefined) return known;
  const elsewhere = everyCommand(program).filter(
    (command) => command.name() === word || command.aliases().includes(word),
  );
  if (elsewhere.length === 0) return undefined;
  return `there ${elsewhere.length === 1 ? 'is' : 'are'} ${pathsOf(elsewhere)}`;
}

function optionHint(flag: string, program: Command, args: readonly string[]): string | undefined {
  const known = optionHints[flag];
  if (known !== undefined) return known;
  const owners = everyCommand(program).filter(({ options }) =>
    options.some(({ long, short }) => long === flag || short === flag),
  );
  if (owners.length === 0) return undefined;
  const meant = commandMeant(program, args);
  if (owners.includes(meant)) return `options stand behind the command: "${pathOf(meant)} ${flag} ..."`;
  if (owners.length > OWNERS_NAMED_MAX) return undefined;
  return `${flag} is an option of ${pathsOf(owners)}`;
}

/** The command that the words name when options between them are passed over. */
function commandMeant(program: Command, args: readonly string[]): Command {
  return args.reduce((command, word) => command.commands.find((child) => child.name() === word) ?? command, program);
}

function pathsOf(commands: readonly Command[]): string {
  return commands.map((command) => `"${pathOf(command)}"`).join(' and ');
}

/** @returns such as `muster groups list` */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
