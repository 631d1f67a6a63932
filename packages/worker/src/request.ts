/**
 * What a request to a coordinator may take and how it ends: always as a value, the network never throws.
 */

import type { ErrorName, MonotonicMs } from '@muster/protocol';

/** How a request ended. */
export type RequestOutcome<Fields> =
  | {
      readonly kind: 'answered';
      readonly error: ErrorName;
      readonly detail: string | undefined;
      /** Undefined only beside an error. */
      readonly fields: Fields | undefined;
      /** When it was first sent: what the answer proves at least. */
      readonly sentAt: MonotonicMs;
    }
  | { readonly kind: 'expired'; readonly lastProblem: string }
  | { readonly kind: 'aborted' };

export interface RequestTimes {
  /** After this time the request is given up. */
  readonly deadlineMs: number;
  /** An unanswered request is sent again this often (rule C1: the heartbeat interval). */
  readonly resendMs: number;
  readonly signal?: AbortSignal;
}

/** Errors that say "not here, not now": sent again after a pause, with the same id. */
export const errorsToRetry: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'THROTTLING_QUOTA_EXCEEDED',
]);
