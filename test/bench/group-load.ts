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

  constructor(bus: Bus, subjects: Subjects, partitionCount: number) {
    this.#bus = bus;
    this.#subjects = subjects;
    this.#partitionCount = partitionCount;
  }

  /** @returns the reply's bytes; undefined where none came */
  async send<Api extends ApiName>(api: Api, body: RequestOf[Api]): Promise<Uint8Array | undefined> {
    const { subject, payload } = this.packet(api, body);
    const outcome = await this.#bus.request(subject, payload, requestTimeoutMs);
    return outcome.kind === 'reply' ? outcome.payload : undefined;
  }

  /** @returns what `send` would put on the wire */
  packet<Api extends ApiName>(
    api: Api,
    body: RequestOf[Api],
  ): { readonly subject: string; readonly payload: Uint8Array } {
    this.#requests += 1;
    const id = requestId(`bench-${this.#requests}`);
    const group = body.groupId;
    return {
      subject: this.#subjects.group(partitionOf(group, this.#partitionCount), group, api),
      payload: encodeRequest({ id, deadlineMs: requestTimeoutMs }, body),
    };
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

  commit(member: LoadedMember, commitSeq: number): RequestOf['commit'] {
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
