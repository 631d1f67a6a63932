/**
 * `docs/kafka-compatibility.md` names the test that holds each rule: those tests exist, under those names.
 */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(path.join(root, 'docs/kafka-compatibility.md'), 'utf8');

/** The letters of the page and their files: `R = \`test/unit/kafka-rules.test.ts\``. */
const files = new Map(
  [...page.matchAll(/\b([A-Z]) = `([^`*]+)`/g)].map(([, letter = '', file = '']) => [letter, file]),
);
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| rule') && !line.startsWith('| ---'));
const heldBy = rows.map((row) => row.split(' | ').at(-1) ?? '');

function textOf(file: string): string {
  return readFileSync(path.join(root, file), 'utf8').replaceAll("\\'", "'").replaceAll(/\s+/g, ' ');
}

describe('the page on compatibility with Kafka', () => {
  it('names a test, a transcript or a case in every row', () => {
    expect(rows.length).toBeGreaterThan(100);
    for (const [index, tests] of heldBy.entries()) {
      expect(tests, rows[index]).toMatch(/[A-Z] "|T `|`[a-z-]+\/\d+-|\.test\.ts`/);
    }
  });

  it.each([...files])('names tests of file %s that exist', (letter, file) => {
    const text = textOf(file);
    const named = heldBy.flatMap((tests) => [
      ...tests.matchAll(new RegExp(`(?:^|; )${letter} "(.+?)"(?=; | \\|$)`, 'g')),
    ]);
    expect(named.length).toBeGreaterThan(0);
    for (const [, name = ''] of named) expect(text).toContain(name);
  });

  it('names transcripts that exist', () => {
    const named = heldBy.flatMap((tests) => [...tests.matchAll(/T `([\w-]+)`/g)]);
    expect(named.length).toBeGreaterThan(0);
    for (const [, name = ''] of named)
      expect(existsSync(path.join(root, 'test/transcripts', `${name}.txt`)), name).toBe(true);
  });
});
