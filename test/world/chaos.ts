/**
 * A random run of a whole cluster: nodes are killed, paused, cut off, drained and started while clients commit. Everything is
 * drawn from the seed. What is forbidden is collected, never thrown, so that a failure shows all of it.
 */

import { groupId, monotonicMs, partition as partitionOf } from '@muster/protocol';
import type { AppendFault } from '@muster/testkit/internals';
import { checkLandedLog, SeededRandom } from '@muster/testkit/internals';
import { ClusterWorld } from './cluster-world.js';
import { SteadyClient } from './steady-client.js';

const NODES_MAX = 5;
const GROUPS = 4;

export type ChaosOutcome = {
  readonly violations: readonly string[];
  readonly acknowledged: number;
  /** What was done, in order: the story of a failure. */
  readonly story: readonly string[];
};

export class ChaosRun {
  readonly world: ClusterWorld;
  readonly clients: SteadyClient[] = [];
  readonly violations: string[] = [];
  readonly story: string[] = [];
  readonly #random: SeededRandom;
  readonly #healings = new Map<string, () => void>();
  readonly #draining = new Set<string>();
  #names = 3;

  constructor(seed: number) {
    this.#random = new SeededRandom(`chaos-${seed}`);
    this.world = new ClusterWorld({ partitionCount: 6, seed });
  }

  /** Runs so many faults, heals everything, and looks at what is left. */
  async run(faults: number): Promise<ChaosOutcome> {
    await this.world.startNodes('n1', 'n2', 'n3');
    for (const name of this.world.names) this.#watchOver(name);
    for (let index = 0; index < GROUPS; index += 1) {
      const client = new SteadyClient(this.world, groupId(`group-${index}`));
      this.clients.push(client);
      await client.join();
    }
    for (let fault = 0; fault < faults; fault += 1) {
      await this.#fault();
      await this.#pass(200 + this.#random.below(2_500));
    }
    await this.#settle();
    this.#judgeLog();
    const acknowledged = this.clients.reduce((sum, client) => sum + client.acknowledged, 0);
    const violations = [...this.violations, ...this.clients.flatMap((client) => client.violations)];
    return { violations, acknowledged, story: this.story };
  }

  async #fault(): Promise<void> {
    const healthy = this.world.names.filter((name) => !this.#healings.has(name) && !this.#draining.has(name));
    const kind = this.#random.pick([
      'kill',
      'freeze',
      'cut',
      'cut-silently',
      'drain',
      'start',
      'kill-two',
      'log',
      'leases',
    ] as const);
    if (kind === 'log' || kind === 'leases') return this.#storeFault(kind);
    if (healthy.length < 2 || kind === 'start') {
      if (this.world.names.length < NODES_MAX) await this.#start();
      return;
    }
    const name = this.#random.pick(healthy);
    this.story.push(`${this.world.clock.now()} ${kind} ${name}`);
    switch (kind) {
      case 'kill':
        return this.world.kill(name);
      case 'kill-two': {
        this.world.kill(name);
        const other = this.#random.pick(healthy.filter((each) => each !== name));
        if (healthy.length > 2) this.world.kill(other);
        return;
      }
      case 'freeze':
        this.world.freeze(name);
        return this.#healLater(name, () => this.world.thaw(name));
      case 'cut':
        this.world.nats.cut(name);
        return this.#healLater(name, () => this.world.nats.heal(name));
      case 'cut-silently':
        this.world.nats.cut(name, { silently: true });
        return this.#healLater(name, () => this.world.nats.heal(name));
      case 'drain':
        this.#draining.add(name);
        void this.world
          .node(name)
          .cluster.drain(monotonicMs(this.world.clock.now() + 10_000))
          .then(() => {
            this.#draining.delete(name);
            if (this.world.names.includes(name)) this.world.forget(name);
          });
    }
  }

  /** The store of the logs, or of the leases, is slow or away for a while. */
  #storeFault(kind: 'log' | 'leases'): void {
    const { world } = this;
    this.story.push(`${world.clock.now()} ${kind} troubled`);
    if (kind === 'leases') world.leases.setOutage(this.#random.pick(['no-leader', 'hanging'] as const));
    else world.log.plan = { append: () => this.#appendFault() };
    this.#healLater(kind, () => {
      if (kind === 'leases') world.leases.setOutage(undefined);
      else world.log.plan = {};
    });
  }

  #appendFault(): AppendFault | undefined {
    const drawn = this.#random.next();
    if (drawn < 0.2) return { kind: 'ack-lost' };
    if (drawn < 0.6) return { kind: 'delayed', landsAfterMs: 100 + this.#random.below(2_400) };
    if (drawn < 0.7) return { kind: 'dropped' };
    return drawn < 0.8 ? { kind: 'busy' } : undefined;
  }

  async #start(): Promise<void> {
    const isReturn = this.#random.next() < 0.5;
    const gone = Array.from({ length: this.#names }, (_, index) => `n${index + 1}`);
    const free = gone.filter((name) => !this.world.names.includes(name));
    let name = this.#random.pick(free.length > 0 ? free : ['n0']);
    if (!isReturn || free.length === 0) {
      this.#names += 1;
      name = `n${this.#names}`;
    }
    this.story.push(`${this.world.clock.now()} start ${name}`);
    await this.world.startNode(name);
    this.#watchOver(name);
  }

  /** A node that has lost its lease ends; whoever watches over processes starts another, perhaps. */
  #watchOver(name: string): void {
    const node = this.world.node(name);
    void node.over.then(() => {
      if (!this.world.names.includes(name) || this.world.node(name) !== node) return;
      this.story.push(`${this.world.clock.now()} ${name} is over`);
      this.world.forget(name);
    });
  }

  #healLater(name: string, heal: () => void): void {
    const ms = 100 + this.#random.below(9_000);
    const isStore = name === 'log' || name === 'leases';
    const healNow = (): void => {
      if (!this.#healings.delete(name)) return;
      this.story.push(`${this.world.clock.now()} heal ${name}`);
      if (isStore || this.world.names.includes(name)) heal();
    };
    this.#healings.get(name)?.();
    this.#healings.set(name, healNow);
    this.world.clock.after(ms, healNow);
  }

  async #pass(ms: number): Promise<void> {
    await this.world.clock.advanceUntil(() => {
      this.#look();
      return false;
    }, ms);
  }

  #look(): void {
    for (const client of this.clients) client.tick();
    this.world.answering().forEach((names, partition) => {
      if (names.length < 2) return;
      this.violations.push(
        `${this.world.clock.now()} ms: ${names.join(' and ')} both answer for partition ${partition}`,
      );
    });
  }

  /** The liveness phase: everything is healed, one node at least lives; all must come back. */
  async #settle(): Promise<void> {
    for (const heal of [...this.#healings.values()]) heal();
    await this.#pass(5_000);
    if (this.world.names.length < 2) await this.#start();
    await this.#pass(12_000);
    for (const client of this.clients) client.stop();
    const isQuiet = () => {
      this.#look();
      return this.clients.every((client) => client.isQuiet);
    };
    if (!(await this.world.clock.advanceUntil(isQuiet, 15_000))) this.violations.push('a request was never answered');
    this.world.answering().forEach((names, partition) => {
      if (names.length !== 1) this.violations.push(`partition ${partition} is answered for by [${names.join(', ')}]`);
    });
  }

  #judgeLog(): void {
    for (let index = 0; index < this.world.partitionCount; index += 1) {
      const { problems } = checkLandedLog(this.world.log.landed, partitionOf(index));
      for (const problem of problems) this.violations.push(`log of partition ${index}: ${problem}`);
    }
  }
}
