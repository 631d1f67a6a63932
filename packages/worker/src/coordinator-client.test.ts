import { groupId, Subjects } from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { FakeNats, FakeTransport } from '../test/fake-transport.js';
import { ScriptedCoordinator } from '../test/scripted-coordinator.js';
import { settle, virtualEnvironment } from '../test/virtual-clock.js';
import { CoordinatorClient } from './coordinator-client.js';
import { silentLogger } from './logger.js';

const group = groupId('billing');
const body = { groupId: group, requireStable: true, partitions: [] };
const times = { deadlineMs: 10_000, resendMs: 3_000 };

function setUp() {
  const nats = new FakeNats();
  const transport = new FakeTransport(nats);
  const environment = virtualEnvironment();
  const coordinator = new ScriptedCoordinator(nats);
  const subjects = new Subjects('default');
  const client = new CoordinatorClient({ transport, subjects, environment, logger: silentLogger });
  return { transport, clock: environment.clock, coordinator, client };
}

describe('the coordinator client', () => {
  it('finds the partition of a group and gets its answer', async () => {
    const { client, coordinator, clock } = setUp();
    const asking = client.request('fetch', body, times);
    await clock.advance(300);
    expect(await asking).toMatchObject({ kind: 'answered', error: 'NONE', fields: { partitions: [] } });
    expect(coordinator.finds).toEqual([{ groupId: 'billing', suspectEpoch: null }]);
    expect(coordinator.of('fetch')).toHaveLength(1);
  });

  it('does not send what the server would cut the connection for', async () => {
    const { client, coordinator, clock, transport } = setUp();
    await warm(client, clock);
    transport.bytesMax = 40;
    const outcome = await client.request('fetch', body, times);
    expect(outcome).toMatchObject({
      kind: 'answered',
      error: 'MESSAGE_TOO_LARGE',
      detail: expect.stringContaining('the server 40'),
    });
    expect(coordinator.of('fetch')).toHaveLength(1);
  });

  it('sends an unanswered request again with the same id and the same bytes', async () => {
    const { client, coordinator, clock } = setUp();
    coordinator.script.fetch = () => 'park';
    void client.request('fetch', body, times);
    await clock.advance(9_500);
    const [first, ...again] = coordinator.of('fetch');
    expect(again).toHaveLength(3);
    for (const request of again) expect(request.payload).toEqual(first?.payload);
  });

  it('ends a request at its deadline and says what the last problem was', async () => {
    const { client, coordinator, clock } = setUp();
    await warm(client, clock);
    coordinator.stop();
    const asking = client.request('fetch', body, times);
    await clock.advance(10_001);
    const outcome = await asking;
    expect(outcome).toMatchObject({
      kind: 'expired',
      lastProblem: expect.stringMatching(/^nobody coordinates the group/),
    });
  });

  it('skips the answer of a lower epoch and keeps the request open for the next one', async () => {
    const { client, coordinator, clock } = setUp();
    coordinator.epoch = 7;
    await warm(client, clock);
    coordinator.script.fetch = (request) => {
      request.reply('NONE', { partitions: [{ ...stale, offset: 3 }] }, { epoch: 6 });
      return 'park';
    };
    const asking = client.request('fetch', body, times);
    await settle();
    coordinator
      .of('fetch')
      .at(-1)
      ?.reply('NONE', { partitions: [{ ...stale, offset: 9 }] }, { epoch: 8 });
    await settle();
    expect(await asking).toMatchObject({ fields: { partitions: [{ offset: 9 }] } });
  });

  it('does not compare the epochs of different logs', async () => {
    const { client, coordinator, clock } = setUp();
    coordinator.epoch = 7;
    await warm(client, clock);
    coordinator.script.fetch = (request) => {
      request.reply('NONE', { partitions: [] }, { epoch: 1, log: 'log2' });
      return 'park';
    };
    const asking = client.request('fetch', body, times);
    await settle();
    expect(await asking).toMatchObject({ kind: 'answered', error: 'NONE' });
  });

  it('carries the highest epoch it has seen', async () => {
    const { client, coordinator, clock } = setUp();
    coordinator.epoch = 7;
    await warm(client, clock);
    await client.request('fetch', body, times);
    expect(coordinator.of('fetch').map((request) => request.epoch)).toEqual([undefined, 7]);
  });

  it('retries after "no responders" with a pause, and hints with the epoch it suspects, at a limited rate', async () => {
    const { client, coordinator, clock } = setUp();
    coordinator.epoch = 7;
    await warm(client, clock);
    coordinator.stop();
    const findsBefore = coordinator.finds.length;
    const asking = client.request('fetch', body, times);
    await clock.advance(1_000);
    const hints = coordinator.finds.slice(findsBefore);
    expect(hints.length).toBeGreaterThanOrEqual(2);
    expect(hints.length).toBeLessThanOrEqual(5);
    expect(new Set(hints.map(({ suspectEpoch }) => suspectEpoch))).toEqual(new Set([7]));
    coordinator.start();
    await clock.advance(300);
    expect(await asking).toMatchObject({ kind: 'answered', error: 'NONE' });
  });

  it.each(['COORDINATOR_LOAD_IN_PROGRESS', 'COORDINATOR_NOT_AVAILABLE', 'NOT_COORDINATOR'] as const)(
    'sends the same request again after %s',
    async (error) => {
      const { client, coordinator, clock } = setUp();
      coordinator.script.fetch = () => (coordinator.of('fetch').length < 3 ? error : undefined);
      const asking = client.request('fetch', body, times);
      await clock.advance(1_500);
      expect(await asking).toMatchObject({ kind: 'answered', error: 'NONE' });
      expect(new Set(coordinator.of('fetch').map(({ id }) => id)).size).toBe(1);
    },
  );

  it('waits as long as a throttling coordinator asks', async () => {
    const { client, coordinator, clock } = setUp();
    await warm(client, clock);
    coordinator.script.fetch = (request) => {
      if (coordinator.of('fetch').length > 2) return undefined;
      request.reply('THROTTLING_QUOTA_EXCEEDED', {}, { retryAfterMs: 2_000 });
      return 'park';
    };
    void client.request('fetch', body, times);
    await clock.advance(1_900);
    expect(coordinator.of('fetch')).toHaveLength(2);
    await clock.advance(200);
    expect(coordinator.of('fetch')).toHaveLength(3);
  });

  it('gives other errors to the caller', async () => {
    const { client, coordinator, clock } = setUp();
    coordinator.script.fetch = () => 'GROUP_AUTHORIZATION_FAILED';
    const asking = client.request('fetch', body, times);
    await clock.advance(300);
    expect(await asking).toMatchObject({ kind: 'answered', error: 'GROUP_AUTHORIZATION_FAILED', fields: undefined });
  });

  it('sends open requests again when the partition has a new owner and after a reconnect', async () => {
    const { client, coordinator, clock, transport } = setUp();
    await warm(client, clock);
    client.watch(group, () => {});
    coordinator.script.fetch = () => 'park';
    void client.request('fetch', body, times);
    await settle();
    expect(coordinator.of('fetch')).toHaveLength(2);
    coordinator.notice('billing', { kind: 'coordinator' });
    await settle();
    expect(coordinator.of('fetch')).toHaveLength(3);
    transport.event({ kind: 'disconnected' });
    transport.event({ kind: 'connected' });
    await settle();
    expect(coordinator.of('fetch')).toHaveLength(4);
    expect(
      new Set(
        coordinator
          .of('fetch')
          .slice(1)
          .map(({ id }) => id),
      ).size,
    ).toBe(1);
  });

  it('fails a request that NATS permissions deny, instead of waiting for its deadline', async () => {
    const { client, coordinator, clock, transport } = setUp();
    await warm(client, clock);
    coordinator.script.fetch = () => 'park';
    const asking = client.request('fetch', body, times);
    await settle();
    const { subject } = transport.sent.at(-1)!;
    transport.event({ kind: 'denied', operation: 'publish', subject });
    expect(await asking).toMatchObject({ kind: 'answered', error: 'GROUP_AUTHORIZATION_FAILED' });
  });

  it('leaves neither an open request nor a timer behind when it is closed', async () => {
    const { client, coordinator, clock } = setUp();
    coordinator.script.fetch = () => 'park';
    const asking = client.request('fetch', body, times);
    await clock.advance(300);
    client.close();
    expect(await asking).toEqual({ kind: 'aborted' });
    expect(clock.timers).toBe(0);
    await expect(client.request('fetch', body, times)).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

const stale = { topic: 'orders', partition: 0, leaderEpoch: -1, metadata: '', error: 0 };

/** One answered request: the partition count and an epoch are known. */
async function warm(client: CoordinatorClient, clock: { advance(ms: number): Promise<void> }): Promise<void> {
  const asking = client.request('fetch', body, times);
  await clock.advance(300);
  await asking;
}
