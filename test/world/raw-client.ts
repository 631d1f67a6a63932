/**
 * A client that speaks the wire protocol itself: tests see every reply of every node, also those that the worker library skips.
 *
 * Does not follow epochs and does not know members. Requests are sent again with the same id until answered (C1).
 */

import type { NatsBus } from '@muster/nats';
import type { ApiName, ErrorName, ReplyHead, ReplyOf, RequestOf, Subjects } from '@muster/protocol';
import { encodeRequest, groupApis, parseReply, partitionOf, requestId } from '@muster/protocol';
import { nuid } from 'nats';

/** A reply as it came. `fields` is undefined where the reply is an error that never reached the group. */
export type RawReply<Api extends ApiName> = {
  readonly error: ErrorName;
  readonly head: ReplyHead;
  readonly fields: ReplyOf[Api] | undefined;
};

/** A request that is on its way. */
export type RawRequest<Api extends ApiName> = {
  /** Every reply in the order of arrival: of several owners, of a request sent several times. */
  readonly replies: readonly RawReply<Api>[];
  /** The first reply that is not "not here, not now". */
  readonly answered: Promise<RawReply<Api>>;
  /** Does not send it again; replies are still collected. */
  readonly stopSending: () => void;
};

export type SendOptions = {
  /** 0: sent once. */
  readonly resendMs?: number;
};

const RESEND_MS = 250;
const DEADLINE_MS = 60_000;
const notHereNotNow: ReadonlySet<ErrorName> = new Set([
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'THROTTLING_QUOTA_EXCEEDED',
]);

export class RawClient {
  readonly bus: NatsBus;
  readonly subjects: Subjects;
  readonly partitionCount: number;
  readonly #inbox = `_INBOX.${nuid.next()}`;
  readonly #onReply = new Map<string, (payload: Uint8Array) => void>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(bus: NatsBus, subjects: Subjects, partitionCount: number) {
    this.bus = bus;
    this.subjects = subjects;
    this.partitionCount = partitionCount;
    bus.subscribe(`${this.#inbox}.*`, ({ subject, payload }) => {
      this.#onReply.get(subject.slice(this.#inbox.length + 1))?.(payload);
    });
  }

  /** Sends and waits. @throws Error where no answer comes within `withinMs` */
  async ask<Api extends ApiName>(api: Api, body: RequestOf[Api], withinMs = 20_000): Promise<RawReply<Api>> {
    const request = this.send(api, body);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const seen = () => request.replies.map(({ error }) => error).join(', ') || 'nothing';
      const tell = () => reject(new Error(`${api} of ${body.groupId}: no answer in ${withinMs} ms, got ${seen()}`));
      timer = setTimeout(tell, withinMs);
    });
    try {
      return await Promise.race([request.answered, late]);
    } finally {
      clearTimeout(timer);
      request.stopSending();
    }
  }

  /** Sends a request again and again until it is answered. */
  send<Api extends ApiName>(api: Api, body: RequestOf[Api], options: SendOptions = {}): RawRequest<Api> {
    const { resendMs = RESEND_MS } = options;
    const id = requestId(nuid.next());
    const partition = partitionOf(body.groupId, this.partitionCount);
    const subject = this.subjects.group(partition, body.groupId, api);
    const payload = encodeRequest({ id, deadlineMs: DEADLINE_MS }, body);
    const publish = () => this.bus.publish(subject, payload, `${this.#inbox}.${id}`);
    const timer = resendMs === 0 ? undefined : setInterval(publish, resendMs);
    if (timer !== undefined) this.#timers.add(timer);
    const stopSending = () => {
      clearInterval(timer);
      if (timer !== undefined) this.#timers.delete(timer);
    };
    const replies: RawReply<Api>[] = [];
    const answered = new Promise<RawReply<Api>>((resolve) => {
      this.#onReply.set(id, (bytes) => {
        const reply = readReply(api, bytes);
        if (reply === undefined) return;
        replies.push(reply);
        if (notHereNotNow.has(reply.error)) return;
        stopSending();
        resolve(reply);
      });
    });
    publish();
    return { replies, answered, stopSending };
  }

  /** Sends nothing any more. */
  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers.clear();
    this.#onReply.clear();
  }
}

/** @returns the reply, or undefined for anything else, such as "no responders" */
function readReply<Api extends ApiName>(api: Api, bytes: Uint8Array): RawReply<Api> | undefined {
  const parsed = parseReply<unknown>(groupApis[api], bytes);
  if (parsed.kind === 'garbled') return undefined;
  const { error, head, fields } = parsed;
  // The schema of the same API has just read it.
  return { error, head, fields: fields as ReplyOf[Api] | undefined };
}
