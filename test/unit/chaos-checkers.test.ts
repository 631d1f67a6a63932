import { describe, expect, test } from 'vitest';
import { type Judgement, judge } from '../chaos/checkers/index.js';
import type { HistoryEvent, RequestEvent } from '../chaos/history.js';

const GROUP = 'light-1';
const WORKERS = 'workers';

/** A request that succeeded, with what a test does not care about filled in. */
function request(fields: Partial<RequestEvent> & Pick<RequestEvent, 'at' | 'api'>): RequestEvent {
  return {
    kind: 'request',
    done: fields.at + 5,
    group: GROUP,
    member: 'm1',
    generation: 1,
    error: 'NONE',
    partition: 3,
    node: 'node-1',
    epoch: 7,
    seenEpoch: 7,
    ...fields,
  };
}

function frame(
  seq: number,
  epoch: number,
  fields: Partial<Extract<HistoryEvent, { kind: 'frame' }>> = {},
): HistoryEvent {
  const chain = { previousSeq: seq - 1, nonce: `n${seq}`, previousNonce: `n${seq - 1}` };
  return { kind: 'frame', partition: 0, seq, epoch, incarnation: `i${epoch}`, body: 'records', ...chain, ...fields };
}

/** A worker process and the id that it has in its group. */
function started(worker: string, at: number, life = 1): HistoryEvent[] {
  return [
    { kind: 'worker', at, worker, event: 'started' },
    { kind: 'assignment', at: at + 5, group: WORKERS, member: `${worker}-${life}`, generation: 3, partitions: [] },
  ];
}

function generation(number: number, at: number, members: readonly string[]): HistoryEvent {
  return { kind: 'generation', at, group: WORKERS, generation: number, state: 'CompletingRebalance', members };
}

function rebalance(number: number, cause: string, member: string, startedAt: number): HistoryEvent {
  return { kind: 'rebalance', group: WORKERS, generation: number, cause, member, startedAt, durationMs: 1 };
}

const clean: readonly HistoryEvent[] = [
  request({
    at: 10,
    api: 'join',
    generation: -1,
    joinedAs: 'm1',
    joined: { generation: 1, leader: 'm1', members: ['m1'] },
  }),
  { kind: 'assignment', at: 12, group: GROUP, member: 'm1', generation: 1, partitions: [0, 1] },
  { kind: 'formed', at: 13, group: GROUP, generation: 1 },
  request({ at: 20, api: 'heartbeat' }),
  request({ at: 30, api: 'commit', committed: [[0, 5]] }),
  request({ at: 40, api: 'fetch', fetched: [[0, 5]] }),
  frame(1, 1, { body: 'claim', previousSeq: 0, previousNonce: '' }),
  frame(2, 1),
  frame(3, 1, { body: 'release' }),
  frame(4, 2, { body: 'claim' }),
  frame(5, 2),
  ...started('worker-1', 20),
  ...started('worker-2', 21),
  generation(3, 30, ['worker-1-1', 'worker-2-1']),
  { kind: 'worker', at: 60, worker: 'worker-1', event: 'killed' },
  generation(4, 72, ['worker-2-1']),
  rebalance(4, 'session-expired', 'worker-1-1', 70),
  { kind: 'produced', at: 60, ids: [1] },
  { kind: 'handled', at: 61, group: WORKERS, member: 'worker-2-1', generation: 4, partition: 2, offset: 9, id: 1 },
  { kind: 'api-commit', at: 62, done: 63, group: WORKERS, worker: 'worker-2', offsets: [[2, 10]], error: '' },
  { kind: 'final-offsets', at: 90, group: GROUP, offsets: [[0, 5]] },
  { kind: 'final-state', at: 91, group: GROUP, state: 'Stable' },
  { kind: 'final-offsets', at: 90, group: WORKERS, offsets: [[2, 10]] },
];

function judged(events: readonly HistoryEvent[]): Judgement {
  const sessions = { lightSessionMs: 10_000, workerSessionMs: 9_000 };
  return judge(events, { lightGroups: new Set([GROUP]), ...sessions, steadyAt: 50, endedAt: 100 });
}

function violated(events: readonly HistoryEvent[]): string[] {
  return judged(events)
    .verdicts.filter(({ violations }) => violations.length > 0)
    .map(({ name }) => name);
}

describe('the checkers of a history', () => {
  test('find nothing in one where all went as promised, and have looked at something each', () => {
    const { verdicts } = judged(clean);
    expect(verdicts.flatMap(({ violations }) => violations)).toEqual([]);
    expect(verdicts.every(({ checked }) => checked > 0)).toBe(true);
  });

  const wrongs: readonly (readonly [string, string, readonly HistoryEvent[]])[] = [
    [
      'an acknowledged commit that the end does not know',
      'no-acknowledged-commit-lost',
      [request({ at: 80, api: 'commit', committed: [[0, 6]] })],
    ],
    [
      'an acknowledged commit that a later fetch does not know',
      'no-acknowledged-commit-lost',
      [request({ at: 41, api: 'fetch', fetched: [[0, 4]] })],
    ],
    [
      'a commit at the API that is not there at the end',
      'no-acknowledged-commit-lost',
      [{ kind: 'api-commit', at: 64, done: 65, group: WORKERS, worker: 'worker-2', offsets: [[2, 11]], error: '' }],
    ],
    [
      'a group whose offsets nobody could read at the end',
      'no-acknowledged-commit-lost',
      [request({ at: 30, api: 'commit', group: 'light-2', committed: [[0, 5]] })],
    ],
    ['a frame with another predecessor', 'one-writer-per-log', [frame(6, 2, { previousSeq: 4 })]],
    ['a frame of the owner before', 'one-writer-per-log', [frame(6, 1)]],
    ['a claim that does not rise', 'one-writer-per-log', [frame(6, 2, { body: 'claim' })]],
    [
      'two nodes that answer in one epoch',
      'stale-answer-never-accepted',
      [request({ at: 50, api: 'heartbeat', node: 'node-2' })],
    ],
    [
      'an answer of an earlier epoch that was accepted',
      'stale-answer-never-accepted',
      [request({ at: 50, api: 'heartbeat', epoch: 6, seenEpoch: 7, node: 'node-3' })],
    ],
    [
      'one generation with two leaders',
      'generation-never-repeats',
      [request({ at: 11, api: 'join', joined: { generation: 1, leader: 'm2', members: [] } })],
    ],
    [
      'one generation with two memberships',
      'generation-never-repeats',
      [request({ at: 11, api: 'join', joined: { generation: 1, leader: 'm1', members: ['m1', 'm2'] } })],
    ],
    [
      'a success in a generation that is over',
      'generation-never-repeats',
      [request({ at: 50, api: 'heartbeat', generation: 0 })],
    ],
    [
      'a partition with two owners in one generation',
      'exclusive-assignment',
      [{ kind: 'assignment', at: 14, group: GROUP, member: 'm2', generation: 1, partitions: [1] }],
    ],
    [
      'a partition that two workers handle in one generation',
      'exclusive-assignment',
      [
        {
          kind: 'handled',
          at: 62,
          group: WORKERS,
          member: 'worker-3-1',
          generation: 4,
          partition: 2,
          offset: 10,
          id: 1,
        },
      ],
    ],
    [
      'a light group that is rebalanced after it has formed',
      'no-rebalance-without-cause',
      [request({ at: 50, api: 'join', joined: { generation: 2, leader: 'm1', members: ['m1'] } })],
    ],
    [
      'a member that is not known any more',
      'heartbeating-member-not-expelled',
      [request({ at: 50, api: 'heartbeat', error: 'UNKNOWN_MEMBER_ID' })],
    ],
    [
      'a group that does not come to rest',
      'live-groups-stable',
      [{ kind: 'final-state', at: 91, group: 'light-2', state: 'PreparingRebalance' }],
    ],
    ['a message that nobody handled', 'every-acknowledged-message-handled', [{ kind: 'produced', at: 60, ids: [2] }]],
  ];

  test.for(wrongs)('find %s', ([, name, added]) => {
    expect(violated([...clean, ...added])).toContain(name);
  });

  const causes: readonly (readonly [string, string, readonly HistoryEvent[]])[] = [
    [
      'a worker that is expelled although nothing was done to it',
      'worker-2-1 is gone, to whom nothing had been done',
      [generation(5, 80, []), rebalance(5, 'session-expired', 'worker-2-1', 79)],
    ],
    [
      'a worker that is expelled although it committed after its pause',
      'worker-2-1 is gone, to whom nothing had been done',
      [
        { kind: 'worker', at: 64, worker: 'worker-2', event: 'paused' },
        { kind: 'worker', at: 66, worker: 'worker-2', event: 'resumed' },
        { kind: 'api-commit', at: 67, done: 68, group: WORKERS, worker: 'worker-2', offsets: [[2, 10]], error: '' },
        { kind: 'api-commit', at: 69, done: 70, group: WORKERS, worker: 'worker-2', offsets: [[2, 11]], error: '' },
        { kind: 'final-offsets', at: 90, group: WORKERS, offsets: [[2, 11]] },
        generation(5, 180, []),
        rebalance(5, 'session-expired', 'worker-2-1', 179),
      ],
    ],
    [
      'a worker that is expelled after it had stood still for a moment',
      'worker-2-1 is gone, to whom nothing had been done',
      [
        { kind: 'stall', at: 79, who: 'worker-2', ms: 600 },
        generation(5, 81, []),
        rebalance(5, 'session-expired', 'worker-2-1', 80),
      ],
    ],
    [
      'a member that was removed and is back',
      'worker-1-1 is back after its removal',
      [generation(5, 80, ['worker-2-1', 'worker-1-1']), rebalance(5, 'member-joined', 'worker-1-1', 79)],
    ],
    [
      'a process that is in a generation twice',
      'worker-2-2 belongs to no process that had to join',
      [
        { kind: 'assignment', at: 79, group: WORKERS, member: 'worker-2-2', generation: 5, partitions: [] },
        generation(5, 80, ['worker-2-1', 'worker-2-2']),
        rebalance(5, 'member-joined', 'worker-2-2', 79),
      ],
    ],
    [
      'a removed member of which the generation before the load knows nothing',
      'the same members, none of whom gave anything up',
      [generation(5, 180, ['worker-2-1']), rebalance(5, 'removed-before-load', '', 170)],
    ],
    [
      'a member that joins again without having given anything up',
      'the same members, none of whom gave anything up',
      [generation(5, 180, ['worker-2-1']), rebalance(5, 'subscription-changed', 'worker-2-1', 170)],
    ],
    [
      'a member that is said to have left, and was killed',
      'worker-1-1 was not told to leave',
      [rebalance(4, 'member-left', 'worker-1-1', 70)],
    ],
    [
      'a member that is said to be expelled, and is not',
      'worker-2-1 is still in it',
      [
        ...started('worker-3', 75),
        generation(5, 81, ['worker-2-1', 'worker-3-1']),
        rebalance(5, 'session-expired', 'worker-2-1', 80),
      ],
    ],
    [
      'a cause that nothing in a run can have',
      'nothing in these runs causes "group-too-large"',
      [
        ...started('worker-3', 75),
        generation(5, 81, ['worker-2-1', 'worker-3-1']),
        rebalance(5, 'group-too-large', '', 80),
      ],
    ],
  ];

  test.for(causes)('find %s', ([, what, added]) => {
    expect(judged([...clean, ...added]).rebalances.violations.map((violation) => violation.what)).toEqual([
      expect.stringContaining(what),
    ]);
  });

  const explained: readonly (readonly [string, readonly HistoryEvent[]])[] = [
    [
      'a worker that starts anew under another id',
      [
        ...started('worker-1', 75, 2),
        generation(5, 81, ['worker-2-1', 'worker-1-2']),
        rebalance(5, 'member-joined', 'worker-1-2', 80),
      ],
    ],
    [
      'one that was paused and has not been heard of since',
      [
        { kind: 'worker', at: 64, worker: 'worker-2', event: 'paused' },
        { kind: 'worker', at: 190, worker: 'worker-2', event: 'resumed' },
        generation(5, 180, []),
        rebalance(5, 'session-expired', 'worker-2-1', 179),
      ],
    ],
    [
      'one that is told to stop, and leaves',
      [
        { kind: 'worker', at: 75, worker: 'worker-2', event: 'stopping' },
        generation(5, 80, []),
        rebalance(5, 'member-left', 'worker-2-1', 79),
      ],
    ],
    [
      'a member that joins again with fewer partitions than it had',
      [
        { kind: 'gave-up', at: 100, group: WORKERS, worker: 'worker-2', why: 'revoked', detail: '' },
        generation(5, 180, ['worker-2-1']),
        rebalance(5, 'subscription-changed', 'worker-2-1', 170),
      ],
    ],
    [
      'a round that a failover interrupted after its owner had removed somebody',
      [
        ...started('worker-3', 73),
        generation(5, 80, ['worker-2-1', 'worker-3-1']),
        rebalance(5, 'member-joined', 'worker-3-1', 79),
        { kind: 'worker', at: 85, worker: 'worker-3', event: 'killed' },
        generation(6, 95, ['worker-2-1']),
        rebalance(6, 'removed-before-load', '', 94),
      ],
    ],
  ];

  test('accept a worker that joined again after its pause and was killed before it could write its new id down', () => {
    const events: HistoryEvent[] = [
      ...clean,
      { kind: 'worker', at: 64, worker: 'worker-2', event: 'paused' },
      generation(5, 100, []),
      rebalance(5, 'session-expired', 'worker-2-1', 99),
      { kind: 'worker', at: 110, worker: 'worker-2', event: 'resumed' },
      generation(6, 120, ['worker-2-2']),
      rebalance(6, 'member-joined', 'worker-2-2', 119),
      { kind: 'worker', at: 121, worker: 'worker-2', event: 'killed' },
      generation(7, 150, []),
      rebalance(7, 'session-expired', 'worker-2-2', 149),
    ];
    expect(judged(events).rebalances.violations).toEqual([]);
  });

  test.for(explained)('accept %s', ([, added]) => {
    const { rebalances } = judged([...clean, ...added]);
    expect(rebalances.violations).toEqual([]);
    expect(rebalances.explained.length).toBeGreaterThan(1);
  });

  test('do not call a member expelled that was too late itself', () => {
    const late: HistoryEvent[] = [
      { kind: 'stall', at: 49, who: 'light', ms: 5_000 },
      request({ at: 50, api: 'heartbeat', error: 'UNKNOWN_MEMBER_ID' }),
    ];
    expect(violated([...clean, ...late])).toEqual([]);
  });

  test('take what a purge removed while the log was read for no hole, and look at the rest', () => {
    const purged: HistoryEvent[] = [frame(9, 2), { kind: 'log-start', partition: 0, seq: 9 }];
    expect(violated([...clean, ...purged])).toEqual([]);
    expect(violated([...clean, frame(9, 2)])).toEqual(['one-writer-per-log']);
    expect(violated([...clean, ...purged, frame(10, 2, { previousSeq: 8 })])).toEqual(['one-writer-per-log']);
  });

  test('count a message that is handled again, and do not call it wrong', () => {
    const again: HistoryEvent = {
      kind: 'handled',
      at: 65,
      group: WORKERS,
      member: 'worker-3-1',
      generation: 5,
      partition: 2,
      offset: 9,
      id: 1,
    };
    const { messages } = judged([...clean, again]);
    expect(messages.duplicates).toEqual([65]);
    expect(messages.violations).toEqual([]);
  });
});
