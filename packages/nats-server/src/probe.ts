/**
 * Asks a binary for its version: the only proof accepted that it runs on this machine.
 */

import type { ResolverHost } from './host.js';
import { type NatsServerVersion, parseVersion } from './version.js';

const PROBE_TIMEOUT_MS = 10_000;

export type ProbeOutcome =
  | { readonly kind: 'runs'; readonly version: NatsServerVersion }
  | { readonly kind: 'unusable'; readonly reason: string };

export async function probe(host: ResolverHost, path: string): Promise<ProbeOutcome> {
  if (!(await host.isExecutable(path))) return { kind: 'unusable', reason: `${path} is not an executable file` };
  const outcome = await host.run(path, ['--version'], { timeoutMs: PROBE_TIMEOUT_MS });
  if (outcome.kind === 'failed') return { kind: 'unusable', reason: `${path} --version: ${outcome.reason}` };
  if (outcome.code !== 0) return { kind: 'unusable', reason: `${path} --version ended with code ${outcome.code}` };
  // Some other program of that name must not pass for a server because its output has a number in it.
  const version = outcome.stdout.includes('nats-server') ? parseVersion(outcome.stdout) : undefined;
  if (version === undefined) {
    return { kind: 'unusable', reason: `${path} --version did not answer like a nats-server` };
  }
  return { kind: 'runs', version };
}
