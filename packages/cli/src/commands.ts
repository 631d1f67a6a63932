/**
 * How every command is made: the options that all have, examples in the help, one way to run.
 */

import type { Command } from 'commander';
import { addConnectionOptions, type ConnectionFlags } from './connection.js';
import { type OutputOptions, outputOption } from './output.js';

/** What commands have that ask a cluster and show a result. */
export type AskingFlags = ConnectionFlags & OutputOptions;

/** Adds `-o` and the connection options: the last thing to do, so that the command's own come first in its help. */
export function asking(command: Command): Command {
  return addConnectionOptions(command.addOption(outputOption()));
}

/** @returns the command and all below it */
export function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

/** Each example is a command line without the leading `$`. */
const examplesOf = new WeakMap<Command, readonly string[]>();

/** Adds examples to the help of the command. */
export function examples(command: Command, ...lines: readonly string[]): Command {
  examplesOf.set(command, lines);
  return command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`);
}

/** @returns the examples of a command, for the documentation */
export function examplesFor(command: Command): readonly string[] {
  return examplesOf.get(command) ?? [];
}

const notesOf = new WeakMap<Command, string>();

/** Adds what the options cannot say to the help of the command and its page. One sentence may go on in the next line. */
export function notes(command: Command, ...lines: readonly string[]): Command {
  notesOf.set(command, lines.join('\n'));
  return command.addHelpText('after', `\n${lines.join('\n')}`);
}

/** @returns the notes of a command, for the documentation; empty for none */
export function notesFor(command: Command): string {
  return notesOf.get(command) ?? '';
}
