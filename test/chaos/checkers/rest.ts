/**
 * At rest every group with live members is stable, and everything else has come to where it belongs.
 */

import type { HistoryEvent } from '../history.js';
import type { Verdict, Violation } from './verdict.js';

export function checkRest(events: readonly HistoryEvent[]): Verdict {
  const violations: Violation[] = [];
  let checked = 0;
  for (const event of events) {
    if (event.kind === 'unsettled') violations.push({ at: event.at, what: event.what });
    if (event.kind !== 'final-state') continue;
    checked += 1;
    const { at, group, state } = event;
    if (state !== 'Stable') violations.push({ at, what: `${group} ends in state ${state}` });
  }
  return { name: 'live-groups-stable', checked, violations };
}
