/**
 * `muster completion`: scripts for shells, made from the tree of commands. They complete commands and options; names of groups
 * and topics would need a connection at every tab.
 */

import { Argument, type Command } from 'commander';
import { examples } from './commands.js';
import { exitCodes } from './exit-codes.js';
import type { Cli } from './io.js';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

export function addCompletion(program: Command, cli: Cli): void {
  const completion = program
    .command('completion')
    .description('print a completion script for a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices([...shells]));
  examples(
    completion,
    'source <(muster completion bash)',
    'muster completion zsh > "$' + '{fpath[1]}/_muster"',
    'muster completion fish > ~/.config/fish/completions/muster.fish',
  );
  completion.action((shell: Shell) => {
    cli.io.out(completionScript(shell, program));
    cli.exitCode = exitCodes.ok;
  });
}

/** What can follow a path of commands, such as `groups describe`. */
interface Place {
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly what: string }[];
  readonly options: readonly {
    readonly flag: string;
    readonly what: string;
    readonly choices: readonly string[];
    readonly value: Value;
  }[];
}

/** What follows an option. */
type Value = 'none' | 'file' | 'other';

function valueKind({ flags, required }: { readonly flags: string; readonly required: boolean }): Value {
  if (/<(file|folder)>/.test(flags) || /-file <value>$/.test(flags)) return 'file';
  return required ? 'other' : 'none';
}

function placesOf(command: Command, path: readonly string[] = []): Place[] {
  const help = command.createHelp();
  const commands = command.commands.map((child) => ({ name: child.name(), what: child.description() }));
  // What an argument may be stands where a command would.
  for (const { argChoices = [], description } of command.registeredArguments) {
    for (const name of argChoices) commands.push({ name, what: description });
  }
  const options = help
    .visibleOptions(command)
    .flatMap((option) =>
      [option.long, option.short].flatMap((flag) =>
        flag === undefined || flag === null
          ? []
          : [{ flag, what: option.description, choices: option.argChoices ?? [], value: valueKind(option) }],
      ),
    );
  return [
    { path: path.join(' '), commands, options },
    ...command.commands.flatMap((child) =>
      [child.name(), ...child.aliases()].flatMap((name) => placesOf(child, [...path, name])),
    ),
  ];
}

/** @returns the script */
export function completionScript(shell: Shell, program: Command): string {
  const places = placesOf(program);
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](places);
}

/** Names of groups and topics are for nobody to offer here: neither options nor files stand in their place. */
function bashScript(places: readonly Place[]): string {
  const cases = places.map(({ path, commands, options }) => {
    const words = commands.map(({ name }) => name).join(' ');
    const flags = options.map(({ flag }) => flag).join(' ');
    return `    ${JSON.stringify(path)}) words=${JSON.stringify(words)} flags=${JSON.stringify(flags)} ;;`;
  });
  const choices = uniqueChoices(places).map(
    ([flag, values]) =>
      `    ${flag}) COMPREPLY=($(compgen -W ${JSON.stringify(values.join(' '))} -- "$current")); return ;;`,
  );
  return `# bash completion of muster: source <(muster completion bash)
_muster() {
  local current="$2" previous="$3" path="" word words="" flags="" at
  case "$previous" in
${choices.join('\n')}
  esac
  for ((at = 1; at < COMP_CWORD; at++)); do
    word="\${COMP_WORDS[at]}"
    case " ${commandPaths(places)} " in
      *" \${path:+\${path// //}/}$word "*) path="\${path:+$path }$word" ;;
    esac
  done
  COMPREPLY=()
  case "$path $previous" in
${valueCases(places).join('\n')}
  esac
  case "$path" in
${cases.join('\n')}
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
  esac
}
complete -F _muster muster
`;
}

/** What stands behind an option that takes a value: a file where it names one, else nothing that could be known. */
function valueCases(places: readonly Place[]): string[] {
  return places.flatMap(({ path, options }) => {
    const casesOf = (kind: Value, then: string) => {
      const flags = options.filter(({ value, choices }) => value === kind && choices.length === 0);
      const patterns = flags.map(({ flag }) => JSON.stringify(`${path} ${flag}`)).join('|');
      return patterns === '' ? [] : [`    ${patterns}) ${then}return ;;`];
    };
    return [...casesOf('file', 'COMPREPLY=($(compgen -f -- "$current")); '), ...casesOf('other', '')];
  });
}

/** Every path of commands with slashes, so that it is one word. */
function commandPaths(places: readonly Place[]): string {
  return places
    .filter(({ path }) => path !== '')
    .map(({ path }) => path.replaceAll(' ', '/'))
    .join(' ');
}

function uniqueChoices(places: readonly Place[]): [string, readonly string[]][] {
  const choices = new Map<string, readonly string[]>();
  for (const { options } of places)
    for (const { flag, choices: values } of options) if (values.length > 0) choices.set(flag, values);
  return [...choices];
}

function zshScript(places: readonly Place[]): string {
  const cases = places.map(({ path, commands, options }) => {
    const described = [
      ...commands.map(({ name, what }) => [name, what]),
      ...options.map(({ flag, what }) => [flag, what]),
    ];
    const words = described.map(([word = '', what = '']) => zshQuoted(`${word.replaceAll(':', '\\:')}:${what}`));
    return `    ${JSON.stringify(path)}) words_of=(${words.join(' ')}) ;;`;
  });
  const choices = uniqueChoices(places).map(
    ([flag, values]) => `    ${flag}) compadd -- ${values.join(' ')}; return ;;`,
  );
  return `#compdef muster
_muster() {
  local -a words_of
  local path_of="" word
  case "\${words[CURRENT-1]}" in
${choices.join('\n')}
  esac
  for word in "\${words[@]:1:$((CURRENT - 2))}"; do
    case " ${commandPaths(places)} " in
      *" \${path_of:+\${path_of// //}/}$word "*) path_of="\${path_of:+$path_of }$word" ;;
    esac
  done
  case "$path_of" in
${cases.join('\n')}
  esac
  _describe 'muster' words_of || _files
}
# Found by name in a folder of fpath this file is the function itself; read with source it has to say what it completes.
if [ "\${funcstack[1]}" = "_muster" ]; then
  _muster "$@"
else
  compdef _muster muster
fi
`;
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishScript(places: readonly Place[]): string {
  const lines: string[] = [];
  for (const { path, commands, options } of places) {
    const condition = fishQuoted(`__muster_at '${path.replaceAll(' ', '/')}'`);
    for (const { name, what } of commands)
      lines.push(`complete -c muster -n ${condition} -a ${name} -d ${fishQuoted(what)}`);
    for (const { flag, what, choices, value } of options) {
      const kind = flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`;
      lines.push(`complete -c muster -n ${condition} ${kind}${fishValue(value, choices)} -d ${fishQuoted(what)}`);
    }
  }
  return `# fish completion of muster: muster completion fish > ~/.config/fish/completions/muster.fish
function __muster_path
  set -l path ''
  for word in (commandline -opc)[2..-1]
    set -l next $word
    test -n "$path"; and set next $path/$word
    contains -- $next ${commandPaths(places)}; and set path $next
  end
  echo $path
end
function __muster_at
  set -l here (__muster_path)
  test "$here" = "$argv[1]"
end
complete -c muster -f
${lines.join('\n')}
`;
}

/** -x: a value and no file; -r -F: a value that is a file. */
function fishValue(value: Value, choices: readonly string[]): string {
  if (choices.length > 0) return ` -x -a ${fishQuoted(choices.join(' '))}`;
  return { none: '', file: ' -r -F', other: ' -x' }[value];
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
