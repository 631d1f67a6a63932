/**
 * Replies: one node answers for a partition in an epoch, and no reply that was accepted is of an earlier epoch than had been seen
 * when its request was sent.
 */

import type { HistoryEvent } from '../history.js';
import type { Verdict, Violation } from './verdict.js';

export function checkEpochs(events: readonly HistoryEvent[]): Verdict {
  const nodes = new Map<string, string>();
  const violations: Violation[] = [];
  let checked = 0;
  for (const event of events) {
    if (event.kind !== 'request' || event.epoch === 0) continue;
    checked += 1;
    const { partition, epoch, seenEpoch, node, done, group, api } = event;
    if (epoch < seenEpoch) {
      const what = `${api} of ${group}: an answer of epoch ${epoch} was accepted after epoch ${seenEpoch}`;
      violations.push({ at: done, what });
    }
    const reign = `partition ${partition} epoch ${epoch}`;
    const other = nodes.get(reign);
    if (other === undefined) nodes.set(reign, node);
    else if (other !== node) violations.push({ at: done, what: `${reign}: both ${other} and ${node} answer` });
  }
  return { name: 'stale-answer-never-accepted', checked, violations };
}
