/**
 * Messages: every one that the producer had acknowledged is handled by a worker at least once; how many more than once.
 */

import type { HistoryEvent } from '../history.js';
import type { Verdict, Violation } from './verdict.js';

export type MessagesVerdict = Verdict & {
  readonly handled: number;
  /** When each message was handled again. */
  readonly duplicates: readonly number[];
};

export function checkMessages(events: readonly HistoryEvent[]): MessagesVerdict {
  const handledIds = new Set<number>();
  const stored = new Set(events.flatMap((event) => (event.kind === 'stored' ? event.ids : [])));
  const places = new Set<string>();
  const duplicates: number[] = [];
  let handled = 0;
  for (const event of events) {
    if (event.kind !== 'handled') continue;
    handled += 1;
    handledIds.add(event.id);
    const place = `${event.group}/${event.partition}/${event.offset}`;
    if (places.has(place)) duplicates.push(event.at);
    places.add(place);
  }
  const violations: Violation[] = [];
  let checked = 0;
  for (const event of events) {
    if (event.kind !== 'produced') continue;
    checked += event.ids.length;
    for (const id of event.ids) {
      if (handledIds.has(id)) continue;
      const where = stored.has(id) ? '' : ', nor is it in the stream at the end';
      violations.push({ at: event.at, what: `message ${id} was never handled${where}` });
    }
  }
  return { name: 'every-acknowledged-message-handled', checked, violations, handled, duplicates };
}
