/**
 * What NATS forbids this user, made an error at once: to the client library a forbidden question looks like one that nobody answers.
 *
 * F1 requests about one group and messages are left to the worker library: it says which were forbidden, and the others go on.
 * F2 a subscription that is forbidden ends a command where the answers would come on it; notices can be done without, and so can
 * heartbeats, unless a command says that it needs them.
 */

import type { NatsConnection } from 'nats';
import type { Connection } from './connection.js';
import { exitCodes } from './exit-codes.js';
import { CliError, permissionsAdvice } from './failure.js';

const DEFAULT_INBOX = '_INBOX.';
const INBOX_ADVICE = 'give --inbox-prefix: this user has answers sent to a prefix of its own, such as _INBOX_admin';

/** Something that NATS does not let this user do. */
export class Denied extends CliError {}

/** Watches the connection for what is forbidden. */
export class Denials {
  readonly #failure: Promise<Denied>;
  readonly #isNeeded: (subject: string) => boolean;
  readonly #advice: string;
  #denied: Denied | undefined;
  #isArmed = false;

  /**
   * @param connection what the connection was opened with
   * @param isNeeded whether the command can do nothing without this subject, besides that of its answers
   * @param advice what to do about it
   */
  constructor(
    nats: NatsConnection,
    connection: Connection,
    isNeeded: (subject: string) => boolean,
    advice: string = permissionsAdvice,
  ) {
    this.#isNeeded = isNeeded;
    this.#advice = advice;
    const inboxPrefix = connection.nats.inboxPrefix ?? DEFAULT_INBOX;
    this.#failure = new Promise((resolve) => {
      void this.#watch(nats, inboxPrefix, resolve);
    });
  }

  /** From here on what is forbidden counts: before, it was only asked whether somebody is there. */
  arm(): void {
    this.#isArmed = true;
  }

  /** @returns what `run` returns; throws Denied as soon as something is forbidden that it needs */
  async guard<Result>(run: () => Promise<Result>): Promise<Result> {
    const running = run();
    const denied = this.#failure.then((failure) => Promise.reject(failure));
    try {
      return await Promise.race([running, denied]);
    } catch (thrown) {
      // Whoever is first, the clearer one is told: an event of the connection comes after the error of the request.
      await new Promise((resolve) => setImmediate(resolve));
      running.catch(() => {});
      throw this.#denied ?? thrown;
    }
  }

  async #watch(nats: NatsConnection, inboxPrefix: string, onDenied: (failure: Denied) => void): Promise<void> {
    for await (const status of nats.status()) {
      const { permissionContext } = status;
      if (status.type !== 'error' || permissionContext === undefined) continue;
      const { operation, subject } = permissionContext;
      const isInbox = subject.startsWith(inboxPrefix);
      // F2
      const isAnswer = operation === 'subscription' && isInbox;
      if (!isAnswer && (!this.#isArmed || !this.#isNeeded(subject))) continue;
      this.#denied ??= denialOf(operation, subject, isAnswer ? INBOX_ADVICE : this.#advice);
      onDenied(this.#denied);
    }
  }
}

/** @returns whether this is a question to JetStream, or a write to a bucket; that nobody tidies up a consumer is no harm */
export function isOfJetStream(subject: string, { jetStream: { apiPrefix } }: Connection): boolean {
  const isTidying = subject.startsWith(`${apiPrefix}.CONSUMER.DELETE.`);
  return subject.startsWith('$KV.') || (subject.startsWith(`${apiPrefix}.`) && !isTidying);
}

function denialOf(operation: string, subject: string, advice: string): Denied {
  const what = operation === 'publish' ? 'publish to' : 'subscribe to';
  return new Denied(exitCodes.failed, `NATS permissions deny this user to ${what} ${subject}`, advice);
}
