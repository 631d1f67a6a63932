/**
 * The last way to be heard, where an application has given neither a logger nor a listener: one warning of the process.
 */

let hasWarned = false;

/** Warns once per process, however many members have the same trouble. Node's `--no-warnings` silences it. */
export function warnProcessOnce(text: string): void {
  if (hasWarned) return;
  hasWarned = true;
  const advice = 'said once; give connect() a logger, or subscribe to muster:unreachable, to hear of everything';
  process.emitWarning(`${text} (${advice})`, { type: 'MusterWarning', code: 'MUSTER_NO_COORDINATOR' });
}
