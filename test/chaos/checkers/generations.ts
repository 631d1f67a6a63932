/**
 * Generations: never fall, never name two memberships or two leaders, and nothing succeeds in one that is known to be over.
 */

import type { HistoryEvent, RequestEvent } from '../history.js';
import type { Verdict, Violation } from './verdict.js';

const inGeneration: ReadonlySet<string> = new Set(['heartbeat', 'commit', 'sync']);

export function checkGenerations(events: readonly HistoryEvent[]): Verdict {
  const groups = new Map<string, RequestEvent[]>();
  for (const event of events) {
    if (event.kind !== 'request' || event.error !== 'NONE') continue;
    if (event.joined === undefined && !inGeneration.has(event.api)) continue;
    const requests = groups.get(event.group) ?? [];
    requests.push(event);
    groups.set(event.group, requests);
  }
  const violations: Violation[] = [];
  let checked = 0;
  for (const requests of groups.values()) {
    checked += requests.length;
    violations.push(...memberships(requests), ...falls(requests));
  }
  return { name: 'generation-never-repeats', checked, violations };
}

function memberships(requests: readonly RequestEvent[]): Violation[] {
  const seen = new Map<number, { leader: string; members: string }>();
  const violations: Violation[] = [];
  for (const { joined, group, done } of requests) {
    if (joined === undefined) continue;
    const { generation, leader } = joined;
    const members = [...joined.members].sort().join(' ');
    const known = seen.get(generation);
    if (known === undefined) {
      seen.set(generation, { leader, members });
      continue;
    }
    if (known.leader !== leader) {
      violations.push({
        at: done,
        what: `${group}: generation ${generation} has the leaders ${known.leader}, ${leader}`,
      });
    }
    if (known.members === '') known.members = members;
    else if (members !== '' && members !== known.members) {
      violations.push({
        at: done,
        what: `${group}: generation ${generation} names [${known.members}] and [${members}]`,
      });
    }
  }
  return violations;
}

/** A request that was sent after a generation had been heard of must not succeed in an earlier one. */
function falls(requests: readonly RequestEvent[]): Violation[] {
  const violations: Violation[] = [];
  const bySending = [...requests].sort((a, b) => a.at - b.at);
  const heard = requests.filter(({ joined }) => joined !== undefined).sort((a, b) => a.done - b.done);
  let next = 0;
  let highest = -1;
  for (const { at, done, api, group, member, joined, generation } of bySending) {
    for (let join = heard[next]; join?.joined !== undefined && join.done < at; join = heard[next]) {
      highest = Math.max(highest, join.joined.generation);
      next += 1;
    }
    const named = joined?.generation ?? generation;
    if (named >= highest) continue;
    const what = `${group}: ${api} of ${member} succeeded in generation ${named} after generation ${highest} was known`;
    violations.push({ at: done, what });
  }
  return violations;
}
