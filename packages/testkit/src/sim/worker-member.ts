/**
 * A member of the worker library in the simulation: its own membership loop and coordinator client, on the simulated network.
 *
 * It shares the group's work as the wire-level members do, so both kinds lead each other. It consumes no stream: consumer-member.ts does.
 */

import { type Bucket, type Member, Muster, type Streams, silentLogger, type Transport } from '@muster/worker';
import type { SeededRandom } from '../seeded-random.js';
import type { GroupWatch } from './group-watch.js';
import type { MemberHabits } from './member.js';
import type { Delivery, Network, Peer } from './network.js';
import type { SimProcess } from './process.js';

function none(): never {
  throw new Error('a plain member uses no streams');
}

const noBucket: Bucket = { get: none, create: none, entries: none, delete: none };

const noStreams: Streams = {
  openReader: none,
  publish: none,
  bounds: none,
  countFrom: none,
  offsetAt: none,
  firstFrom: none,
  lastOf: none,
  subjectsOf: none,
  createStream: none,
  deleteStream: none,
  bucket: () => noBucket,
};

/** The library's transport on the simulated network. */
export function transportOf(network: Network, peer: Peer): Transport {
  let isConnected = true;
  peer.listeners.add((connected) => {
    isConnected = connected;
  });
  return {
    isConnected: () => isConnected,
    payloadBytesMax: () => undefined,
    newInbox: () => `_INBOX.${peer.process.name}`,
    publish: (subject, payload, replyTo = '') => network.publish(peer, subject, payload, replyTo, true),
    subscribe: (subject, onMessage) => {
      const deliver = ({ subject: published, payload, noResponders }: Delivery) =>
        onMessage({ subject: published, payload, noResponders });
      return network.subscribe(peer, subject, undefined, deliver);
    },
    onConnection: (listener) => {
      const tell = (connected: boolean) => listener({ kind: connected ? 'connected' : 'disconnected' });
      peer.listeners.add(tell);
      return () => peer.listeners.delete(tell);
    },
    close: () => Promise.resolve(),
  };
}

export class WorkerMember {
  readonly name: string;
  readonly process: SimProcess;
  #member: Member | undefined;
  readonly #heartbeatMs: number;
  #memberId = '';
  #generation = -1;
  #holds: readonly number[] = [];
  #isOver = false;

  constructor(parts: {
    readonly watch: GroupWatch;
    readonly process: SimProcess;
    readonly peer: Peer;
    readonly network: Network;
    readonly random: SeededRandom;
    readonly cluster: string;
    readonly habits: MemberHabits;
  }) {
    const { watch, process, peer, network, random, cluster, habits } = parts;
    this.name = process.name;
    this.process = process;
    const environment = {
      clock: process.clock,
      random: () => random.next(),
      newId: () => random.id(),
      wallNow: () => process.clock.wallNow(),
    };
    const transport = transportOf(network, peer);
    const muster = new Muster({
      cluster,
      clientId: this.name,
      transport,
      streams: noStreams,
      environment,
      logger: silentLogger,
    });
    const lose = (): void => {
      this.#holds = [];
    };
    this.#heartbeatMs = Math.min(habits.heartbeatMs, habits.sessionTimeoutMs / 3);
    void muster
      .member({
        group: watch.group,
        protocolType: 'sim',
        protocols: [{ name: 'even', metadata: new Uint8Array([7]) }],
        sessionTimeoutMs: habits.sessionTimeoutMs,
        rebalanceTimeoutMs: habits.rebalanceTimeoutMs,
        heartbeatIntervalMs: this.#heartbeatMs,
        // A simulated outage may last longer than anybody would wait.
        joinTimeoutMs: 86_400_000,
        assign: (_protocol, members) => {
          const names = members.map(({ memberId }) => memberId).sort();
          return new Map(names.map((memberId, index) => [memberId, watch.share(index, names.length)]));
        },
        onAssigned: ({ assignment, generation, memberId }) => {
          this.#memberId = memberId;
          this.#generation = generation;
          this.#holds = [...assignment];
          watch.assigned({ memberId, generation }, this.#holds, process.time());
        },
        onRevoked: lose,
        onLost: lose,
      })
      .then((member) => {
        this.#member = member;
      })
      .catch(() => {
        this.#isOver = true;
      });
  }

  get memberId(): string {
    return this.#memberId;
  }
  get generation(): number {
    return this.#generation;
  }
  get holds(): readonly number[] {
    return this.#holds;
  }
  get isStable(): boolean {
    const health = this.#member?.health();
    // Heard of lately: one that is about to give up, as no heartbeat got through, is not at rest.
    return !this.#isOver && health?.state === 'stable' && (health.heartbeatAgeMs ?? 0) < 1.5 * this.#heartbeatMs;
  }
}
