/**
 * The demonstration from start to end: what is started, what is done to it, what is measured, what is cleaned up.
 *
 * Acts, by share of the duration: at 30 % the coordinator of the group is killed with kill -9, at 50 % a worker joins, at 70 %
 * one leaves. After the producer has stopped the workers get time to finish; then the ledger is closed.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectNats, NatsBus } from '@muster/nats';
import { startNatsCluster } from '@muster/nats-server';
import { groupId, Subjects } from '@muster/protocol';
import type { Admin, Muster } from '@muster/worker';
import { connect } from '@muster/worker';
import { Child } from './child.js';
import { ClusterWatch } from './cluster-watch.js';
import type { Display } from './display.js';
import type { LedgerTotals } from './ledger.js';
import { Ledger } from './ledger.js';
import type { ProducerReport } from './messages.js';
import type { DemoOptions } from './options.js';
import { Screen } from './screen.js';
import { WorkerPool } from './worker-pool.js';

export type Failover = {
  readonly node: string;
  readonly ms: number;
  readonly generationBefore: number;
  readonly generationAfter: number;
  readonly partitionsLost: number;
};
export type Rebalance = {
  readonly cause: 'start' | 'join' | 'leave';
  readonly ms: number;
  readonly moved: number;
  readonly members: number;
};
export type DemoResult = LedgerTotals & {
  readonly failovers: readonly Failover[];
  readonly rebalances: readonly Rebalance[];
  readonly ok: boolean;
};

const cluster = 'demo';
const topic = 'orders';
const group = 'orders-demo';
const coordinatorPartitions = 50;
const settleTimeoutMs = 60_000;
const drainTimeoutMs = 30_000;
const pollMs = 10;
/** How long after a failover the workers are watched for a partition that they lose by it. */
const afterFailoverMs = 3_000;

export class Demo {
  readonly #options: DemoOptions;
  readonly #display: Display;
  readonly #ledger = new Ledger();
  readonly #nodes = new Map<string, Child>();
  readonly #pool: WorkerPool;
  readonly #ending = new AbortController();
  readonly #failovers: Failover[] = [];
  readonly #rebalances: Rebalance[] = [];
  readonly #failures: string[] = [];
  #producer: Child | undefined;
  #acknowledged = 0;

  constructor(options: DemoOptions, display: Display) {
    this.#options = options;
    this.#display = display;
    this.#pool = new WorkerPool(this.#ledger, options.partitions, (name, detail) => this.#failed(name, detail));
  }

  /** Ends early and in order: the rest of the acts is left out. */
  end(): void {
    this.#ending.abort();
  }

  /** Runs it all. Whatever happens, every process that was started is ended. */
  async run(): Promise<DemoResult> {
    const logFolder = await mkdtemp(join(tmpdir(), 'muster-demo-'));
    const display = this.#display;
    display.say('starting a NATS cluster of three servers (fetching nats-server first where there is none)');
    const nats = await startNatsCluster({ servers: 3 });
    display.say(`nats-server ${nats.version} is up`);
    const connection = await connectNats({ servers: nats.urls, name: 'demo' });
    let muster: Muster | undefined;
    try {
      const subjects = new Subjects(cluster);
      const watch = new ClusterWatch(new NatsBus(connection), subjects, coordinatorPartitions);
      this.#startNodes(nats.urls, logFolder);
      await this.#until('every coordinator partition has an owner', () => watch.isComplete);
      if (this.#ending.signal.aborted) return this.#close();
      muster = await connect({ cluster, servers: [...nats.urls], name: 'demo-admin' });
      await muster.topics.create({ name: topic, partitions: this.#options.partitions, replicas: 3 });
      const admin = muster.admin();
      await this.#play(nats.urls, logFolder, watch, admin);
      return await this.#close();
    } finally {
      await this.#stopEverything();
      await muster?.close({ timeoutMs: 2_000 });
      await connection.close();
      await nats.stop();
      if (this.#failures.length === 0) await rm(logFolder, { recursive: true, force: true });
      else display.say(`logs of the processes are in ${logFolder}`);
      display.end();
    }
  }

  async #play(servers: readonly string[], logFolder: string, watch: ClusterWatch, admin: Admin): Promise<void> {
    const { duration, workers, partitions, rate } = this.#options;
    const screen = new Screen(this.#display, {
      durationMs: duration,
      pool: this.#pool,
      nodes: this.#nodes,
      watch,
      admin,
      group,
      produced: () => this.#acknowledged,
      handled: () => this.#ledger.processed,
    });
    try {
      await this.#rebalance('start', () => {
        for (let number = 1; number <= workers; number += 1) this.#startWorker(`worker-${number}`, servers, logFolder);
      });
      if (this.#ending.signal.aborted) return;
      this.#startProducer(servers, logFolder, rate);
      await screen.start();
      const startedAt = performance.now();
      const share = (part: number) => this.#waitUntil(startedAt + duration * part);

      await share(0.3);
      await this.#act(() => this.#killCoordinator(watch, admin));
      await share(0.5);
      await this.#act(() =>
        this.#rebalance('join', () => this.#startWorker(`worker-${workers + 1}`, servers, logFolder)),
      );
      await share(0.7);
      if (workers + 1 <= partitions || workers > 1)
        await this.#act(() => this.#rebalance('leave', () => this.#stopFirstWorker()));
      await share(1);
      await this.#finish();
    } finally {
      screen.stop();
    }
  }

  /** An act is left out when the demonstration is being ended. */
  async #act(play: () => Promise<void>): Promise<void> {
    if (!this.#ending.signal.aborted) await play();
  }

  #startNodes(servers: readonly string[], logFolder: string): void {
    for (let number = 1; number <= this.#options.nodes; number += 1) {
      const name = `node-${number}`;
      const args = ['node', '--cluster', cluster, '--id', name, '--servers', servers.join(',')];
      args.push('--partitions', String(coordinatorPartitions), '--group-initial-rebalance-delay-ms', '1000');
      args.push('--shutdown-grace-ms', '1500');
      this.#nodes.set(name, new Child({ name, script: '../main.js', args, logFolder }));
    }
    this.#display.say(`${this.#options.nodes} coordinator processes are starting`);
  }

  #startWorker(name: string, servers: readonly string[], logFolder: string): void {
    this.#pool.add(name, (onReport) => {
      const args = [servers.join(','), cluster, group, topic, name];
      return new Child({ name, script: './worker-process.js', args, logFolder, onReport });
    });
  }

  #stopFirstWorker(): void {
    const seat = this.#pool.active[0];
    if (seat === undefined) return;
    seat.isLeaving = true;
    void seat.child.stop(settleTimeoutMs);
  }

  #startProducer(servers: readonly string[], logFolder: string, rate: number): void {
    const onReport = (message: unknown) => {
      const report = message as ProducerReport;
      if (report.kind === 'failed') return this.#failed('producer', report.detail);
      this.#acknowledged += report.messages.length;
      for (const [key, seq] of report.messages) this.#ledger.acknowledged(key, seq);
    };
    const args = [servers.join(','), cluster, topic, String(rate)];
    this.#producer = new Child({ name: 'producer', script: './producer-process.js', args, logFolder, onReport });
  }

  /** Changes the members and measures until every partition has one owner again and every member its share. */
  async #rebalance(cause: Rebalance['cause'], change: () => void): Promise<void> {
    const before = this.#pool.owners();
    const startedAt = performance.now();
    change();
    await this.#until(`the group has settled after the ${cause}`, () => this.#pool.isSettled);
    if (!this.#pool.isSettled) return;
    // A joining worker is a member-to-be from the moment when its process is up and asks to join.
    const ms = Math.round(this.#pool.changedAt - Math.max(startedAt, this.#pool.startedAt));
    const after = this.#pool.owners();
    const moved = after.filter((owner, partition) => owner !== before[partition]).length;
    const members = this.#pool.active.length;
    this.#rebalances.push({ cause, ms, moved, members });
    const what = {
      start: 'the first rebalance',
      join: 'a worker joined: the rebalance',
      leave: 'a worker left: the rebalance',
    }[cause];
    this.#display.say(
      `${what} took ${ms} ms, ${moved} of ${this.#options.partitions} partitions moved, ${members} members`,
    );
  }

  /** kill -9 of the node that coordinates the group, and the time until the group answers again. */
  async #killCoordinator(watch: ClusterWatch, admin: Admin): Promise<void> {
    const id = groupId(group);
    const node = watch.coordinatorOf(id);
    const child = this.#nodes.get(node);
    if (child === undefined || this.#nodes.size < 2) return;
    const { generationId: generationBefore } = await admin.describeGroup(group);
    const lossesBefore = this.#pool.losses;
    this.#display.say(`killing ${node} (pid ${child.pid}) with kill -9: it coordinates ${group}`);
    const killedAt = performance.now();
    await child.kill();
    const described = await admin.describeGroup(group);
    const ms = Math.round(performance.now() - killedAt);
    watch.forget(node);
    await this.#waitUntil(performance.now() + afterFailoverMs);
    const generationAfter = (await admin.describeGroup(group)).generationId;
    const partitionsLost = this.#pool.losses - lossesBefore;
    this.#failovers.push({ node, ms, generationBefore, generationAfter, partitionsLost });
    this.#display.say(
      `the group answered again after ${ms} ms (state ${described.state}); generation ${generationBefore} before, ` +
        `${generationAfter} after; partitions lost by workers: ${partitionsLost}`,
    );
  }

  /** The producer stops, the workers handle what is left. */
  async #finish(): Promise<void> {
    await this.#producer?.stop(drainTimeoutMs);
    const deadline = performance.now() + drainTimeoutMs;
    while (this.#ledger.processed < this.#acknowledged && performance.now() < deadline) await pause(pollMs);
    await Promise.all(this.#pool.active.map(({ child }) => child.stop(drainTimeoutMs)));
  }

  #close(): DemoResult {
    const totals = this.#ledger.close();
    const survived = this.#failovers.every(
      ({ generationBefore, generationAfter, partitionsLost }) =>
        generationBefore === generationAfter && partitionsLost === 0,
    );
    const wasShown = this.#failovers.length > 0 || this.#options.nodes < 2 || this.#ending.signal.aborted;
    const ok =
      totals.lost === 0 &&
      totals.outOfOrder === 0 &&
      (totals.produced > 0 || this.#ending.signal.aborted) &&
      survived &&
      wasShown &&
      this.#failures.length === 0;
    const { produced, processed, lost, duplicates, outOfOrder } = totals;
    this.#display.say('');
    this.#display.say(
      `ledger: ${produced} produced, ${processed} processed, ${lost} lost, ${duplicates} processed twice, ${outOfOrder} out of order per key`,
    );
    this.#display.say(ok ? this.#praise() : 'NOT as promised: see above');
    return { ...totals, failovers: this.#failovers, rebalances: this.#rebalances, ok };
  }

  #praise(): string {
    const unharmed = 'nothing was lost, nothing out of order';
    return this.#failovers.length === 0 ? `${unharmed}; no coordinator was killed` : `${unharmed}, the group survived`;
  }

  async #stopEverything(): Promise<void> {
    const children = [
      ...this.#pool.seats.map(({ child }) => child),
      ...(this.#producer === undefined ? [] : [this.#producer]),
    ];
    await Promise.all(children.map((child) => child.stop(5_000)));
    await Promise.all([...this.#nodes.values()].map((child) => child.stop(10_000)));
  }

  #failed(name: string, detail: string): void {
    this.#failures.push(name);
    this.#display.say(`${name} failed: ${detail}`);
  }

  /** Waits for a condition, bounded, or until the demonstration is being ended. @throws Error naming what did not come true */
  async #until(what: string, condition: () => boolean): Promise<void> {
    const deadline = performance.now() + settleTimeoutMs;
    while (!condition() && !this.#ending.signal.aborted) {
      const [failed] = this.#failures;
      if (failed !== undefined) throw new Error(`${failed} failed while waiting until ${what}`);
      const gone = [...this.#nodes.values()].find(({ isGone }) => isGone);
      if (gone !== undefined && this.#failovers.length === 0) {
        this.#failures.push(gone.name);
        throw new Error(`${gone.name} ended while waiting until ${what}; its log is ${gone.logFile}`);
      }
      if (performance.now() > deadline) {
        this.#failures.push('wait');
        throw new Error(`not within ${settleTimeoutMs / 1_000} s: ${what}`);
      }
      await pause(pollMs);
    }
  }

  /** Lets time pass, unless the demonstration is being ended. */
  async #waitUntil(moment: number): Promise<void> {
    while (performance.now() < moment && !this.#ending.signal.aborted)
      await pause(Math.min(50, moment - performance.now()));
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, Math.max(0, ms));
  });
}
