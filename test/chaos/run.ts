/**
 * A chaos run from start to end: everything is started, the faults of the schedule happen, all is healed and comes to rest, and
 * the history is judged.
 */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectNats } from '@muster/nats';
import { type Admin, connect, type Muster } from '@muster/worker';
import { judge } from './checkers/index.js';
import { carryOut } from './faults.js';
import { asked, CLUSTER, Fleet, pause, until } from './fleet.js';
import { type HistoryEvent, HistoryWriter, nowMs, readHistory } from './history.js';
import type { LightSettings, ProducerSettings } from './messages.js';
import { type ChaosResult, summarize } from './report.js';
import { roundTrip } from './round-trip.js';
import { drawSchedule, type Fault, type FaultKind } from './schedule.js';
import { persistently, recordLogs, recordTopic } from './streams.js';

export type ChaosOptions = {
  readonly durationMs: number;
  readonly seed: string;
  readonly kinds: readonly FaultKind[];
  readonly nodes: number;
  readonly groups: number;
  readonly workers: number;
  readonly partitions: number;
  /** Messages per second. */
  readonly rate: number;
  /** Where history and logs go, and stay; a temporary folder that goes where all was well. */
  readonly folder: string | undefined;
  readonly say: (line: string) => void;
};

const MEMBERS = 3;
const TOPIC_PARTITIONS = 12;
const LIGHT_SESSION_MS = 12_000;
const WORKER_SESSION_MS = 9_000;
const FORM_MS = 90_000;
const SETTLE_MS = 60_000;
const DRAIN_MS = 60_000;
const LIGHT_END_MS = 90_000;
const BUSY_FACTOR = 3;
/** Everything is left alone for so long before the first fault: what undisturbed answers take. */
const QUIET_MS = 3_000;

/** Runs it all. Every process that was started is ended, whatever happens. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'muster-chaos-')));
  const run = new ChaosRun(options, folder);
  try {
    const result = await run.play();
    if (result.ok && options.folder === undefined) await rm(folder, { recursive: true, force: true });
    else options.say(`history and logs are in ${folder}`);
    return result;
  } catch (thrown) {
    options.say(`the run broke off; history and logs are in ${folder}`);
    throw thrown;
  } finally {
    await run.stop();
  }
}

class ChaosRun {
  readonly #options: ChaosOptions;
  readonly #folder: string;
  readonly #lightGroups: readonly string[];
  readonly #workerGroup = 'workers-group';
  readonly #topic = 'chaos-orders';
  readonly #endings: (() => unknown)[] = [];
  #history: HistoryWriter | undefined;

  constructor(options: ChaosOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.#lightGroups = Array.from({ length: options.groups }, (_, index) => `light-${index}`);
  }

  async play(): Promise<ChaosResult> {
    const { say, seed, durationMs } = this.#options;
    const historyFolder = join(this.#folder, 'history');
    await mkdir(historyFolder, { recursive: true });
    const history = new HistoryWriter(historyFolder, 'run');
    this.#history = history;
    say('starting three nats-servers, coordinators, workers and groups');
    const fleet = await Fleet.start(
      {
        nodes: this.#options.nodes,
        partitionCount: this.#options.partitions,
        logFolder: this.#folder,
        nodeFlags: ['--shutdown-grace-ms', '8000'],
        say,
      },
      history,
    );
    this.#endings.push(() => fleet.stop());
    const muster = await connect({ cluster: CLUSTER, servers: [...fleet.nats.urls], name: 'chaos-admin' });
    this.#endings.push(() => muster.close({ timeoutMs: 1_000 }));
    await this.#measureRoundTrips(fleet, history);
    const { light, producer } = await this.#populate(fleet, muster, historyFolder);
    const watching = this.#watchRebalances(muster.admin(), history);

    const steadyAt = nowMs();
    history.write({ kind: 'phase', at: steadyAt, phase: 'steady' });
    say('all groups are stable');
    await pause(QUIET_MS);
    const faults = this.#schedule();
    await this.#disturb(faults, fleet, history);
    history.write({ kind: 'phase', at: nowMs(), phase: 'settling' });
    say('no more faults: everything must come to rest');
    await this.#within(SETTLE_MS, 'every partition has one owner', (ms) => fleet.untilOwned(ms), history);
    const finish = (ms: number) => asked(light, { kind: 'finish' }, 'finished', ms);
    // Longer than the light groups wait for each of their own.
    await this.#within(LIGHT_END_MS, 'the light groups have ended', finish, history);
    await producer.stop(15_000);
    await this.#finishWorkers(fleet, muster, history);
    watching.stop();
    await watching.done;
    const { frames, unreadable } = await recordLogs(fleet.connection, history, new Set([this.#workerGroup]));
    if (this.#options.workers > 0) {
      const { stream } = await persistently(() => muster.topics.describe(this.#topic));
      await recordTopic(fleet.connection, history, stream);
    }
    if (unreadable > 0) fleet.trouble('log', `${unreadable} of ${frames} frames are not readable`);
    const endedAt = nowMs();
    history.write({ kind: 'phase', at: endedAt, phase: 'over' });
    await history.flush();
    const events = await readHistory(historyFolder);
    const judgement = judge(events, {
      lightGroups: new Set(this.#lightGroups),
      lightSessionMs: LIGHT_SESSION_MS,
      workerSessionMs: WORKER_SESSION_MS,
      steadyAt,
      endedAt,
    });
    const [loadAverage = 0] = loadavg();
    return summarize(events, judgement, { seed, durationMs, steadyAt, loadAverage });
  }

  async stop(): Promise<void> {
    for (const end of this.#endings.splice(0).reverse()) await Promise.resolve(end()).catch(() => {});
    await this.#history?.close();
  }

  #schedule(): readonly Fault[] {
    const { seed, kinds, durationMs, nodes, workers } = this.#options;
    const sessions = { workerSessionMs: WORKER_SESSION_MS, lightSessionMs: LIGHT_SESSION_MS };
    return drawSchedule({ seed, kinds, durationMs, nodes, workers, servers: 3, ...sessions });
  }

  async #populate(fleet: Fleet, muster: Muster, historyFolder: string) {
    const { partitions, workers, rate } = this.#options;
    const shared = { cluster: CLUSTER, historyFolder };
    await muster.topics.create({ name: this.#topic, partitions: TOPIC_PARTITIONS, replicas: 3 });
    const lightSettings: LightSettings = {
      ...shared,
      servers: [...fleet.light.urls],
      partitionCount: partitions,
      groups: [...this.#lightGroups],
      members: MEMBERS,
      heartbeatMs: 1_000,
      commitMs: 1_000,
      sessionTimeoutMs: LIGHT_SESSION_MS,
    };
    const light = fleet.spawn('light', './light-process.js', lightSettings);
    this.#endings.push(() => light.kill());
    const formed = asked(light, undefined, 'ready', FORM_MS);
    for (let number = 1; number <= workers; number += 1) {
      fleet.startWorker({
        ...shared,
        servers: [...fleet.workersProxy.urls],
        group: this.#workerGroup,
        topic: this.#topic,
        name: `worker-${number}`,
        sessionTimeoutMs: WORKER_SESSION_MS,
      });
    }
    const producerSettings: ProducerSettings = {
      ...shared,
      servers: [...fleet.nats.urls],
      topics: [this.#topic],
      // Without workers nobody would handle anything.
      perSecond: workers === 0 ? 0 : rate,
    };
    const producer = fleet.spawn('producer', './producer-process.js', producerSettings);
    this.#endings.push(() => producer.kill());
    await formed;
    if (workers > 0) await until('the workers own the topic', () => this.#isShared(fleet), FORM_MS);
    return { light, producer };
  }

  #isShared(fleet: Fleet): boolean {
    return fleet.isShared(this.#workerGroup, TOPIC_PARTITIONS);
  }

  async #disturb(faults: readonly Fault[], fleet: Fleet, history: HistoryWriter): Promise<void> {
    const { say, durationMs } = this.#options;
    const startedAt = performance.now();
    const underWay: Promise<void>[] = [];
    let exclusive: Promise<void> = Promise.resolve();
    for (const fault of faults) {
      await pause(startedAt + fault.atMs - performance.now());
      // S2 of schedule.ts: a fault that took longer than was drawn for it delays the next, it does not meet it.
      await exclusive;
      // S4: the first has its turn however late it is.
      if (underWay.length > 0 && performance.now() - startedAt > durationMs) break;
      const done = carryOut(fault, { fleet, history, say }).catch((thrown: unknown) => {
        fleet.trouble(`fault ${fault.id}`, thrown instanceof Error ? thrown.message : String(thrown));
      });
      underWay.push(done);
      const mayOverlap = fault.kind === 'nats-leader' || fault.kind === 'worker-kill' || fault.kind === 'worker-pause';
      if (!mayOverlap) exclusive = done;
    }
    await Promise.all(underWay);
    await pause(startedAt + durationMs - performance.now());
  }

  /** What each server says of its streams and consumers, for whoever looks into a run that failed. */
  async #keepServerStates(fleet: Fleet): Promise<void> {
    for (const { name, monitorUrl } of fleet.nats.servers) {
      const signal = AbortSignal.timeout(5_000);
      const state = await fetch(`${monitorUrl}/jsz?streams=true&consumers=true`, { signal })
        .then((answer) => answer.text())
        .catch(String);
      await writeFile(join(this.#folder, `${name}.json`), state);
    }
  }

  /** Waits for what must come true at the end: late is told, never is a violation. A busy machine gets several times as long. */
  async #within(
    ms: number,
    what: string,
    wait: (ms: number) => Promise<unknown>,
    history: HistoryWriter,
  ): Promise<void> {
    const startedAt = performance.now();
    try {
      await wait(ms * BUSY_FACTOR);
      const tookMs = performance.now() - startedAt;
      if (tookMs > ms) history.write({ kind: 'slow', at: nowMs(), what, ms: tookMs });
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      history.write({
        kind: 'unsettled',
        at: nowMs(),
        what: `not even after ${ms * BUSY_FACTOR} ms: ${what} (${why})`,
      });
    }
  }

  /** The workers get time to handle what is left; then what the cluster knows of them is written down. */
  async #finishWorkers(fleet: Fleet, muster: Muster, history: HistoryWriter): Promise<void> {
    if (this.#options.workers === 0) return;
    const admin = muster.admin();
    const share = (ms: number) => until('they do', () => this.#isShared(fleet), ms);
    await this.#within(DRAIN_MS, 'the workers own the whole topic again', share, history);
    const handleAll = async (ms: number): Promise<void> => {
      const giveUpAt = performance.now() + ms;
      while (performance.now() < giveUpAt) {
        const lags = await admin.lag(this.#workerGroup).catch(() => undefined);
        if (lags !== undefined && lags.length > 0 && lags.every(({ lag, error }) => lag === 0 && error === 'NONE'))
          return;
        await pause(250);
      }
      throw new Error('messages are left');
    };
    await this.#within(DRAIN_MS, 'the workers have handled all messages', handleAll, history);
    await this.#keepServerStates(fleet);
    await fleet.stopWorkers();
    const offsets = await persistently(() => admin.fetchOffsets(this.#workerGroup));
    const pairs = offsets.map(({ partition, offset }): readonly [number, number] => [partition, offset]);
    history.write({ kind: 'final-offsets', at: nowMs(), group: this.#workerGroup, offsets: pairs });
  }

  /** The coordinator keeps the last few rebalances of a group: they are collected while they are there. */
  #watchRebalances(admin: Admin, history: HistoryWriter): { readonly stop: () => void; readonly done: Promise<void> } {
    let isOver = this.#options.workers === 0;
    const known = new Set<number>();
    const look = async (): Promise<void> => {
      const described = await admin.describeGroup(this.#workerGroup).catch(() => undefined);
      for (const { generationId, cause, memberId: member, startedAtMs, durationMs } of described?.rebalances ?? []) {
        if (known.has(generationId)) continue;
        known.add(generationId);
        const round = { generation: generationId, cause, member, startedAt: startedAtMs, durationMs };
        history.write({ kind: 'rebalance', group: this.#workerGroup, ...round } satisfies HistoryEvent);
      }
    };
    const loop = async (): Promise<void> => {
      while (!isOver) {
        await look();
        await pause(1_000);
      }
    };
    const stop = (): void => {
      isOver = true;
    };
    return { stop, done: loop() };
  }

  async #measureRoundTrips(fleet: Fleet, history: HistoryWriter): Promise<void> {
    const echo = await connectNats({ servers: fleet.nats.urls.slice(1), name: 'chaos-echo' });
    const asker = await connectNats({ servers: fleet.nats.urls.slice(0, 1), name: 'chaos-round-trip' });
    this.#endings.push(() => Promise.all([echo.close(), asker.close()]));
    const subject = 'chaos.echo';
    echo.subscribe(subject, { callback: (_error, message) => void message.respond(message.data) });
    await echo.flush();
    let isOver = false;
    this.#endings.push(() => {
      isOver = true;
    });
    void (async () => {
      while (!isOver && !asker.isClosed()) {
        const ms = await roundTrip(asker, subject);
        if (ms !== undefined) history.write({ kind: 'round-trip', at: nowMs(), ms });
        await pause(50);
      }
    })();
  }
}
