/**
 * A process that pretends to be a member: with generations that are over or yet to come, with ids that nobody has. It must not
 * succeed at anything.
 */

import { generation, memberId } from '@muster/protocol';
import type { SeededRandom } from '../seeded-random.js';
import type { SimClient } from './client.js';
import type { GroupWatch } from './group-watch.js';
import type { SimMember } from './member.js';
import type { SimProcess } from './process.js';
import type { Verdicts } from './verdicts.js';

const EVERY_MS = 900;

export class SimLiar {
  readonly client: SimClient;
  readonly process: SimProcess;
  readonly #watch: GroupWatch;
  readonly #honest: () => readonly SimMember[];
  readonly #random: SeededRandom;
  readonly #verdicts: Verdicts;
  /** Whether a later reign has begun over the group's partition than this one. */
  readonly #isSuperseded: (epoch: number) => boolean;
  #isOver = false;

  constructor(parts: {
    readonly client: SimClient;
    readonly process: SimProcess;
    readonly watch: GroupWatch;
    readonly honest: () => readonly SimMember[];
    readonly random: SeededRandom;
    readonly verdicts: Verdicts;
    readonly isSuperseded: (epoch: number) => boolean;
  }) {
    this.client = parts.client;
    this.process = parts.process;
    this.#watch = parts.watch;
    this.#honest = parts.honest;
    this.#random = parts.random;
    this.#verdicts = parts.verdicts;
    this.#isSuperseded = parts.isSuperseded;
  }

  start(): void {
    this.process.clock.after(EVERY_MS * (0.5 + this.#random.next()), () => {
      if (this.#isOver) return;
      this.start();
      this.#lie();
    });
  }

  stop(): void {
    this.#isOver = true;
  }

  #lie(): void {
    const honest = this.#honest().filter((member) => member.generation > 0);
    if (honest.length === 0) return;
    const victim = this.#random.pick(honest);
    const isPast = this.#random.next() < 0.6;
    const isNobody = this.#random.next() < 0.2;
    const who = {
      memberId: isNobody ? 'nobody-at-all' : victim.memberId,
      generation: isPast ? victim.generation - 1 : victim.generation + 1_000,
    };
    const body = {
      groupId: this.#watch.group,
      memberId: memberId(who.memberId),
      groupInstanceId: null,
      generationId: generation(who.generation),
    };
    const judge = (api: string, epoch: number, askedAt: number): void => {
      // A superseded owner may answer heartbeats until its lease ends; what it says changes nothing.
      if (api === 'heartbeat' && this.#isSuperseded(epoch)) return;
      if (isPast && !isNobody) return this.#watch.succeeded(`a lie: ${api}`, who, askedAt);
      this.#verdicts.check(
        'no-success-for-the-stale',
        false,
        this.#watch.group,
        () => `a lie succeeded: ${api} ${JSON.stringify(who)}`,
      );
    };
    const kind = this.#random.below(3);
    if (kind === 0) {
      this.client.ask('heartbeat', body, ({ error, epoch, askedAt }) => {
        if (error === 'NONE') judge('heartbeat', epoch, askedAt);
      });
    } else if (kind === 1) {
      const offsets = [
        { topic: 'lies', partition: 0, offset: 1, leaderEpoch: -1, metadata: '', commitTimestamp: null },
      ];
      this.client.ask('commit', { ...body, commitSeq: null, retentionTimeMs: null, offsets }, (reply) => {
        if (reply.error === 'NONE' && reply.fields?.partitions.every(({ error }) => error === 0)) {
          judge('commit', reply.epoch, reply.askedAt);
        }
      });
    } else {
      const assignments = [{ memberId: memberId(who.memberId), assignment: new Uint8Array([99]) }];
      this.client.ask(
        'sync',
        { ...body, protocolType: null, protocolName: null, assignments },
        ({ error, epoch, askedAt }) => {
          if (error === 'NONE') judge('sync', epoch, askedAt);
        },
      );
    }
  }
}
