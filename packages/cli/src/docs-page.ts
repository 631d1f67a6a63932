/**
 * Prints docs/cli.md on standard output: `npm run docs:cli`.
 */

import { cliDocs } from './docs.js';
import { processIo } from './io.js';
import { makeProgram } from './program.js';

process.stdout.write(cliDocs(makeProgram({ io: processIo(), exitCode: 0 })));
