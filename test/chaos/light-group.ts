/**
 * A light group: three members (or so) over bare requests, kept alive, with one stream of commits.
 *
 * Members follow the classic loop (join, sync, heartbeat, again when told so). Nobody joins or leaves once it has formed: every
 * later rebalance is without cause. What they are told goes into the history; nothing is judged here.
 */

import type { GroupId, MemberId } from '@muster/protocol';
import { decode, encode, generation, memberId } from '@muster/protocol';
import type { ChaosClient } from './chaos-client.js';
import { type HistoryWriter, nowMs } from './history.js';

export type LightGroupOptions = {
  readonly members: number;
  readonly heartbeatMs: number;
  /** 0 = no commits. */
  readonly commitMs: number;
  readonly sessionTimeoutMs: number;
};

type Seat = { member: MemberId; generation: number; commitSeq: number };

const TOPIC = 'light';
const ANSWER_MS = 60_000;
const RESEND_MS = 1_000;
/** How long a group takes at most to come to rest when all faults are over, and how much more a busy machine gets. */
const REST_MS = 30_000;
const REST_BUSY_MS = 120_000;
/** So many commits later the offsets are read back. */
const FETCH_EVERY = 5;
const PARTITIONS = 6;
const NOBODY = memberId('');

export class LightGroup {
  readonly groupId: GroupId;
  readonly #client: ChaosClient;
  readonly #history: HistoryWriter;
  readonly #options: LightGroupOptions;
  readonly #seats: readonly Seat[];
  readonly #loops: Promise<void>[] = [];
  readonly #ending = new AbortController();
  #isFormed = false;
  #commits = 0;

  constructor(groupId: GroupId, client: ChaosClient, history: HistoryWriter, options: LightGroupOptions) {
    this.groupId = groupId;
    this.#client = client;
    this.#history = history;
    this.#options = options;
    this.#seats = Array.from({ length: options.members }, () => ({ member: NOBODY, generation: -1, commitSeq: 0 }));
  }

  /** Lets all members join; settles when one generation has them all. */
  async form(): Promise<void> {
    const isTogether = () => {
      const [first] = this.#seats;
      return first !== undefined && first.generation > 0 && this.#seats.every((s) => s.generation === first.generation);
    };
    const bring = async (seat: Seat) => {
      await this.#enter(seat);
      while (!isTogether()) {
        await this.#pause(50);
        await this.#beat(seat);
      }
    };
    await Promise.all(this.#seats.map(bring));
    this.#isFormed = true;
    const formedIn = this.#seats[0]?.generation ?? -1;
    this.#history.write({ kind: 'formed', at: nowMs(), group: this.groupId, generation: formedIn });
  }

  /** Heartbeats of every member, and commits, until `end`. */
  keepGoing(): void {
    const { heartbeatMs, commitMs } = this.#options;
    for (const seat of this.#seats) this.#loops.push(this.#every(heartbeatMs, () => this.#beat(seat)));
    const [committer] = this.#seats;
    if (commitMs > 0 && committer !== undefined) this.#loops.push(this.#every(commitMs, () => this.#commit(committer)));
  }

  /** One heartbeat now. @returns how long its answer took, and what it was */
  async probe(): Promise<{ readonly waitMs: number; readonly error: string }> {
    const [seat] = this.#seats;
    if (seat === undefined) return { waitMs: 0, error: 'NO_MEMBER' };
    const body = {
      groupId: this.groupId,
      memberId: seat.member,
      groupInstanceId: null,
      generationId: generation(seat.generation),
    };
    const { waitMs, error } = await this.#client.ask('heartbeat', body, { deadlineMs: ANSWER_MS, resendMs: RESEND_MS });
    return { waitMs, error };
  }

  /** Ends the loops; what is on its way is waited for. Then says what the cluster knows of the group. */
  async end(): Promise<void> {
    const state = await this.#restState();
    this.#history.write({ kind: 'final-state', at: nowMs(), group: this.groupId, state });
    this.#ending.abort();
    await Promise.all(this.#loops);
    const times = { deadlineMs: ANSWER_MS, resendMs: RESEND_MS };
    const offsets = await this.#fetch();
    if (offsets === undefined) this.#trouble('the final offsets could not be read');
    else this.#history.write({ kind: 'final-offsets', at: nowMs(), group: this.groupId, offsets });
    const { fields } = await this.#client.ask('describe', { groupId: this.groupId }, times);
    if (fields === undefined) return this.#trouble('the group could not be described');
    for (const { generationId, cause, memberId: member, startedAtMs, durationMs } of fields.rebalances) {
      const round = { generation: generationId, cause, member, startedAt: startedAtMs, durationMs };
      this.#history.write({ kind: 'rebalance', group: this.groupId, ...round });
    }
  }

  /** The state of the group, Stable if it comes to that in bounded time: its members are still there. */
  async #restState(): Promise<string> {
    const beganAt = performance.now();
    for (;;) {
      const times = { deadlineMs: ANSWER_MS, resendMs: RESEND_MS };
      const { fields } = await this.#client.ask('describe', { groupId: this.groupId }, times);
      const state = fields?.state ?? 'unknown';
      const ms = performance.now() - beganAt;
      if (state === 'Stable' || ms > REST_BUSY_MS) {
        if (ms > REST_MS) this.#history.write({ kind: 'slow', at: nowMs(), what: `${this.groupId} comes to rest`, ms });
        return state;
      }
      await this.#pause(500);
    }
  }

  async #enter(seat: Seat): Promise<void> {
    const { sessionTimeoutMs, members } = this.#options;
    const times = { deadlineMs: ANSWER_MS, resendMs: RESEND_MS };
    for (;;) {
      const join = {
        groupId: this.groupId,
        memberId: seat.member,
        groupInstanceId: null,
        clientId: 'light',
        clientHost: '',
        sessionTimeoutMs,
        rebalanceTimeoutMs: 30_000,
        protocolType: 'light',
        protocols: [{ name: 'even', metadata: new Uint8Array() }],
        requireKnownMemberId: false,
        supportSkippingAssignment: true,
        reason: null,
      };
      const joined = await this.#client.ask('join', join, times, (fields) =>
        fields === undefined
          ? {}
          : {
              joinedAs: fields.memberId,
              joined: {
                generation: fields.generationId,
                leader: fields.leader,
                members: fields.members.map((member) => member.memberId),
              },
            },
      );
      if (joined.error !== 'NONE' || joined.fields === undefined) {
        await this.#refused(seat, 'join', joined.error);
        continue;
      }
      const { memberId: member, generationId, leader, members: all } = joined.fields;
      seat.member = member;
      const spread = (index: number) =>
        Array.from({ length: PARTITIONS }, (_, at) => at).filter((at) => at % members === index % members);
      const assignments =
        leader === member ? all.map((of, at) => ({ memberId: of.memberId, assignment: encode(spread(at)) })) : [];
      const body = { groupId: this.groupId, memberId: member, groupInstanceId: null, generationId };
      const sync = { ...body, protocolType: null, protocolName: null, assignments };
      const synced = await this.#client.ask('sync', sync, times);
      if (synced.error === 'NONE' && synced.fields !== undefined) {
        seat.generation = generationId;
        const partitions = numbersIn(synced.fields.assignment);
        const held = { group: this.groupId, member, generation: generationId, partitions };
        this.#history.write({ kind: 'assignment', at: nowMs(), ...held });
        return;
      }
      if (synced.error !== 'REBALANCE_IN_PROGRESS') await this.#refused(seat, 'sync', synced.error);
    }
  }

  async #beat(seat: Seat): Promise<void> {
    const body = { groupId: this.groupId, memberId: seat.member, groupInstanceId: null };
    const beat = { ...body, generationId: generation(seat.generation) };
    const times = { deadlineMs: ANSWER_MS, resendMs: this.#options.heartbeatMs };
    const { error } = await this.#client.ask('heartbeat', beat, times);
    if (error === 'NONE') return;
    if (error !== 'REBALANCE_IN_PROGRESS') await this.#refused(seat, 'heartbeat', error);
    await this.#enter(seat);
  }

  async #commit(seat: Seat): Promise<void> {
    seat.commitSeq += 1;
    this.#commits += 1;
    const partition = this.#commits % PARTITIONS;
    const offset = this.#commits;
    const offsets = [{ topic: TOPIC, partition, offset, leaderEpoch: -1, metadata: '', commitTimestamp: null }];
    const member = { groupId: this.groupId, memberId: seat.member, groupInstanceId: null };
    const body = { ...member, generationId: generation(seat.generation), commitSeq: seat.commitSeq };
    const commit = { ...body, retentionTimeMs: null, offsets };
    const times = { deadlineMs: ANSWER_MS, resendMs: RESEND_MS };
    await this.#client.ask('commit', commit, times, (fields, error) =>
      error === 'NONE' && fields?.partitions[0]?.error === 0 ? { committed: [[partition, offset]] } : {},
    );
    if (this.#commits % FETCH_EVERY === 0) await this.#fetch();
  }

  async #fetch(): Promise<(readonly [number, number])[] | undefined> {
    const offsetsIn = (list: readonly { readonly partition: number; readonly offset: number }[]) =>
      list.map(({ partition, offset }): readonly [number, number] => [partition, offset]);
    const body = { groupId: this.groupId, requireStable: false, partitions: null };
    const times = { deadlineMs: ANSWER_MS, resendMs: RESEND_MS };
    const { error, fields } = await this.#client.ask('fetch', body, times, (answer) =>
      answer === undefined ? {} : { fetched: offsetsIn(answer.partitions) },
    );
    return error === 'NONE' && fields !== undefined ? offsetsIn(fields.partitions) : undefined;
  }

  /** A refusal that the classic loop answers by joining again: as somebody new where the group does not know the member. */
  async #refused(seat: Seat, api: string, error: string): Promise<void> {
    if (this.#isFormed) this.#trouble(`${api} of ${seat.member}: ${error}`);
    if (error === 'UNKNOWN_MEMBER_ID') {
      seat.member = NOBODY;
      seat.commitSeq = 0;
    }
    await this.#pause(100);
  }

  async #every(ms: number, run: () => Promise<void>): Promise<void> {
    await this.#pause(Math.random() * ms);
    while (!this.#ending.signal.aborted) {
      const startedAt = performance.now();
      await run();
      await this.#pause(Math.max(0, startedAt + ms - performance.now()));
    }
  }

  #pause(ms: number): Promise<void> {
    const { signal } = this.#ending;
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener('abort', end);
    });
  }

  #trouble(detail: string): void {
    this.#history.write({ kind: 'trouble', at: nowMs(), who: this.groupId, detail });
  }
}

function numbersIn(bytes: Uint8Array): number[] {
  if (bytes.byteLength === 0) return [];
  const decoded = decode(bytes);
  const value: unknown = decoded.ok ? decoded.value : undefined;
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'number') : [];
}
