/**
 * Whatever arrives at a node, it answers with a typed error and a log line, and goes on: through a real server, byte by byte.
 */

import { decode } from '@msgpack/msgpack';
import {
  encode,
  encodeToken,
  errorName,
  type GroupId,
  groupId,
  METADATA_BYTES_MAX,
  OFFSETS_MAX,
  partition,
  partitionOf,
} from '@muster/protocol';
import { connect as connectMuster } from '@muster/worker';
import { connect, type NatsConnection, nuid } from 'nats';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { newestVersion } from '../contract/versions.js';
import { until } from '../world/processes.js';
import { RealCluster } from '../world/real-cluster.js';
import { commitRequest, describeRequest, fetchRequest, joinRequest } from '../world/requests.js';

const PARTITIONS = 6;
const group = groupId('billing');
const noMember = joinRequest(group).memberId;

let cluster: RealCluster;
/** An application's own connection: what the server does to it must not touch the node. */
let nats: NatsConnection;

beforeAll(async () => {
  cluster = await RealCluster.start({ nats: { version: newestVersion }, partitions: PARTITIONS });
  await cluster.startInside('n1');
  nats = await connect({ servers: [...cluster.nats.urls] });
});
afterEach(async ({ task }) => {
  // Whatever the test has done: a good request is answered, and no callback has thrown.
  const described = await cluster.client.ask('describe', describeRequest(cluster.newGroup()));
  expect(described).toMatchObject({ error: 'NONE', fields: { state: 'Dead' } });
  expect(cluster.insideLog.of('a callback threw')).toEqual([]);
  expect(cluster.insideLog.of('group quarantined: its turn threw')).toEqual([]);
  if (task.result?.state === 'fail') console.log(cluster.logs());
});
afterAll(async () => {
  await nats?.close();
  await cluster?.close();
});

function subjectOf(api: string, of: GroupId = group, on: number = partitionOf(of, PARTITIONS)): string {
  return `muster.${cluster.name}.g.${on}.${encodeToken(of)}.${api}`;
}

/** Sends bytes, again where nobody answers as clients do (C1), and reads the reply as any msgpack client would. */
async function send(subject: string, payload: Uint8Array): Promise<{ error: string; detail: string; id: string }> {
  let reply = await cluster.client.bus.request(subject, payload, 2_000);
  for (let tries = 0; tries < 10 && reply.kind !== 'reply'; tries += 1) {
    reply = await cluster.client.bus.request(subject, payload, 2_000);
  }
  if (reply.kind !== 'reply') throw new Error(`${subject}: ${reply.kind}`);
  const { error, detail = '', id } = decode(reply.payload) as { error: number; detail?: string; id: string };
  return { error: errorName(error), detail, id };
}

async function expectRefused(subject: string, payload: Uint8Array, error: string, detail: RegExp, id = '') {
  const before = cluster.insideLog.of('request refused').length;
  expect(await send(subject, payload)).toEqual({ error, detail: expect.stringMatching(detail), id });
  const [line] = cluster.insideLog.of('request refused').slice(before);
  expect(line).toMatchObject({ error, subject: subject.slice(0, 200) });
}

/** The first bytes of a text of 255 bytes. */
const corrupt = Uint8Array.of(0xd9, 0xff, 0x61);
const head = { v: 1, id: 'r1' };
const join = () => ({ ...head, ...joinRequest(group) });
const without = (key: string): object => Object.fromEntries(Object.entries(join()).filter(([name]) => name !== key));

describe('a request that is no msgpack map', () => {
  it.each([
    ['nothing', new Uint8Array(0)],
    ['text without its end', corrupt],
    ['text', new TextEncoder().encode('{"v":1}')],
    ['a map that ends early', encode(joinRequest(group)).slice(0, 40)],
    ['a map that says it has four thousand million entries', Uint8Array.of(0xdf, 255, 255, 255, 255)],
    ['a list that says it has four thousand million entries', Uint8Array.of(0xdd, 255, 255, 255, 255)],
    ['binary that says it has four thousand million bytes', Uint8Array.of(0xc6, 255, 255, 255, 255)],
    ['a hundred thousand lists in each other', new Uint8Array(100_000).fill(0x91)],
    ['a list', encode([1, 2, 3])],
    ['a number', encode(7)],
    ['a map with bytes behind it', Uint8Array.of(...encode({ ...head, ...describeRequest(group) }), 1, 2, 3)],
    ['an extension type that nobody knows', Uint8Array.of(0xd4, 0x55, 1)],
  ])('is refused as corrupt: %s', async (_what, payload) => {
    await expectRefused(subjectOf('join'), payload, 'CORRUPT_MESSAGE', /msgpack/);
  });
});

it('is refused where it is one byte that msgpack never uses', async () => {
  // The decoder makes an object of it: the fields are missed, not the map.
  await expectRefused(subjectOf('join'), Uint8Array.of(0xc1), 'INVALID_REQUEST', /^v: /);
});

describe('a request with wrong fields', () => {
  it.each<[string, () => object, RegExp]>([
    ['no version', () => ({ ...join(), v: undefined }), /^v: /],
    ['no protocol type', () => without('protocolType'), /^protocolType: /],
    ['no protocols', () => without('protocols'), /^protocols: /],
    ['a member id that is a number', () => ({ ...join(), memberId: 7 }), /^memberId: text of at most 512/],
    ['a member id of 600 characters', () => ({ ...join(), memberId: 'm'.repeat(600) }), /^memberId: text of at most/],
    ['protocols that are a map', () => ({ ...join(), protocols: { a: 1 } }), /^protocols: /],
    ['metadata that is text', () => ({ ...join(), protocols: [{ name: 'p', metadata: 'x' }] }), /metadata: binary/],
    ['a session timeout that is no number', () => ({ ...join(), sessionTimeoutMs: '10s' }), /^sessionTimeoutMs: /],
    ['a session timeout of NaN', () => ({ ...join(), sessionTimeoutMs: Number.NaN }), /^sessionTimeoutMs: /],
    ['a session timeout of a million years', () => ({ ...join(), sessionTimeoutMs: 3e16 }), /^sessionTimeoutMs: /],
    ['a rebalance timeout without end', () => ({ ...join(), rebalanceTimeoutMs: Infinity }), /^rebalanceTimeoutMs: /],
    ['a deadline in the past', () => ({ ...join(), deadlineMs: -5 }), /^deadlineMs: /],
    ['a deadline of a million years', () => ({ ...join(), deadlineMs: 3e16 }), /^deadlineMs: /],
    ['an epoch that is no number', () => ({ ...join(), epoch: {} }), /^epoch: /],
    ['a group id of 10 kB', () => ({ ...join(), groupId: 'g'.repeat(10_000) }), /^groupId: text of at most 255/],
    ['another group than its subject', () => ({ ...join(), groupId: 'other' }), /"other".*"billing"/],
    ['all fields wrong', () => ({ ...head, groupId: 1, memberId: 2, protocols: 3, reason: 4 }), /and \d+ more/],
  ])('is refused and says what must be there: %s', async (_what, body, detail) => {
    await expectRefused(subjectOf('join'), encode(body()), 'INVALID_REQUEST', detail, 'r1');
  });

  it('is refused without an id where the id is not readable', async () => {
    const body = { ...join(), id: 'i'.repeat(600) };
    await expectRefused(subjectOf('join'), encode(body), 'INVALID_REQUEST', /^id: text of 1 to 512/);
  });

  it.each([0, 2, 99, -1])('of version %s is refused and says which versions are spoken', async (v) => {
    await expectRefused(subjectOf('join'), encode({ ...join(), v }), 'UNSUPPORTED_VERSION', /1 to 1 are/, 'r1');
  });

  it.each([-1, 0, 5_999, 1_800_001, 2_147_483_647])('as a session timeout, %s ms is outside the range', async (ms) => {
    const reply = await cluster.client.ask('join', joinRequest(group, { sessionTimeoutMs: ms }));
    expect(reply.error).toBe('INVALID_SESSION_TIMEOUT');
  });

  it('cannot reach into the prototype of anything', async () => {
    const bytes = encode({ ...join(), xxxxxxxxx: { polluted: 1 } });
    const at = Buffer.from(bytes).indexOf('xxxxxxxxx');
    bytes.set(new TextEncoder().encode('__proto__'), at);
    expect((await send(subjectOf('join'), bytes)).error).not.toBe('UNKNOWN_SERVER_ERROR');
    expect({}).not.toHaveProperty('polluted');
  });
});

describe('a request on a wrong subject', () => {
  it('of an unknown API is refused and says which there are', async () => {
    await expectRefused(subjectOf('jion'), encode(join()), 'INVALID_REQUEST', /api one of join, sync, heartbeat/);
  });

  it.each(['.join.now', ''])('with the end "%s" is refused', async (end) => {
    const subject = subjectOf('join').replace(/\.join$/, end);
    await expectRefused(subject, encode(join()), 'INVALID_REQUEST', /the subject must be/);
  });

  it.each([
    ['an escape that is none', '=ZZ'],
    ['half an escape', '=2'],
    ['the start of an escape', 'a='],
    ['300 bytes', 'g'.repeat(300)],
    ['3,000 bytes', 'g'.repeat(3_000)],
  ])('of a token that is no group is refused: %s', async (_what, token) => {
    const subject = `muster.${cluster.name}.g.0.${token}.join`;
    await expectRefused(subject, encode(join()), 'INVALID_REQUEST', /the subject must be/);
  });

  it('of another partition than the group has is told the right one', async () => {
    const right = partitionOf(group, PARTITIONS);
    const wrong = partition((right + 1) % PARTITIONS);
    const detail = new RegExp(`partition ${right} of ${PARTITIONS}`);
    await expectRefused(subjectOf('join', group, wrong), encode(join()), 'NOT_COORDINATOR', detail);
  });

  it.each(['6', '-1', '007', '1e3', 'x'])('of the partition "%s", which does not exist, reaches nobody', async (on) => {
    const subject = subjectOf('join').replace(/\.g\.\d+\./, `.g.${on}.`);
    expect(await cluster.client.bus.request(subject, encode(join()), 10_000)).toEqual({ kind: 'no-responders' });
  });

  it('with a group id of 10 kB in the subject costs only the sender its connection', async () => {
    const other = await connect({ servers: [...cluster.nats.urls], reconnect: false });
    other.publish(`muster.${cluster.name}.g.0.${'g'.repeat(10_000)}.join`, encode(join()));
    expect(await other.closed()).toBeInstanceOf(Error);
  });
});

describe('a request without a reply subject', () => {
  it('is logged where it is bad', async () => {
    const before = cluster.insideLog.of('request refused').length;
    for (const subject of [subjectOf('join'), subjectOf('jion'), cluster.subjects.find, cluster.subjects.all]) {
      nats.publish(subject, corrupt);
    }
    await until('four lines', () => cluster.insideLog.of('request refused').length === before + 4);
  });

  it('is carried out where it is good, and FindCoordinator and ListGroups are not', async () => {
    const billed = cluster.newGroup();
    const commit = commitRequest(billed, noMember, -1, 42);
    nats.publish(subjectOf('commit', billed), encode({ ...head, ...commit }));
    nats.publish(cluster.subjects.find, encode({ ...head, groupId: billed }));
    nats.publish(cluster.subjects.all, encode(head));
    await until('the offset is there', async () => {
      const { fields } = await cluster.client.ask('fetch', fetchRequest(billed));
      return fields?.partitions[0]?.offset === 42;
    });
  });

  it.each(['_INBOX.*', '>', 'a..b'])('or with "%s" as one harms nobody', async (reply) => {
    nats.publish(subjectOf('join'), corrupt, { reply });
    nats.publish(subjectOf('describe'), encode({ ...head, ...describeRequest(group) }), { reply });
    await nats.flush();
  });

  it('or with the subject of a request as one does not go round in circles', async () => {
    const before = cluster.insideLog.of('request refused').length;
    nats.publish(subjectOf('describe'), encode({ ...head, ...describeRequest(group) }), { reply: subjectOf('join') });
    await until('the answer is refused as a request', () => cluster.insideLog.of('request refused').length > before);
    expect(await send(subjectOf('describe'), encode({ ...head, ...describeRequest(group) }))).toMatchObject({
      id: 'r1',
    });
    expect(cluster.insideLog.of('request refused')).toHaveLength(before + 1);
  });
});

describe('a request to any node', () => {
  it.each([
    ['find', corrupt, 'CORRUPT_MESSAGE', /msgpack/, ''],
    ['find', encode({ ...head, groupId: 'g'.repeat(300) }), 'INVALID_REQUEST', /^groupId: /, 'r1'],
    ['find', encode({ ...head, v: 9, groupId: 'g' }), 'UNSUPPORTED_VERSION', /1 to 1/, 'r1'],
    ['all', encode([]), 'CORRUPT_MESSAGE', /map/, ''],
    ['all', encode({ ...head, statesFilter: 'Stable' }), 'INVALID_REQUEST', /^statesFilter: /, 'r1'],
  ] as const)('on "%s" is refused where it is bad', async (to, payload, error, detail, id) => {
    await expectRefused(cluster.subjects[to], payload, error, detail, id);
  });
});

describe('a request as large as the server lets through', () => {
  const room = () => (nats.info?.max_payload ?? 0) - 512;

  it('is refused where one of its fields is too large', async () => {
    expect(room()).toBeGreaterThan(METADATA_BYTES_MAX);
    const protocols = [{ name: 'p', metadata: new Uint8Array(room()) }];
    const detail = new RegExp(`metadata: binary of at most ${METADATA_BYTES_MAX} bytes`);
    await expectRefused(subjectOf('join'), encode({ ...join(), protocols }), 'INVALID_REQUEST', detail, 'r1');
  });

  it('is refused where it has too many fields', async () => {
    const offsets = Array.from({ length: OFFSETS_MAX + 1 }, () => ({ topic: 't', partition: 0, offset: 1 }));
    const body = { ...head, ...commitRequest(group, noMember, -1, 0), offsets };
    expect(encode(body).byteLength).toBeLessThan(room());
    await expectRefused(subjectOf('commit'), encode(body), 'INVALID_REQUEST', /^offsets: /, 'r1');
  });

  it('is carried out where it is legal; an answer that is too large becomes a typed error', async () => {
    const large = cluster.newGroup();
    const metadata = 'm'.repeat(4_000);
    const commitSome = async (from: number) => {
      const body = commitRequest(large, noMember, -1, 0);
      const offsets = Array.from({ length: 240 }, (_, at) => ({ ...body.offsets[0]!, partition: from + at, metadata }));
      const reply = await cluster.client.ask('commit', { ...body, offsets });
      expect(reply.error).toBe('NONE');
      expect(new Set(reply.fields?.partitions.map(({ error }) => error))).toEqual(new Set([0]));
    };
    await commitSome(0);
    await commitSome(240);
    const fetched = await cluster.client.ask('fetch', fetchRequest(large));
    expect(fetched).toMatchObject({
      error: 'MESSAGE_TOO_LARGE',
      head: { detail: expect.stringMatching(/max_payload/) },
    });
    const some = await cluster.client.ask('fetch', { ...fetchRequest(large), partitions: [['orders', 479]] });
    expect(some.fields?.partitions).toEqual([expect.objectContaining({ metadata, offset: 0 })]);
  });

  it('of random bytes is refused, many times over', async () => {
    const before = cluster.insideLog.of('request refused').length;
    for (let round = 0; round < 20; round += 1) {
      const bytes = new Uint8Array(room()).map((_, at) => (at * 2_654_435_761 * (round + 1)) >>> 13);
      nats.publish(subjectOf('commit'), bytes, { reply: `_INBOX.${nuid.next()}` });
    }
    await until('all are refused', () => cluster.insideLog.of('request refused').length === before + 20);
  });
});

it('ListGroups answers in parts where one reply would be larger than the server lets through', async () => {
  const nats = { version: newestVersion, extraConfig: 'max_payload: 16384' };
  const small = await RealCluster.start({ nats, partitions: PARTITIONS });
  try {
    await small.startInside('n1');
    const names = Array.from({ length: 200 }, (_, at) => groupId(`${'n'.repeat(200)}-${at}`));
    const commits = names.map((name) => small.client.ask('commit', commitRequest(name, noMember, -1, 1)));
    expect(new Set((await Promise.all(commits)).map(({ error }) => error))).toEqual(new Set(['NONE']));
    const muster = await connectMuster({ cluster: small.name, servers: [...small.nats.urls] });
    small.onClose(() => muster.close());
    const found = new Set((await muster.admin().listGroups()).map((entry) => entry.groupId));
    expect(names.filter((name) => !found.has(name))).toEqual([]);
    expect(small.insideLog.of('a callback threw')).toEqual([]);
  } finally {
    await small.close();
  }
});
