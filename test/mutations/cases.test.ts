/**
 * The conformance cases as tests, for the mutation check: `MUTATION_CASES` names their folder, without it there are none.
 */

import { describe, expect, it } from 'vitest';
import { readCases } from '../conformance/cases.js';
import { makeGroupDriver } from '../conformance/group-driver.js';
import { runCase } from '../conformance/runner.js';

const folder = process.env['MUTATION_CASES'];
const cases = folder === undefined ? [] : await readCases(folder);

describe.runIf(cases.length > 0)('conformance', () => {
  it.each(cases)('$id', async (each) => {
    expect(await runCase(each, makeGroupDriver)).not.toMatchObject({ kind: 'failed' });
  });
});
