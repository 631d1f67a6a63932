/**
 * The safety phase: faults of the plan, one after the other, each with an end of its own; and the end of all of them.
 *
 * F1 Everything is drawn from the seed. F2 `heal` ends whatever goes on, in any order: afterwards nothing is wrong any more.
 */

import { assertNever } from '@muster/protocol';
import type { SeededRandom } from '../seeded-random.js';
import type { SimNode } from './cluster.js';
import { MemberFaults } from './member-faults.js';
import { calm } from './network.js';
import type { FaultKind } from './plan.js';
import { noTrouble, type StreamServer } from './stream-server.js';
import type { World } from './world.js';

const NODES_MAX = 5;
const LATE_MS = 4_000;

export class Faults {
  readonly #world: World;
  readonly #random: SeededRandom;
  /** What is going on, with how to end it. */
  readonly #endings = new Set<() => void>();
  readonly #members: MemberFaults;
  #isOver = false;
  #names: number;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
    this.#names = world.plan.nodes;
    const hasEnded = (): boolean => this.#isOver;
    this.#members = new MemberFaults(world, random, {
      get isOver() {
        return hasEnded();
      },
      length: () => this.#spell(),
      during: (what, ms, end) => this.#during(what, ms, end),
    });
  }

  /** Begins; goes on until `heal`. */
  start(): void {
    this.#world.network.weather = this.#world.plan.weather;
    this.#next();
  }

  /** F2 */
  heal(): void {
    this.#isOver = true;
    for (const end of [...this.#endings]) end();
    const { network, log, leases, cluster } = this.#world;
    network.weather = calm;
    network.healRoutes();
    log.heal();
    leases.stream.heal();
    for (const node of cluster.nodes) {
      node.process.slowMs = 0;
      node.process.resume();
      network.setLink(node.peer, 'up');
    }
    for (const group of this.#world.groups) {
      const { members, departed, consumption } = group;
      consumption?.topic.stream.heal();
      for (const { process, peer } of consumption?.consumers ?? []) {
        process.resume();
        network.setLink(peer, 'up');
      }
      if (consumption !== undefined) consumption.isProducing = false;
      if (consumption?.consumers.length === 0) this.#world.addConsumer(group);
      for (const member of departed) member.process.resume();
      for (const member of members) {
        member.process.resume();
        member.hurry();
      }
    }
    if (cluster.nodes.every((node) => node.isDraining || node.isReplaced)) this.#startNode();
  }

  #next(): void {
    const ms = this.#world.plan.faultEveryMs * (0.2 + 1.6 * this.#random.next());
    this.#world.scheduler.after(ms, () => {
      if (this.#isOver) return;
      this.#happen(this.#random.pick(this.#world.plan.faults));
      this.#next();
    });
  }

  /** Something happens for a while. */
  #during(what: string, ms: number, end: () => void): void {
    const { history, scheduler } = this.#world;
    history.note('fault', () => `${what} for ${ms.toFixed(0)} ms`);
    const finish = (): void => {
      if (!this.#endings.delete(finish)) return;
      history.note('fault', () => `end of ${what}`);
      end();
    };
    this.#endings.add(finish);
    scheduler.after(ms, finish);
  }

  /** Mostly short, now and then longer than a lease. */
  #spell(): number {
    return this.#random.next() < 0.6 ? 50 + this.#random.next() * 2_500 : 2_000 + this.#random.next() * 9_000;
  }

  #healthy(): SimNode | undefined {
    const nodes = this.#world.cluster.nodes.filter(
      ({ process, peer, isReplaced }) => !isReplaced && !process.isPaused && peer.link === 'up',
    );
    return nodes.length === 0 ? undefined : this.#random.pick(nodes);
  }

  #happen(kind: FaultKind): void {
    const { cluster, log, leases, history } = this.#world;
    history.take(kind);
    switch (kind) {
      case 'kill':
      case 'kill-restart':
      case 'replace':
      case 'pause':
      case 'sleep':
      case 'slow':
      case 'cut':
      case 'cut-silently':
      case 'wall-jump':
      case 'drain': {
        const node = this.#healthy();
        return node === undefined ? undefined : this.#toNode(kind, node);
      }
      case 'start':
        if (cluster.names.length < NODES_MAX) this.#startNode();
        return;
      case 'route':
      case 'route-one-way':
        return this.#cutRoute(kind === 'route-one-way');
      case 'isolate':
        return this.#isolate();
      case 'swizzle':
        return this.#swizzle();
      case 'lease-leader':
        return this.#newLeader('leases', leases.stream);
      case 'log-leader':
        return this.#newLeader('log', this.#random.pick(log.streams));
      case 'lease-trouble':
        return this.#trouble('leases', leases.stream);
      case 'log-trouble':
        return this.#trouble('log', this.#random.pick(log.streams));
      case 'log-late': {
        const stream = this.#random.pick(log.streams);
        stream.trouble = { ...noTrouble, late: 0.5, lateMsMax: 6_000, commitMsMax: 20 };
        return this.#during('late log requests', this.#spell(), () => {
          stream.trouble = noTrouble;
        });
      }
      case 'log-slow': {
        const stream = this.#random.pick(log.streams);
        stream.trouble = { ...noTrouble, readMsMax: 300, purgeMsMax: 4_000 };
        return this.#during('slow reads and purges', 2_000 + this.#random.next() * 6_000, () => {
          stream.trouble = noTrouble;
        });
      }
      case 'log-full':
        return this.#fillUp();
      case 'outage': {
        const ms = this.#spell();
        const topics = this.#world.topics.map(({ stream }) => stream);
        for (const stream of [leases.stream, ...log.streams, ...topics]) stream.changeLeader(ms);
        return this.#during('outage of all streams', ms, () => {});
      }
      case 'topic-trouble':
        return this.#toTopic();
      case 'consumer-cut':
      case 'member-join':
      case 'member-leave':
      case 'member-die':
      case 'member-pause':
        return this.#members.toMember(kind);
      case 'static-restart':
      case 'static-twin':
        return this.#members.toStatic(kind === 'static-twin');
      case 'delete-group':
        return this.#members.deleteGroup();
      case 'sweep':
        return this.#world.sweep();
      default:
        assertNever(kind);
    }
  }

  #toNode(kind: FaultKind, node: SimNode): void {
    const { cluster, network, scheduler, drained, history } = this.#world;
    const { name, process, peer } = node;
    const ms = this.#spell();
    switch (kind) {
      case 'kill':
        return cluster.kill(name);
      case 'kill-restart': {
        cluster.kill(name);
        history.mark('a node was restarted under its id');
        return void scheduler.after(this.#random.next() * 3_000, () => cluster.start(name, peer.server));
      }
      case 'pause':
      case 'sleep':
        process.pause(kind === 'sleep');
        if (ms > 5_000) history.mark('a pause longer than the lease');
        return this.#during(`${kind} of ${name}`, ms, () => process.resume());
      case 'replace':
        process.pause();
        cluster.replace(name, this.#random.below(this.#world.plan.servers));
        history.mark('a process was replaced while it stood still');
        return this.#during(`pause of the replaced ${name}`, ms, () => process.resume());
      case 'slow':
        process.slowMs = 1 + this.#random.next() * 30;
        return this.#during(`slowness of ${name}`, ms, () => {
          process.slowMs = 0;
        });
      case 'cut':
      case 'cut-silently':
        network.setLink(peer, kind === 'cut' ? 'down' : 'silent');
        return this.#during(`${kind} of ${name}`, ms, () => network.setLink(peer, 'up'));
      case 'wall-jump':
        return process.jumpWall((this.#random.next() - 0.4) * 20_000);
      case 'drain':
        if (cluster.names.length < 2) return;
        drained.add(node.incarnation);
        history.note('fault', () => `drain of ${name}`);
        return cluster.drain(name, 5_000 + this.#random.next() * 10_000);
      default:
        throw new Error(`${kind} does not happen to nodes`);
    }
  }

  #startNode(): void {
    const { cluster, plan } = this.#world;
    const gone = Array.from({ length: this.#names }, (_, index) => `n${index + 1}`);
    const free = gone.filter((name) => cluster.node(name) === undefined);
    let name = free.length > 0 ? this.#random.pick(free) : undefined;
    if (name === undefined || this.#random.next() < 0.3) {
      this.#names += 1;
      name = `n${this.#names}`;
    }
    cluster.start(name, this.#random.below(plan.servers));
  }

  #cutRoute(isOneWay: boolean): void {
    const { network, plan } = this.#world;
    if (plan.servers < 2) return;
    const from = this.#random.below(plan.servers);
    const to = (from + 1 + this.#random.below(plan.servers - 1)) % plan.servers;
    const state = this.#random.pick(['silent', 'down'] as const);
    network.setRoute(from, to, state);
    if (!isOneWay) network.setRoute(to, from, state);
    this.#during(`route ${from} ${isOneWay ? '->' : '-'} ${to} ${state}`, this.#spell(), () => {
      network.setRoute(from, to, 'up');
      network.setRoute(to, from, 'up');
    });
  }

  /** A whole server with all that is connected to it is cut off from the others: two worlds, each with clients of its own. */
  #isolate(): void {
    const { network, plan } = this.#world;
    if (plan.servers < 2) return;
    const alone = this.#random.below(plan.servers);
    const state = this.#random.next() < 0.75 ? 'down' : 'silent';
    const set = (to: typeof state | 'up'): void => {
      for (let other = 0; other < plan.servers; other += 1) {
        network.setRoute(alone, other, to);
        network.setRoute(other, alone, to);
      }
    };
    set(state);
    this.#during(`isolation of server ${alone} (${state})`, 2_000 + this.#random.next() * 8_000, () => set('up'));
  }

  /** Links go one after the other, and come back in another order. */
  #swizzle(): void {
    const { cluster, network, scheduler } = this.#world;
    const some = cluster.nodes.filter(() => this.#random.next() < 0.7);
    some.forEach((node, index) => {
      const state = this.#random.pick(['silent', 'down'] as const);
      const ms = 300 + this.#random.next() * 6_000;
      scheduler.after(index * 150, () => {
        if (this.#isOver) return;
        network.setLink(node.peer, state);
        this.#during(`swizzled link of ${node.name}`, ms, () => network.setLink(node.peer, 'up'));
      });
    });
  }

  #newLeader(what: string, stream: StreamServer): void {
    // nats.md: a clean step-down takes 20 ms, the loss of the leading server up to 9 s.
    const ms = this.#random.next() < 0.6 ? 20 + this.#random.next() * 300 : 4_000 + this.#random.next() * 5_000;
    stream.changeLeader(ms);
    this.#during(`no leader of ${what}`, ms, () => {});
  }

  #trouble(what: string, stream: StreamServer): void {
    const random = this.#random;
    stream.trouble = {
      late: random.next() * 0.15,
      lateMsMax: random.pick([50, 1_000, 5_000]),
      ackLoss: random.next() * 0.3,
      commitMsMax: random.pick([1, 30, 400]),
      stale: random.next() * 0.4,
      readMsMax: random.pick([1, 30, 200]),
      purgeMsMax: random.pick([0, 0, 2_000]),
      unnamed: random.next() * 0.5,
    };
    this.#during(`trouble of ${what}`, this.#spell(), () => {
      stream.trouble = noTrouble;
    });
  }

  /** Others have filled the stream up: at once to the last byte, or so far that little is left to go on with (L7). */
  #fillUp(): void {
    const { log } = this.#world;
    const index = this.#random.below(log.streams.length);
    log.limit(index, this.#random.next() < 0.3 ? 1 : 0.55 + this.#random.next() * 0.4);
    this.#during('little room in a log stream', 1_000 + this.#random.next() * 10_000, () => log.limit(index));
    // Somebody new comes when every node should know.
    this.#world.scheduler.after(LATE_MS, () => this.#members.comeLate());
  }

  #toTopic(): void {
    const { topics } = this.#world;
    if (topics.length === 0) return;
    const { stream } = this.#random.pick(topics);
    if (this.#random.next() < 0.5) this.#newLeader('a topic', stream);
    else this.#trouble('a topic', stream);
  }
}
