/**
 * The partition logs themselves: an unbroken chain of frames, epochs that only rise, one writer in each, nothing after a release.
 */

import type { HistoryEvent } from '../history.js';
import type { Verdict, Violation } from './verdict.js';

type Frame = Extract<HistoryEvent, { kind: 'frame' }>;

/** @param endedAt what is wrong with a log has no time of its own */
export function checkLogs(events: readonly HistoryEvent[], endedAt: number): Verdict {
  const logs = new Map<number, Frame[]>();
  const starts = new Map(
    events.flatMap((event) => (event.kind === 'log-start' ? [[event.partition, event.seq] as const] : [])),
  );
  for (const event of events) {
    // Below the start a purge has been at work, perhaps while the log was read.
    if (event.kind !== 'frame' || event.seq < (starts.get(event.partition) ?? 0)) continue;
    const frames = logs.get(event.partition) ?? [];
    frames.push(event);
    logs.set(event.partition, frames);
  }
  const violations: Violation[] = [];
  let checked = 0;
  for (const frames of logs.values()) {
    frames.sort((a, b) => a.seq - b.seq);
    checked += frames.length;
    frames.forEach((frame, at) => {
      const before = frames[at - 1];
      // What came before the first frame that is left has been purged.
      if (before === undefined) return;
      for (const what of problems(before, frame)) {
        violations.push({ at: endedAt, what: `partition ${frame.partition}, frame ${frame.seq}: ${what}` });
      }
    });
  }
  return { name: 'one-writer-per-log', checked, violations };
}

function problems(before: Frame, frame: Frame): string[] {
  const found: string[] = [];
  if (frame.previousSeq !== before.seq || frame.previousNonce !== before.nonce) {
    found.push(`names ${frame.previousSeq} as its predecessor, it is ${before.seq}`);
  }
  if (frame.body === 'claim') {
    if (frame.epoch <= before.epoch) found.push(`claims epoch ${frame.epoch} after epoch ${before.epoch}`);
    return found;
  }
  if (frame.epoch !== before.epoch || frame.incarnation !== before.incarnation) {
    found.push(`of ${frame.incarnation} in epoch ${frame.epoch}, in the reign of ${before.incarnation}`);
  }
  if (before.body === 'release') found.push('follows a release');
  return found;
}
