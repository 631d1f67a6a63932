import { describe, expect, it } from 'vitest';
import type { Readiness } from './readiness.js';
import { waitUntil } from './wait.js';

const waiting: Readiness = { kind: 'waiting', reason: 'w' };
const misfounded: Readiness = { kind: 'misfounded', reason: 'm' };

/** Answers in order, the last one for ever. */
function answers(...list: readonly Readiness[]): () => Promise<Readiness> {
  let asked = 0;
  return async () => {
    const answer = list[Math.min(asked, list.length - 1)];
    asked += 1;
    return answer ?? waiting;
  };
}

describe('waiting', () => {
  it('ends as soon as something is ready', async () => {
    expect(await waitUntil(answers(waiting, misfounded, waiting, { kind: 'ready' }), 20_000)).toEqual({
      kind: 'ready',
    });
  });

  it('ends with the last reason when the deadline has passed', async () => {
    expect(await waitUntil(answers(waiting), 1)).toEqual(waiting);
  });

  it('ends before the deadline where a cluster stays founded incomplete', async () => {
    expect(await waitUntil(answers(waiting, misfounded), 600_000)).toEqual(misfounded);
  });

  it('passes on what the check throws', async () => {
    await expect(waitUntil(() => Promise.reject(new Error('ended')), 20_000)).rejects.toThrow('ended');
  });
});
