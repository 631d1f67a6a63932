/**
 * A consumer of the worker library in the simulation: lanes, commits and hand-overs of its own, over a simulated topic.
 *
 * Its handlers take their time and tell the group's handling watch; what the consumer makes of that is the library's affair. One that
 * fails ends its process, and whoever runs it starts another.
 */

import { type Consumer, cooperativeStickyAssignor, Muster, rangeAssignor, silentLogger } from '@muster/worker';
import type { SeededRandom } from '../seeded-random.js';
import type { HandlingWatch } from './handling-watch.js';
import type { History } from './history.js';
import type { Network, Peer } from './network.js';
import type { SimProcess } from './process.js';
import type { TopicServer } from './topic-server.js';
import { transportOf } from './worker-member.js';

export type ConsumerHabits = {
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** Only what moves is revoked; otherwise everything is, each round. */
  readonly isCooperative: boolean;
  readonly commitMs: number;
  /** How long a handler takes at most. */
  readonly handlerMsMax: number;
  /** Between two messages that are produced. */
  readonly produceMs: number;
  /** How likely a handler throws. */
  readonly failures: number;
};

/** Patience with outages of any length. */
const JOIN_TIMEOUT_MS = 3_600_000;
const HEARTBEAT_MS = 1_500;
const CLOSE_WITHIN_MS = 4_000;

type Places = readonly { readonly partition: number }[];

function placesOf(places: Places): string {
  return places.map(({ partition }) => partition).join(' ');
}

export class ConsumerMember {
  readonly name: string;
  readonly process: SimProcess;
  readonly peer: Peer;
  #consumer: Consumer<unknown> | undefined;
  readonly #network: Network;
  readonly #handling: HandlingWatch;
  readonly #onOver: (why: string) => void;
  #isOver = false;

  constructor(parts: {
    readonly group: string;
    readonly topic: TopicServer;
    readonly handling: HandlingWatch;
    readonly habits: ConsumerHabits;
    readonly process: SimProcess;
    readonly peer: Peer;
    readonly network: Network;
    readonly random: SeededRandom;
    readonly cluster: string;
    readonly history: History;
    /** It has failed, and its process has ended. */
    readonly onOver: (why: string) => void;
  }) {
    const { group, topic, handling, habits, process, peer, network, random, cluster, history } = parts;
    this.name = process.name;
    this.process = process;
    this.peer = peer;
    this.#network = network;
    this.#handling = handling;
    this.#onOver = parts.onOver;
    const transport = transportOf(network, peer);
    const muster = new Muster({
      cluster,
      clientId: this.name,
      transport,
      streams: topic.connect(peer, () => transport.isConnected()),
      environment: {
        clock: process.clock,
        random: () => random.next(),
        newId: () => random.id(),
        wallNow: () => process.clock.wallNow(),
      },
      logger: silentLogger,
    });
    const { sessionTimeoutMs, rebalanceTimeoutMs, isCooperative, commitMs } = habits;
    const options = {
      group,
      topics: [topic.spec],
      codec: { name: 'nothing', encode: () => new Uint8Array(), decode: () => undefined },
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      heartbeatIntervalMs: HEARTBEAT_MS,
      joinTimeoutMs: JOIN_TIMEOUT_MS,
      assignors: [isCooperative ? cooperativeStickyAssignor : rangeAssignor],
      commit: { kind: 'auto', intervalMs: commitMs, count: 5 },
      onFailure: { kind: 'retry', attempts: 3, backoffMs: 50 },
      onAssigned: (given: Places) => {
        handling.changedHands(this.name);
        history.note(group, () => `${this.name} gets [${placesOf(given)}]`);
      },
      onLost: (gone: Places) => {
        handling.changedHands(this.name);
        history.mark('a consumer lost partitions');
        history.note(group, () => `${this.name} loses [${placesOf(gone)}]`);
      },
      onRevoked: (gone: Places) => {
        history.mark('a consumer gave partitions up');
        history.note(group, () => `${this.name} gives up [${placesOf(gone)}]`);
      },
    } as const;
    const work = async (): Promise<void> => {
      const consumer = await muster.consumer<unknown>(options);
      this.#consumer = consumer;
      await consumer.run({
        concurrency: 4,
        eachMessage: async (message) => {
          const { partition, offset, generation, signal } = message;
          const ends = handling.begins({ who: this.name, partition, offset, generation, signal });
          const ms = random.next() < 0.03 ? habits.handlerMsMax * 20 : random.next() * habits.handlerMsMax;
          await new Promise<void>((resolve) => {
            process.clock.after(ms, resolve);
          });
          if (random.next() < habits.failures) {
            handling.gaveUp(this.name, partition);
            throw new Error('a handler that fails now and then');
          }
          ends();
        },
      });
    };
    work().then(
      () => this.#end('closed'),
      (error: unknown) => this.#end(String(error)),
    );
  }

  get memberId(): string {
    return this.#consumer?.health().memberId ?? '';
  }
  get generation(): number {
    return this.#consumer?.health().generation ?? -1;
  }
  get isStable(): boolean {
    const health = this.#consumer?.health();
    // Heard of lately: one that is about to give up, as no heartbeat got through, is not at rest.
    return !this.#isOver && health?.state === 'stable' && (health.heartbeatAgeMs ?? 0) < 1.5 * HEARTBEAT_MS;
  }
  get holds(): readonly number[] {
    return this.#consumer?.assignment().map(({ partition }) => partition) ?? [];
  }

  /** Stops in good order; the process ends when it has. */
  leave(): void {
    if (this.#consumer === undefined) return this.die();
    void this.#consumer.close({ timeoutMs: CLOSE_WITHIN_MS });
  }

  /** kill -9 */
  die(): void {
    this.#isOver = true;
    this.process.kill();
    this.#network.disconnect(this.peer);
    this.#handling.ended(this.name);
  }

  #end(why: string): void {
    if (this.#isOver) return;
    this.die();
    this.#onOver(why);
  }
}
