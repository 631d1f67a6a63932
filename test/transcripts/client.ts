/**
 * A client of a transcript: what it knows of its membership, and the fields of its requests with everything filled in that a
 * line does not state.
 */

import type { GroupCommand } from '@muster/group';
import type { ApiName, MemberId } from '@muster/protocol';
import { encodeSubscription } from '@muster/protocol';
import { parseDuration } from './notation.js';

/** The words of a line after its verb: `name=value` pairs, and words alone. */
export type Words = { readonly alone: readonly string[]; readonly named: ReadonlyMap<string, string> };

export function parseWords(words: readonly string[]): Words {
  const alone: string[] = [];
  const named = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf('=');
    if (at < 0) alone.push(word);
    else named.set(word.slice(0, at), word.slice(at + 1));
  }
  return { alone, named };
}

export class Client {
  readonly name: string;
  last: GroupCommand | undefined;
  #memberId = '';
  #instance: string | null = null;
  #generation = -1;
  readonly #sent = new Map<string, number>();

  constructor(name: string) {
    this.name = name;
  }

  get memberId(): string {
    return this.#memberId;
  }

  /** A JoinGroup was answered. */
  hear(member: MemberId, generation: number | undefined): void {
    this.#memberId = member;
    if (generation !== undefined) this.#generation = generation;
  }

  /** @returns the id of the next request: `A.join`, then `A.join.2` */
  newRef(api: ApiName): string {
    const count = (this.#sent.get(api) ?? 0) + 1;
    this.#sent.set(api, count);
    return count === 1 ? `${this.name}.${api}` : `${this.name}.${api}.${count}`;
  }

  /** @returns the fields of a request but the group id */
  request(api: ApiName, words: Words, clientOf: (name: string) => Client): object {
    const taken = new Map(words.named);
    const take = (key: string) => {
      const value = taken.get(key);
      taken.delete(key);
      return value;
    };
    this.#instance = take('instance') ?? this.#instance;
    const memberId = take('member') ?? this.#memberId;
    const identity = { memberId, groupInstanceId: this.#instance };
    const generationId = Number(take('generation') ?? this.#generation);
    const fields = { ...identity, ...this.#fields(api, { identity, generationId, words, take, taken, clientOf }) };
    if (taken.size > 0) throw new Error(`what is ${[...taken.keys()].join(', ')}?`);
    return fields;
  }

  #fields(api: ApiName, line: Line): object {
    const { identity, generationId, words, take, taken, clientOf } = line;
    switch (api) {
      case 'join':
        return this.#join(words, take);
      case 'sync': {
        const assignments = [...taken].map(([name, assignment]) => ({
          memberId: clientOf(name).memberId,
          assignment: bytes(assignment),
        }));
        taken.clear();
        return { generationId, assignments };
      }
      case 'heartbeat':
        return { generationId };
      case 'leave':
        return { members: [identity] };
      case 'commit': {
        const offsets = [...taken].map(([key, offset]) => ({ ...topicPartition(key), offset: Number(offset) }));
        taken.clear();
        return { generationId, offsets };
      }
      case 'fetch': {
        const partitions = words.alone.map(topicPartition).map(({ topic, partition }) => [topic, partition]);
        return { partitions: partitions.length === 0 ? null : partitions };
      }
      case 'describe':
      case 'delete':
        return {};
      case 'delete-offsets':
      case 'stage-offsets':
      case 'end-stage':
        throw new Error(`no transcript has ${api} yet`);
    }
  }

  #join({ alone }: Words, take: (key: string) => string | undefined): object {
    const topics = take('topics')?.split(',');
    const metadata = topics === undefined ? bytes('m') : encodeSubscription({ topics }, 0);
    return {
      clientId: this.name,
      clientHost: 'host',
      sessionTimeoutMs: parseDuration(take('session') ?? '10s'),
      rebalanceTimeoutMs: parseDuration(take('rebalance') ?? '30s'),
      protocolType: 'consumer',
      protocols: (take('protocols') ?? 'range').split(',').map((name) => ({ name, metadata })),
      requireKnownMemberId: alone.includes('v4'),
    };
  }
}

type Line = {
  readonly identity: { readonly memberId: string; readonly groupInstanceId: string | null };
  readonly generationId: number;
  readonly words: Words;
  readonly take: (key: string) => string | undefined;
  readonly taken: Map<string, string>;
  readonly clientOf: (name: string) => Client;
};

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function topicPartition(text: string): { readonly topic: string; readonly partition: number } {
  const [topic = '', partition = ''] = text.split('/');
  return { topic, partition: Number(partition) };
}
