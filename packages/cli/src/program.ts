/**
 * The whole command line as one tree of commands, and one way to run it: parse, act, map what was thrown to an exit code.
 */

import { Command, CommanderError } from 'commander';
import { addCluster } from './cluster/command.js';
import { everyCommand, examples } from './commands.js';
import { addCompletion } from './completion.js';
import { addConfig } from './config-command.js';
import { addConsume } from './consume.js';
import { demoCommand } from './demo/command.js';
import { addDev } from './dev.js';
import { exitCodeMeanings } from './exit-codes.js';
import { failureOf } from './failure.js';
import { addGroups } from './groups/command.js';
import { hintFor } from './hints.js';
import type { Cli, Io } from './io.js';
import { addNats } from './nats-command.js';
import { nodeCommand } from './node-command.js';
import { addProduce } from './produce.js';
import { addTopics } from './topics-command.js';

/** @returns every command; nothing runs before it is parsed */
export function makeProgram(cli: Cli): Command {
  const program = new Command('muster').description('Kafka-style consumer groups for NATS').version('0.1.0');
  addDev(program, cli);
  addNats(program, cli);
  program.addCommand(nodeCommand(cli)).addCommand(demoCommand(cli));
  addCluster(program, cli);
  addGroups(program, cli);
  addTopics(program, cli);
  addProduce(program, cli);
  addConsume(program, cli);
  addConfig(program, cli);
  addCompletion(program, cli);
  examples(program, 'muster dev', 'muster groups describe billing', 'muster groups describe --help');
  program.addHelpText(
    'after',
    `\nExit codes:\n${exitCodeMeanings.map(([code, meaning]) => `  ${code}  ${meaning}`).join('\n')}`,
  );
  for (const command of everyCommand(program)) {
    command
      .exitOverride()
      .showHelpAfterError('(add --help for options and examples)')
      .configureOutput({ writeOut: (text) => cli.io.out(text), writeErr: (text) => cli.io.err(text) });
  }
  return program;
}

/**
 * Runs one command line.
 * @param args without node and script
 * @returns the exit code; never throws
 */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  const cli: Cli = { io, exitCode: 0 };
  const program = makeProgram(cli);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return cli.exitCode;
  } catch (thrown) {
    const { exitCode, message, advice } = failureOf(thrown);
    // commander has said what is wrong already; what was meant is for us to say.
    const line = thrown instanceof CommanderError ? hintFor(thrown, program, args) : advice;
    io.err(`${thrown instanceof CommanderError ? '' : `error: ${message}\n`}${line === undefined ? '' : `${line}\n`}`);
    return exitCode;
  }
}
