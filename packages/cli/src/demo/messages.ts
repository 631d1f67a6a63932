/**
 * What the demonstration's processes tell each other over Node's own channel between parent and child.
 */

import type { Handled } from './ledger.js';

/** Worker to parent. */
export type WorkerReport =
  | { readonly kind: 'started' }
  | {
      readonly kind: 'assignment';
      readonly generation: number;
      readonly partitions: readonly number[];
      readonly lost: readonly number[];
    }
  | { readonly kind: 'handled'; readonly messages: readonly Handled[] }
  | { readonly kind: 'failed'; readonly detail: string };

/** Producer to parent: numbers within keys that JetStream has acknowledged. */
export type ProducerReport =
  | { readonly kind: 'acknowledged'; readonly messages: readonly (readonly [key: number, seq: number])[] }
  | { readonly kind: 'failed'; readonly detail: string };

/** Parent to child. */
export type ParentOrder = { readonly kind: 'stop' };

/** Sends a report to the parent; a process without a parent any more ends by itself. */
export function report(message: WorkerReport | ProducerReport): void {
  if (process.connected) process.send?.(message);
}
