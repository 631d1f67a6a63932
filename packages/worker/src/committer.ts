/**
 * Commits what the lanes have marked: when the policy says so, one request in flight, numbered.
 *
 * Q1 (C3) one commit of this member in flight; each carries a number greater than all before it.
 * Q2 an offset is always that of the next message to handle, of lanes that are still owned.
 * Q3 a commit during a round waits for the end of the round; what is lost meanwhile is refused, and says so.
 * Q4 (C3) before committed offsets are read again in the same generation, a commit without an answer is overtaken by an empty one of
 *    a higher number: should it still arrive, it changes nothing any more.
 */

import { setMaxListeners } from 'node:events';
import type { CommitReply, GroupId } from '@muster/protocol';
import { encodeCommitNote, errorName } from '@muster/protocol';
import type { Cancel, Environment } from './clock.js';
import type { CoordinatorClient } from './coordinator-client.js';
import { asMusterError, MusterError, type MusterErrorCode } from './errors.js';
import type { Lane } from './lane.js';
import type { Logger } from './logger.js';
import type { MemberIdentity } from './member-handler.js';
import type { Membership } from './membership.js';
import { reactionTo } from './reactions.js';
import type { RequestOutcome } from './request.js';
import type { Telemetry } from './telemetry.js';
import { pause, withinMs } from './waiting.js';

/**
 * `auto`: every `intervalMs` and every `count` handled messages. `each`: as soon as a message is handled. `manual`: only by
 * `message.commit()` and `consumer.commit()`. In all of them, what is handled is committed before a partition is released.
 */
export type CommitPolicy =
  | { readonly kind: 'auto'; readonly intervalMs?: number; readonly count?: number }
  | { readonly kind: 'each' }
  | { readonly kind: 'manual' };

/** @returns how long what is handled waits for its commit, in milliseconds; infinite where the application decides */
export function commitWaitMs(policy: CommitPolicy): number {
  if (policy.kind === 'manual') return Number.POSITIVE_INFINITY;
  return policy.kind === 'auto' ? (policy.intervalMs ?? INTERVAL_MS_DEFAULT) : 0;
}

/** Before a rejoin that keeps its partitions, a commit that has to wait for the round may as well follow it. */
export type WhileRebalancing = 'wait' | 'give-up';

const INTERVAL_MS_DEFAULT = 5_000;
const COUNT_DEFAULT = 1_000;
const HELD_POLL_MS = 50;
const RETRY_MS = 250;

export interface CommitterOptions {
  readonly client: CoordinatorClient;
  readonly membership: Membership;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly groupId: GroupId;
  readonly telemetry: Telemetry;
  readonly resendMs: number;
  readonly policy: CommitPolicy;
  /** The lanes owned now. */
  lanes(): Iterable<Lane>;
}

export class Committer {
  readonly #options: CommitterOptions;
  #commitSeq = 0;
  #inFlight: Promise<void> | undefined;
  #acksSince = 0;
  #isRebalancing = false;
  /** As whom the last commit was sent, while it has no answer. */
  #unanswered: MemberIdentity | undefined;
  #cancelInterval: Cancel = () => {};
  #backgroundFlush: Promise<void> | undefined;
  /** What the last flush in the background was refused with. */
  #refusal: MusterErrorCode | undefined;
  readonly #closing = new AbortController();

  constructor(options: CommitterOptions) {
    this.#options = options;
    // One listener for each caller that waits for the end of a round: their number is no leak.
    setMaxListeners(0, this.#closing.signal);
    this.#armInterval();
  }

  /** A message was handled: the policy decides whether that is worth a commit. */
  onAck(): void {
    const { policy } = this.#options;
    if (policy.kind === 'manual') return;
    this.#acksSince += 1;
    if (policy.kind === 'each' || this.#acksSince >= (policy.count ?? COUNT_DEFAULT)) this.#flushInBackground();
  }

  /**
   * Commits the marks that these lanes have now; what is handled meanwhile holds nobody up.
   * @returns when the coordinator has acknowledged them; throws MusterError COMMIT_REFUSED where ownership was lost,
   *   COMMIT_POSTPONED where the deadline passed, or what the coordinator refused with
   */
  async flush(lanes: readonly Lane[], timeoutMs: number, whileRebalancing: WhileRebalancing = 'wait'): Promise<void> {
    const { environment, membership } = this.#options;
    const deadlineAt = environment.clock.now() + timeoutMs;
    this.#isRebalancing = false;
    const wanted = lanes.map((lane) => ({ lane, mark: lane.mark, committedBefore: lane.committed }));
    while (true) {
      const due = wanted.filter(isDue).map(({ lane }) => lane);
      const lost = due.find((lane) => lane.signal.aborted);
      if (lost !== undefined) throw new MusterError('COMMIT_REFUSED', `${lost.topic.name}/${lost.partition}`);
      if (due.length === 0) return;
      const leftMs = deadlineAt - environment.clock.now();
      if (leftMs <= 0 || this.#closing.signal.aborted || this.#isHeldBack(whileRebalancing)) {
        throw new MusterError('COMMIT_POSTPONED');
      }
      if (this.#inFlight !== undefined) await withinMs(environment.clock, leftMs, this.#inFlight);
      else if (membership.canCommit()) await this.#commit(due, leftMs);
      else await pause(environment.clock, Math.min(HELD_POLL_MS, leftMs), this.#closing.signal);
    }
  }

  /**
   * Q4. To be called before the committed offsets of partitions are read that this member may have committed before.
   * Throws MusterError TIMEOUT where there is no answer in time.
   */
  async settle(timeoutMs: number): Promise<void> {
    const { environment, client, membership, groupId, resendMs } = this.#options;
    const startedAt = environment.clock.now();
    if (this.#inFlight !== undefined) await withinMs(environment.clock, timeoutMs, this.#inFlight);
    const identity = membership.identity();
    if (this.#unanswered === undefined || identity === undefined) return;
    // A commit of another life or generation is refused, whenever it comes.
    const { memberId, generationId } = this.#unanswered;
    if (memberId === identity.memberId && generationId === identity.generationId) {
      this.#commitSeq += 1;
      const request = { groupId, ...identity, commitSeq: this.#commitSeq, retentionTimeMs: null, offsets: [] };
      const deadlineMs = Math.max(1, timeoutMs - (environment.clock.now() - startedAt));
      const outcome = await client.request('commit', request, { deadlineMs, resendMs });
      if (outcome.kind === 'aborted') throw new MusterError('CLOSED');
      if (outcome.kind === 'expired') throw new MusterError('TIMEOUT', outcome.lastProblem);
      // Where this one is refused, so is the other: the heartbeats tell the membership why.
    }
    this.#unanswered = undefined;
  }

  /** Whether the coordinator's last word was that a round is under way, and the caller will not wait for its end. */
  #isHeldBack(whileRebalancing: WhileRebalancing): boolean {
    return whileRebalancing === 'give-up' && this.#isRebalancing;
  }

  /** Stops committing by itself. A flush that is waiting ends. */
  close(): void {
    this.#closing.abort();
    this.#cancelInterval();
  }

  #commit(lanes: readonly Lane[], timeoutMs: number): Promise<void> {
    const flight = this.#send(lanes, timeoutMs).finally(() => {
      this.#inFlight = undefined;
    });
    // Others wait for the flight, not for its outcome.
    this.#inFlight = flight.catch(() => {});
    return flight;
  }

  async #send(lanes: readonly Lane[], timeoutMs: number): Promise<void> {
    const { client, membership, groupId, resendMs, environment, telemetry } = this.#options;
    const identity = membership.identity();
    if (identity === undefined) return;
    this.#acksSince = 0;
    this.#commitSeq += 1;
    const wallNowMs = environment.wallNow();
    const notes = lanes.map((lane) => {
      const behind = lane.unhandled;
      return { behind, ageMs: behind === 0 ? 0 : wallNowMs - (lane.oldestTimestampMs ?? wallNowMs) };
    });
    const offsets = lanes.map((lane, at) => ({
      topic: lane.topic.name,
      partition: lane.partition,
      offset: lane.mark,
      leaderEpoch: -1,
      metadata: encodeCommitNote(notes[at] ?? { behind: 0, ageMs: 0 }),
      commitTimestamp: null,
    }));
    const sent = offsets.map(({ offset }, at) => ({ offset, behind: notes[at]?.behind ?? 0 }));
    const request = { groupId, ...identity, commitSeq: this.#commitSeq, retentionTimeMs: null, offsets };
    this.#unanswered = identity;
    const outcome = await telemetry.operation(
      { name: 'commit', type: 'settle', group: groupId },
      () => client.request('commit', request, { deadlineMs: timeoutMs, resendMs }),
      commitError,
    );
    if (outcome.kind !== 'answered') return;
    this.#unanswered = undefined;
    this.#isRebalancing = false;
    const answers = outcome.fields?.partitions ?? [];
    const refused = outcome.error === 'NONE' ? this.#apply(lanes, sent, answers) : outcome.error;
    if (refused === undefined) return;
    const reaction = membership.onCommitAnswer(refused, identity);
    this.#isRebalancing = reaction === 'rejoin';
    if (reaction === 'fatal') throw new MusterError(refused, outcome.detail);
    if (reaction === 'retry') await pause(environment.clock, RETRY_MS, this.#closing.signal);
    // kafka: the round that has begun is joined by the membership; the marks stay and go with the next commit.
    if (reaction === 'rejoin') await pause(environment.clock, HELD_POLL_MS, this.#closing.signal);
  }

  /** Notes what was acknowledged. @returns the first error among the partitions, the gravest reaction first */
  #apply(
    lanes: readonly Lane[],
    commits: readonly { readonly offset: number; readonly behind: number }[],
    answers: CommitReply['partitions'],
  ): ReturnType<typeof errorName> | undefined {
    let refused: ReturnType<typeof errorName> | undefined;
    for (const [at, lane] of lanes.entries()) {
      const sent = commits[at];
      const answer = answers.find(({ topic, partition }) => topic === lane.topic.name && partition === lane.partition);
      if (sent === undefined || answer === undefined) continue;
      const error = errorName(answer.error);
      if (error === 'NONE') lane.committedAt(sent.offset, sent.behind);
      else if (refused === undefined || reactionTo.commit(refused) === 'retry') refused = error;
    }
    return refused;
  }

  #armInterval(): void {
    const { policy, environment } = this.#options;
    if (policy.kind !== 'auto') return;
    this.#cancelInterval = environment.clock.after(policy.intervalMs ?? INTERVAL_MS_DEFAULT, () => {
      this.#flushInBackground();
      if (!this.#closing.signal.aborted) this.#armInterval();
    });
  }

  /** Commits what the lanes have marked, and nobody waits for it. */
  soon(): void {
    this.#flushInBackground();
  }

  #flushInBackground(): void {
    if (this.#backgroundFlush !== undefined || this.#closing.signal.aborted) return;
    const { lanes } = this.#options;
    const owned = [...lanes()].filter((lane) => !lane.signal.aborted);
    // One background flush at a time; what is handled meanwhile goes with the next.
    this.#backgroundFlush = this.flush(owned, INTERVAL_MS_DEFAULT).then(
      () => this.#afterBackgroundFlush(),
      (thrown: unknown) => {
        this.#backgroundFlush = undefined;
        this.#sayWhy(asMusterError(thrown, 'UNKNOWN_SERVER_ERROR'));
      },
    );
  }

  /** Nobody awaits a flush in the background: what was refused is logged, once until a commit goes through again. */
  #sayWhy({ code, message, retriable }: MusterError): void {
    const { logger } = this.#options;
    // Lost or postponed is what rebalances bring.
    if (retriable || code === 'COMMIT_REFUSED') logger.debug('offsets not committed yet', { reason: message });
    else if (this.#refusal !== code) logger.error('the coordinator refuses to commit', { code, error: message });
    if (!retriable) this.#refusal = code;
  }

  #afterBackgroundFlush(): void {
    this.#backgroundFlush = undefined;
    this.#refusal = undefined;
    const { policy, lanes } = this.#options;
    const isDue = [...lanes()].some((lane) => lane.needsCommit && !lane.signal.aborted);
    if (policy.kind === 'each' && isDue) this.#flushInBackground();
  }
}

/** @returns the error of a commit for metrics: a commit that was answered in part counts as good */
function commitError(outcome: RequestOutcome<CommitReply>): string | undefined {
  if (outcome.kind !== 'answered') return outcome.kind === 'expired' ? 'TIMEOUT' : 'CANCELLED';
  return outcome.error === 'NONE' ? undefined : outcome.error;
}

type Wanted = { readonly lane: Lane; readonly mark: number; readonly committedBefore: number };

/** Whether a mark is still to be committed. One that was moved back, by a seek, is done with the first commit after it. */
function isDue({ lane, mark, committedBefore }: Wanted): boolean {
  if (!lane.needsCommit || mark === committedBefore) return false;
  return mark > committedBefore ? lane.committed < mark : lane.committed === committedBefore;
}
