/**
 * Canary switches: each takes one fence of the product away, so that the simulator can show that it would notice.
 *
 * Nothing of it is in the product: a canary wraps a port, or replaces a method of one running instance from outside.
 */

import type { Bus, Clock, LeaseStore } from '@muster/cluster';
import type { AssembledNode } from '@muster/coordinator';
import { decodeFrame, encodeFrame, type LogStore } from '@muster/log';
import { decode, encode, monotonicMs, type Partition, utf8Decode } from '@muster/protocol';
import type { LogServer } from './log-server.js';

export type RuntimeOf = AssembledNode['partitions'] extends { all(): Iterable<infer Runtime> } ? Runtime : never;

/** Where a canary can take hold. Undefined = the product as it is. */
export type Canary = {
  /** The rule that is switched off. */
  readonly rule: string;
  readonly store?: (store: LogStore, server: LogServer) => LogStore;
  readonly leases?: (store: LeaseStore, clock: Clock) => LeaseStore;
  readonly bus?: (bus: Bus) => Bus;
  /** Every process of a node id calls itself the same. */
  readonly sharesIncarnation?: true;
  readonly node?: (node: AssembledNode, clock: Clock) => void;
  /** Called for each partition that the node has just claimed and loaded. */
  readonly claimed?: (runtime: RuntimeOf) => void;
  /** Clients take answers of lower epochs, too. */
  readonly acceptsLowerEpochs?: true;
};

/** L1, fence: an append lands whatever the last sequence is. */
function unconditional(store: LogStore): LogStore {
  return {
    ...portOf(store),
    append: async (partition, bytes, expectedSeq) => {
      const outcome = await store.append(partition, bytes, expectedSeq);
      if (outcome.kind !== 'refused') return outcome;
      const last = await store.last(partition).catch(() => undefined);
      return store.append(partition, bytes, last?.seq ?? 0);
    },
  };
}

/** L2: an append without an answer is not sent again; it is taken to have landed. */
function sentOnce(store: LogStore): LogStore {
  let guesses = 0;
  const guessed = new Set<number>();
  return {
    ...portOf(store),
    append: async (partition, bytes, expectedSeq) => {
      const isGuess = guessed.has(expectedSeq);
      const last = isGuess ? await store.last(partition).catch(() => undefined) : undefined;
      const outcome = await store.append(partition, bytes, isGuess ? (last?.seq ?? 0) : expectedSeq);
      if (outcome.kind !== 'unknown') return outcome;
      guesses += 1;
      const seq = 1_000_000_000 + guesses;
      guessed.add(seq);
      return { kind: 'stored', seq };
    },
  };
}

/** K2: a checkpoint counts from its first frame on: what is older is purged before the end marker is there. */
function purgedAtOnce(store: LogStore, server: LogServer): LogStore {
  const begun = new Set<Partition>();
  return {
    ...portOf(store),
    append: async (partition, bytes, expectedSeq) => {
      const outcome = await store.append(partition, bytes, expectedSeq);
      const decoded = decodeFrame(bytes);
      if (outcome.kind !== 'stored' || !decoded.ok) return outcome;
      const { kind } = decoded.frame.body;
      if (kind === 'checkpoint' && !begun.has(partition)) {
        begun.add(partition);
        server.purge(partition, outcome.seq);
      } else if (kind === 'checkpoint-end') begun.delete(partition);
      return outcome;
    },
  };
}

/**
 * K2 with K4, which hold this together: the end marker makes nobody forget, and a hole in what is read, which a purge on its way
 * has left, is taken for the log.
 */
function trusting(store: LogStore): LogStore {
  return {
    ...portOf(store),
    read: (partition, fromSeq, throughSeq, onFrame) => {
      let last: { readonly previousSeq: number; readonly previousNonce: string } | undefined;
      return store.read(partition, fromSeq, throughSeq, (stored) => {
        const decoded = decodeFrame(stored.bytes);
        if (!decoded.ok) return onFrame(stored);
        const { frame } = decoded;
        const body = frame.body.kind === 'checkpoint-end' ? { ...frame.body, coversFrom: 0 } : frame.body;
        onFrame({ seq: stored.seq, bytes: encodeFrame({ ...frame, ...last, body }) });
        last = { previousSeq: stored.seq, previousNonce: frame.nonce };
      });
    },
  };
}

/** L3: what a full store refuses is taken to be written. */
function boundless(store: LogStore): LogStore {
  return {
    ...portOf(store),
    append: async (partition, bytes, expectedSeq) => {
      const outcome = await store.append(partition, bytes, expectedSeq);
      return outcome.kind === 'full' ? { kind: 'stored', seq: expectedSeq + 1 } : outcome;
    },
  };
}

/** C3: the coordinator sees no number in a commit, so a delayed copy is as good as new. */
function unnumbered(bus: Bus): Bus {
  return {
    payloadBytesMax: bus.payloadBytesMax,
    get connected() {
      return bus.connected;
    },
    publish: (subject, payload, reply) => bus.publish(subject, payload, reply),
    subscribe: (subject, onMessage, options) =>
      bus.subscribe(
        subject,
        (message) => onMessage(message.subject.endsWith('.commit') ? withoutNumber(message) : message),
        options,
      ),
    request: (subject, payload, timeoutMs) => bus.request(subject, payload, timeoutMs),
    requestMany: (...asked) => bus.requestMany(...asked),
    roundTrip: (timeoutMs) => bus.roundTrip(timeoutMs),
    onConnection: (listener) => bus.onConnection(listener),
  };
}

function withoutNumber<Message extends { readonly payload: Uint8Array }>(message: Message): Message {
  const decoded = decode(message.payload);
  if (!decoded.ok || typeof decoded.value !== 'object') return message;
  return { ...message, payload: encode({ ...decoded.value, commitSeq: null }) };
}

const FORGIVING_RETRY_MS = 1_500;

/** O3, observers: a renewal that fails is no failure but takes longer, so no count of other leases starts anew. */
function forgiving(store: LeaseStore, clock: Clock): LeaseStore {
  return {
    read: (key) => store.read(key),
    watch: (onEntry, onReady) => store.watch(onEntry, onReady),
    write: async (key, value, expectedRevision) => {
      for (;;) {
        const outcome = await store.write(key, value, expectedRevision);
        if (outcome.kind !== 'unknown') return outcome;
        await new Promise<void>((resolve) => {
          clock.after(FORGIVING_RETRY_MS, resolve);
        });
      }
    },
  };
}

/** O4: whoever wants to mark a node dead believes to have done so, without a write. */
function unmarked(store: LeaseStore): LeaseStore {
  return {
    read: (key) => store.read(key),
    watch: (onEntry, onReady) => store.watch(onEntry, onReady),
    write: (key, value, expectedRevision) => {
      if (!isMark(value)) return store.write(key, value, expectedRevision);
      return Promise.resolve({ kind: 'written', revision: expectedRevision + 0.5 });
    },
  };
}

function isMark(value: Uint8Array): boolean {
  const text = utf8Decode(value);
  return text.startsWith('{') && (JSON.parse(text) as { readonly state?: unknown }).state === 'dead';
}

/** O5: loaded members have no grace. */
function graceless(runtime: RuntimeOf): void {
  for (const { groupId } of runtime.list({ statesFilter: [], typesFilter: [] })) {
    const group = runtime.inspect(groupId)?.group;
    if (group !== undefined) group.graceUntil = monotonicMs(Number.NEGATIVE_INFINITY);
  }
}

/** O6: a suspended partition is served again without any proof. */
function unproven(node: AssembledNode, clock: Clock): void {
  const { partitions } = node;
  partitions.resume = (partition) => {
    for (const runtime of partitions.all()) {
      if (runtime.partition !== partition) continue;
      runtime.resume(clock.now());
      return Promise.resolve('resumed');
    }
    return Promise.resolve('lost');
  };
}

/** O3: proof never gets old. */
function ageless(node: AssembledNode, clock: Clock): void {
  node.partitions.proofSentAt = () => clock.now();
}

/** kafka: KIP-345 without its fence: whoever names an instance id is taken for the member that holds it now. */
function unfenced(runtime: RuntimeOf): void {
  const offer = runtime.offer.bind(runtime);
  runtime.offer = (group, request, ...rest) => {
    const { api } = request;
    if (api !== 'heartbeat' && api !== 'sync' && api !== 'commit') return offer(group, request, ...rest);
    const { groupInstanceId } = request.body;
    const statics = runtime.inspect(group)?.group?.staticMembers;
    const memberId = groupInstanceId === null ? undefined : statics?.get(groupInstanceId);
    if (memberId === undefined) return offer(group, request, ...rest);
    offer(group, { ...request, body: { ...request.body, memberId } } as typeof request, ...rest);
  };
}

/** L7: nobody hears how full the stream is. */
function roomy(runtime: RuntimeOf): void {
  runtime.noteFullness = () => {};
}

/** Release rule: answers leave when a record is queued, not when it is durable. */
function hasty(runtime: RuntimeOf): void {
  const { log } = runtime;
  const release = runtime.durable.bind(runtime);
  const append = log.append.bind(log);
  runtime.durable = () => {};
  log.append = (group, records) => {
    append(group, records);
    queueMicrotask(() => release(group, records.length));
  };
}

function portOf(store: LogStore): LogStore {
  return {
    frameBytesMax: store.frameBytesMax,
    append: (partition, bytes, expectedSeq) => store.append(partition, bytes, expectedSeq),
    last: (partition) => store.last(partition),
    read: (partition, fromSeq, throughSeq, onFrame) => store.read(partition, fromSeq, throughSeq, onFrame),
    purgeBelow: (partition, seq) => store.purgeBelow(partition, seq),
  };
}

/** Every canary by its name. */
export const canaries = {
  'log-condition': { rule: 'L1: conditional appends', store: unconditional },
  resend: { rule: 'L2: the identical frame again until its outcome is known', store: sentOnce },
  'mark-before-claim': { rule: 'O4: no mark, no claim', leases: unmarked },
  'grace-after-claim': { rule: 'O5: grace after a claim without release', claimed: graceless },
  'barrier-on-resume': { rule: 'O6: resume only behind an acknowledged append', node: unproven },
  'end-marker': { rule: 'K2: only the end marker makes a checkpoint count', store: purgedAtOnce },
  'epoch-check': { rule: 'C2: answers of lower epochs are skipped', acceptsLowerEpochs: true },
  'lease-check': { rule: 'O3: young proof before every turn and answer', node: ageless },
  'outage-counts': { rule: 'O3: after a failed renewal of its own an observer counts anew', leases: forgiving },
  incarnation: { rule: 'O1: each process of a node id is another', sharesIncarnation: true },
  'forget-below': { rule: 'K2 and K4: what a purge has overtaken is forgotten, or read again', store: trusting },
  'full-store': { rule: 'L3: a full store suspends writing', store: boundless },
  'room-rules': {
    rule: 'L7: from 60 % on checkpoints, from 80 % on no new group',
    claimed: roomy,
  },
  'instance-fence': { rule: 'static members: who has been replaced is fenced', claimed: unfenced },
  'commit-number': { rule: 'C3: numbered commits', bus: unnumbered },
  'release-rule': { rule: 'release rule: no answer before its records are durable', claimed: hasty },
} as const satisfies Record<string, Canary>;

export type CanaryName = keyof typeof canaries;

/** @returns whether there is a canary of that name */
export function isCanaryName(name: string): name is CanaryName {
  return Object.hasOwn(canaries, name);
}
