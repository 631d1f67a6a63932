/**
 * How an expected value is compared with what came: plain values, lists in any order, objects by the keys named, matchers.
 */

/** @returns whether `actual` is what `expected` describes */
export function matches(expected: unknown, actual: unknown): boolean {
  if (Array.isArray(expected)) return Array.isArray(actual) && sameElements(expected, actual);
  if (!isObject(expected)) return expected === actual;
  const matcher = matcherOf(expected);
  if (matcher !== undefined) return matcher(actual);
  return isObject(actual) && Object.entries(expected).every(([key, each]) => matches(each, actual[key]));
}

/** Like `matches`, for the one list whose order counts: the members of a leave reply. */
export function matchesInOrder(expected: unknown, actual: unknown): boolean {
  if (!Array.isArray(expected) || !Array.isArray(actual)) return matches(expected, actual);
  return expected.length === actual.length && expected.every((each, index) => matches(each, actual[index]));
}

type Matcher = (actual: unknown) => boolean;

function matcherOf(expected: Record<string, unknown>): Matcher | undefined {
  const [key] = Object.keys(expected);
  if (key === undefined || !key.startsWith('$')) return undefined;
  const argument = expected[key];
  switch (key) {
    case '$not':
      return (actual) => !matches(argument, actual);
    case '$oneOf':
      return (actual) => listOf(key, argument).some((each) => matches(each, actual));
    case '$startsWith':
      return (actual) => typeof actual === 'string' && actual.startsWith(String(argument));
    case '$nonEmpty':
      return (actual) => (typeof actual === 'string' || Array.isArray(actual)) && actual.length > 0;
    case '$size':
      return (actual) => Array.isArray(actual) && actual.length === argument;
    case '$contains':
      return (actual) => Array.isArray(actual) && pairs(listOf(key, argument), actual);
    default:
      throw new Error(`unknown matcher ${key}`);
  }
}

function listOf(key: string, argument: unknown): readonly unknown[] {
  if (!Array.isArray(argument)) throw new Error(`${key} needs a list`);
  return argument;
}

function sameElements(expected: readonly unknown[], actual: readonly unknown[]): boolean {
  return expected.length === actual.length && pairs(expected, actual);
}

/** Whether each expected element can have an actual one of its own: bipartite matching by augmenting paths. */
function pairs(expected: readonly unknown[], actual: readonly unknown[]): boolean {
  const owner = new Array<number>(actual.length).fill(-1);
  const place = (index: number, tried: Set<number>): boolean =>
    actual.some((candidate, slot) => {
      if (tried.has(slot) || !matches(expected[index], candidate)) return false;
      tried.add(slot);
      const before = owner[slot] ?? -1;
      if (before >= 0 && !place(before, tried)) return false;
      owner[slot] = index;
      return true;
    });
  return expected.every((_, index) => place(index, new Set()));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
