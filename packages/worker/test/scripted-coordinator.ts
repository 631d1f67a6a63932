/**
 * A coordinator that does what the test says: it keeps one group's members in step with a script, records every request,
 * and answers by default like a coordinator of a group with this one member.
 */

import {
  type ApiName,
  clusterApis,
  type ErrorName,
  encodeAssignment,
  encodeNotice,
  encodeReply,
  epoch,
  errorCode,
  generation,
  groupApis,
  logId,
  type Notice,
  nodeId,
  type ParsedRequest,
  parseRequest,
  partition,
  type RequestOf,
  Subjects,
  type TopicPartition,
} from '@muster/protocol';

/** What the coordinator needs of NATS: the in-memory one, or a real connection. */
export interface Wire {
  subscribe(
    pattern: string,
    onMessage: (message: { readonly subject: string; readonly payload: Uint8Array; readonly replyTo?: string }) => void,
  ): () => void;
  publish(subject: string, payload: Uint8Array): void;
}

export interface Seen<Api extends ApiName = ApiName> {
  readonly api: Api;
  readonly id: string;
  readonly epoch: number | undefined;
  readonly body: RequestOf[Api];
  readonly payload: Uint8Array;
  reply(error: ErrorName, fields?: object, options?: { epoch?: number; retryAfterMs?: number; log?: string }): void;
}

/** `park`: say nothing now. Nothing returned: the default answer. */
export type Answer = ErrorName | 'park' | { readonly error?: ErrorName; readonly fields: object } | undefined;
type Script = { [Api in ApiName]?: (request: Seen<Api>) => Answer };

export class ScriptedCoordinator {
  readonly subjects = new Subjects('default');
  readonly partitionCount = 50;
  readonly seen: Seen[] = [];
  readonly finds: { readonly suspectEpoch: number | null }[] = [];
  readonly script: Script = {};
  readonly offsets = new Map<string, number>();
  /** What the default SyncGroup answer assigns. */
  assigned: readonly TopicPartition[] = [];
  epoch = 1;
  generation = 0;
  memberId = 'member-1';
  isUp = true;
  answersFind = true;
  #unsubscribe: (() => void)[] = [];
  readonly #nats: Wire;

  constructor(nats: Wire) {
    this.#nats = nats;
    nats.subscribe(this.subjects.find, ({ payload, replyTo }) => this.#onFind(payload, replyTo));
    this.start();
  }

  /** Serves; `stop` makes NATS answer "no responders". */
  start(): void {
    this.#unsubscribe.push(
      this.#nats.subscribe(`${this.subjects.prefix}.g.>`, ({ subject, payload, replyTo }) =>
        this.#onRequest(subject, payload, replyTo),
      ),
    );
  }
  stop(): void {
    for (const stop of this.#unsubscribe.splice(0)) stop();
  }

  /** @returns the requests of one API so far */
  of<Api extends ApiName>(api: Api): Seen<Api>[] {
    return this.seen.filter((request): request is Seen<Api> => request.api === api);
  }

  notice(group: string, fields: Partial<Pick<Notice, 'kind' | 'generationId'>>): void {
    const { kind = 'rebalance', generationId = this.generation } = fields;
    const subjects = this.seen.map(({ body }) => ('groupId' in body ? body.groupId : undefined));
    const id = subjects.find((seen) => seen === group);
    if (id === undefined) throw new Error(`no request of group ${group} yet`);
    const payload = encodeNotice({
      kind,
      generationId,
      epoch: epoch(this.epoch),
      log: logId('log1'),
      node: 'node1',
    });
    const place = this.#partitions.get(group) ?? 0;
    const subject =
      kind === 'rebalance'
        ? this.subjects.groupEvents(partition(place), id)
        : this.subjects.partitionEvents(partition(place));
    this.#nats.publish(subject, payload);
  }

  readonly #partitions = new Map<string, number>();

  #onFind(payload: Uint8Array, replyTo: string | undefined): void {
    const request = parseRequest(clusterApis.find, payload);
    if (request.kind === 'refused' || replyTo === undefined) throw new Error('a damaged FindCoordinator');
    this.finds.push(request.body);
    if (!this.answersFind) return;
    const fields = { partition: 0, partitionCount: this.partitionCount, nodeId: 'node1', ownerEpoch: this.epoch };
    this.#nats.publish(replyTo, encodeReply(request.head.id, { node: nodeId('node1') }, { error: 'NONE' }, fields));
  }

  #onRequest(subject: string, payload: Uint8Array, replyTo: string | undefined): void {
    const parsed = this.subjects.parseGroup(subject);
    if (parsed === undefined || replyTo === undefined) throw new Error(`a damaged subject: ${subject}`);
    this.#partitions.set(parsed.group, parsed.partition);
    this.#handle(parsed.api, payload, replyTo);
  }

  #handle<Api extends ApiName>(api: Api, payload: Uint8Array, replyTo: string): void {
    const request = parseRequest(groupApis[api] as never, payload) as ParsedRequest<RequestOf[Api]>;
    if (request.kind !== 'request') throw new Error(`the coordinator refuses: ${JSON.stringify(request)}`);
    const { id } = request.head;
    const seen: Seen<Api> = {
      api,
      id,
      epoch: request.head.epoch,
      body: request.body,
      payload,
      reply: (error, fields = {}, options = {}) => {
        const stamp = {
          node: nodeId('node1'),
          log: logId(options.log ?? 'log1'),
          epoch: epoch(options.epoch ?? this.epoch),
        };
        const { retryAfterMs } = options;
        const answer = { error, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
        this.#nats.publish(replyTo, encodeReply(id, stamp, answer, fields));
      },
    };
    this.seen.push(seen as unknown as Seen);
    const answer = this.script[api]?.(seen as never) ?? this.#byDefault(seen);
    if (answer === 'park') return;
    if (typeof answer === 'string') seen.reply(answer);
    else seen.reply(answer.error ?? 'NONE', answer.fields);
  }

  #byDefault<Api extends ApiName>(seen: Seen<Api>): Exclude<Answer, undefined> {
    const request = seen as Seen;
    switch (request.api) {
      case 'join':
        return this.#join(request.body as RequestOf['join']);
      case 'sync': {
        const { protocolType, protocolName } = request.body as RequestOf['sync'];
        const assignment = encodeAssignment({ partitions: this.assigned });
        return { fields: { protocolType, protocolName, assignment } };
      }
      case 'commit': {
        const { offsets } = request.body as RequestOf['commit'];
        for (const { topic, partition, offset } of offsets) this.offsets.set(`${topic}/${partition}`, offset);
        const partitions = offsets.map(({ topic, partition }) => ({ topic, partition, error: 0 }));
        return { fields: { partitions } };
      }
      case 'fetch': {
        const all = [...this.offsets.keys()].map((place): [string, number] => {
          const [topic = '', partition] = place.split('/');
          return [topic, Number(partition)];
        });
        const wanted = (request.body as RequestOf['fetch']).partitions ?? all;
        const partitions = wanted.map(([topic, partition]) => {
          const offset = this.offsets.get(`${topic}/${partition}`) ?? -1;
          return { topic, partition, offset, leaderEpoch: -1, metadata: '', error: 0 };
        });
        return { fields: { partitions } };
      }
      case 'leave': {
        const { members } = request.body as RequestOf['leave'];
        return { fields: { members: members.map((member) => ({ ...member, error: 0 })) } };
      }
      case 'heartbeat':
        return { fields: {} };
      case 'describe':
        return { fields: emptyGroup((request.body as RequestOf['describe']).groupId) };
      default:
        return 'UNKNOWN_SERVER_ERROR';
    }
  }

  #join(body: RequestOf['join']): Exclude<Answer, undefined> {
    if (body.memberId === '' && body.groupInstanceId === null) {
      const nothing = { generationId: -1, protocolType: null, protocolName: null, leader: '', skipAssignment: false };
      return { error: 'MEMBER_ID_REQUIRED', fields: { ...nothing, memberId: this.memberId, members: [] } };
    }
    this.generation += 1;
    return { fields: this.joined(body) };
  }

  /** @returns the fields of a JoinGroup answer that makes the member the leader of the current generation */
  joined(body: RequestOf['join']): object {
    const [chosen] = body.protocols;
    if (chosen === undefined) throw new Error('a join without protocols');
    const { memberId, groupInstanceId } = { ...body, memberId: this.memberId };
    return {
      memberId,
      generationId: generation(this.generation),
      protocolType: body.protocolType,
      protocolName: chosen.name,
      leader: memberId,
      skipAssignment: false,
      members: [{ memberId, groupInstanceId, metadata: chosen.metadata }],
    };
  }
}

/** @returns the partitions' errors of a commit answer that refuses everything */
export function refuseCommit(body: RequestOf['commit'], error: ErrorName): Answer {
  const partitions = body.offsets.map(({ topic, partition }) => ({ topic, partition, error: errorCode(error) }));
  return { fields: { partitions } };
}

/** @returns the description of a group without members */
export function emptyGroup(groupId: string): object {
  const nobody = { protocolType: 'consumer', protocol: '', generationId: 3, leader: '', members: [], rebalances: [] };
  return { groupId, state: 'Empty', ...nobody };
}
