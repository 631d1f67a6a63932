import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { decode, encode } from './codec.js';

/** Bytes in use after everything that is not needed has been collected. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

function decoded(bytes: Uint8Array): Record<string, unknown> {
  const result = decode(bytes);
  if (!result.ok) throw new Error(result.reason);
  return result.value as Record<string, unknown>;
}

describe('the codec', () => {
  test('a text that lives on does not keep the rest of its message in memory', () => {
    const count = 5_000;
    const others = Array.from({ length: 60 }, (_, index) => `another text, number ${index}`);
    const message = (index: number) => encode({ id: `request-${index}-of-somebody-who-waits`, others });
    const kept: unknown[] = new Array(count).fill(decoded(message(0))['id']);
    const before = heapInUse();
    for (let index = 0; index < count; index += 1) kept[index] = decoded(message(index))['id'];
    const bytesEach = (heapInUse() - before) / count;
    expect(kept).toHaveLength(count);
    expect(bytesEach).toBeLessThan(300);
  });

  test('bytes that live on are copies', () => {
    const message = encode({ metadata: new Uint8Array([1, 2, 3]) });
    const { metadata } = decoded(message);
    message.fill(0);
    expect([...(metadata as Uint8Array)]).toEqual([1, 2, 3]);
  });

  test('texts of every length and alphabet come back as they were', () => {
    for (const text of [
      '',
      'a',
      'group',
      'ä',
      '日本',
      '😀',
      'x'.repeat(300),
      'é'.repeat(300),
      '日'.repeat(40_000),
      '\uFEFFshort',
    ]) {
      expect(decoded(encode({ text }))['text']).toBe(text);
    }
  });
});
