/**
 * Groups to load: each with one member that has joined and synced, over bare requests, so that the worker library's own cost
 * stays out of the figures.
 */

import type { Bus } from '@muster/cluster';
import type { ApiName, GroupId, RequestOf } from '@muster/protocol';
import {
  encodeRequest,
  generation,
  groupApis,
  groupId,
  memberId,
  parseReply,
  partitionOf,
  requestId,
  type Subjects,
} from '@muster/protocol';

const requestTimeoutMs = 10_000;

export type LoadedMember = { readonly group: GroupId; readonly memberId: string; readonly generationId: number };

export class GroupLoad {
  readonly #bus: Bus;
  readonly #subjects: Subjects;
  readonly #partitionCount: number;
  #requests = 0;
  #commits = 0;

  constructor(bus: Bus, subjects: Subjects, partitionCount: number) {
    this.#bus = bus;
    this.#subjects = subjects;
    this.#partitionCount = partitionCount;
  }

  /**
   * @param subject instead of the coordinator's, for the echo
   * @returns the reply's bytes; undefined where none came
   */
  async send<Api extends ApiName>(api: Api, body: RequestOf[Api], subject?: string): Promise<Uint8Array | undefined> {
    this.#requests += 1;
    const group = body.groupId;
    const own = this.#subjects.group(partitionOf(group, this.#partitionCount), group, api);
    const payload = encodeRequest({ id: requestId(`bench-${this.#requests}`), deadlineMs: requestTimeoutMs }, body);
    const outcome = await this.#bus.request(subject ?? own, payload, requestTimeoutMs);
    return outcome.kind === 'reply' ? outcome.payload : undefined;
  }

  /** Whether a reply says that the request worked, for every item of it. */
  isSuccess(api: ApiName, payload: Uint8Array): boolean {
    const parsed = parseReply<unknown>(groupApis[api], payload);
    return parsed.kind === 'reply' && parsed.error === 'NONE';
  }

  /** Joins and syncs one member in a group of its own. @throws Error where that does not succeed */
  async member(name: string): Promise<LoadedMember> {
    const group = groupId(name);
    const join = {
      groupId: group,
      memberId: memberId(''),
      groupInstanceId: null,
      clientId: 'bench',
      clientHost: '',
      sessionTimeoutMs: 60_000,
      rebalanceTimeoutMs: 60_000,
      protocolType: 'bench',
      protocols: [{ name: 'none', metadata: new Uint8Array() }],
      requireKnownMemberId: false,
      supportSkippingAssignment: true,
      reason: null,
    } as const satisfies RequestOf['join'];
    const joined = parseReply(
      groupApis.join,
      required(await this.send('join', { ...join, protocols: [...join.protocols] })),
    );
    if (joined.kind !== 'reply' || joined.error !== 'NONE' || joined.fields === undefined) {
      throw new Error(`join of ${name} failed: ${JSON.stringify(joined)}`);
    }
    const { memberId: member, generationId } = joined.fields;
    const synced = parseReply(
      groupApis.sync,
      required(
        await this.send('sync', {
          groupId: group,
          memberId: member,
          groupInstanceId: null,
          generationId,
          protocolType: null,
          protocolName: null,
          assignments: [{ memberId: member, assignment: new Uint8Array([1]) }],
        }),
      ),
    );
    if (synced.kind !== 'reply' || synced.error !== 'NONE')
      throw new Error(`sync of ${name} failed: ${JSON.stringify(synced)}`);
    return { group, memberId: member, generationId };
  }

  heartbeat(member: LoadedMember): RequestOf['heartbeat'] {
    return {
      groupId: member.group,
      memberId: memberId(member.memberId),
      groupInstanceId: null,
      generationId: generation(member.generationId),
    };
  }

  /** Commits of one member are numbered (rule C3); each call makes the next one. */
  commit(member: LoadedMember): RequestOf['commit'] {
    this.#commits += 1;
    const commitSeq = this.#commits;
    return {
      ...this.heartbeat(member),
      commitSeq,
      retentionTimeMs: null,
      offsets: [
        { topic: 'orders', partition: 3, offset: commitSeq, leaderEpoch: -1, metadata: '', commitTimestamp: null },
      ],
    };
  }
}

function required(payload: Uint8Array | undefined): Uint8Array {
  if (payload === undefined) throw new Error('no answer from the coordinator');
  return payload;
}
