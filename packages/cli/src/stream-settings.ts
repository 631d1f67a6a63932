/**
 * The settings of a topic's stream, as somebody asks for them and as JetStream has them.
 */

import { StorageType } from 'nats';
import type { Session } from './session.js';
import { manager } from './stream-facts.js';

const NANOS_PER_MS = 1_000_000;

/** Of each, undefined where nobody asks for it. 0 is no limit. */
export interface StreamSettings {
  readonly replicas?: number;
  readonly storage?: 'file' | 'memory';
  /** In ms. */
  readonly maxAge?: number;
  readonly maxBytes?: number;
  /** In ms. */
  readonly duplicateWindow?: number;
}

/** @returns what the stream has */
export async function streamSettings(session: Session, stream: string): Promise<Required<StreamSettings>> {
  const { config } = await (await manager(session)).streams.info(stream);
  return {
    replicas: config.num_replicas,
    storage: config.storage === StorageType.Memory ? 'memory' : 'file',
    maxAge: config.max_age / NANOS_PER_MS,
    maxBytes: Math.max(0, config.max_bytes),
    duplicateWindow: config.duplicate_window / NANOS_PER_MS,
  };
}

const unitsMs = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const;

/** @returns such as `36h`: what is compared is not rounded */
function exactly(ms: number): string {
  const [unit, unitMs] = unitsMs.find(([, each]) => Number.isInteger(ms / each)) ?? ['ms', 1];
  return `${ms / unitMs}${unit}`;
}

type Value = number | string;
const plain = (value: Value) => String(value);
/** Key, flag, and how a person reads it. */
const settings = [
  ['replicas', '--replicas', plain],
  ['storage', '--storage', plain],
  ['maxAge', '--max-age', (ms: Value) => (ms === 0 ? 'never' : exactly(Number(ms)))],
  ['maxBytes', '--max-bytes', (bytes: Value) => (bytes === 0 ? 'no limit' : `${bytes} bytes`)],
  ['duplicateWindow', '--duplicate-window', (ms: Value) => exactly(Number(ms))],
] as const;

/** @returns for each setting that is asked for and differs, both values; such as `--storage is file, not memory` */
export function differencesOf(has: Required<StreamSettings>, wanted: StreamSettings): string[] {
  return settings.flatMap(([key, flag, textOf]) => {
    const want = wanted[key];
    if (want === undefined || want === has[key]) return [];
    return [`${flag} is ${textOf(has[key])}, not ${textOf(want)}`];
  });
}
