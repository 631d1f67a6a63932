/**
 * docs/cli.md, made from the commands themselves: what `--help` says is what the page says.
 */

import type { Argument, Command, Option } from 'commander';
import { examplesFor, notesFor } from './commands.js';
import { exitCodeMeanings } from './exit-codes.js';
import { kafkaConsumerGroupsOptions } from './kafka-options.js';

const connectionGroup = 'Connection:';

/** @returns the page for the whole command line */
export function cliDocs(program: Command): string {
  const commands = program.commands.flatMap((command) => withChildren(command, [program.name()]));
  const parts = [
    `# The command line \`muster\``,
    '<!-- Made by "npm run docs:cli" from the commands. Do not edit. -->',
    introduction,
    '## Commands',
    table(
      ['command', 'what it does'],
      commands.filter(isLeaf).map(({ path, command }) => [link(path), command.description()]),
    ),
    '## Connection',
    connectionText,
    optionTable(connectionOptionsOf(commands.map(({ command }) => command))),
    '## Formats',
    formatText,
    '## Exit codes',
    table(
      ['code', 'meaning'],
      exitCodeMeanings.map(([code, meaning]) => [String(code), meaning]),
    ),
    exitText,
    '## Coming from Kafka',
    'Every option of `kafka-consumer-groups.sh`, and what does the same here:',
    table(
      ['kafka-consumer-groups.sh', 'muster', ''],
      kafkaConsumerGroupsOptions.map(({ kafka, muster, note = '' }) => [inCode([kafka]), inCode(muster), note]),
    ),
    otherToolsText,
    kafkaText,
    ...commands.map(section),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

const introduction = `Everything that can be done from a shell: a cluster for development, coordinator nodes, groups, topics, messages.
The command is \`muster\` where the package \`@muster/cli\` is installed; in this repository it is
\`node packages/cli/bin/muster.mjs\` after \`npm run build\`.

\`\`\`sh
muster dev --topic orders:4          # a NATS server and a coordinator; says how to connect
muster produce orders '{"total":40}'   # in another terminal
muster consume orders --group test
muster groups describe test
\`\`\`

Commands ask only on a terminal. Without one, what would destroy something needs \`--force\` and is refused otherwise
(\`reset-offsets --execute\` has said it already); nothing waits
for an answer that cannot come. Results go to standard output, everything else to standard error.`;

const connectionText = `Commands that ask a cluster find it as natscli does: options go before environment variables, these before the NATS context
(\`--context\`, else \`NATS_CONTEXT\`, else the one chosen with \`nats context select\`), this before the defaults. Credentials are taken
from the first of these that has any; they are never mixed. User, password or token may also stand in the URL. A context may hold a
\`user_jwt\` (with \`user_seed\`, or the seed in the file of \`nkey\`), or refer to \`nsc\` where that tool is installed. A JetStream
domain or API prefix and a \`socks_proxy\` are followed: see [another domain](operations.md#a-jetstream-elsewhere). A proxy resolves the
names of the servers itself.`;

const formatText = `\`-o table\` is for people. \`-o json\`, \`-o yaml\` and \`-o csv\` are for programs; their keys stay. \`-o name\` prints one name per line, for
\`xargs\` and loops. \`muster consume\` and \`muster groups watch\` write a stream: with \`-o json\` one object per line, with \`-o csv\`
one head. Each look of a watch has its time: \`at\`. Colours appear on a terminal
only, and not with \`NO_COLOR\`. On a narrow terminal a table shortens ids and leaves columns out, and says so; nothing is ever cut
in a pipe.`;

const exitText = `After an error the message says what happened, and the line below it what to do next. A file that a command line names and that
is not there ends every command with 3, one that cannot be read or is wrong with 2. Commands about several items do what they can (6 where
some did not work); \`reset-offsets\` looks at all groups first and says that nothing was changed where one cannot be reset.`;

const otherToolsText = `Beyond it: \`muster groups watch\`, \`muster groups history\` (why the group rebalanced), \`muster groups remove-member\`,
\`reset-offsets --from-group\`, \`-o json\` everywhere. Instead of \`kafka-topics.sh\` there is \`muster topics\`, instead of
\`kafka-console-producer.sh\` and \`kafka-console-consumer.sh\` \`muster produce\` and \`muster consume\`.`;

const kafkaText = `The columns have Kafka's names and order. One thing differs: an offset is a sequence number of the JetStream stream, which the
partitions of a topic share. \`LAG\` counts messages of the partition and is therefore less than \`LOG-END-OFFSET\` minus
\`CURRENT-OFFSET\`. \`--shift-by\` counts messages of the partition as well.`;

interface Entry {
  readonly path: string;
  readonly command: Command;
}

function withChildren(command: Command, above: readonly string[]): Entry[] {
  if (command.name() === 'help') return [];
  const path = [...above, command.name()];
  return [{ path: path.join(' '), command }, ...command.commands.flatMap((child) => withChildren(child, path))];
}

function isLeaf({ command }: Entry): boolean {
  return command.commands.length === 0;
}

function link(path: string): string {
  return `[\`${path}\`](#${path.replaceAll(' ', '-')})`;
}

function section(entry: Entry): string {
  const { path, command } = entry;
  const depth = '#'.repeat(Math.min(path.split(' ').length, 3));
  const parts = [`${depth} ${path}`, `${capitalised(command.description())}.`];
  if (isLeaf(entry)) {
    const usage = [path, ...command.registeredArguments.map(argumentText), '[options]'].join(' ');
    parts.push(`\`\`\`\n${usage}\n\`\`\``);
    const args = command.registeredArguments.filter(({ description }) => description !== '');
    if (args.length > 0) parts.push(args.map((arg) => `- \`${argumentText(arg)}\`: ${arg.description}`).join('\n'));
    const own = command.options.filter((option) => option.helpGroupHeading !== connectionGroup);
    if (own.length > 0) parts.push(optionTable(own));
    if (own.length < command.options.length) parts.push('And the options of [Connection](#connection).');
  }
  parts.push(...[notesFor(command)].filter((note) => note !== ''));
  const lines = examplesFor(command);
  if (lines.length > 0) parts.push(`\`\`\`sh\n${lines.join('\n')}\n\`\`\``);
  return parts.join('\n\n');
}

function argumentText(argument: Argument): string {
  const inner = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${inner}>` : `[${inner}]`;
}

function connectionOptionsOf(commands: readonly Command[]): readonly Option[] {
  const one = commands.find((command) => command.options.some((option) => option.helpGroupHeading === connectionGroup));
  return one?.options.filter((option) => option.helpGroupHeading === connectionGroup) ?? [];
}

function optionTable(options: readonly Option[]): string {
  return table(
    ['option', 'meaning'],
    options.map((option) => [`\`${option.flags}\``, meaningOf(option)]),
  );
}

function meaningOf({ description, argChoices, defaultValue, defaultValueDescription, mandatory }: Option): string {
  const notes: string[] = [];
  if (argChoices !== undefined) notes.push(argChoices.map((choice) => `\`${choice}\``).join(', '));
  const isShown = defaultValue !== undefined && defaultValue !== false && typeof defaultValue !== 'object';
  if (defaultValueDescription !== undefined) notes.push(`default ${defaultValueDescription}`);
  else if (isShown) notes.push(`default ${String(defaultValue)}`);
  if (mandatory) notes.push('required');
  return notes.length === 0 ? description : `${description} (${notes.join('; ')})`;
}

function inCode(texts: readonly string[]): string {
  return texts.map((text) => `\`${text}\``).join('<br>');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function capitalised(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
