/**
 * A member heartbeating in time is not expelled: light members never stop asking, so none of them may ever be unknown, fenced or in
 * a generation that went on without it.
 */

import type { HistoryEvent } from '../history.js';
import type { Verdict, Violation } from './verdict.js';

const expelled: ReadonlySet<string> = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID']);

export function checkExpulsions(
  events: readonly HistoryEvent[],
  options: { readonly lightGroups: ReadonlySet<string>; readonly sessionTimeoutMs: number },
): Verdict {
  const { lightGroups, sessionTimeoutMs } = options;
  const stalls = events.filter((event) => event.kind === 'stall' && event.who === 'light');
  const formed = new Set<string>();
  const members = new Set<string>();
  const violations: Violation[] = [];
  for (const event of events) if (event.kind === 'formed') formed.add(event.group);
  for (const event of events) {
    if (event.kind !== 'request' || !lightGroups.has(event.group) || !formed.has(event.group)) continue;
    members.add(event.member);
    if (!expelled.has(event.error)) continue;
    const { done, api, group, member, error } = event;
    // A third of the session, as much as a member may be late with its heartbeats.
    const wasLate = stalls.some(
      (stall) =>
        'ms' in stall &&
        stall.ms > sessionTimeoutMs / 3 &&
        done - ('at' in stall ? stall.at : 0) < 2 * sessionTimeoutMs,
    );
    if (!wasLate) violations.push({ at: done, what: `${api} of ${member} in ${group}: ${error}` });
  }
  return { name: 'heartbeating-member-not-expelled', checked: members.size, violations };
}
