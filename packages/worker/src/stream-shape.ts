/**
 * What a stream says of the topic that could be made of it: a subject transform that computes the partition, or subjects that count.
 *
 * Pure. S1 nothing is guessed into a topic: a shape is compared with what somebody has said, or told to him.
 */

import type { TopicSpec } from './topic.js';

/** A stream that changes subjects when it stores (`subject_transform`, nats-server 2.10). */
export interface SubjectTransform {
  /** Which subjects, with wildcards. */
  readonly src: string;
  /** What becomes of them, such as `{{partition(4,1)}}.orders.{{wildcard(1)}}`. */
  readonly dest: string;
}

/** The subjects of a stream. */
export interface StreamSubjects {
  readonly takesIn: readonly string[];
  /** undefined: they are stored as they come. */
  readonly transform?: SubjectTransform;
}

export type StreamShape = Pick<TopicSpec, 'subject' | 'partitions' | 'publish'>;

type DestToken =
  | { readonly kind: 'partition'; readonly count: number; readonly of: readonly number[] }
  | { readonly kind: 'wildcard'; readonly index: number }
  | { readonly kind: 'rest' }
  | { readonly kind: 'plain'; readonly text: string };

/**
 * @returns the topic that a stream with this transform holds; undefined where it computes no partition, or does what no subject
 *   template says. `publish` is null where the partition does not follow from the key as our producers have it.
 */
export function shapeOfTransform({ src, dest }: SubjectTransform): StreamShape | undefined {
  const tokens = dest.split('.').map(destToken);
  const partitions = tokens.filter((token) => token?.kind === 'partition');
  const [partition] = partitions;
  if (tokens.includes(undefined) || partitions.length !== 1 || partition?.kind !== 'partition') return undefined;
  const keyAt = tokens.findIndex((token) => token?.kind === 'wildcard' || token?.kind === 'rest');
  const key = keyAt < 0 ? [] : tokens.slice(keyAt);
  if (!key.every((token) => token?.kind === 'wildcard' || token?.kind === 'rest')) return undefined;
  const fixed = keyAt < 0 ? tokens : tokens.slice(0, keyAt);
  const template = fixed.map((token) => (token?.kind === 'plain' ? token.text : '{partition}'));
  const subject = [...template, ...(keyAt < 0 ? [] : ['{key}'])].join('.');
  return { subject, partitions: partition.count, publish: publishTemplate(src, key, partition.of) };
}

/** Where our producers would publish: the source with the key in place of its wildcards, if key and partition are made of all of them. */
function publishTemplate(
  src: string,
  key: readonly (DestToken | undefined)[],
  hashed: readonly number[],
): string | null {
  const tokens = src.split('.');
  const firstWild = tokens.findIndex((token) => token === '*' || token === '>');
  const wild = firstWild < 0 ? [] : tokens.slice(firstWild);
  const indexes = wild.map((_, at) => at + 1);
  const isWhole =
    key.length === wild.length && key.every((token, at) => token?.kind === 'wildcard' && token.index === at + 1);
  const isHashed = hashed.length === indexes.length && hashed.every((index, at) => index === at + 1);
  if (wild.length === 0 || !wild.every((token) => token === '*') || !isWhole || !isHashed) return null;
  return [...tokens.slice(0, firstWild), '{key}'].join('.');
}

function destToken(token: string): DestToken | undefined {
  if (token === '>') return { kind: 'rest' };
  const [, oldIndex] = /^\$(\d+)$/.exec(token) ?? [];
  if (oldIndex !== undefined) return { kind: 'wildcard', index: Number(oldIndex) };
  const [, name = '', list = ''] = /^\{\{\s*(\w+)\s*\(([^)]*)\)\s*\}\}$/.exec(token) ?? [];
  if (name === '') return /^[^\s*>{}$]+$/.test(token) ? { kind: 'plain', text: token } : undefined;
  const numbers = list.split(',').map((text) => (/^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN));
  if (numbers.some(Number.isNaN)) return undefined;
  const [first = 0, ...others] = numbers;
  if (/^partition$/i.test(name) && first > 0) return { kind: 'partition', count: first, of: others };
  return /^wildcard$/i.test(name) && others.length === 0 ? { kind: 'wildcard', index: first } : undefined;
}

/** @returns the shape that subjects like `0.orders.>`, `1.orders.>` and so on have; undefined where they do not count */
export function shapeOfSubjects(subjects: readonly string[]): StreamShape | undefined {
  const [first] = subjects;
  if (first === undefined) return undefined;
  const tokens = first.split('.');
  for (const at of tokens.keys()) {
    const numbers = new Set(
      subjects.map((subject) => (isSameBut(subject.split('.'), tokens, at) ? subject.split('.')[at] : '')),
    );
    const counts = numbers.size === subjects.length && subjects.every((_, number) => numbers.has(String(number)));
    if (!counts) continue;
    const template = tokens.map((token, index) => (index === at ? '{partition}' : token)).join('.');
    const subject = template.replace(/\.(?:>|\*)$/, '.{key}');
    if (!/[*>]/.test(subject)) return { subject, partitions: subjects.length };
  }
  return undefined;
}

function isSameBut(tokens: readonly string[], others: readonly string[], except: number): boolean {
  return tokens.length === others.length && tokens.every((token, at) => at === except || token === others[at]);
}
