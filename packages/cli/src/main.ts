#!/usr/bin/env node
/**
 * `muster`: the command line. Commands have files of their own; this one gives them the process.
 */

import { processIo } from './io.js';
import { runCli } from './program.js';

// A pipe whose reader has gone (`muster groups list | head -1`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A terminal that was closed cannot be written to either; the signal that comes with it ends us in order.
  if (error.code !== 'EIO') process.exit(error.code === 'EPIPE' ? 0 : 1);
});
process.stderr.on('error', () => {});

process.exitCode = await runCli(process.argv.slice(2), processIo());
