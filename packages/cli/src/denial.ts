/**
 * What NATS forbids this user, made an error at once: to the client library a forbidden question looks like one that nobody answers.
 *
 * F1 requests about one group and messages are left to the worker library: it says which were forbidden, and the others go on.
 * F2 a subscription that is forbidden ends a command only where the answers would come on it: notices and heartbeats can be done without.
 */

import type { NatsConnection } from 'nats';
import { exitCodes } from './exit-codes.js';
import { CliError, permissionsAdvice } from './failure.js';

const INBOX_ADVICE = 'give --inbox-prefix: this user has answers sent to a prefix of its own, such as _INBOX_admin';

/** Watches the connection for what is forbidden. */
export class Denials {
  readonly #failure: Promise<CliError>;
  #denied: CliError | undefined;
  #isArmed = false;

  /**
   * @param inboxPrefix where answers come
   * @param isNeeded whether the command can do nothing without publishing to this subject
   */
  constructor(nats: NatsConnection, inboxPrefix: string, isNeeded: (subject: string) => boolean) {
    this.#failure = new Promise((resolve) => {
      void this.#watch(nats, inboxPrefix, isNeeded, resolve);
    });
  }

  /** From here on what is forbidden counts: before, it was only asked whether somebody is there. */
  arm(): void {
    this.#isArmed = true;
  }

  /** @returns what `run` returns; throws CliError as soon as something is forbidden that it needs */
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

  async #watch(
    nats: NatsConnection,
    inboxPrefix: string,
    isNeeded: (subject: string) => boolean,
    onDenied: (failure: CliError) => void,
  ): Promise<void> {
    for await (const status of nats.status()) {
      const { permissionContext } = status;
      if (status.type !== 'error' || permissionContext === undefined) continue;
      const { operation, subject } = permissionContext;
      const isInbox = subject.startsWith(inboxPrefix);
      // F2
      if (operation === 'subscription' && !isInbox) continue;
      if (operation === 'publish' && (!this.#isArmed || !isNeeded(subject))) continue;
      this.#denied ??= denialOf(operation, subject, isInbox);
      onDenied(this.#denied);
    }
  }
}

function denialOf(operation: string, subject: string, isInbox: boolean): CliError {
  const what = operation === 'publish' ? 'publish to' : 'subscribe to';
  return new CliError(
    exitCodes.failed,
    `NATS permissions deny this user to ${what} ${subject}`,
    isInbox && operation === 'subscription' ? INBOX_ADVICE : permissionsAdvice,
  );
}
