/**
 * What moving an offset means for the messages of its partition: so many come again, or so many are never seen. JetStream counts
 * them; none is read.
 */

import type { Admin, OffsetReset, PartitionCount } from '@muster/worker';

export interface Effect {
  /** Messages that were committed and come again. */
  readonly again: number;
  /** Messages that nobody in the group will see. */
  readonly skipped: number;
}

/** Between two signs of progress. */
const COUNTED_AT_ONCE = 64;

/**
 * @param onProgress hears how many partitions are done
 * @returns the effect of each reset, in order; null where nothing was committed before, or nothing moves for an error
 */
export async function effectsOf(
  admin: Admin,
  plan: readonly OffsetReset[],
  onProgress: (done: number) => void,
): Promise<(Effect | null)[]> {
  const effects: (Effect | null)[] = [];
  for (let at = 0; at < plan.length; at += COUNTED_AT_ONCE) {
    effects.push(...(await effectsOfSome(admin, plan.slice(at, at + COUNTED_AT_ONCE))));
    onProgress(effects.length);
  }
  return effects;
}

async function effectsOfSome(admin: Admin, plan: readonly OffsetReset[]): Promise<(Effect | null)[]> {
  const ends = plan.map(({ before, after }) => (before === undefined || after === undefined ? [] : [before, after]));
  const places = plan.flatMap(({ topic, partition }, at) =>
    (ends[at] ?? []).map((fromOffset) => ({ topic, partition, fromOffset })),
  );
  const counts = (await admin.countMessages(places)).values();
  return ends.map((pair) => {
    if (pair.length === 0) return null;
    const [left, right] = [counts.next().value, counts.next().value];
    return effectBetween(left, right);
  });
}

/** What is stored between the two questions counts in both, or makes the difference a little too large. */
function effectBetween(before: PartitionCount | undefined, after: PartitionCount | undefined): Effect | null {
  if (before?.error !== 'NONE' || after?.error !== 'NONE') return null;
  const moved = after.messages - before.messages;
  return { again: Math.max(0, moved), skipped: Math.max(0, -moved) };
}
