/**
 * What the processes of a chaos run tell each other over Node's own channel.
 */

import { z } from 'zod';

const lightSettings = z.object({
  servers: z.array(z.string()),
  cluster: z.string(),
  partitionCount: z.int(),
  historyFolder: z.string(),
  groups: z.array(z.string()),
  members: z.int(),
  heartbeatMs: z.number(),
  commitMs: z.number(),
  sessionTimeoutMs: z.number(),
});
/** The one argument of the process that drives the light groups. */
export type LightSettings = z.output<typeof lightSettings>;

const workerSettings = z.object({
  servers: z.array(z.string()),
  cluster: z.string(),
  historyFolder: z.string(),
  group: z.string(),
  topic: z.string(),
  name: z.string(),
  sessionTimeoutMs: z.number(),
});
/** The one argument of a worker process. */
export type WorkerSettings = z.output<typeof workerSettings>;

const producerSettings = z.object({
  servers: z.array(z.string()),
  cluster: z.string(),
  historyFolder: z.string(),
  topics: z.array(z.string()),
  perSecond: z.number(),
});
/** The one argument of the producer process. */
export type ProducerSettings = z.output<typeof producerSettings>;

/** What a process is asked over its channel. */
export type Order =
  /** One heartbeat of each group, now. Answered with `probed`. */
  | { readonly kind: 'probe' }
  /** Heartbeats of these groups one after the other, until `unwatch`. */
  | { readonly kind: 'watch'; readonly groups: readonly string[]; readonly everyMs: number }
  | { readonly kind: 'unwatch' }
  | { readonly kind: 'finish' };

/** What a process says. */
export type Report =
  | { readonly kind: 'ready' }
  /** When each group answered, in milliseconds since 1970. */
  | { readonly kind: 'probed'; readonly answeredAt: readonly number[]; readonly errors: readonly string[] }
  /** The longest wait of each watched group. */
  | { readonly kind: 'watched'; readonly longestMs: Readonly<Record<string, number>> }
  | { readonly kind: 'finished' }
  | { readonly kind: 'owns'; readonly group: string; readonly partitions: number };

export function readLightSettings(text: string | undefined): LightSettings {
  return lightSettings.parse(JSON.parse(text ?? '{}'));
}
export function readWorkerSettings(text: string | undefined): WorkerSettings {
  return workerSettings.parse(JSON.parse(text ?? '{}'));
}
export function readProducerSettings(text: string | undefined): ProducerSettings {
  return producerSettings.parse(JSON.parse(text ?? '{}'));
}

/** Tells the parent; a process without one any more says nothing. */
export function tell(report: Report): void {
  if (process.connected) process.send?.(report);
}
