/**
 * `muster demo`, behind `npm start`: the whole idea on real parts, with a ledger at the end.
 */

import { Command } from 'commander';
import { examples } from '../commands.js';
import { listenForEnd } from '../ending.js';
import { exitCodes } from '../exit-codes.js';
import type { Cli } from '../io.js';
import { makeDisplay } from './display.js';
import type { DemoOptions } from './options.js';
import { demoFlags } from './options.js';
import { Demo } from './run.js';

/** A second Ctrl-C within this time belongs to the first: terminals and npm each pass it on. */
const secondSignalAfterMs = 2_000;

export function demoCommand(cli: Cli): Command {
  const command = new Command('demo').description(
    'run a NATS cluster, coordinators, a producer and workers; kill a coordinator; add and remove a worker; keep a ledger',
  );
  for (const flag of demoFlags) command.addOption(flag);
  examples(command, 'muster demo', 'muster demo --duration 2m --workers 8 --json');
  return command.action(async (options: DemoOptions) => {
    cli.exitCode = await runDemo(options);
  });
}

async function runDemo(options: DemoOptions): Promise<number> {
  const display = makeDisplay(options.json ? process.stderr : process.stdout);
  const demo = new Demo(options, display);
  // Nobody reads any more: nobody is told of errors, and the end is in order.
  process.stdout.once('error', () => demo.end());
  const stopListening = listenForEnd(
    () => {
      display.say('ending: the producer stops, the workers finish what is left');
      demo.end();
    },
    () => process.exit(exitCodes.failed),
    secondSignalAfterMs,
  );
  try {
    const result = await demo.run();
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    return result.ok ? exitCodes.ok : exitCodes.failed;
  } catch (error) {
    display.say(`the demonstration failed: ${error instanceof Error ? error.message : String(error)}`);
    if (options.json) process.stdout.write(`${JSON.stringify({ ok: false, error: String(error) })}\n`);
    return exitCodes.failed;
  } finally {
    stopListening();
  }
}
