/**
 * What a node tells of its work to whoever counts it. The port of the serving part: it measures, and decides nothing.
 *
 * M1: a call is made once for each thing that happened, on the thread of the turn: it must be cheap and never throws.
 */

import type { ClusterReport } from '@muster/cluster';
import type { AppendOutcome } from '@muster/log';
import type { ApiName, ClusterApiName, ErrorName } from '@muster/protocol';

/** An API by its name on the wire; `unreadable` where not even that could be read. */
export type MeteredApi = ApiName | ClusterApiName | 'unreadable';

export interface NodeMeter {
  /** A request was answered. @param waitedMs since it was taken in; a join and a sync wait for the others, too; undefined where none was */
  answered(api: MeteredApi, error: ErrorName, waitedMs?: number): void;
  /** A round of a group has ended. */
  rebalanced(cause: string, durationMs: number): void;
  /** A frame was sent to the log and something is known of it. */
  appended(outcome: AppendOutcome['kind'], bytes: number, tookMs: number): void;
  /** A partition was claimed and its log read. */
  loaded(loaded: { readonly claimMs: number; readonly loadMs: number }): void;
  /** Something happened in the cluster, as this node sees it. */
  reported(kind: ClusterReport['kind']): void;
  /** A group's turn threw: it is quarantined. */
  quarantined(): void;
  /** The process stood still. */
  stoodStill(ms: number): void;
}

const nothing = () => {};

/** Counts nothing. */
export const noMeter: NodeMeter = {
  answered: nothing,
  rebalanced: nothing,
  appended: nothing,
  loaded: nothing,
  reported: nothing,
  quarantined: nothing,
  stoodStill: nothing,
};
