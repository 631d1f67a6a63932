import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { groupApis } from './apis.js';
import { encode } from './codec.js';
import { encodeReply, encodeRequest, parseReply, parseRequest } from './envelope.js';
import { epoch, groupId, logId, memberId, nodeId, requestId } from './ids.js';

const heartbeat = { groupId: groupId('g'), memberId: memberId('m'), groupInstanceId: null, generationId: 3 };

function parse(value: unknown) {
  return parseRequest(groupApis.heartbeat, encode(value));
}

describe('a request', () => {
  test('is read as it was written, with defaults for what it leaves out', () => {
    const head = { id: requestId('r1'), deadlineMs: 1_000, epoch: epoch(5), log: logId('L') };
    expect(parseRequest(groupApis.heartbeat, encodeRequest(head, heartbeat))).toEqual({
      kind: 'request',
      head: { v: 1, ...head },
      body: heartbeat,
    });
    expect(parse({ v: 1, id: 'r', ...heartbeat })).toMatchObject({ head: { deadlineMs: 30_000 } });
  });

  test('may carry fields that we do not know: they are dropped', () => {
    const parsed = parse({ v: 1, id: 'r', ...heartbeat, fromTheFuture: 1 });
    expect(parsed.kind === 'request' && parsed.body).toEqual(heartbeat);
  });

  test.each([
    ['a message cut short', new Uint8Array([0x85, 0xa1, 0x61]), 'CORRUPT_MESSAGE', /not msgpack/],
    ['nothing', new Uint8Array(), 'CORRUPT_MESSAGE', /not msgpack|map/],
    ['a list', encode([1, 2]), 'CORRUPT_MESSAGE', /must be a msgpack map/],
    ['bytes', encode(new Uint8Array([1])), 'CORRUPT_MESSAGE', /must be a msgpack map/],
    ['an unknown version', encode({ v: 9, id: 'r', ...heartbeat }), 'UNSUPPORTED_VERSION', /versions 1 to 1/],
    ['no version', encode({ id: 'r', ...heartbeat }), 'INVALID_REQUEST', /^v:/],
    ['no id', encode({ v: 1, ...heartbeat }), 'INVALID_REQUEST', /^id:/],
    [
      'an absurd deadline',
      encode({ v: 1, id: 'r', deadlineMs: 1e12, ...heartbeat }),
      'INVALID_REQUEST',
      /^deadlineMs:/,
    ],
    ['a missing field', encode({ v: 1, id: 'r', groupId: 'g', memberId: 'm' }), 'INVALID_REQUEST', /^generationId:/],
    ['a wrong type', encode({ v: 1, id: 'r', ...heartbeat, memberId: 7 }), 'INVALID_REQUEST', /^memberId:/],
    ['a fraction', encode({ v: 1, id: 'r', ...heartbeat, generationId: 1.5 }), 'INVALID_REQUEST', /^generationId:/],
    [
      'a group id of 10 kB',
      encode({ v: 1, id: 'r', ...heartbeat, groupId: 'g'.repeat(10_000) }),
      'INVALID_REQUEST',
      /255 bytes/,
    ],
  ])('of %s is refused with what was wrong', (_what, payload, error, detail) => {
    const parsed = parseRequest(groupApis.heartbeat, payload);
    expect(parsed).toMatchObject({ kind: 'refused', error });
    expect(parsed.kind === 'refused' && parsed.detail).toMatch(detail);
  });

  test('that is refused is named by its id where that is readable', () => {
    expect(parse({ v: 9, id: 'r7', ...heartbeat })).toMatchObject({ id: 'r7' });
    expect(parse({ v: 9, id: 7 })).toMatchObject({ id: '' });
  });

  test('of any bytes whatever never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const parsed = parseRequest(groupApis.join, bytes);
        expect(parsed.kind).toBe('refused');
      }),
      { numRuns: 2_000 },
    );
  });

  test('of any value whatever never throws, for any API', () => {
    const apis = Object.values(groupApis);
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: false }), fc.nat(apis.length - 1), (value, index) => {
        const api = apis[index];
        if (api === undefined) throw new Error('no such API');
        const body = typeof value === 'object' && value !== null ? { ...value } : { value };
        expect(['request', 'refused']).toContain(parseRequest<unknown>(api, encode(toPlain(body))).kind);
      }),
    );
  });
});

/** What msgpack cannot carry is not what this is about. */
function toPlain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, inner) => (typeof inner === 'bigint' ? Number(inner) : inner)) ?? 'null',
  );
}

describe('a reply', () => {
  const stamp = { node: nodeId('n1'), log: logId('L'), epoch: epoch(4) };

  test('is read as it was written', () => {
    const bytes = encodeReply('r1', stamp, { error: 'NONE' }, { members: [] });
    expect(parseReply(groupApis.leave, bytes)).toMatchObject({
      kind: 'reply',
      error: 'NONE',
      head: { id: 'r1', node: 'n1', epoch: 4, log: 'L' },
      fields: { members: [] },
    });
  });

  test('with an error may lack the fields of its API', () => {
    const bytes = encodeReply('r1', stamp, { error: 'INVALID_REQUEST', detail: 'why' }, {});
    expect(parseReply(groupApis.leave, bytes)).toMatchObject({
      error: 'INVALID_REQUEST',
      fields: undefined,
      head: { detail: 'why' },
    });
  });

  test('without an error must have them', () => {
    expect(parseReply(groupApis.leave, encodeReply('r1', stamp, { error: 'NONE' }, {})).kind).toBe('garbled');
  });

  test('with a code that the catalogue lacks counts as an unknown server error', () => {
    expect(parseReply(groupApis.heartbeat, encode({ v: 1, id: 'r', error: 4_711 }))).toMatchObject({
      error: 'UNKNOWN_SERVER_ERROR',
    });
  });
});
