/**
 * The library in real processes, as a machine treats them: killed, stood still for longer than their sessions, their NATS server
 * restarted. On the oldest server that a cluster accepts and on a new one.
 */

import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CLUSTER_VERSIONS } from '../contract/versions.js';
import { Process, until } from '../world/processes.js';
import type { Handling, Told } from '../world/worker-story.js';
import { WorkerWorld } from '../world/worker-world.js';

const SCRIPT = fileURLToPath(new URL('../dist/world/worker-story.js', import.meta.url));
const PARTITIONS = 4;
const SESSION_MS = 6_000;

describe.each(CLUSTER_VERSIONS)('on nats-server %s, a worker process', (version) => {
  let world: WorkerWorld;
  let group = '';
  let topic = '';
  let running: Worker[] = [];
  let produced = 0;

  class Worker {
    readonly process: Process;

    constructor(name: string, handlingMs = 0, commits: 'each' | 'auto' = 'each', instanceId?: string) {
      const { nats, name: cluster } = world.cluster;
      const args = [nats.urls.join(','), cluster, group, topic, String(handlingMs), commits];
      this.process = new Process(name, SCRIPT, instanceId === undefined ? args : [...args, instanceId]);
      running.push(this);
    }

    get told(): readonly Told[] {
      return this.process.messages as Told[];
    }
    get owned(): ReadonlySet<number> {
      const owned = new Set<number>();
      for (const told of this.told) {
        if (told.kind === 'assigned') for (const partition of told.partitions) owned.add(partition);
        else if (told.kind === 'revoked' || told.kind === 'lost')
          for (const gone of told.partitions) owned.delete(gone);
      }
      return owned;
    }
    of(kind: Handling['kind'], from = 0): Handling[] {
      return this.told.slice(from).filter((told): told is Handling => told.kind === kind);
    }
    async joined(): Promise<{ readonly generation: number; readonly memberId: string }> {
      const find = () => this.told.find((told) => told.kind === 'joined');
      await until(
        `${this.process.name} has joined`,
        () => find() !== undefined,
        30_000,
        () => this.process.log.text,
      );
      return find() as Extract<Told, { kind: 'joined' }>;
    }
  }

  /** Adds numbered messages to each partition. */
  async function produce(count: number): Promise<void> {
    const admin = await producer();
    await world.produce(admin, topic, PARTITIONS, produced, count);
    produced += count;
  }

  const explain = () =>
    running
      .map(({ process, told }) => `${process.name}: ${JSON.stringify(told.slice(-6))}\n${process.log.text}`)
      .join('\n');

  async function untilOwned(...counts: readonly (readonly [Worker, number])[]): Promise<void> {
    const isSo = () => counts.every(([worker, count]) => worker.owned.size === count);
    await until(`owned as ${counts.map(([, count]) => count).join(', ')}`, isSo, 40_000, explain);
  }

  /**
   * Waits until everything that was produced has been handled by somebody. What a killed one had begun it may have committed, too; and what
   * is only postponed stays handled: the commit after it takes it along.
   */
  async function untilHandled(killed?: Worker): Promise<void> {
    const places = () => {
      const postponed = running.flatMap((one) => one.of('refused')).filter(({ code }) => code === 'COMMIT_POSTPONED');
      const handled = [...running.flatMap((one) => one.of('handled')), ...postponed, ...(killed?.of('begun') ?? [])];
      return new Set(handled.map(({ partition, value }) => `${partition}/${value}`));
    };
    await until('everything is handled', () => places().size === produced * PARTITIONS, 60_000, explain);
  }

  let admin: Awaited<ReturnType<WorkerWorld['worker']>> | undefined;
  async function producer() {
    admin ??= await world.worker();
    return admin;
  }

  beforeAll(async () => {
    world = await WorkerWorld.start({ nats: { version } });
  });
  afterAll(async () => {
    await world.close();
  });
  afterEach(async () => {
    for (const worker of running) await worker.process.kill();
    running = [];
  });
  async function begin(): Promise<void> {
    group = world.name('group');
    topic = world.name('topic');
    produced = 0;
    // On disk: it has to outlive a restart of the server.
    await (await producer()).topics.create({ name: topic, partitions: PARTITIONS });
  }

  it('that is killed leaves its partitions to the other from its last commit on: nothing is left out', async () => {
    await begin();
    const a = new Worker('a', 20);
    const b = new Worker('b', 20);
    await untilOwned([a, 2], [b, 2]);
    await produce(50);
    await until('both are at work', () => a.of('handled').length > 5 && b.of('handled').length > 5, 30_000, explain);
    await a.process.kill();
    await untilOwned([b, 4]);
    await produce(5);
    await untilHandled(a);
    // Whatever a had committed never comes again.
    const committed = new Set(a.of('handled').map(({ partition, value }) => `${partition}/${value}`));
    expect(b.of('begun').filter(({ partition, value }) => committed.has(`${partition}/${value}`))).toEqual([]);
  });

  it.each([
    'each',
    // The handler that is under way ends before anything else runs, and the next message is at hand: only the clock forbids it.
    'auto',
  ] as const)(
    'that stands still beyond its session begins nothing of what it has lost, committing %s',
    async (commits) => {
      await begin();
      const a = new Worker('a', 50, commits);
      const b = new Worker('b', 5, commits);
      await untilOwned([a, 2], [b, 2]);
      const before = [...a.owned];
      // More than it can do until it is stopped: its buffers are full of messages of partitions that it is going to lose.
      await produce(200);
      await until('a is at work', () => a.of('handled').length > 4, 30_000, explain);
      a.process.pause();
      await untilOwned([b, 4]);
      const wasBegun = (partition: number) => b.of('begun').some((begun) => begun.partition === partition);
      await until('b works on what was of a', () => before.every(wasBegun), 30_000, explain);
      const generationOfA = Math.max(...a.of('begun').map(({ generation }) => generation));
      const from = a.told.length;
      a.process.resume();
      await untilOwned([a, 2], [b, 2]);
      await untilHandled();
      await produce(3);
      await untilHandled();
      // On a busy machine the signal can come between the decision to begin and the telling of it: then that is the first thing told.
      const [first] = a.told.slice(from);
      const begun = a.of('begun', from).filter((one) => one !== first && one.generation <= generationOfA);
      expect(begun, JSON.stringify(a.told.slice(from, from + 8))).toEqual([]);
      expect(a.told.slice(from).filter(({ kind }) => kind === 'lost')).toHaveLength(1);
      expect(a.of('handled', from).length).toBeGreaterThan(0);
      if (commits === 'auto') return;
      // The answer to a commit of before it stood still may have waited in its socket; then b has begun after that message.
      const begunByB = new Set(b.of('begun').map(({ partition, value }) => `${partition}/${value}`));
      const old = a.of('handled', from).filter(({ generation }) => generation <= generationOfA);
      expect(old.filter(({ partition, value }) => begunByB.has(`${partition}/${value}`))).toEqual([]);
    },
  );

  it('with an instance id that is killed and comes back within its session gets the same partitions, and nobody notices', async () => {
    await begin();
    const a = new Worker('a', 0, 'each', 'static-a');
    const b = new Worker('b', 0, 'each', 'static-b');
    await untilOwned([a, 2], [b, 2]);
    const before = [...a.owned].sort();
    await a.process.kill();
    const from = b.told.length;
    const again = new Worker('a again', 0, 'each', 'static-a');
    await untilOwned([again, 2], [b, 2]);
    expect([...again.owned].sort()).toEqual(before);
    await produce(5);
    await untilHandled();
    expect(b.told.slice(from).filter(({ kind }) => kind === 'assigned' || kind === 'revoked')).toEqual([]);
  });

  it.each([
    ['within their sessions', 1_500],
    ['for longer than their sessions', SESSION_MS + 1_500],
  ])('goes on by itself when the server is down %s: nothing is lost', async (_, downMs) => {
    await begin();
    const a = new Worker('a', 5);
    const b = new Worker('b', 5);
    await untilOwned([a, 2], [b, 2]);
    await produce(40);
    await until('both are at work', () => a.of('handled').length > 2 && b.of('handled').length > 2, 30_000, explain);
    const [server] = world.cluster.nats.servers;
    await server?.stop();
    const downSince = performance.now();
    // The one thing that is about time: how long it is down.
    await until('it was down long enough', () => performance.now() - downSince > downMs);
    await server?.restart();
    await produce(10);
    await untilHandled();
    await untilOwned([a, 2], [b, 2]);
    for (const { process } of [a, b]) expect(process.isRunning).toBe(true);
  });

  it('that is told to end does so in order, and hands over without a message twice', async () => {
    await begin();
    const a = new Worker('a', 5);
    const b = new Worker('b', 5);
    await untilOwned([a, 2], [b, 2]);
    await produce(30);
    await until('both are at work', () => a.of('handled').length > 2 && b.of('handled').length > 2, 30_000, explain);
    expect(await a.process.terminate()).toBe(0);
    await untilHandled();
    const times = new Map<string, number>();
    for (const { partition, value } of [...a.of('begun'), ...b.of('begun')]) {
      const place = `${partition}/${value}`;
      times.set(place, (times.get(place) ?? 0) + 1);
    }
    expect([...times].filter(([, count]) => count > 1)).toEqual([]);
  });
});
