/**
 * What the Kafka peer says: one JSON line for each order, and whatever else a Java process prints.
 *
 * Pure: reads text, starts nothing.
 */

import { z } from 'zod';

const answer = z.object({ id: z.int(), result: z.unknown().optional(), error: z.string().optional() });

export type PeerLine =
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'refused'; readonly id: number; readonly error: string }
  /** Not an answer: a warning of the virtual machine, a log line. */
  | { readonly kind: 'noise'; readonly text: string };

/** @returns what a line of the peer means */
export function parsePeerLine(line: string): PeerLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { kind: 'noise', text: line };
  }
  const parsed = answer.safeParse(value);
  if (!parsed.success) return { kind: 'noise', text: line };
  const { id, result, error } = parsed.data;
  if (error !== undefined) return { kind: 'refused', id, error };
  return { kind: 'result', id, result };
}

/** What the peer answers to each order that has more to say than that it is done. */
export const peerResults = {
  join: z.number(),
  leave: z.number(),
  commits: z.object({ latenciesMs: z.array(z.number()), elapsedMs: z.number() }),
  strike: z.object({ answeredAt: z.array(z.number()), failed: z.number() }),
  unwatch: z.object({ commits: z.number(), failed: z.number(), longestMs: z.array(z.number()) }),
  generations: z.record(z.string(), z.int()),
  /** Node ids; -1 = nobody leads the partition. */
  cluster: z.object({ controller: z.int(), owners: z.array(z.int()) }),
} as const;
