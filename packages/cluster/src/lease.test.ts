import { incarnation, nodeId } from '@muster/protocol';
import { MemoryLeaseStore, MemoryNats, VirtualClock } from '@muster/testkit/internals';
import { describe, expect, test } from 'vitest';
import { IncarnationOver, NodeIdInUse, NodeLease } from './lease.js';
import { decodeLease, encodeLease, leaseKey } from './lease-entry.js';
import { LeaseStoreUnavailable } from './ports.js';

const node = nodeId('a');
const key = leaseKey(node);

function scene() {
  const clock = new VirtualClock();
  const nats = new MemoryNats({ clock });
  const store = new MemoryLeaseStore({ nats });
  for (const name of ['a', 'other', 'second']) nats.connect(name);
  const heard: string[] = [];
  const hooks = { onRefused: () => {} };
  const make = (life: string, via = 'a') =>
    new NodeLease({
      node,
      incarnation: incarnation(life),
      store: store.storeOf(via),
      clock,
      listener: {
        failed: (cause) => heard.push(`failed: ${cause}`),
        refused: () => {
          heard.push('refused');
          hooks.onRefused();
        },
        lost: (detail) => heard.push(`lost: ${detail}`),
      },
    });
  const finish = async <T>(promise: Promise<T>): Promise<T> => {
    let isSettled = false;
    promise.then(
      () => (isSettled = true),
      () => (isSettled = true),
    );
    await clock.advanceUntil(() => isSettled, 60_000);
    return promise;
  };
  const lease = () => decodeLease(store.entryOf(key)?.value ?? new Uint8Array());
  const mark = async () => {
    const value = encodeLease({
      node,
      incarnation: incarnation('a-1'),
      state: 'dead',
      renewal: 0,
      markedBy: 'b: silent',
    });
    await finish(store.storeOf('other').write(key, value, store.entryOf(key)?.revision ?? 0));
  };
  return { clock, nats, store, make, finish, lease, mark, heard, hooks };
}

const answersNo = () => Promise.resolve(false);
const answersYes = () => Promise.resolve(true);

describe('the lease of a node', () => {
  test('is created, and renewed with a growing number; its proof counts from the send time (N1)', async () => {
    const { clock, nats, make, finish, lease, heard } = scene();
    const own = make('a-1');
    expect(own.proofSentAt).toBeUndefined();
    await finish(own.acquire(answersNo));
    expect(own.proofSentAt).toBe(0);
    const before = lease()?.renewal ?? 0;
    await clock.advance(700);
    own.renew();
    // The answer lies in the input of a paused process for 300 ms.
    nats.freeze('a');
    await clock.advance(300);
    nats.thaw('a');
    await clock.advance(1);
    expect(heard).toEqual([]);
    expect(own.proofSentAt).toBe(700);
    expect(lease()?.renewal).toBeGreaterThan(before);
  });

  test('sends one write at a time (N3)', async () => {
    const { clock, store, make, finish } = scene();
    const own = make('a-1');
    await finish(own.acquire(answersNo));
    let writes = 0;
    store.onWrite(() => {
      writes += 1;
      return { kind: 'lost' };
    });
    own.renew();
    own.renew();
    await clock.advance(1_000);
    own.renew();
    expect(writes).toBe(1);
  });

  test('keeps its old proof, and says that it failed, where the outcome of a renewal is unknown', async () => {
    const { clock, store, make, finish, heard } = scene();
    const own = make('a-1');
    await finish(own.acquire(answersNo));
    store.failNextWrite({ kind: 'lost' });
    await clock.advance(1_000);
    own.renew();
    await clock.advance(3_000);
    expect(heard).toEqual(['failed: timeout']);
    expect(own.proofSentAt).toBe(0);
  });

  test('recognises its own write whose acknowledgement was lost: the renewal after it proves again (N2)', async () => {
    const { clock, store, make, finish, heard } = scene();
    const own = make('a-1');
    await finish(own.acquire(answersNo));
    store.failNextWrite({ kind: 'ack-lost' });
    own.renew();
    await clock.advance(2_500);
    own.renew();
    await clock.advance(10);
    expect(heard.slice(1)).toEqual(['refused', 'failed: an earlier renewal had landed without its acknowledgement']);
    // A read proves nothing: it may come from a server that knows less than others.
    expect(own.proofSentAt).toBeUndefined();
    own.renew();
    await clock.advance(10);
    expect(own.proofSentAt).toBe(2_510);
  });

  test('is over when it has been marked dead: says who did it, and never writes again (N2)', async () => {
    const { clock, make, finish, mark, heard, lease } = scene();
    const own = make('a-1');
    await finish(own.acquire(answersNo));
    await mark();
    own.renew();
    await clock.advance(10);
    expect(heard).toEqual(['refused', 'lost: the lease was taken by b: silent']);
    expect(own.proofSentAt).toBeUndefined();
    own.renew();
    await finish(own.change('left'));
    expect(lease()?.state).toBe('dead');
  });

  test('is over when its key was deleted or taken by another incarnation', async () => {
    for (const take of ['delete', 'take over'] as const) {
      const { clock, store, make, finish, heard } = scene();
      const own = make('a-1');
      await finish(own.acquire(answersNo));
      if (take === 'delete') store.remove(key);
      else await finish(make('a-2', 'second').acquire(answersNo));
      own.renew();
      await clock.advance(10);
      expect(heard.at(-1), take).toMatch(/^lost/);
    }
  });

  test('stays in doubt while the key cannot be read after a refusal, and learns the truth from a later renewal', async () => {
    const { clock, store, make, finish, mark, heard, nats, hooks } = scene();
    const own = make('a-1');
    await finish(own.acquire(answersNo));
    await mark();
    hooks.onRefused = () => nats.cut('a');
    own.renew();
    await clock.advance(10);
    expect(heard.at(-1)).toMatch(/^failed: refused, and the key could not be read/);
    expect(own.proofSentAt).toBeUndefined();
    hooks.onRefused = () => {};
    nats.heal('a');
    await clock.advance(10);
    own.renew();
    await clock.advance(10);
    expect(heard.at(-1)).toMatch(/^lost/);
    expect(store.entryOf(key)?.revision).toBe(2);
  });

  test('refuses a node id whose process still answers, and takes over from one that does not', async () => {
    const { make, finish, lease } = scene();
    await finish(make('a-1').acquire(answersNo));
    const asked: string[] = [];
    const second = make('a-2', 'second');
    await expect(
      finish(
        second.acquire((holder) => {
          asked.push(holder);
          return answersYes();
        }),
      ),
    ).rejects.toThrow(NodeIdInUse);
    expect(asked).toEqual(['a-1']);
    expect(lease()?.incarnation).toBe('a-1');
    await finish(second.acquire(answersNo));
    expect(lease()?.incarnation).toBe('a-2');
  });

  test('is over where it was marked before its first write was known to have landed (O4): a mark is never taken back', async () => {
    const { clock, store, make, finish, lease, mark } = scene();
    store.failNextWrite({ kind: 'ack-lost' }, 'a');
    const acquiring = make('a-1').acquire(answersNo);
    const settled = expect(acquiring).rejects.toThrow(IncarnationOver);
    await clock.advance(10);
    expect(lease()?.state).toBe('alive');
    await mark();
    await finish(acquiring.catch(() => {}));
    await settled;
    expect(lease()?.state).toBe('dead');
  });

  test('is over where its first write may have landed and another process stands there: a mark may have been in between (O4)', async () => {
    const { clock, store, make, finish, lease, mark } = scene();
    store.failNextWrite({ kind: 'ack-lost' }, 'a');
    const acquiring = make('a-1').acquire(answersNo);
    const settled = expect(acquiring).rejects.toThrow(IncarnationOver);
    await clock.advance(10);
    await mark();
    const second = make('a-2', 'second');
    await finish(second.acquire(answersNo));
    await second.change('left');
    await finish(acquiring.catch(() => {}));
    await settled;
    expect(lease()).toMatchObject({ incarnation: 'a-2', state: 'left' });
  });

  test('goes on where its first write was lost and the one before it was marked meanwhile', async () => {
    const { clock, store, make, finish, lease, mark } = scene();
    await finish(make('a-1', 'second').acquire(answersNo));
    store.failNextWrite({ kind: 'lost' }, 'a');
    const acquiring = make('a-2').acquire(answersNo);
    await clock.advance(10);
    await mark();
    await finish(acquiring);
    expect(lease()).toMatchObject({ incarnation: 'a-2', state: 'alive' });
  });

  test('asks nobody whether a node that has left or is dead still answers', async () => {
    const { make, finish, mark, lease } = scene();
    await finish(make('a-1').acquire(answersNo));
    await mark();
    await finish(make('a-2', 'second').acquire(answersYes));
    expect(lease()?.incarnation).toBe('a-2');
  });

  test('waits at the start for a store that is away, and gives up after its patience with what it waited for', async () => {
    const { clock, store, make, finish, lease } = scene();
    store.setOutage('no-leader');
    const started = make('a-1').acquire(answersNo);
    await clock.advance(5_000);
    store.setOutage(undefined);
    await finish(started);
    expect(lease()?.state).toBe('alive');
    store.setOutage('no-leader');
    const startedAt = clock.now();
    await expect(finish(make('a-2', 'second').acquire(answersNo))).rejects.toThrow(LeaseStoreUnavailable);
    expect(clock.now() - startedAt).toBeLessThanOrEqual(15_000);
  });

  test('takes its own first write for its own when the acknowledgement was lost', async () => {
    const { store, make, finish, lease } = scene();
    store.failNextWrite({ kind: 'ack-lost' });
    await finish(make('a-1').acquire(answersYes));
    expect(lease()).toMatchObject({ incarnation: 'a-1', renewal: 2 });
  });

  test('publishes that it drains and that it has left, even while a renewal is on its way', async () => {
    const { clock, make, finish, lease } = scene();
    const own = make('a-1');
    await finish(own.acquire(answersNo));
    own.renew();
    await finish(own.change('draining'));
    expect(lease()?.state).toBe('draining');
    own.renew();
    await clock.advance(10);
    expect(lease()?.state).toBe('draining');
    await finish(own.change('left'));
    own.renew();
    await clock.advance(10);
    expect(lease()?.state).toBe('left');
  });
});
