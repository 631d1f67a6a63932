#!/usr/bin/env node
/**
 * `muster`: the command line. Each command has a file of its own; this one only puts them together.
 */

import { Command } from 'commander';
import { demoCommand } from './demo/command.js';
import { nodeCommand } from './node-command.js';

const program = new Command('muster')
  .description('Kafka-style consumer groups for NATS')
  .version('0.1.0')
  .showHelpAfterError()
  .addCommand(nodeCommand())
  .addCommand(demoCommand());

await program.parseAsync();
