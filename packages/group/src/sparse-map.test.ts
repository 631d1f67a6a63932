import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SparseMap } from './sparse-map.js';

const change = fc.oneof(
  fc.record({ do: fc.constant('set' as const), key: fc.nat({ max: 4 }), value: fc.nat() }),
  fc.record({ do: fc.constant('delete' as const), key: fc.nat({ max: 4 }) }),
  fc.record({ do: fc.constant('clear' as const) }),
);

describe('a sparse map', () => {
  test('is a map, whatever is done with it (SM1)', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const sparse = new SparseMap<number, number>();
        const model = new Map<number, number>();
        for (const each of changes) {
          if (each.do === 'set') {
            sparse.set(each.key, each.value);
            model.set(each.key, each.value);
          } else if (each.do === 'delete') expect(sparse.delete(each.key)).toBe(model.delete(each.key));
          else {
            sparse.clear();
            model.clear();
          }
          expect([...sparse]).toEqual([...model]);
          expect([...sparse.keys()]).toEqual([...model.keys()]);
          expect([...sparse.values()]).toEqual([...model.values()]);
          expect(sparse.size).toBe(model.size);
          for (let key = 0; key <= 4; key += 1) {
            expect(sparse.has(key)).toBe(model.has(key));
            expect(sparse.get(key)).toBe(model.get(key));
          }
        }
      }),
    );
  });

  test('the entry at hand may be deleted while walking, also the last one (SM1)', () => {
    const sparse = new SparseMap<string, number>();
    for (const [index, key] of ['a', 'b', 'c'].entries()) sparse.set(key, index);
    const seen: string[] = [];
    for (const key of sparse.keys()) {
      seen.push(key);
      sparse.delete(key);
    }
    expect(seen).toEqual(['a', 'b', 'c']);
    expect(sparse.size).toBe(0);
  });
});
