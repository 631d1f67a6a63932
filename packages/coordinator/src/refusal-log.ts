/**
 * Log lines about requests that were refused: the first of each error at once, then one line in a while with how many there were.
 * Whoever floods a node with bad requests fills no disk.
 */

import type { Clock } from '@muster/cluster';
import type { ErrorName } from '@muster/protocol';
import type { Logger } from 'pino';

export type Refusal = { readonly subject: string; readonly error: ErrorName; readonly detail: string };

/** Refusals of one error share a line for this long. */
const intervalMs = 10_000;

/** @returns what takes the refusals of a node; each by itself is there at level debug */
export function makeRefusalLog(log: Logger, clock: Clock): (refusal: Refusal) => void {
  const counts = new Map<ErrorName, { last: Refusal; more: number }>();
  const close = (error: ErrorName) => {
    const counted = counts.get(error);
    counts.delete(error);
    if (counted !== undefined && counted.more > 0) {
      log.warn({ ...counted.last, more: counted.more }, 'requests refused');
    }
  };
  return (refusal) => {
    const { error } = refusal;
    const counted = counts.get(error);
    if (counted === undefined) {
      counts.set(error, { last: refusal, more: 0 });
      clock.after(intervalMs, () => close(error));
      return log.warn(refusal, 'request refused');
    }
    counted.last = refusal;
    counted.more += 1;
    log.debug(refusal, 'request refused');
  };
}
