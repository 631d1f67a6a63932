/**
 * The wire is plain msgpack: what our codec writes another implementation reads, and the other way round.
 */

import { decode, encode } from '@msgpack/msgpack';
import {
  encodeReply,
  encodeRequest,
  epoch,
  groupApis,
  logId,
  nodeId,
  parseReply,
  parseRequest,
  requestId,
} from '@muster/protocol';
import { describe, expect, test } from 'vitest';

const metadata = Uint8Array.from({ length: 256 }, (_, i) => i);
const bytes = (value: unknown) => (value instanceof Uint8Array ? Array.from(value) : value);
/** Offsets around every width that msgpack has for integers, up to the largest exact one. */
const OFFSETS = [0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1];

const join = {
  groupId: 'orders-é日本',
  memberId: '',
  groupInstanceId: null,
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 60_000,
  protocolType: 'consumer',
  protocols: [
    { name: 'range', metadata },
    { name: 'empty', metadata: new Uint8Array(0) },
  ],
};
const commit = {
  groupId: 'orders',
  memberId: 'm-1',
  generationId: 7,
  commitSeq: 2 ** 40,
  offsets: OFFSETS.map((offset, partition) => ({ topic: 't', partition, offset, metadata: 'naïve ✓' })),
};

describe('another implementation of msgpack', () => {
  test('reads a join as we write it, binary as binary', () => {
    const head = { id: requestId('r1'), deadlineMs: 5_000, epoch: epoch(2 ** 33), log: logId('L1') };
    const map = decode(encodeRequest(head, join)) as Record<string, unknown>;
    expect(map).toMatchObject({ v: 1, id: 'r1', deadlineMs: 5_000, epoch: 2 ** 33, log: 'L1' });
    expect(map).toMatchObject({
      groupId: 'orders-é日本',
      memberId: '',
      groupInstanceId: null,
      sessionTimeoutMs: 10_000,
    });
    const protocols = map.protocols as { name: string; metadata: unknown }[];
    expect(protocols.map((protocol) => protocol.name)).toEqual(['range', 'empty']);
    expect(protocols.map((protocol) => bytes(protocol.metadata))).toEqual([Array.from(metadata), []]);
  });

  test('reads a commit as we write it, offsets above 2^32 to the unit', () => {
    const map = decode(encodeRequest({ id: requestId('r2'), deadlineMs: 5_000 }, commit)) as Record<string, unknown>;
    const offsets = map.offsets as { offset: unknown; metadata: unknown }[];
    expect(offsets.map((entry) => Number(entry.offset))).toEqual(OFFSETS);
    expect(offsets.every((entry) => entry.metadata === 'naïve ✓')).toBe(true);
    expect(Number(map.commitSeq)).toBe(2 ** 40);
  });

  test('reads a reply as we write it', () => {
    const stamp = { node: nodeId('n1'), log: logId('L1'), epoch: epoch(3) };
    const members = [{ memberId: 'm-1', groupInstanceId: null, metadata }];
    const fields = { memberId: 'm-1', generationId: 2, protocolType: 'consumer', protocolName: 'range', leader: 'm-1' };
    const payload = encodeReply('r1', stamp, { error: 'NONE' }, { ...fields, skipAssignment: false, members });
    const map = decode(payload) as Record<string, unknown>;
    expect(map).toMatchObject({ v: 1, id: 'r1', error: 0, node: 'n1', log: 'L1', epoch: 3, ...fields });
    expect(bytes((map.members as { metadata: unknown }[])[0]?.metadata)).toEqual(Array.from(metadata));
  });

  test('reads an error as we write it', () => {
    const answer = { error: 'REBALANCE_IN_PROGRESS', detail: 'join again', retryAfterMs: 50 } as const;
    const map = decode(encodeReply('r1', { node: nodeId('n1') }, answer, {}));
    expect(map).toEqual({ v: 1, id: 'r1', node: 'n1', error: 27, detail: 'join again', retryAfterMs: 50 });
  });
});

describe('what another implementation of msgpack writes', () => {
  test('is accepted as a join, with its binary fields', () => {
    const parsed = parseRequest(groupApis.join, encode({ v: 1, id: 'r1', deadlineMs: 5_000, ...join }));
    if (parsed.kind !== 'request') throw new Error(parsed.detail);
    expect(parsed.head).toMatchObject({ v: 1, id: 'r1', deadlineMs: 5_000 });
    expect(parsed.body.groupId).toBe('orders-é日本');
    expect(parsed.body.protocols.map((protocol) => bytes(protocol.metadata))).toEqual([Array.from(metadata), []]);
  });

  test.each([
    ['as floats, the default of @msgpack/msgpack', { useBigInt64: false }],
    ['as 64 bit integers', { useBigInt64: true }],
  ])('is accepted as a commit with offsets above 2^32 %s', (_, options) => {
    const number = (value: number) => (options.useBigInt64 && value >= 2 ** 32 ? BigInt(value) : value);
    const offsets = commit.offsets.map((entry) => ({ ...entry, offset: number(entry.offset) }));
    const request = { v: 1, id: 'r2', deadlineMs: 5_000, ...commit, commitSeq: number(commit.commitSeq), offsets };
    const parsed = parseRequest(groupApis.commit, encode(request, options));
    if (parsed.kind !== 'request') throw new Error(parsed.detail);
    expect(parsed.body.offsets.map((entry) => entry.offset)).toEqual(OFFSETS);
    expect(parsed.body.offsets[0]?.metadata).toBe('naïve ✓');
    expect(parsed.body.commitSeq).toBe(2 ** 40);
  });

  test('is refused where an offset is above what a number holds exactly', () => {
    const offsets = [{ topic: 't', partition: 0, offset: 2n ** 53n }];
    const payload = encode(
      { v: 1, id: 'r3', deadlineMs: 5_000, ...commit, commitSeq: 1, offsets },
      { useBigInt64: true },
    );
    expect(parseRequest(groupApis.commit, payload)).toMatchObject({
      kind: 'refused',
      error: 'INVALID_REQUEST',
      id: 'r3',
    });
  });

  test('is accepted as a reply', () => {
    const members = [{ memberId: 'm-1', groupInstanceId: 'i-1', metadata }];
    const fields = { memberId: 'm-1', generationId: 2, protocolType: null, protocolName: null, leader: 'm-1' };
    const payload = encode({
      v: 1,
      id: 'r1',
      error: 0,
      node: 'n1',
      epoch: 4,
      ...fields,
      skipAssignment: true,
      members,
    });
    const parsed = parseReply(groupApis.join, payload);
    if (parsed.kind !== 'reply') throw new Error(parsed.detail);
    expect(parsed.error).toBe('NONE');
    expect(parsed.fields).toMatchObject({ ...fields, skipAssignment: true });
    expect(bytes(parsed.fields?.members[0]?.metadata)).toEqual(Array.from(metadata));
  });
});
