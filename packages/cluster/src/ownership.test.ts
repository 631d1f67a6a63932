import { epoch, incarnation, type MonotonicMs, monotonicMs, nodeId, type Partition, partition } from '@muster/protocol';
import { SeededRandom, VirtualClock } from '@muster/testkit/internals';
import { describe, expect, test } from 'vitest';
import { encodeLease, type LeaseState, leaseKey } from './lease-entry.js';
import { Ownership } from './ownership.js';
import type { OwnershipReport } from './ownership-report.js';
import type { ClaimResult, LogTail, PartitionHost } from './partition-host.js';
import { claimOrder, place } from './placement.js';
import { type ClusterSettings, clusterSettingsDefaults } from './settings.js';
import { View } from './view.js';

const self = nodeId('a');
const b = nodeId('b');
const p0 = partition(0);

/** A host that does what the test says, and remembers what it was asked. */
class ScriptedHost implements PartitionHost {
  readonly calls: string[] = [];
  readonly tails = new Map<Partition, LogTail>();
  readonly appendProofs = new Map<Partition, MonotonicMs>();
  claimResult: ClaimResult | undefined;
  isHolding = false;
  #epoch = 0;
  #held: (() => void)[] = [];

  /** Answers what was held back. */
  answer(): void {
    for (const settle of this.#held.splice(0)) settle();
  }
  async prepare(index: Partition): Promise<void> {
    this.calls.push(`prepare ${index}`);
  }
  async claim(index: Partition, mayClaim: (tail: LogTail) => boolean): Promise<ClaimResult> {
    this.calls.push(`claim ${index}`);
    await this.#wait();
    const tail = this.tails.get(index);
    if (tail !== undefined && !mayClaim(tail)) return { kind: 'not-ours', detail: 'the tail says no' };
    this.#epoch += 1;
    return this.claimResult ?? { kind: 'claimed', epoch: epoch(this.#epoch) };
  }
  readonly suspendedSince: MonotonicMs[] = [];
  suspend(index: Partition, since: MonotonicMs): void {
    this.calls.push(`suspend ${index}`);
    this.suspendedSince.push(since);
  }
  resumeOutcome: 'resumed' | 'lost' = 'resumed';
  async resume(index: Partition): Promise<'resumed' | 'lost'> {
    this.calls.push(`resume ${index}`);
    await this.#wait();
    return this.resumeOutcome;
  }
  async release(index: Partition, target: string | undefined): Promise<void> {
    this.calls.push(`release ${index} ${target ?? 'nobody'}`);
    await this.#wait();
  }
  drop(index: Partition): void {
    this.calls.push(`drop ${index}`);
  }
  prove(index: Partition): void {
    this.calls.push(`prove ${index}`);
  }
  proofSentAt(index: Partition): MonotonicMs | undefined {
    return this.appendProofs.get(index);
  }
  #wait(): Promise<void> {
    if (!this.isHolding) return Promise.resolve();
    return new Promise((resolve) => this.#held.push(resolve));
  }
}

function scene(options: { partitionCount?: number; settings?: Partial<ClusterSettings> } = {}) {
  const clock = new VirtualClock();
  const settings = { ...clusterSettingsDefaults, ...options.settings };
  const view = new View(clock.now());
  const host = new ScriptedHost();
  const reports: OwnershipReport[] = [];
  const offers: string[] = [];
  const prepares: string[] = [];
  /** Lets each reader of a log ahead be done. */
  const readers: (() => void)[] = [];
  const state = {
    isConnected: true,
    leaseProof: clock.now() as MonotonicMs | undefined,
    isRenewing: true,
    isPreparing: false,
    leaseOf: (_node: string): string | undefined => undefined,
  };
  const sameView = new Set<string>();
  let revision = 0;
  const lease = (name: string, leaseState: LeaseState = 'alive', life = `${name}-1`) => {
    revision += 1;
    const node = nodeId(name);
    const value = encodeLease({ node, incarnation: incarnation(life), state: leaseState, renewal: 0, markedBy: '' });
    view.observe({ key: leaseKey(node), value, revision }, clock.now());
  };
  lease('a');
  const ownership = new Ownership({
    self,
    incarnation: incarnation('a-1'),
    partitionCount: options.partitionCount ?? 1,
    view,
    host,
    clock,
    random: new SeededRandom(1),
    settings,
    isConnected: () => state.isConnected,
    leaseProofSentAt: () => state.leaseProof,
    hasSameView: (node) => sameView.has(node),
    look: async (node, holder) => {
      const entry = state.leaseOf(node);
      if (entry !== undefined) lease(node, 'alive', entry);
      view.looked(node, holder);
    },
    prepare: ({ partition: index, offeredTo }) => {
      prepares.push(`${index} by ${offeredTo}`);
      return state.isPreparing ? new Promise((resolve) => readers.push(resolve)) : Promise.resolve();
    },
    announce: ({ partition: index, offeredTo }) => {
      if (offeredTo !== undefined) offers.push(`${index} to ${offeredTo}`);
    },
    report: (report) => reports.push(report),
  });
  /** Lets time pass with ticks and renewals of our own lease. */
  const pass = async (ms: number) => {
    const end = clock.now() + ms;
    while (clock.now() < end) {
      await clock.advance(Math.min(settings.tickMs, end - clock.now()));
      if (state.isRenewing) state.leaseProof = clock.now();
      ownership.reconcile();
    }
    await clock.advance(0);
  };
  const hears = (name: string, owned: readonly (readonly [number, number])[], life = `${name}-1`) =>
    ownership.learn({
      node: nodeId(name),
      incarnation: incarnation(life),
      owned: owned.map(([index, reign]) => [partition(index), epoch(reign)]),
    });
  const kinds = () => reports.map(({ kind }) => kind);
  return {
    clock,
    settings,
    view,
    host,
    reports,
    offers,
    prepares,
    readers,
    state,
    sameView,
    lease,
    ownership,
    pass,
    hears,
    kinds,
  };
}

/** A partition that placement gives to `name` of these nodes, in a cluster of so many partitions. */
function placedOn(name: string, names: readonly string[], count: number): Partition {
  const index = place(names.map(nodeId), count, clusterSettingsDefaults.loadBound).indexOf(nodeId(name));
  if (index < 0) throw new Error(`nothing is placed on ${name}`);
  return partition(index);
}

const liveTail = (name: string, reign = 1): LogTail => ({
  node: nodeId(name),
  incarnation: incarnation(`${name}-1`),
  epoch: epoch(reign),
  released: undefined,
});

describe('claims', () => {
  test('come after a time of listening, and serve when they have been made (O1)', async () => {
    const { pass, host, ownership, kinds } = scene();
    await pass(950);
    expect(host.calls).toEqual([]);
    expect(ownership.mayServe(p0)).toBe(false);
    await pass(100);
    expect(host.calls).toEqual(['claim 0']);
    expect(kinds()).toEqual(['claimed']);
    expect(ownership.mayServe(p0)).toBe(true);
    expect(ownership.owned()).toEqual([[0, 1]]);
  });

  test('are not made while another live node says that it owns the partition (O4)', async () => {
    const { pass, host, lease, hears } = scene();
    lease('b');
    hears('b', [[0, 4]]);
    await pass(20_000);
    expect(host.calls).toEqual([]);
  });

  test('of a dead node’s partitions wait for no time of listening', async () => {
    const { pass, host, lease, hears } = scene();
    lease('b');
    hears('b', [[0, 4]]);
    await pass(5_000);
    lease('b', 'dead');
    await pass(50);
    expect(host.calls).toEqual(['claim 0']);
  });

  test('are checked against the log: no claim over a live writer, whatever we have heard (W2)', async () => {
    const { pass, host, lease, kinds, ownership } = scene();
    lease('b');
    host.tails.set(p0, liveTail('b'));
    await pass(10_000);
    expect(host.calls.length).toBeGreaterThan(1);
    expect(new Set(kinds())).toEqual(new Set(['not-claimed']));
    expect(ownership.owned()).toEqual([]);
    lease('b', 'dead');
    await pass(1_500);
    expect(ownership.owned()).toHaveLength(1);
  });

  test('go over a writer whose id another incarnation has taken, and over our own earlier reign', async () => {
    const taken = scene();
    taken.lease('b', 'alive', 'b-2');
    taken.host.tails.set(p0, liveTail('b'));
    await taken.pass(3_000);
    expect(taken.ownership.owned()).toHaveLength(1);
    const own = scene();
    own.host.tails.set(p0, liveTail('a'));
    await own.pass(1_100);
    expect(own.ownership.owned()).toHaveLength(1);
  });

  test('of rank r wait r times half a second: the node that placement names comes first (O8)', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const nodes = names.map(nodeId);
    const placement = place(nodes, 12, clusterSettingsDefaults.loadBound);
    const { pass, host, lease, clock } = scene({ partitionCount: 12 });
    for (const name of names.slice(1)) lease(name);
    const claimedAt = new Map<string, number>();
    const end = 4_000;
    while (clock.now() < end) {
      await pass(50);
      for (const call of host.calls) if (!claimedAt.has(call)) claimedAt.set(call, clock.now());
    }
    expect(claimedAt.size).toBe(12);
    for (let index = 0; index < 12; index += 1) {
      const named = placement[index];
      const others = claimOrder(nodes, partition(index)).filter((node) => node !== named);
      const rank = named === self ? 0 : others.indexOf(self) + 1;
      const orphanAt = clusterSettingsDefaults.listenBeforeClaimMs;
      expect(claimedAt.get(`claim ${index}`), `partition ${index}, rank ${rank}`).toBe(orphanAt + rank * 500);
    }
  });

  test('are bounded in number while they are on their way (W4)', async () => {
    const { pass, host, ownership } = scene({ partitionCount: 50, settings: { claimsMax: 5 } });
    host.isHolding = true;
    await pass(3_000);
    expect(ownership.counts().claiming).toBe(5);
    host.isHolding = false;
    host.answer();
    await pass(1_000);
    expect(ownership.counts()).toMatchObject({ owned: 50, claiming: 0, none: 0 });
  });

  test('are not made without connection, without a proven lease, while draining, or once all is over', async () => {
    const cases: ((scene: ReturnType<typeof makeScene>) => void)[] = [
      ({ state }) => {
        state.isConnected = false;
      },
      ({ state }) => {
        state.isRenewing = false;
        state.leaseProof = undefined;
      },
      ({ ownership }) => void ownership.drain(monotonicMs(60_000)),
      ({ ownership }) => ownership.end(),
    ];
    for (const [index, prepare] of cases.entries()) {
      const each = makeScene();
      prepare(each);
      await each.pass(5_000);
      each.ownership.offered(p0, { node: b, incarnation: incarnation('b-1'), epoch: epoch(1) });
      await each.pass(100);
      expect(each.host.calls, `case ${index}`).toEqual([]);
    }
    function makeScene() {
      return scene();
    }
  });

  test('that find a damaged log quarantine the partition: nobody touches it again', async () => {
    const { pass, host, ownership, kinds } = scene();
    host.claimResult = { kind: 'broken', detail: 'frame 7 is missing' };
    await pass(60_000);
    expect(host.calls).toEqual(['claim 0']);
    expect(kinds()).toEqual(['quarantined']);
    expect(ownership.counts().quarantined).toBe(1);
    ownership.lost(p0, 'late');
    expect(ownership.counts().quarantined).toBe(1);
  });

  test('that come to their end after all is over are dropped', async () => {
    const { pass, host, ownership } = scene();
    host.isHolding = true;
    await pass(1_100);
    ownership.end();
    host.calls.length = 0;
    host.answer();
    await pass(100);
    expect(host.calls).toEqual(['drop 0']);
    expect(ownership.owned()).toEqual([]);
  });

  test('whose log was lost before they were reported own nothing', async () => {
    const { pass, host, ownership } = scene();
    host.isHolding = true;
    await pass(1_100);
    ownership.lost(p0, 'fenced');
    host.answer();
    await pass(50);
    expect(ownership.owned()).toEqual([]);
    expect(host.calls).toEqual(['claim 0', 'drop 0']);
  });
});

describe('after being fenced', () => {
  test('the pause before the next claim doubles from one second to thirty (O8)', async () => {
    const { clock, pass, host, ownership } = scene();
    const pauses: number[] = [];
    await pass(1_000);
    for (let round = 0; round < 7; round += 1) {
      expect(ownership.owned()).toHaveLength(1);
      ownership.lost(p0, 'fenced');
      const lostAt = clock.now();
      host.calls.length = 0;
      while (host.calls.length === 0) await pass(50);
      pauses.push(clock.now() - lostAt);
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  test('a claim that the log refused does not end the doubling, a reign that lasted does', async () => {
    const { clock, pass, host, ownership, lease } = scene();
    lease('b');
    const fenced = async () => {
      ownership.lost(p0, 'fenced');
      const lostAt = clock.now();
      host.calls.length = 0;
      while (host.calls.length === 0) await pass(50);
      return clock.now() - lostAt;
    };
    await pass(5_000);
    expect(await fenced()).toBe(1_000);
    // The same again right after, with refused claims in between.
    ownership.lost(p0, 'fenced');
    host.tails.set(p0, liveTail('b'));
    await pass(4_000);
    host.tails.clear();
    await pass(2_000);
    expect(ownership.owned()).toHaveLength(1);
    expect(await fenced()).toBe(4_000);
    await pass(10_000);
    expect(await fenced()).toBe(1_000);
  });
});

describe('serving', () => {
  test('ends when neither lease nor log has proof younger than four seconds, counted from the send time (O3)', async () => {
    const { clock, pass, ownership, state, host } = scene();
    await pass(1_100);
    state.isRenewing = false;
    state.leaseProof = clock.now();
    await clock.advance(3_999);
    expect(ownership.mayServe(p0)).toBe(true);
    await clock.advance(1);
    expect(ownership.mayServe(p0)).toBe(false);
    // An acknowledged append of this partition proves it without any lease.
    host.appendProofs.set(p0, monotonicMs(clock.now() - 3_999));
    expect(ownership.mayServe(p0)).toBe(true);
    host.appendProofs.set(p0, monotonicMs(clock.now() - 4_000));
    expect(ownership.mayServe(p0)).toBe(false);
  });

  test('ends without connection at once', async () => {
    const { pass, ownership, state } = scene();
    await pass(1_100);
    state.isConnected = false;
    expect(ownership.mayServe(p0)).toBe(false);
  });

  test('where a turn is refused for lack of proof, the partition is suspended, so that the resume wakes what waits', async () => {
    const { clock, pass, ownership, state, host } = scene();
    await pass(1_100);
    state.isRenewing = false;
    await clock.advance(4_100);
    expect(ownership.admit(p0)).toBe(false);
    expect(ownership.counts().suspended).toBe(1);
    // A renewal comes before the next tick: still only an append brings it back.
    state.leaseProof = clock.now();
    expect(ownership.admit(p0)).toBe(false);
    host.isHolding = true;
    await pass(50);
    expect(ownership.admit(p0)).toBe(false);
    host.answer();
    await pass(50);
    expect(ownership.admit(p0)).toBe(true);
    expect(host.calls).toEqual(['claim 0', 'suspend 0', 'resume 0']);
  });

  test('stands still from the last pass on where the process stood still and nobody has noticed yet (O11)', async () => {
    const { clock, pass, ownership, host } = scene();
    await pass(5_000);
    clock.freeze(30_000);
    expect(ownership.admit(p0)).toBe(false);
    expect(host.suspendedSince).toEqual([5_000]);
    const other = scene();
    await other.pass(5_000);
    other.clock.freeze(30_000);
    other.ownership.reconcile();
    expect(other.host.suspendedSince).toEqual([5_000]);
  });

  test('that has just come back does not stand still a second time for the pause that it came back from (O11)', async () => {
    const { pass, host, ownership, state, clock } = scene();
    await pass(1_100);
    host.isHolding = true;
    ownership.suspendAll('no connection to NATS');
    ownership.reconcile();
    state.isConnected = false;
    await clock.advance(60_000);
    host.answer();
    await clock.advance(0);
    expect(ownership.admit(p0)).toBe(false);
    expect(host.suspendedSince).toHaveLength(2);
    expect(host.suspendedSince[1]).toBe(clock.now());
  });

  test('is proven by barrier frames when the lease store stalls, and only then (O3)', async () => {
    const { clock, pass, state, host, ownership } = scene();
    await pass(5_000);
    expect(host.calls).toEqual(['claim 0']);
    state.isRenewing = false;
    host.prove = (index) => {
      host.calls.push(`prove ${index}`);
      host.appendProofs.set(index, clock.now());
    };
    await pass(60_000);
    const proofs = host.calls.filter((call) => call === 'prove 0').length;
    expect(ownership.mayServe(p0)).toBe(true);
    expect(host.calls).not.toContain('suspend 0');
    expect(proofs).toBeGreaterThan(10);
    expect(proofs).toBeLessThan(70);
  });

  test('is suspended when proof runs out, without connection, and when an append stalls; each comes back by an append (O6)', async () => {
    const { pass, state, host, ownership, kinds } = scene();
    await pass(1_100);
    state.isConnected = false;
    await pass(50);
    expect(ownership.counts().suspended).toBe(1);
    await pass(5_000);
    expect(host.calls).not.toContain('resume 0');
    state.isConnected = true;
    await pass(50);
    expect(kinds()).toEqual(['claimed', 'suspended', 'resumed']);
    ownership.suspend(p0, 'an append stalls');
    expect(ownership.mayServe(p0)).toBe(false);
    await pass(50);
    expect(ownership.mayServe(p0)).toBe(true);
    expect(ownership.owned()).toEqual([[0, 1]]);
  });

  test('resumes in partition order, and not all at once (O6)', async () => {
    const { pass, state, host, ownership, clock } = scene({ partitionCount: 100 });
    await pass(2_000);
    const resumes = () => host.calls.filter((call) => call.startsWith('resume'));
    state.isConnected = false;
    await pass(50);
    state.isConnected = true;
    ownership.reconcile();
    expect(resumes()).toEqual(['resume 0']);
    await clock.advance(20);
    expect(resumes().length).toBeGreaterThan(2);
    expect(resumes().length).toBeLessThan(20);
    await pass(250);
    expect(resumes()).toEqual(Array.from({ length: 100 }, (_, index) => `resume ${index}`));
  });

  test('keeps what is suspended in its heartbeats: nobody may think that it is free', async () => {
    const { pass, host, ownership } = scene();
    await pass(1_100);
    host.isHolding = true;
    ownership.suspendAll('a stall');
    await pass(1_000);
    expect(ownership.owned()).toEqual([[0, 1]]);
    expect(host.calls.filter((call) => call === 'resume 0')).toHaveLength(1);
  });

  test('is lost where the append that should resume it is refused', async () => {
    const { pass, host, ownership, kinds } = scene();
    await pass(1_100);
    host.resumeOutcome = 'lost';
    ownership.suspendAll('a stall');
    await pass(50);
    expect(kinds()).toEqual(['claimed', 'suspended', 'lost']);
    expect(ownership.owned()).toEqual([]);
  });

  test('is doubted when another process says that it reigns later, and not when it says that it reigned before (C2)', async () => {
    const { pass, hears, ownership, lease } = scene();
    await pass(1_100);
    lease('b');
    hears('b', [[0, 1]]);
    expect(ownership.mayServe(p0)).toBe(true);
    hears('b', [[0, 2]]);
    expect(ownership.mayServe(p0)).toBe(false);
    expect(ownership.counts().suspended).toBe(1);
  });
});

describe('hearsay', () => {
  test('is doubted where a client says so, and not again and again by the same word (C2)', async () => {
    const { pass, ownership, host } = scene();
    await pass(1_100);
    expect(ownership.doubt(p0, epoch(9))).toBe(true);
    expect(ownership.mayServe(p0)).toBe(false);
    await pass(50);
    expect(ownership.mayServe(p0)).toBe(true);
    expect([ownership.doubt(p0, epoch(9)), ownership.doubt(p0, epoch(8))]).toEqual([false, false]);
    expect(ownership.mayServe(p0)).toBe(true);
    expect(ownership.doubt(p0, epoch(10))).toBe(true);
    await pass(1_100);
    expect(ownership.doubt(p0, epoch(10))).toBe(true);
    expect(host.calls.filter((call) => call === 'suspend 0')).toHaveLength(3);
  });

  test('is forgotten when its author no longer says it, and overruled by a later reign only', () => {
    const { hears, ownership } = scene({ partitionCount: 3 });
    hears('b', [
      [0, 3],
      [1, 3],
    ]);
    hears('c', [[0, 2]]);
    expect(ownership.ownerOf(p0)).toMatchObject({ node: 'b', epoch: 3 });
    hears('c', [[0, 4]]);
    expect(ownership.ownerOf(p0)).toMatchObject({ node: 'c', epoch: 4 });
    hears('b', []);
    expect(ownership.ownerOf(p0)).toMatchObject({ node: 'c' });
    expect(ownership.ownerOf(partition(1))).toBeUndefined();
  });

  test('of an earlier process of the same id does not take away what the later one owns (O1)', () => {
    const { hears, ownership } = scene();
    hears('b', [[0, 5]], 'b-2');
    hears('b', [[0, 3]], 'b-1');
    hears('b', [], 'b-1');
    expect(ownership.ownerOf(p0)).toMatchObject({ incarnation: 'b-2', epoch: 5 });
  });

  test('about partitions that do not exist is not kept', () => {
    const { hears, ownership } = scene({ partitionCount: 2 });
    hears('b', [[2, 1]]);
    expect(ownership.ownerOf(partition(2))).toBeUndefined();
  });
});

describe('a hand-over', () => {
  /** `a` owns everything of 12 partitions; then `b` joins. */
  async function joined() {
    const all = scene({ partitionCount: 12 });
    await all.pass(3_000);
    expect(all.ownership.counts().owned).toBe(12);
    await all.pass(20_000);
    all.host.calls.length = 0;
    all.lease('b');
    return { ...all, given: placedOn('b', ['a', 'b'], 12) };
  }
  const releases = (host: ScriptedHost) => host.calls.filter((call) => call.startsWith('release'));

  test('waits until the view has been unchanged for two seconds (O8)', async () => {
    const { pass, sameView, host } = await joined();
    sameView.add('b');
    await pass(1_950);
    expect(releases(host)).toEqual([]);
    await pass(100);
    expect(releases(host)).not.toEqual([]);
  });

  test('goes only to a node that has the same view (O8)', async () => {
    const { pass, sameView, host } = await joined();
    await pass(20_000);
    expect(releases(host)).toEqual([]);
    sameView.add('b');
    await pass(100);
    expect(releases(host)).not.toEqual([]);
  });

  test('leaves a partition for at least ten seconds where it is (O8)', async () => {
    const { pass, sameView, host, lease } = scene({ partitionCount: 12 });
    sameView.add('b');
    await pass(1_050);
    lease('b');
    await pass(9_900);
    expect(releases(host)).toEqual([]);
    await pass(200);
    expect(releases(host)).not.toEqual([]);
  });

  test('is paced, offers each partition to its target, and is forgotten here (O9, W4)', async () => {
    const { pass, sameView, host, offers, ownership, settings, given } = await joined();
    sameView.add('b');
    host.isHolding = true;
    await pass(5_000);
    expect(ownership.counts().releasing).toBe(settings.handOversMax);
    expect(ownership.mayServe(given)).toBe(false);
    expect(offers).toEqual([]);
    host.isHolding = false;
    host.answer();
    await pass(200);
    const count = place([self, b], 12, settings.loadBound).filter((node) => node === b).length;
    expect(releases(host)).toHaveLength(count);
    expect(offers).toHaveLength(count);
    expect(ownership.ownerOf(given)).toBeUndefined();
  });

  test('lets the target read the log ahead and serves on until it has (O9)', async () => {
    const { pass, sameView, host, prepares, readers, state, ownership, given } = await joined();
    sameView.add('b');
    state.isPreparing = true;
    await pass(5_000);
    expect(prepares).toHaveLength(clusterSettingsDefaults.handOversMax);
    expect(prepares).toContain(`${given} by b`);
    expect([releases(host), ownership.mayServe(given)]).toEqual([[], true]);
    state.isPreparing = false;
    for (const done of readers.splice(0)) done();
    await pass(200);
    expect(ownership.mayServe(given)).toBe(false);
    expect(releases(host)).toContain(`release ${given} b`);
  });

  test('does not take place where the partition was lost, or the target went, while the log was read ahead', async () => {
    const { pass, sameView, host, readers, state, ownership, given } = await joined();
    sameView.add('b');
    state.isPreparing = true;
    await pass(5_000);
    sameView.delete('b');
    ownership.lost(given, 'fenced');
    for (const done of readers.splice(0)) done();
    await pass(200);
    expect(releases(host)).toEqual([]);
  });

  test('that the target does not take within a second is taken back (O9)', async () => {
    const { clock, pass, sameView, host, ownership, given } = await joined();
    sameView.add('b');
    const released: LogTail = { ...liveTail('a'), released: { target: b } };
    for (let index = 0; index < 12; index += 1) host.tails.set(partition(index), released);
    while (!host.calls.includes(`release ${given} b`)) await pass(50);
    const releasedAt = clock.now();
    sameView.delete('b');
    while (!ownership.owned().some(([index]) => index === given)) await pass(50);
    expect(clock.now() - releasedAt).toBeGreaterThanOrEqual(1_000);
    expect(clock.now() - releasedAt).toBeLessThanOrEqual(2_500);
  });

  test('whose release did not land is taken back, too: the last frame is our own', async () => {
    const { pass, sameView, host, ownership, given } = await joined();
    sameView.add('b');
    host.tails.set(given, liveTail('a'));
    while (!host.calls.includes(`release ${given} b`)) await pass(50);
    sameView.delete('b');
    await pass(1_500);
    expect(ownership.owned().map(([index]) => index)).toContain(given);
  });
});

describe('an offer', () => {
  const offer = { node: b, incarnation: incarnation('b-1'), epoch: epoch(4) };

  test('is claimed at once, even where the release of the live owner did not land (O9)', async () => {
    const { pass, host, lease, ownership, hears } = scene();
    await pass(10);
    lease('b');
    hears('b', [[0, 4]]);
    host.tails.set(p0, liveTail('b', 4));
    ownership.offered(p0, offer);
    await pass(10);
    expect(ownership.owned()).toHaveLength(1);
  });

  test('counts for the reign that it names only', async () => {
    const { pass, host, lease, ownership } = scene();
    await pass(10);
    lease('b');
    host.tails.set(p0, liveTail('b', 5));
    ownership.offered(p0, offer);
    await pass(10);
    expect(ownership.owned()).toEqual([]);
  });

  test('of a release to somebody else does not count while that one may still come', async () => {
    const { pass, host, lease, ownership } = scene();
    await pass(10);
    lease('b');
    lease('c');
    host.tails.set(p0, { ...liveTail('b', 4), released: { target: nodeId('c') } });
    ownership.offered(p0, offer);
    await pass(10);
    expect(ownership.owned()).toEqual([]);
  });

  test('of a partition that we own or that does not exist changes nothing', async () => {
    const { pass, host, ownership } = scene();
    await pass(1_100);
    host.calls.length = 0;
    ownership.offered(p0, offer);
    ownership.offered(partition(9), offer);
    await pass(10);
    expect(host.calls).toEqual([]);
  });
});

describe('a drain', () => {
  test('gives everything away, paced, without waiting for stays or a stable view', async () => {
    const { clock, pass, sameView, host, lease, ownership, settings } = scene({ partitionCount: 12 });
    await pass(3_000);
    sameView.add('b');
    lease('b');
    lease('a', 'draining');
    let isDrained = false;
    let mostAtOnce = 0;
    host.isHolding = true;
    void ownership.drain(monotonicMs(clock.now() + 20_000)).then(() => {
      isDrained = true;
    });
    const startedAt = clock.now();
    while (!isDrained) {
      await pass(10);
      mostAtOnce = Math.max(mostAtOnce, ownership.counts().releasing);
      host.answer();
    }
    expect(mostAtOnce).toBe(settings.handOversMax);
    expect(clock.now() - startedAt).toBeLessThan(1_000);
    expect(host.calls.filter((call) => call.endsWith(' b'))).toHaveLength(12);
  });

  test('serves on where there is nobody to give to, and releases to nobody shortly before its deadline (O9)', async () => {
    const { clock, pass, host, lease, ownership } = scene();
    await pass(1_100);
    lease('a', 'draining');
    let isDrained = false;
    const deadline = monotonicMs(clock.now() + 10_000);
    void ownership.drain(deadline).then(() => {
      isDrained = true;
    });
    await pass(8_500);
    expect(ownership.mayServe(p0)).toBe(true);
    expect(host.calls).toEqual(['claim 0']);
    await pass(1_000);
    expect(host.calls).toEqual(['claim 0', 'release 0 nobody']);
    expect(isDrained).toBe(true);
  });

  test('ends at its deadline, whatever hangs', async () => {
    const { clock, pass, host, ownership } = scene();
    host.isHolding = true;
    await pass(1_100);
    expect(ownership.counts().claiming).toBe(1);
    let isDrained = false;
    void ownership.drain(monotonicMs(clock.now() + 3_000)).then(() => {
      isDrained = true;
    });
    await pass(3_100);
    expect(isDrained).toBe(true);
  });
});

describe('the end of an incarnation', () => {
  test('drops everything at once and claims nothing any more', async () => {
    const { pass, host, ownership } = scene({ partitionCount: 3 });
    await pass(3_000);
    host.calls.length = 0;
    ownership.end();
    expect(host.calls).toEqual(['drop 0', 'drop 1', 'drop 2']);
    expect(ownership.counts().none).toBe(3);
    await pass(60_000);
    expect(host.calls).toHaveLength(3);
    expect(ownership.ownerOf(p0)).toBeUndefined();
  });
});

describe('an owner that the view has never heard of', () => {
  test('is not claimed over while its lease stands: our watch may be behind', async () => {
    const { pass, host, ownership, state } = scene();
    host.tails.set(p0, liveTail('b'));
    state.leaseOf = (node) => (node === 'b' ? 'b-1' : undefined);
    await pass(8_000);
    expect(ownership.counts()).toMatchObject({ owned: 0 });
  });

  test.each([
    ['has no lease', undefined],
    ['has been replaced by another process of its id', 'b-2'],
  ])('is claimed over soon where it %s', async (_, holder) => {
    const { pass, host, ownership, state } = scene();
    host.tails.set(p0, liveTail('b'));
    state.leaseOf = (node) => (node === 'b' ? holder : undefined);
    await pass(4_000);
    expect(ownership.counts()).toMatchObject({ owned: 1 });
  });

  test('costs one look, not one wait, where it is gone', async () => {
    const { pass, host, ownership, settings } = scene({ settings: { claimRankDelayMs: 60_000 } });
    host.tails.set(p0, liveTail('b'));
    await pass(settings.listenBeforeClaimMs + 500);
    expect(ownership.counts()).toMatchObject({ owned: 1 });
  });
});
