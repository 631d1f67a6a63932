import { incarnation, type NodeId, nodeId, Subjects } from '@muster/protocol';
import { type LeaseWrite, MemoryLeaseStore, MemoryNats, VirtualClock } from '@muster/testkit/internals';
import { describe, expect, test } from 'vitest';
import { DeathDetector, probeSubject } from './detector.js';
import { decodeLease, encodeLease, leaseKey } from './lease-entry.js';
import { clusterSettingsDefaults as settings } from './settings.js';
import { View } from './view.js';

const b = nodeId('b');
const b1 = incarnation('b-1');
const subjects = new Subjects('test');

/** Node `a` watches node `b`, which heartbeats, renews and answers probes as the test says. */
async function scene() {
  const clock = new VirtualClock();
  const nats = new MemoryNats({ clock });
  const store = new MemoryLeaseStore({ nats });
  const bus = nats.connect('a');
  const peer = nats.connect('b');
  nats.connect('third');
  const view = new View(clock.now());
  const reports: string[] = [];
  const marks: LeaseWrite[] = [];
  store.onWrite((write) => {
    if (write.from === 'a') marks.push(write);
    return undefined;
  });
  await store.storeOf('a').watch(
    (entry) => void view.observe(entry, clock.now()),
    () => {},
  );
  const detector = new DeathDetector({
    self: nodeId('a'),
    view,
    bus,
    store: store.storeOf('a'),
    clock,
    subjects,
    settings,
    report: ({ node, kind }) => reports.push(`${kind} ${node}`),
  });
  let renewal = 0;
  let revision = 0;
  /** Conditional on its own last revision, as a node does it: after a mark it is refused. */
  const renew = async (life = 'b-1') => {
    renewal += 1;
    const value = encodeLease({ node: b, incarnation: incarnation(life), state: 'alive', renewal, markedBy: '' });
    const written = store.storeOf('third').write(leaseKey(b), value, revision);
    await clock.advance(0);
    const outcome = await written;
    if (outcome.kind === 'written') revision = outcome.revision;
  };
  let probes = 0;
  const answerProbes = () => {
    const subscription = peer.subscribe(probeSubject(subjects, b, b1), (message) => {
      probes += 1;
      peer.publish(message.reply, new Uint8Array());
    });
    return () => subscription.unsubscribe();
  };
  const control = { isOwnLeaseProven: true, isHeard: true, isRenewing: true };
  /** Lets time pass with ticks, and with what `b` does as long as `control` says so. */
  const pass = async (ms: number) => {
    const end = clock.now() + ms;
    while (clock.now() < end) {
      await clock.advance(50);
      if (control.isHeard && clock.now() % 300 === 0) detector.heard(b, b1);
      if (control.isRenewing && clock.now() % 1_000 === 0) await renew();
      detector.tick(control.isOwnLeaseProven);
    }
    await clock.advance(0);
  };
  await renew();
  const stateOf = (node: NodeId) => decodeLease(store.entryOf(leaseKey(node))?.value ?? new Uint8Array())?.state;
  return {
    clock,
    nats,
    store,
    view,
    detector,
    reports,
    marks,
    control,
    pass,
    renew,
    answerProbes,
    stateOf,
    probes: () => probes,
  };
}

describe('the detector of deaths', () => {
  test('leaves a node alone that is heard of', async () => {
    const { pass, answerProbes, reports, marks } = await scene();
    answerProbes();
    await pass(10_000);
    expect(reports).toEqual([]);
    expect(marks).toEqual([]);
  });

  test('marks a silent node that nobody sees any more, within half a second and two probes, naming who and why (O4)', async () => {
    const { clock, control, pass, reports, stateOf, store, view } = await scene();
    await pass(900);
    control.isHeard = false;
    control.isRenewing = false;
    const silentSince = clock.now();
    await pass(700);
    expect(reports).toEqual(['suspected b', 'marked b']);
    expect(stateOf(b)).toBe('dead');
    expect(decodeLease(store.entryOf(leaseKey(b))?.value ?? new Uint8Array())?.markedBy).toMatch(/^a: no responders/);
    expect(view.isLive(b, b1)).toBe(false);
    expect(view.get(b)?.changedAt).toBeLessThan(silentSince + 700);
    await pass(10_000);
    expect(reports).toHaveLength(2);
  });

  test('does not mark on the first "no responders": a subscription may be on its way', async () => {
    const { control, pass, reports, marks, answerProbes, nats, clock } = await scene();
    await pass(900);
    control.isHeard = false;
    // The probe subject is there again between the two probes.
    let isAsked = false;
    nats.drop(({ subject }) => {
      if (subject.endsWith('.probe')) isAsked = true;
      return false;
    });
    await pass(450);
    const stop = clock.after(10, () => answerProbes());
    await pass(300);
    stop();
    expect(isAsked).toBe(true);
    expect(reports.slice(0, 2)).toEqual(['suspected b', 'lives b']);
    expect(marks).toEqual([]);
  });

  test('has its mark refused where the node has renewed since its first missed heartbeat, and lets it live (D1)', async () => {
    const { control, pass, renew, reports, stateOf, marks } = await scene();
    await pass(900);
    control.isHeard = false;
    control.isRenewing = false;
    await pass(350);
    await renew();
    await pass(300);
    expect(reports).toEqual(['suspected b', 'lives b']);
    expect(marks).toHaveLength(1);
    expect(stateOf(b)).toBe('alive');
  });

  test('never marks a node that has refuted one mark and goes on renewing, however long nothing else of it gets through', async () => {
    const { clock, control, pass, renew, stateOf, marks } = await scene();
    await pass(600);
    control.isHeard = false;
    // Its renewal of the second 1 comes 400 ms after its last heartbeat, before the probes are through.
    await pass(60_000);
    expect(clock.now()).toBeGreaterThan(60_000);
    expect(stateOf(b)).toBe('alive');
    expect(marks).toHaveLength(1);
    control.isRenewing = false;
    await renew();
    await pass(2_000);
    expect(stateOf(b)).toBe('dead');
  });

  test('marks it after a refused mark as soon as a renewal has failed to come, too (D1)', async () => {
    const { control, pass, renew, stateOf } = await scene();
    await pass(900);
    control.isHeard = false;
    control.isRenewing = false;
    await pass(350);
    await renew();
    await pass(1_200);
    expect(stateOf(b)).toBe('alive');
    await pass(700);
    expect(stateOf(b)).toBe('dead');
  });

  test('lets a node live that is heard of while its probes find nobody', async () => {
    const { detector, pass, marks, reports, clock } = await scene();
    await pass(950);
    detector.hint(b);
    await clock.advance(10);
    detector.heard(b, b1);
    await clock.advance(100);
    expect(reports).toEqual(['suspected b', 'lives b']);
    expect(marks).toEqual([]);
  });

  test('concludes nothing from probes that run into their time: a pulled cable looks like that for minutes (O10)', async () => {
    const { control, pass, answerProbes, nats, reports, marks, probes } = await scene();
    answerProbes();
    await pass(900);
    nats.cut('b', { silently: true });
    control.isHeard = false;
    await pass(4_000);
    expect(reports).not.toContain('marked b');
    expect(marks).toEqual([]);
    expect(probes()).toBe(0);
  });

  test('marks a node whose lease was not renewed for five seconds, and not before (O3)', async () => {
    const { clock, control, pass, answerProbes, nats, stateOf, view } = await scene();
    answerProbes();
    await pass(900);
    nats.cut('b', { silently: true });
    control.isHeard = false;
    control.isRenewing = false;
    const { changedAt } = view.get(b) ?? { changedAt: clock.now() };
    await pass(changedAt + 5_000 - clock.now());
    expect(stateOf(b)).toBe('alive');
    await pass(100);
    expect(stateOf(b)).toBe('dead');
  });

  test('counts nobody as expired while its own lease is not proven (D4), and starts the count anew after that', async () => {
    const { clock, control, pass, answerProbes, nats, view, stateOf } = await scene();
    answerProbes();
    await pass(900);
    nats.cut('b', { silently: true });
    control.isHeard = false;
    control.isRenewing = false;
    control.isOwnLeaseProven = false;
    await pass(20_000);
    expect(stateOf(b)).toBe('alive');
    view.restartCounts(clock.now());
    control.isOwnLeaseProven = true;
    await pass(5_000);
    expect(stateOf(b)).toBe('alive');
    await pass(100);
    expect(stateOf(b)).toBe('dead');
  });

  test('sends one mark at a time, and waits another full time after one that was refused', async () => {
    const { control, pass, answerProbes, nats, marks, store, renew } = await scene();
    answerProbes();
    await pass(900);
    nats.cut('b', { silently: true });
    control.isHeard = false;
    control.isRenewing = false;
    // The watch of `a` is stuck, so what it knows of `b` stands still while `b` renews.
    store.stallWatch('a');
    await renew();
    await pass(4_900);
    expect(marks).toHaveLength(1);
    await pass(4_000);
    expect(marks).toHaveLength(1);
    store.failNextWrite({ kind: 'lost' }, 'a');
    await pass(1_900);
    expect(marks).toHaveLength(2);
    await pass(1_000);
    expect(marks).toHaveLength(3);
  });

  test('probes a node of which a client got no answer, at most once per silence, however many clients say so (C5)', async () => {
    const { detector, pass, answerProbes, clock, probes } = await scene();
    answerProbes();
    await pass(950);
    for (let hints = 0; hints < 100; hints += 1) {
      detector.hint(b);
      await clock.advance(1);
    }
    expect(probes()).toBe(1);
    await clock.advance(400);
    detector.hint(b);
    await clock.advance(1);
    expect(probes()).toBe(2);
    detector.hint(nodeId('unknown'));
    detector.hint(nodeId('a'));
    await clock.advance(1);
    expect(probes()).toBe(2);
  });

  test('finds a killed node by a hint before any heartbeat is missed', async () => {
    const { detector, pass, clock, stateOf } = await scene();
    await pass(900);
    detector.hint(b);
    await clock.advance(50);
    expect(stateOf(b)).toBe('dead');
  });

  test('takes nothing that an earlier process of the same id says for a sign of life (O1)', async () => {
    const { control, pass, renew, detector, stateOf, clock } = await scene();
    await pass(900);
    control.isHeard = false;
    control.isRenewing = false;
    await renew('b-2');
    const end = clock.now() + 900;
    while (clock.now() < end) {
      await pass(50);
      detector.heard(b, b1);
    }
    expect(stateOf(b)).toBe('dead');
  });

  test('marks nobody for silence after a gap of its own, until the node was heard of again; its lease still counts (D5)', async () => {
    const { control, detector, pass, stateOf } = await scene();
    await pass(900);
    control.isHeard = false;
    detector.wasAway();
    await pass(3_000);
    expect(stateOf(b)).toBe('alive');
    detector.heard(b, b1);
    control.isRenewing = false;
    await pass(900);
    expect(stateOf(b)).toBe('dead');
  });

  test('probes nobody without a connection', async () => {
    const { control, pass, nats, reports } = await scene();
    await pass(900);
    nats.cut('a');
    control.isHeard = false;
    control.isOwnLeaseProven = false;
    await pass(3_000);
    expect(reports).toEqual([]);
  });
});
