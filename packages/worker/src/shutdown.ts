/**
 * Ends a worker in good order when its host says so: SIGTERM of an orchestrator, Ctrl-C of a person.
 */

import { checkOptions } from './check-options.js';

/** Anything with an orderly end: a Muster, a consumer, a member. */
export interface Closing {
  close(options?: { readonly leave?: boolean; readonly timeoutMs?: number }): Promise<void>;
}

export interface CloseOnSignalsOptions {
  /** Default SIGTERM and SIGINT. */
  readonly signals?: readonly NodeJS.Signals[];
  /** Shorter than the host's patience (Kubernetes: 30 s). Default 25,000 ms. */
  readonly timeoutMs?: number;
  /** Default: dynamic members leave, static ones stay. */
  readonly leave?: boolean;
  /** When everything is closed. Default: exit with 0. */
  readonly onClosed?: (signal: NodeJS.Signals) => void;
  /** Another process object, for tests. */
  readonly process?: Pick<NodeJS.Process, 'on' | 'off' | 'exit'>;
}

/**
 * Closes on the first signal; a second one exits at once with 130.
 * @returns how to stop listening
 */
export function closeOnSignals(what: Closing, options: CloseOnSignalsOptions = {}): () => void {
  checkOptions('closeOnSignals', options);
  const { signals = ['SIGTERM', 'SIGINT'], timeoutMs = 25_000, leave, process: host = process } = options;
  const onClosed = options.onClosed ?? (() => host.exit(0));
  let isClosing = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (isClosing) {
      host.exit(130);
      return;
    }
    isClosing = true;
    void what.close({ timeoutMs, ...(leave === undefined ? {} : { leave }) }).then(() => onClosed(signal));
  };
  for (const signal of signals) host.on(signal, onSignal);
  return () => {
    for (const signal of signals) host.off(signal, onSignal);
  };
}
