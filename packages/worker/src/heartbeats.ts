/**
 * The heartbeats of one member: on their own interval, whatever the handlers do, and the self-fence beside them.
 *
 * Does not decide what an error means for the membership (reactions.ts, membership.ts).
 *
 * H1 at most one heartbeat is open; the coordinator client sends it again each interval (rule C1).
 * H2 the fence falls one session timeout after the *sending* of the last heartbeat that was answered: never later than
 *    the coordinator's own session, which began when that heartbeat arrived. It is read from the clock, not from a timer,
 *    wherever work is about to begin: a process that was suspended runs its queue before its timers.
 */

import type { ErrorName, GroupId, MonotonicMs } from '@muster/protocol';
import type { Cancel, Clock } from './clock.js';
import type { CoordinatorClient } from './coordinator-client.js';
import type { MemberIdentity } from './member-handler.js';

export interface HeartbeatsOptions {
  readonly client: CoordinatorClient;
  readonly clock: Clock;
  readonly groupId: GroupId;
  readonly intervalMs: number;
  readonly sessionTimeoutMs: number;
  /** Every answer, with the identity it was asked for. */
  onAnswer(error: ErrorName, asked: MemberIdentity): void;
  /** After a doubt (H2), before any fence fell, the coordinator has said that all is as it was. */
  onResumed(): void;
  /** No successful heartbeat for a session timeout. */
  onSilence(): void;
}

export class Heartbeats {
  readonly #options: HeartbeatsOptions;
  #running: { readonly identity: MemberIdentity; readonly stop: AbortController } | undefined;
  #isOpen = false;
  #fenceAtMs: number = Number.POSITIVE_INFINITY;
  #lastSuccessAt: MonotonicMs | undefined;
  #cancelNext: Cancel = () => {};
  #cancelFence: Cancel = () => {};

  constructor(options: HeartbeatsOptions) {
    this.#options = options;
  }

  /** When the last successful heartbeat was sent. */
  get lastSuccessAt(): MonotonicMs | undefined {
    return this.#lastSuccessAt;
  }

  /** Whether ownership may still be taken for granted at this moment (H2). */
  isWithinSession(): boolean {
    return this.#options.clock.now() < this.#fenceAtMs;
  }

  /** Begins, or goes on under another identity. */
  start(identity: MemberIdentity): void {
    this.stop();
    const running = { identity, stop: new AbortController() };
    this.#running = running;
    this.#next(running, this.#options.intervalMs);
  }

  /** Stops sending. The fence stays where it is. */
  stop(): void {
    this.#running?.stop.abort();
    this.#running = undefined;
    this.#isOpen = false;
    this.#cancelNext();
  }

  /** Sends the next heartbeat at once: something may have changed. */
  soon(): void {
    if (this.#running !== undefined && !this.#isOpen) this.#next(this.#running, 0);
  }

  /** The membership is proven as of `sentAt`; from there ownership lasts `graceMs`. */
  prove(sentAt: MonotonicMs, graceMs: number): void {
    const wasInDoubt = !this.isWithinSession();
    const fenceAtMs = sentAt + graceMs;
    this.#fenceAtMs = fenceAtMs;
    this.#cancelFence();
    this.#cancelFence = this.#options.clock.after(Math.max(0, fenceAtMs - this.#options.clock.now()), () => {
      if (this.#fenceAtMs === fenceAtMs) this.#options.onSilence();
    });
    if (wasInDoubt && this.isWithinSession()) this.#options.onResumed();
  }

  /** Nothing is owned: no fence to fall. */
  liftFence(): void {
    this.#fenceAtMs = Number.POSITIVE_INFINITY;
    this.#cancelFence();
  }

  #next(running: { readonly identity: MemberIdentity; readonly stop: AbortController }, ms: number): void {
    this.#cancelNext();
    this.#cancelNext = this.#options.clock.after(ms, () => void this.#beat(running));
  }

  async #beat(running: { readonly identity: MemberIdentity; readonly stop: AbortController }): Promise<void> {
    const { client, clock, groupId, intervalMs, sessionTimeoutMs } = this.#options;
    if (this.#running !== running) return;
    this.#isOpen = true;
    const startedAt = clock.now();
    const times = { deadlineMs: sessionTimeoutMs, resendMs: intervalMs, signal: running.stop.signal };
    const outcome = await client
      .request('heartbeat', { groupId, ...running.identity }, times)
      // Closed, or too many requests open: a heartbeat missed.
      .catch(() => ({ kind: 'aborted' }) as const);
    if (this.#running !== running) return;
    this.#isOpen = false;
    // Scheduled before the answer is told: what hears of it may stop or start heartbeats.
    const elapsedMs = clock.now() - startedAt;
    this.#next(running, outcome.kind === 'answered' ? Math.max(0, intervalMs - elapsedMs) : intervalMs);
    if (outcome.kind !== 'answered') return;
    // kafka: REBALANCE_IN_PROGRESS is a successful heartbeat.
    if (outcome.error === 'NONE' || outcome.error === 'REBALANCE_IN_PROGRESS') {
      this.#lastSuccessAt = outcome.sentAt;
      this.prove(outcome.sentAt, sessionTimeoutMs);
    }
    this.#options.onAnswer(outcome.error, running.identity);
  }
}
