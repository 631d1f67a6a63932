/**
 * A simulated member of a group, over the wire protocol: joins, syncs, heartbeats, commits, reads back, leaves or dies.
 *
 * Honest: it does what the classic protocol asks of it, and tells the group's watch what it was answered. Only a static member that
 * was fenced does not believe it at once: it tries a few times more, and must not succeed.
 */

import {
  type ErrorName,
  encodeSubscription,
  type Generation,
  type GroupId,
  generation,
  type InstanceId,
  type MemberId,
  memberId as memberIdOf,
  type ReplyOf,
} from '@muster/protocol';
import type { SeededRandom } from '../seeded-random.js';
import type { ClientReply, SimClient } from './client.js';
import type { GroupWatch } from './group-watch.js';
import type { History } from './history.js';
import type { SimProcess } from './process.js';
import { LEFT_TOPIC, TOPIC } from './topics.js';

export type MemberHabits = {
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly heartbeatMs: number;
  /** Between two commits; 0 = it never commits. */
  readonly commitMs: number;
  /** Between two fetches of offsets; 0 = it never reads. */
  readonly fetchMs: number;
  /** How long it takes until it rejoins: a late member takes longer than the rebalance waits. */
  readonly rejoinMs: number;
  /** Size of its subscription, in bytes. */
  readonly metadataBytes: number;
  /** It speaks the consumer protocol: the coordinator knows its topics, and now and then it commits to one that it has left. */
  readonly isConsumer: boolean;
};

type Identity = {
  readonly groupId: GroupId;
  readonly memberId: MemberId;
  readonly groupInstanceId: InstanceId | null;
  readonly generationId: Generation;
};
type Phase = 'joining' | 'syncing' | 'stable' | 'gone';

/** What a fenced process still tries. */
const FENCED_TRIES = 4;

export class SimMember {
  readonly name: string;
  readonly watch: GroupWatch;
  readonly client: SimClient;
  readonly process: SimProcess;
  readonly habits: MemberHabits;
  /** Set for a static member: whoever comes after it under this id takes its place. */
  readonly instance: InstanceId | null;
  readonly #random: SeededRandom;
  readonly #history: History;
  readonly #onFenced: (member: SimMember) => void;
  #phase: Phase = 'joining';
  #memberId: MemberId = memberIdOf('');
  #generation = -1;
  #holds: readonly number[] = [];
  #commitSeq = 0;
  #isCommitting = false;
  #isBeating = false;
  #isCalm = false;
  #isPunctual = false;
  #cancelJoin: () => void = () => {};
  /** When the last request was sent that was answered in order while it was stable. */
  #soundAt: number | undefined;
  #endings: (() => void)[] = [];

  constructor(parts: {
    readonly name: string;
    readonly watch: GroupWatch;
    readonly client: SimClient;
    readonly process: SimProcess;
    readonly habits: MemberHabits;
    readonly instance: InstanceId | null;
    readonly random: SeededRandom;
    readonly history: History;
    readonly onFenced: (member: SimMember) => void;
  }) {
    this.instance = parts.instance;
    this.#onFenced = parts.onFenced;
    this.name = parts.name;
    this.watch = parts.watch;
    this.client = parts.client;
    this.process = parts.process;
    this.habits = parts.habits;
    this.#random = parts.random;
    this.#history = parts.history;
  }

  get memberId(): string {
    return this.#memberId;
  }
  get generation(): number {
    return this.#generation;
  }
  get isStable(): boolean {
    return this.#phase === 'stable';
  }
  get isGone(): boolean {
    return this.#phase === 'gone';
  }
  get holds(): readonly number[] {
    return this.#holds;
  }

  start(): void {
    const { heartbeatMs, commitMs, fetchMs } = this.habits;
    this.client.watch(this.watch.group, (notice) => {
      if (notice.kind === 'rebalance' && notice.generationId >= this.#generation) this.#rejoinSoon();
    });
    this.#every(heartbeatMs, () => this.#heartbeat());
    if (commitMs > 0) this.#every(commitMs, () => this.#commit());
    if (fetchMs > 0) this.#every(fetchMs, () => this.#fetch());
    this.#join();
  }

  /** Leaves in good order; what it held is given away at once. */
  leave(): void {
    if (this.#phase === 'gone') return;
    this.#end();
    const { watch } = this;
    const member = this.#memberId;
    if (member === '') return;
    const members = [{ memberId: member, groupInstanceId: null, reason: null }];
    this.client.ask('leave', { groupId: watch.group, members }, ({ error, fields, answeredAt }) => {
      if (error === 'NONE' && fields?.members.every((each) => each.error === 0)) watch.left(member, answeredAt);
    });
  }

  /** Dies without a word. */
  die(): void {
    this.#end();
    this.client.close();
    this.process.kill();
  }

  /** From now on it rejoins at once: somebody who always comes late never lets a group rest. */
  hurry(): void {
    this.#isPunctual = true;
  }

  /** Begins no new work, except for what keeps it a member. */
  calm(): void {
    this.#isCalm = true;
  }

  #end(): void {
    this.#phase = 'gone';
    this.#holds = [];
    this.#cancelJoin();
    for (const end of this.#endings.splice(0)) end();
  }

  #join(): void {
    this.#phase = 'joining';
    this.#cancelJoin();
    this.#holds = [];
    const { sessionTimeoutMs, rebalanceTimeoutMs, metadataBytes, isConsumer } = this.habits;
    const bytes = new Uint8Array(metadataBytes).fill(7);
    const metadata = isConsumer ? encodeSubscription({ topics: [TOPIC], userData: bytes }) : bytes;
    const body = {
      groupId: this.watch.group,
      memberId: this.#memberId,
      groupInstanceId: this.instance,
      clientId: this.name,
      clientHost: 'sim',
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      protocolType: isConsumer ? 'consumer' : 'sim',
      protocols: [{ name: 'even', metadata }],
      requireKnownMemberId: false,
      supportSkippingAssignment: true,
      reason: null,
    };
    this.#cancelJoin = this.client.ask('join', body, (reply) => this.#onJoin(reply));
  }

  #onJoin({ error, fields, answeredAt }: ClientReply<'join'>): void {
    if (this.#phase !== 'joining') return;
    if (error === 'NONE' && fields !== undefined) {
      this.#memberId = fields.memberId;
      this.#generation = fields.generationId;
      this.watch.joined(this.#who(), fields.leader, answeredAt);
      return this.#sync(fields);
    }
    if (error === 'MEMBER_ID_REQUIRED' && fields !== undefined) this.#memberId = fields.memberId;
    else if (error === 'UNKNOWN_MEMBER_ID') return this.#expelled();
    else if (error === 'FENCED_INSTANCE_ID') return this.#fenced();
    this.#after(60, () => this.#join());
  }

  #sync(joined: ReplyOf['join']): void {
    this.#phase = 'syncing';
    const isLeader = joined.leader === this.#memberId;
    const names = joined.members.map(({ memberId }) => memberId).sort();
    const assignments =
      isLeader && !joined.skipAssignment
        ? names.map((memberId, index) => ({ memberId, assignment: this.watch.share(index, names.length) }))
        : [];
    const who = this.#who();
    const body = { ...this.#identity(), protocolType: null, protocolName: null, assignments };
    this.client.ask('sync', body, ({ error, fields, askedAt, answeredAt, epoch }) => {
      if (error === 'NONE' && fields !== undefined) {
        this.watch.succeeded('sync', who, askedAt);
        this.watch.assigned(who, [...fields.assignment], answeredAt);
      }
      if (!this.#isCurrent(who) || this.#phase !== 'syncing') return;
      if (error !== 'NONE' || fields === undefined) return this.#refused(error);
      this.#phase = 'stable';
      this.#holds = [...fields.assignment];
      this.#soundAt = this.watch.isSuperseded(epoch, answeredAt) ? undefined : askedAt;
    });
  }

  #heartbeat(): void {
    if (this.#isBeating || this.#phase === 'joining' || this.#phase === 'gone') return;
    this.#isBeating = true;
    const who = this.#who();
    this.client.ask('heartbeat', this.#identity(), ({ error, askedAt, answeredAt, epoch }) => {
      this.#isBeating = false;
      // A superseded owner answers heartbeats until its lease ends; of a successor in a static member's place it knows nothing.
      const isExcused = this.instance !== null && this.watch.isSuperseded(epoch, answeredAt);
      if (error === 'NONE' && !isExcused) this.watch.succeeded('heartbeat', who, askedAt);
      if (!this.#isCurrent(who)) return;
      if (error === 'NONE') {
        // What a superseded owner says until its lease ends is no proof of anything.
        const isSound = !this.watch.isSuperseded(epoch, answeredAt);
        if (this.#phase === 'stable' && isSound) this.#soundAt = askedAt;
      } else this.#refused(error);
    });
  }

  #commit(): void {
    if (this.#isCalm || this.#isCommitting || this.#phase !== 'stable' || this.#holds.length === 0) return;
    const topicPartition = this.#random.pick(this.#holds);
    const offset = this.watch.nextOffset(topicPartition);
    this.#isCommitting = true;
    this.#commitSeq += 1;
    const who = this.#who();
    const body = this.#commitOf(this.#identity(), topicPartition, offset);
    this.client.ask('commit', body, ({ error, fields, askedAt, answeredAt }) => {
      this.#isCommitting = false;
      const refusal = fields?.partitions.find((each) => each.error !== 0);
      if (error === 'NONE' && fields !== undefined && refusal === undefined) {
        this.watch.succeeded('commit', who, askedAt);
        this.watch.committed(topicPartition, offset, askedAt, answeredAt);
        return;
      }
      this.#history.mark('a commit was refused');
    });
  }

  #fetch(): void {
    const floors = this.watch.floors();
    const body = { groupId: this.watch.group, requireStable: false, partitions: null };
    this.client.ask('fetch', body, ({ error, fields, askedAt }) => {
      if (error !== 'NONE' || fields === undefined) return;
      this.watch.fetchedAll(fields.partitions, floors, askedAt);
    });
  }

  #refused(error: ErrorName): void {
    switch (error) {
      case 'UNKNOWN_MEMBER_ID':
        return this.#expelled();
      case 'FENCED_INSTANCE_ID':
        return this.#fenced();
      case 'REBALANCE_IN_PROGRESS':
      case 'ILLEGAL_GENERATION':
        return this.#rejoinSoon();
      default:
        return this.#after(200, () => this.#rejoinSoon());
    }
  }

  /** kafka: fatal. What it still tries under its old identity must come to nothing. */
  #fenced(): void {
    const { heartbeatMs } = this.habits;
    const identity = this.#identity();
    this.#history.mark('an instance was fenced');
    this.#end();
    this.#onFenced(this);
    const tryOn = (tries: number): void => {
      const judge = (error: ErrorName): void => this.watch.triedFenced(identity.memberId, error);
      if (tries % 2 === 0) this.client.ask('heartbeat', identity, ({ error }) => judge(error));
      else this.client.ask('commit', this.#commitOf(identity, 0, 0), ({ error }) => judge(error));
      if (tries > 1) this.process.clock.after(heartbeatMs, () => tryOn(tries - 1));
    };
    // Whoever is fenced while it joins for the first time has no identity yet.
    if (identity.memberId !== '') this.process.clock.after(heartbeatMs / 2, () => tryOn(FENCED_TRIES));
  }

  #expelled(): void {
    const { sessionTimeoutMs, rebalanceTimeoutMs } = this.habits;
    if (this.#soundAt !== undefined) {
      const sinceMs = this.#now() - this.#soundAt;
      this.watch.expelled(this.#memberId, sinceMs, Math.min(sessionTimeoutMs, rebalanceTimeoutMs));
    }
    this.#soundAt = undefined;
    this.#memberId = memberIdOf('');
    this.#generation = -1;
    this.#join();
  }

  #rejoinSoon(): void {
    if (this.#phase !== 'stable' && this.#phase !== 'syncing') return;
    this.#phase = 'joining';
    const late = this.#isPunctual ? 0 : this.habits.rejoinMs;
    this.#after(late > 0 ? this.#random.next() * late : 0, () => this.#join());
  }

  #commitOf(identity: Identity, topicPartition: number, offset: number) {
    const leaderEpoch = -1;
    const topics = this.habits.isConsumer && offset % 4 === 0 ? [TOPIC, LEFT_TOPIC] : [TOPIC];
    const offsets = topics.map((topic) => {
      return { topic, partition: topicPartition, offset, leaderEpoch, metadata: '', commitTimestamp: null };
    });
    return { ...identity, commitSeq: this.#commitSeq, retentionTimeMs: null, offsets };
  }

  #identity(): Identity {
    const generationId = generation(this.#generation);
    return { groupId: this.watch.group, memberId: this.#memberId, groupInstanceId: this.instance, generationId };
  }

  #who() {
    return { memberId: this.#memberId as string, generation: this.#generation };
  }

  #isCurrent(who: { readonly memberId: string; readonly generation: number }): boolean {
    return this.#phase !== 'gone' && who.memberId === this.#memberId && who.generation === this.#generation;
  }

  #now(): number {
    return this.process.time();
  }

  #after(ms: number, run: () => void): void {
    this.process.clock.after(ms, () => {
      if (this.#phase !== 'gone') run();
    });
  }

  #every(ms: number, run: () => void): void {
    let cancel = (): void => {};
    const again = (): void => {
      cancel = this.process.clock.after(ms * (0.8 + this.#random.next() * 0.4), () => {
        again();
        run();
      });
    };
    again();
    this.#endings.push(() => cancel());
  }
}
