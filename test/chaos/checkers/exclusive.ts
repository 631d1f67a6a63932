/**
 * No partition with two owners in one generation: neither by the assignments that light members were given, nor by what the
 * workers really handled.
 */

import type { HistoryEvent } from '../history.js';
import type { Verdict, Violation } from './verdict.js';

export function checkExclusive(events: readonly HistoryEvent[], lightGroups: ReadonlySet<string>): Verdict {
  const owners = new Map<string, string>();
  const violations: Violation[] = [];
  let checked = 0;
  const claim = (at: number, group: string, generation: number, partition: number, member: string): void => {
    checked += 1;
    const place = `${group}: partition ${partition} in generation ${generation}`;
    const owner = owners.get(place);
    if (owner === undefined) owners.set(place, member);
    else if (owner !== member) violations.push({ at, what: `${place} belongs to ${owner} and ${member}` });
  };
  for (const event of events) {
    if (event.kind === 'handled') claim(event.at, event.group, event.generation, event.partition, event.member);
    else if (event.kind === 'assignment' && lightGroups.has(event.group)) {
      // What a worker holds it may just be giving up; what it handles is what counts.
      for (const partition of event.partitions) claim(event.at, event.group, event.generation, partition, event.member);
    }
  }
  return { name: 'exclusive-assignment', checked, violations };
}
