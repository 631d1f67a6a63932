/**
 * A client that never stops: one member of one group that heartbeats, commits ever higher offsets and reads them back, and that
 * notes whatever the guarantees forbid.
 *
 * V1: an acknowledged commit is never read back as less. V2: a member that speaks is never told that it is none. V3: the epochs
 * of a partition's answers never fall. V4: a generation never changes under a group that nobody joins or leaves.
 */

import type { ApiName, GroupId, MemberId } from '@muster/protocol';
import { memberId } from '@muster/protocol';
import type { ClusterWorld, WorldReply } from './cluster-world.js';
import { commitRequest, fetchRequest, heartbeatRequest, joinRequest, syncRequest } from './requests.js';

type Waiting = { readonly isDone: () => boolean };

export class SteadyClient {
  readonly group: GroupId;
  /** What the guarantees forbid and happened nevertheless. */
  readonly violations: string[] = [];
  /** Highest acknowledged offset; -1 = none yet. */
  acknowledged = -1;
  readonly #world: ClusterWorld;
  #member: MemberId = memberId('');
  #generation = -1;
  #epoch = 0;
  #sent = -1;
  #waiting: Waiting[] = [];
  #beatAt = 0;
  #fetchAt = 0;
  #isStopped = false;

  constructor(world: ClusterWorld, group: GroupId) {
    this.#world = world;
    this.group = group;
  }

  /** Joins with the shortest session that there is; alone, so the group becomes stable. */
  async join(): Promise<void> {
    const joined = await this.#world.ask('join', joinRequest(this.group, { sessionTimeoutMs: 6_000 }));
    this.#member = joined.fields?.memberId ?? memberId('');
    this.#generation = joined.fields?.generationId ?? -1;
    const assignments = [{ memberId: this.#member, assignment: new Uint8Array([1]) }];
    await this.#world.ask('sync', syncRequest(this.group, this.#member, this.#generation, assignments));
    this.#commit();
  }

  /** No new request from now on; the open ones go on until they are answered. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Whether every request has been answered. */
  get isQuiet(): boolean {
    return this.#waiting.length === 0;
  }

  /** To be called often: sends what is due. */
  tick(): void {
    this.#waiting = this.#waiting.filter((waiting) => !waiting.isDone());
    if (this.#isStopped) return;
    const now = this.#world.clock.now();
    if (now >= this.#beatAt) {
      this.#beatAt = now + 1_000;
      this.#send('heartbeat', heartbeatRequest(this.group, this.#member, this.#generation), () => {});
    }
    if (now >= this.#fetchAt) {
      this.#fetchAt = now + 700;
      this.#fetch();
    }
  }

  #commit(): void {
    if (this.#isStopped) return;
    this.#sent = this.acknowledged + 1;
    const offset = this.#sent;
    const request = { ...commitRequest(this.group, this.#member, this.#generation, offset), commitSeq: offset };
    this.#send('commit', request, ({ error, fields }) => {
      if (error === 'NONE' && fields?.partitions.every((partition) => partition.error === 0))
        this.acknowledged = offset;
      this.#world.clock.after(60, () => this.#commit());
    });
  }

  #fetch(): void {
    const least = this.acknowledged;
    this.#send('fetch', fetchRequest(this.group), ({ fields }) => {
      const offset = fields?.partitions[0]?.offset ?? -1;
      if (offset < least) this.#note(`fetched ${offset} after ${least} was acknowledged`);
      if (offset > this.#sent) this.#note(`fetched ${offset}, only ${this.#sent} was ever sent`);
    });
  }

  #send<Api extends 'heartbeat' | 'commit' | 'fetch'>(
    api: Api,
    body: Parameters<ClusterWorld['send']>[1],
    onReply: (reply: WorldReply<Api>) => void,
  ): void {
    let isDone = false;
    this.#waiting.push({ isDone: () => isDone });
    this.#world.send<Api>(api, body as never, (reply) => {
      isDone = true;
      this.#judge(api, reply);
      onReply(reply);
    });
  }

  #judge(api: ApiName, { error, head }: WorldReply<ApiName>): void {
    if (error !== 'NONE') this.#note(`${api} was answered ${error}`);
    const epoch = head.epoch ?? 0;
    if (epoch < this.#epoch) this.#note(`${api} was answered in epoch ${epoch} after ${this.#epoch}`);
    this.#epoch = Math.max(this.#epoch, epoch);
  }

  #note(what: string): void {
    this.violations.push(`${this.#world.clock.now()} ms, ${this.group}: ${what}`);
  }
}
