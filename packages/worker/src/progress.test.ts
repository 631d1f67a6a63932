import { describe, expect, it } from 'vitest';
import { gravestOf, type ProgressVerdict, ProgressWindow } from './progress.js';

/** Commits a second apart: `[offset, behind]` each. */
function verdictAfter(commits: readonly (readonly [number, number])[], behind: number, laterMs = 0): ProgressVerdict {
  const window = new ProgressWindow(0, 10_000);
  for (const [at, [offset, left]] of commits.entries()) window.add({ atMs: at * 1_000, offset, behind: left });
  return window.verdict({ atMs: Math.max(0, commits.length - 1) * 1_000 + laterMs, behind });
}

describe('the verdict over a window of commits', () => {
  it.each<[string, ProgressVerdict, readonly (readonly [number, number])[], number, number]>([
    ['nothing is left', 'ok', [[1, 0]], 0, 60_000],
    [
      'what is left gets less',
      'ok',
      [
        [1, 9],
        [4, 6],
        [8, 2],
      ],
      2,
      0,
    ],
    [
      'it caught up once within the window',
      'ok',
      [
        [1, 5],
        [6, 0],
        [8, 4],
      ],
      6,
      0,
    ],
    [
      'it kept up within the window, however the rest grows since',
      'ok',
      [
        [1, 0],
        [2, 5],
        [3, 9],
      ],
      12,
      0,
    ],
    [
      'offsets move, but the rest grows',
      'behind',
      [
        [1, 5],
        [2, 9],
        [3, 20],
      ],
      22,
      0,
    ],
    [
      'commits come, but the offset stays',
      'stalled',
      [
        [3, 5],
        [3, 6],
        [3, 7],
      ],
      7,
      0,
    ],
    [
      'no commit comes any more',
      'stopped',
      [
        [1, 5],
        [2, 5],
      ],
      9,
      10_001,
    ],
    ['there never was a commit', 'stopped', [], 1, 10_001],
    [
      'an offset went back',
      'rewound',
      [
        [5, 0],
        [2, 3],
        [3, 2],
      ],
      2,
      0,
    ],
    [
      'two commits say nothing about a trend',
      'ok',
      [
        [1, 5],
        [2, 9],
      ],
      9,
      0,
    ],
  ])('%s: %s', (_, expected, commits, behind, laterMs) => {
    expect(verdictAfter(commits, behind, laterMs)).toBe(expected);
  });

  it('gives what comes after a quiet time as long as everything else', () => {
    const window = new ProgressWindow(0, 10_000);
    window.add({ atMs: 0, offset: 1, behind: 0 });
    expect(window.verdict({ atMs: 600_000, behind: 1, waitingSinceMs: 599_000 })).toBe('ok');
    expect(window.verdict({ atMs: 609_001, behind: 1, waitingSinceMs: 599_000 })).toBe('stopped');
  });

  it('forgets a rewind when it has left the window', () => {
    const window = new ProgressWindow(0, 10_000);
    for (const [at, offset] of [9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].entries())
      window.add({ atMs: at, offset, behind: 0 });
    expect(window.verdict({ atMs: 11, behind: 0 })).toBe('ok');
  });

  it('takes the gravest of several', () => {
    expect(gravestOf(['ok', 'stopped', 'behind'])).toBe('stopped');
    expect(gravestOf([])).toBe('ok');
  });
});
