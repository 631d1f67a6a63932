/**
 * A group of raw members on a real cluster, kept alive, with a stream of commits whose acknowledgements are remembered.
 *
 * Members follow the classic loop (join, sync, heartbeat, again when told so) and nothing else. What a member is answered
 * besides NONE and REBALANCE_IN_PROGRESS is kept in `troubles`.
 */

import type { ErrorName, GroupId, MemberId } from '@muster/protocol';
import { memberId } from '@muster/protocol';
import { until } from './processes.js';
import type { RawClient, RawReply } from './raw-client.js';
import { commitRequest, fetchRequest, heartbeatRequest, joinRequest, syncRequest } from './requests.js';

export type RawMember = { id: MemberId; generationId: number };
export type RealGroupOptions = { readonly sessionTimeoutMs?: number; readonly members?: number };

const HEARTBEAT_MS = 500;
/** How long any answer may take, failovers included. */
const ANSWER_MS = 40_000;
const TOPIC = 'orders';

export class RealGroup {
  readonly groupId: GroupId;
  readonly members: readonly RawMember[];
  /** Errors that no member should have seen. */
  readonly troubles: string[] = [];
  /** Partition to offset: what a node has acknowledged. */
  readonly acknowledged = new Map<number, number>();
  readonly #client: RawClient;
  readonly #sessionTimeoutMs: number;
  #commits = 0;
  #isEnding = false;
  readonly #loops: Promise<void>[] = [];

  constructor(client: RawClient, groupId: GroupId, options: RealGroupOptions = {}) {
    this.#client = client;
    this.groupId = groupId;
    this.#sessionTimeoutMs = options.sessionTimeoutMs ?? 30_000;
    this.members = Array.from({ length: options.members ?? 2 }, () => ({ id: memberId(''), generationId: 0 }));
  }

  /** Lets the members join until they are all in one generation. */
  async form(): Promise<this> {
    const isFormed = () => this.generationId > 0 && this.members.every((m) => m.generationId === this.generationId);
    const loop = async (member: RawMember) => {
      await this.#enter(member);
      await until(`${this.groupId} has formed`, async () => {
        if (!isFormed()) await this.#beat(member);
        return isFormed();
      });
    };
    await Promise.all(this.members.map(loop));
    return this;
  }

  get generationId(): number {
    return Math.max(...this.members.map((member) => member.generationId));
  }

  /** Heartbeats of all members until `end`. */
  keepAlive(): this {
    for (const member of this.members) {
      const beatAndRest = async () => {
        await this.#beat(member);
        await new Promise((resolve) => setTimeout(resolve, HEARTBEAT_MS));
      };
      this.#loops.push(this.#loop(beatAndRest));
    }
    return this;
  }

  /** Commits one offset after the other, each on a partition of its own, until `end`. */
  keepCommitting(): this {
    this.#loops.push(this.#loop(() => this.commitNext()));
    return this;
  }

  /** Commits one offset on a partition that had none, and remembers the acknowledgement. */
  async commitNext(): Promise<void> {
    const { partition, body } = this.nextCommit();
    this.note(partition, await this.#client.ask('commit', body, ANSWER_MS));
  }

  /** @returns the body of the next commit, for tests that send it their own way */
  nextCommit(): { readonly partition: number; readonly body: ReturnType<typeof commitRequest> } {
    const partition = this.#commits;
    this.#commits += 1;
    const member = this.members[0] ?? { id: memberId(''), generationId: -1 };
    const body = commitRequest(this.groupId, member.id, member.generationId, 0);
    const offsets = body.offsets.map((offset) => ({ ...offset, topic: TOPIC, partition, offset: offsetOf(partition) }));
    return { partition, body: { ...body, offsets } };
  }

  /** Notes what a commit was answered. */
  note(partition: number, { error, head, fields }: RawReply<'commit'>): void {
    const code = fields?.partitions[0]?.error;
    if (error === 'NONE' && code === 0) this.acknowledged.set(partition, offsetOf(partition));
    else this.troubles.push(`commit: ${error} ${code} ${head.detail ?? ''}`);
  }

  /** Ends the loops; what is on its way is waited for. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.#loops);
  }

  /** @returns the acknowledged commits that the cluster does not know: none may be */
  async lostCommits(): Promise<readonly number[]> {
    const { error, fields } = await this.#client.ask('fetch', fetchRequest(this.groupId));
    if (error !== 'NONE' || fields === undefined) throw new Error(`fetch: ${error}`);
    const stored = new Map(fields.partitions.map(({ partition, offset }) => [partition, offset]));
    return [...this.acknowledged].filter(([partition, offset]) => stored.get(partition) !== offset).map(([p]) => p);
  }

  /** @returns what each member's heartbeat is answered */
  async heartbeats(): Promise<readonly ErrorName[]> {
    const beat = async ({ id, generationId }: RawMember) =>
      (await this.#client.ask('heartbeat', heartbeatRequest(this.groupId, id, generationId))).error;
    return Promise.all(this.members.map(beat));
  }

  /** Joins and syncs until a generation has this member. */
  async #enter(member: RawMember): Promise<void> {
    for (;;) {
      const times = { sessionTimeoutMs: this.#sessionTimeoutMs, rebalanceTimeoutMs: 30_000 };
      const join = joinRequest(this.groupId, { memberId: member.id, ...times });
      const joined = await this.#client.ask('join', join, ANSWER_MS);
      if (joined.error !== 'NONE' || joined.fields === undefined) throw new Error(`join: ${joined.error}`);
      const { memberId: id, generationId, leader, members } = joined.fields;
      member.id = id;
      const assignments =
        leader === id ? members.map((of) => ({ memberId: of.memberId, assignment: assignment(of) })) : [];
      const synced = await this.#client.ask(
        'sync',
        syncRequest(this.groupId, id, generationId, assignments),
        ANSWER_MS,
      );
      if (synced.error === 'REBALANCE_IN_PROGRESS') continue;
      if (synced.error !== 'NONE') throw new Error(`sync: ${synced.error}`);
      member.generationId = generationId;
      return;
    }
  }

  async #beat(member: RawMember): Promise<void> {
    const body = heartbeatRequest(this.groupId, member.id, member.generationId);
    const { error } = await this.#client.ask('heartbeat', body, ANSWER_MS);
    if (error === 'REBALANCE_IN_PROGRESS') await this.#enter(member);
    else if (error !== 'NONE') this.troubles.push(`heartbeat: ${error}`);
  }

  async #loop(round: () => Promise<void>): Promise<void> {
    try {
      while (!this.#isEnding) await round();
    } catch (thrown) {
      this.troubles.push(String(thrown));
    }
  }
}

function offsetOf(partition: number): number {
  return 1_000 + 7 * partition;
}

function assignment({ memberId: id }: { readonly memberId: MemberId }): Uint8Array {
  return new TextEncoder().encode(`what ${id} gets`);
}
