import type { BusMessage } from '@muster/cluster';
import type { GroupRequest } from '@muster/group';
import type { Answer, RequestHead } from '@muster/protocol';
import {
  encode,
  encodeRequest,
  epoch,
  generation,
  groupApis,
  groupId,
  logId,
  memberId,
  partitionOf,
  requestId,
  Subjects,
} from '@muster/protocol';
import { describe, expect, test } from 'vitest';
import { makeIngress } from './ingress.js';
import type { PartitionRuntime } from './partition-runtime.js';

const subjects = new Subjects('test');
const group = groupId('billing');
const PARTITIONS = 12;
const partition = partitionOf(group, PARTITIONS);
const log = logId('log-1');
const heartbeat = { groupId: group, memberId: memberId('m'), groupInstanceId: null, generationId: generation(3) };

function scene() {
  const answers: { to: string; id: string; answer: Answer }[] = [];
  const offered: { request: GroupRequest; returnAddress: string; deadlineMs: number; bytes: number }[] = [];
  const later: [number, number][] = [];
  const doubts = { isOpen: true };
  const refused: string[] = [];
  const runtime: Pick<PartitionRuntime, 'partition' | 'epoch' | 'answer' | 'offer'> = {
    partition,
    epoch: epoch(5),
    answer: (to, id, answer) => void answers.push({ to, id, answer }),
    offer: (_group, request, returnAddress, deadlineMs, bytes) =>
      void offered.push({ request, returnAddress, deadlineMs, bytes }),
  };
  const ingress = makeIngress({
    subjects,
    partitionCount: PARTITIONS,
    logId: log,
    onRefused: ({ error }) => refused.push(error),
    onLaterEpoch: (index, reign) => {
      later.push([index, reign]);
      return doubts.isOpen;
    },
  });
  const receive = (message: Partial<BusMessage>) =>
    ingress(runtime as PartitionRuntime, {
      subject: subjects.group(partition, group, 'heartbeat'),
      reply: 'inbox',
      payload: encodeRequest(head(), heartbeat),
      ...message,
    });
  return { receive, answers, offered, later, doubts, refused };
}

function head(fields: Partial<RequestHead> = {}): Omit<RequestHead, 'v'> {
  return { id: requestId('r1'), deadlineMs: 4_000, ...fields };
}

describe('ingress', () => {
  test('hands a good request to its group, with return address, deadline and size', () => {
    const { receive, offered, answers } = scene();
    const payload = encodeRequest(head(), heartbeat);
    receive({ payload });
    expect(answers).toEqual([]);
    expect(offered).toEqual([
      {
        request: { kind: 'request', api: 'heartbeat', ref: 'r1', body: heartbeat },
        returnAddress: 'inbox',
        deadlineMs: 4_000,
        bytes: payload.byteLength,
      },
    ]);
  });

  const otherGroup = groupId('another');
  const elsewhere = groupId(
    Array.from({ length: 50 }, (_, index) => `g${index}`).find(
      (name) => partitionOf(groupId(name), PARTITIONS) !== partition,
    ) ?? '',
  );

  test.for([
    [
      'a subject of an unknown api',
      { subject: `${subjects.prefix}.g.${partition}.billing.explode` },
      'INVALID_REQUEST',
      '',
    ],
    [
      'a subject with a token too many',
      { subject: `${subjects.group(partition, group, 'join')}.x` },
      'INVALID_REQUEST',
      '',
    ],
    [
      'a group id that no text encodes to',
      { subject: `${subjects.prefix}.g.${partition}.=zz.join` },
      'INVALID_REQUEST',
      '',
    ],
    ['a group of another partition', { subject: subjects.group(partition, elsewhere, 'join') }, 'NOT_COORDINATOR', ''],
    ['bytes that are no msgpack', { payload: new Uint8Array([0x92, 0x01]) }, 'CORRUPT_MESSAGE', ''],
    ['a body that is no map', { payload: encode([1, 2]) }, 'CORRUPT_MESSAGE', ''],
    ['a request that is too large', { payload: new Uint8Array(8 * 1024 * 1024 + 1) }, 'MESSAGE_TOO_LARGE', ''],
    ['no body', { payload: new Uint8Array() }, 'CORRUPT_MESSAGE', ''],
    ['a version of the future', { payload: encode({ v: 99, id: 'r1', ...heartbeat }) }, 'UNSUPPORTED_VERSION', 'r1'],
    ['a request without id', { payload: encode({ v: 1, ...heartbeat }) }, 'INVALID_REQUEST', ''],
    [
      'a field of a wrong type',
      { payload: encode({ v: 1, id: 'r1', ...heartbeat, memberId: 7 }) },
      'INVALID_REQUEST',
      'r1',
    ],
    [
      'a body that names another group than the subject',
      { payload: encodeRequest(head(), { ...heartbeat, groupId: otherGroup }) },
      'INVALID_REQUEST',
      'r1',
    ],
    ['an absurd deadline', { payload: encodeRequest(head({ deadlineMs: 1e12 }), heartbeat) }, 'INVALID_REQUEST', 'r1'],
  ] as const)('answers %s with a typed error and hands nothing on (I1)', ([, message, error, id]) => {
    const { receive, offered, answers, refused } = scene();
    receive(message);
    expect(answers).toMatchObject([{ to: 'inbox', id, answer: { error } }]);
    expect(answers[0]?.answer.detail).not.toBe('');
    expect(refused).toEqual([error]);
    expect(offered).toEqual([]);
  });

  test('reads every api', () => {
    for (const api of Object.keys(groupApis) as (keyof typeof groupApis)[]) {
      const { receive, answers } = scene();
      receive({ subject: subjects.group(partition, group, api), payload: encode({ v: 1, id: 'r1', groupId: 5 }) });
      expect(answers[0]?.answer, api).toMatchObject({ error: 'INVALID_REQUEST' });
      expect(answers[0]?.answer.detail, api).toContain('groupId');
    }
  });

  test('doubts its own reign where a client has seen a later one of this log, and answers nothing then (I2, C2)', () => {
    const { receive, offered, answers, later } = scene();
    receive({ payload: encodeRequest(head({ epoch: epoch(6), log }), heartbeat) });
    expect(later).toEqual([[partition, 6]]);
    expect(offered).toEqual([]);
    expect(answers).toEqual([]);
  });

  test('serves on where the same word was refuted a moment ago (C2)', () => {
    const { receive, offered, doubts } = scene();
    doubts.isOpen = false;
    receive({ payload: encodeRequest(head({ epoch: epoch(6), log }), heartbeat) });
    expect(offered).toHaveLength(1);
  });

  test('does not where the client has seen this reign or an earlier one, or the reign of another log', () => {
    const { receive, offered, later } = scene();
    receive({ payload: encodeRequest(head({ epoch: epoch(5), log }), heartbeat) });
    receive({ payload: encodeRequest(head({ epoch: epoch(1), log }), heartbeat) });
    receive({ payload: encodeRequest(head({ epoch: epoch(900), log: logId('older') }), heartbeat) });
    receive({ payload: encodeRequest(head({ epoch: epoch(900) }), heartbeat) });
    expect(later).toEqual([]);
    expect(offered).toHaveLength(4);
  });
});
