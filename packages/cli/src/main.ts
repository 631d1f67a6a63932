#!/usr/bin/env node
/**
 * `muster`: the command line. Commands have files of their own; this one gives them the process, and ends it when they have: what is
 * left of dials and questions that were given up (sockets, timers) keeps nobody waiting.
 */

import { processIo } from './io.js';
import { runCli } from './program.js';

const io = processIo();
process.exit(await io.ended(await runCli(process.argv.slice(2), io)));
