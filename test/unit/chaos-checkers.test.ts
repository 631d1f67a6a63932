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
  { kind: 'worker', at: 60, worker: 'worker-1', event: 'killed' },
  {
    kind: 'rebalance',
    group: WORKERS,
    generation: 4,
    cause: 'session-expired',
    member: 'worker-1-x',
    startedAt: 70,
    durationMs: 1,
  },
  { kind: 'produced', at: 60, ids: [1] },
  { kind: 'handled', at: 61, group: WORKERS, member: 'worker-2-y', generation: 4, partition: 2, offset: 9, id: 1 },
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
          member: 'worker-3-z',
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
      'a worker that is expelled although nothing was done to it',
      'no-rebalance-without-cause',
      [
        {
          kind: 'rebalance',
          group: WORKERS,
          generation: 5,
          cause: 'session-expired',
          member: 'worker-2-y',
          startedAt: 71,
          durationMs: 1,
        },
      ],
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

  test('do not call a member expelled that was too late itself', () => {
    const late: HistoryEvent[] = [
      { kind: 'stall', at: 49, who: 'light', ms: 5_000 },
      request({ at: 50, api: 'heartbeat', error: 'UNKNOWN_MEMBER_ID' }),
    ];
    expect(violated([...clean, ...late])).toEqual([]);
  });

  test('count a message that is handled again, and do not call it wrong', () => {
    const again: HistoryEvent = {
      kind: 'handled',
      at: 65,
      group: WORKERS,
      member: 'worker-3-z',
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
