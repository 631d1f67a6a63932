/**
 * One-off questions to coordinators, each bounded by a timeout: what administration is made of.
 */

import {
  type ApiName,
  clusterApis,
  type ErrorName,
  encodeRequest,
  type FindReply,
  type GroupId,
  type ListReply,
  parseReply,
  type ReplyOf,
  type RequestOf,
  requestId,
} from '@muster/protocol';
import { MusterError } from './errors.js';
import type { MusterContext } from './muster-context.js';
import { deferred, withinMs } from './waiting.js';

const RESEND_MS = 1_000;
const ASK_AGAIN_MS = 500;

/** A node's share of a list. */
export interface NodeAnswer extends ListReply {
  readonly node: string;
}

export class Questions {
  readonly timeoutMs: number;
  readonly #context: MusterContext;

  constructor(context: MusterContext, timeoutMs: number) {
    this.#context = context;
    this.timeoutMs = timeoutMs;
  }

  /** How long until an unanswered request is sent again. */
  get resendMs(): number {
    return RESEND_MS;
  }

  /** @returns the answer's fields; throws MusterError with what the coordinator refused with, TIMEOUT or CLOSED */
  async ask<Api extends ApiName>(
    api: Api,
    body: RequestOf[Api] & { readonly groupId: GroupId },
  ): Promise<ReplyOf[Api]> {
    const { error, detail, fields } = await this.answer(api, body);
    if (error !== 'NONE' || fields === undefined) throw new MusterError(error, detail);
    return fields;
  }

  /** @returns the answer, a refusal too; throws MusterError TIMEOUT or CLOSED */
  async answer<Api extends ApiName>(
    api: Api,
    body: RequestOf[Api] & { readonly groupId: GroupId },
  ): Promise<{
    readonly error: ErrorName;
    readonly detail: string | undefined;
    readonly fields: ReplyOf[Api] | undefined;
  }> {
    const times = { deadlineMs: this.timeoutMs, resendMs: RESEND_MS };
    const outcome = await this.#context.client.request(api, body, times);
    if (outcome.kind === 'answered') return outcome;
    if (outcome.kind === 'expired') throw new MusterError('TIMEOUT', `${api}: ${outcome.lastProblem}`);
    throw new MusterError('CLOSED');
  }

  /**
   * Asks every node until their answers cover every partition of the cluster, or the time is over.
   * @returns the answers, and whether they are complete
   */
  async everyNode(filter: {
    readonly statesFilter: readonly string[];
    readonly typesFilter: readonly string[];
    readonly stable?: boolean;
  }): Promise<{ readonly answers: readonly NodeAnswer[]; readonly covered: number; readonly isComplete: boolean }> {
    const { client, environment } = this.#context;
    const deadlineAt = environment.clock.now() + this.timeoutMs;
    const answers: NodeAnswer[] = [];
    const covered = new Set<number>();
    const isComplete = () => covered.size >= (client.partitionCount ?? Number.POSITIVE_INFINITY);
    await client.discover(this.timeoutMs);
    // Whoever does not know the cluster's size answers no list either: the one deadline is for both.
    await this.#repeat(client.subjects.all, { api: 'list', ...filter }, deadlineAt, (bytes) => {
      const reply = parseReply(clusterApis.list, bytes);
      if (reply.kind === 'garbled' || reply.error !== 'NONE' || reply.fields === undefined) return false;
      answers.push({ ...reply.fields, node: reply.head.node ?? '' });
      for (const partition of reply.fields.partitions) covered.add(partition);
      return isComplete();
    });
    return { answers, covered: covered.size, isComplete: isComplete() };
  }

  /** @returns who coordinates a group; throws MusterError COORDINATOR_NOT_AVAILABLE where nobody did until the deadline */
  async coordinatorOf(groupId: GroupId): Promise<FindReply> {
    let found: FindReply | undefined;
    const { client, environment } = this.#context;
    const deadlineAt = environment.clock.now() + this.timeoutMs;
    await this.#repeat(client.subjects.find, { groupId, suspectEpoch: null }, deadlineAt, (bytes) => {
      const reply = parseReply(clusterApis.find, bytes);
      if (reply.kind === 'garbled' || reply.error !== 'NONE' || reply.fields === undefined) return false;
      found = reply.fields;
      return true;
    });
    if (found === undefined) throw new MusterError('COORDINATOR_NOT_AVAILABLE', groupId);
    return found;
  }

  /** Publishes the same question again and again until an answer says that it was the last. */
  async #repeat(
    subject: string,
    fields: object,
    deadlineAt: number,
    onReply: (bytes: Uint8Array) => boolean,
  ): Promise<void> {
    const { client, environment } = this.#context;
    const { clock } = environment;
    const payload = encodeRequest({ id: requestId(environment.newId()), deadlineMs: this.timeoutMs }, fields);
    const complete = deferred();
    while (true) {
      const leftMs = deadlineAt - clock.now();
      if (leftMs <= 0) return;
      const stop = client.gather(subject, payload, (bytes) => {
        if (onReply(bytes)) complete.resolve();
      });
      const outcome = await withinMs(clock, Math.min(leftMs, ASK_AGAIN_MS), complete.promise);
      stop();
      if (outcome.kind === 'done') return;
    }
  }
}
