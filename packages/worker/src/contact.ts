/**
 * Whether coordinators answer, group by group, and who hears of it when none does: a member must not wait in silence.
 *
 * T1 a silence begins with the first problem and ends with an answer, or with a request that somebody has taken and parked.
 * T2 a silence is told once, after `SILENCE_MS`, and so is its end.
 * T3 nobody listens (no logger, no subscriber): the host process is warned instead (clock.ts, `Environment.warn`).
 */

import type { GroupId, MonotonicMs } from '@muster/protocol';
import type { Cancel, Environment } from './clock.js';
import { emit, hasListeners, type MemberEvent } from './events.js';
import { type Logger, silentLogger } from './logger.js';

/** Shorter than that is a failover of a coordinator or a restart of a server: nothing to tell. */
export const SILENCE_MS = 5_000;
const TICK_MS = 1_000;
/** Administration may ask about many groups. */
const GROUPS_MAX = 1_000;

/** No answer, since when and why. */
export interface Silence {
  readonly sinceMs: MonotonicMs;
  readonly problem: string;
}

/** What the coordinator client knows of each group's coordinator. */
export class Contacts {
  readonly #silences = new Map<GroupId, Silence>();

  /** @returns the silence of a group that lasts; undefined where its coordinator answers */
  of(group: GroupId): Silence | undefined {
    return this.#silences.get(group);
  }

  /** A request of the group got no answer. */
  failed(group: GroupId, now: MonotonicMs, problem: string): void {
    const known = this.#silences.get(group);
    const oldest = this.#silences.keys().next().value;
    if (known === undefined && this.#silences.size >= GROUPS_MAX && oldest !== undefined) this.#silences.delete(oldest);
    this.#silences.set(group, { sinceMs: known?.sinceMs ?? now, problem });
  }

  /** Somebody has taken a request of the group. */
  reached(group: GroupId): void {
    this.#silences.delete(group);
  }
}

export interface ContactWatchOptions {
  readonly client: { silenceOf(group: GroupId): Silence | undefined; forgetSilenceOf(group: GroupId): void };
  readonly environment: Environment;
  readonly logger: Logger;
  readonly groupId: GroupId;
  /** Who the member is now. */
  describe(): Omit<MemberEvent, 'group'>;
}

/** Looks once a second whether the coordinator of one member answers. */
export class ContactWatch {
  readonly #options: ContactWatchOptions;
  #isTold = false;
  #cancel: Cancel = () => {};

  constructor(options: ContactWatchOptions) {
    this.#options = options;
  }

  /** Why there is no answer; undefined where there is one. */
  get problem(): string | undefined {
    return this.#options.client.silenceOf(this.#options.groupId)?.problem;
  }

  start(): void {
    const { client, groupId } = this.#options;
    client.forgetSilenceOf(groupId);
    this.#arm();
  }

  stop(): void {
    this.#cancel();
  }

  #arm(): void {
    this.#cancel = this.#options.environment.clock.after(TICK_MS, () => {
      this.#arm();
      this.#look();
    });
  }

  #look(): void {
    const { client, environment, logger, groupId: group, describe } = this.#options;
    const silence = client.silenceOf(group);
    if (silence === undefined) {
      if (!this.#isTold) return;
      this.#isTold = false;
      logger.info('the coordinator answers again', { group });
      emit('reachable', { group, ...describe() });
      return;
    }
    const silentForMs = environment.clock.now() - silence.sinceMs;
    if (this.#isTold || silentForMs < SILENCE_MS) return;
    this.#isTold = true;
    const { problem } = silence;
    logger.warn('no coordinator answers', { group, problem, silentForMs });
    emit('unreachable', { group, ...describe(), problem });
    if (logger === silentLogger && !hasListeners('unreachable')) environment.warn?.(`group ${group}: ${problem}`);
  }
}
