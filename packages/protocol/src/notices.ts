/**
 * Notices: what the coordinator pushes on the event subjects so that members need not wait for their next heartbeat.
 *
 * A notice only saves time (rule C1): losing one loses nothing, because heartbeats tell the same.
 */

import { z } from 'zod';
import { decode, encode } from './codec.js';
import type { Epoch, LogId } from './ids.js';
import { isEpoch, isLogId } from './ids.js';

const notice = z.object({
  v: z.int(),
  /** `rebalance`: a rebalance has begun, join again. `coordinator`: the partition has a new owner, send again what waits. */
  kind: z.enum(['rebalance', 'coordinator']),
  /** Generation that the rebalance ends; -1 where it does not apply. */
  generationId: z.int(),
  epoch: z.custom<Epoch>(isEpoch),
  log: z.custom<LogId>(isLogId),
  node: z.string(),
});
/** A notice on an event subject. */
export type Notice = z.output<typeof notice>;

/** @returns the msgpack bytes of a notice */
export function encodeNotice(value: Omit<Notice, 'v'>): Uint8Array {
  return encode({ v: 1, ...value });
}

/** @returns the notice, or undefined for anything else: whoever listens ignores what it does not understand */
export function parseNotice(payload: Uint8Array): Notice | undefined {
  const decoded = decode(payload);
  const parsed = decoded.ok ? notice.safeParse(decoded.value) : undefined;
  return parsed?.success ? parsed.data : undefined;
}
