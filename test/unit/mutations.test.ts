import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { mutations } from '../mutations/mutations.js';

const source = (file: string) =>
  readFileSync(fileURLToPath(new URL(`../../packages/group/src/${file}`, import.meta.url)), 'utf8');

describe('the list of mutations', () => {
  test.each(mutations)('names a line of $file that is there once: $breaks', ({ file, line, becomes }) => {
    const lines = source(file).split('\n');
    expect(lines.filter((each) => each.trim() === line)).toHaveLength(1);
    expect(becomes).not.toBe(line);
  });

  test('has at least twenty', () => {
    expect(mutations.length).toBeGreaterThanOrEqual(20);
  });
});
