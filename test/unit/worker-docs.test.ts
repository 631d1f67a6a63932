/**
 * docs/protocol.md and docs/worker.md against the code: every API, field, error, vector, example and option that they must name.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  clusterApis,
  encodeAssignment,
  encodeCooperativeStickyUserData,
  encodeSubscription,
  encodeToken,
  errorCatalogue,
  groupApis,
  groupId,
  javaStringHash,
  partitionOf,
} from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { adminArguments } from '../../packages/worker/src/check-arguments.js';
import { optionFields } from '../../packages/worker/src/check-options.js';
import { workerErrors } from '../../packages/worker/src/errors.js';
import { consumerSettings, memberSettings } from '../../packages/worker/src/options.js';

const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
const protocol = readFileSync(`${docs}protocol.md`, 'utf8');
const worker = readFileSync(`${docs}worker.md`, 'utf8');

/** @returns the names of all fields of a schema, those of the objects within too */
function fieldsOf(schema: z.ZodType): string[] {
  if (schema instanceof z.ZodObject) {
    return Object.entries(schema.shape).flatMap(([name, field]) => [name, ...fieldsOf(field as z.ZodType)]);
  }
  if (schema instanceof z.ZodArray) return fieldsOf(schema.element as z.ZodType);
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodNullable) return fieldsOf(schema.unwrap() as z.ZodType);
  return [];
}

/** @returns the text under a heading, up to the next of the same level */
function section(heading: string): string {
  const from = protocol.indexOf(`\n### ${heading}\n`);
  if (from < 0) return '';
  const to = protocol.slice(from + 1).search(/\n##+ /);
  return protocol.slice(from, to < 0 ? undefined : from + 1 + to);
}

/** @returns the rows of the table whose head begins with `what` */
function rowsOf(what: string): string[] {
  const lines = worker.split('\n');
  const head = lines.findIndex((line) => line.startsWith(`| ${what} option |`) || line.startsWith(`| ${what} |`));
  expect(head, `there is no table of ${what}`).toBeGreaterThan(0);
  const rest = lines.slice(head + 2);
  return rest.slice(
    0,
    rest.findIndex((line) => !line.startsWith('|')),
  );
}

/** @returns the names in the first column of rows */
function namesIn(rows: readonly string[]): string[] {
  return rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name));
}

describe('docs/protocol.md', () => {
  it.each(Object.entries({ ...groupApis, ...clusterApis }))('describes %s with every field', (name, api) => {
    const text = section(name);
    const fields = new Set([...fieldsOf(api.request), ...fieldsOf(api.reply)]);
    // Shapes that a section refers to instead of repeating them.
    const elsewhere = name === 'stage-offsets' ? new Set(fieldsOf(groupApis.commit.request)) : new Set<string>();
    if (name === 'stage-offsets') for (const field of fieldsOf(groupApis.commit.reply)) elsewhere.add(field);
    const missing = [...fields].filter((field) => !elsewhere.has(field) && !new RegExp(`\\b${field}\\b`).test(text));
    expect(text).not.toBe('');
    expect(missing).toEqual([]);
  });

  it('lists every error with its code and whether it is retriable', () => {
    const rows = Object.entries(errorCatalogue).map(
      ([name, { code, retriable, message }]) => `| ${code} | ${name} | ${retriable ? 'yes' : 'no'} | ${message} |`,
    );
    expect(rows.filter((row) => !protocol.includes(row))).toEqual([]);
  });

  it('has vectors that the code gives', () => {
    for (const group of ['billing', 'orders', 'é日本']) {
      const id = groupId(group);
      expect(protocol).toContain(
        `| \`${group}\` | ${javaStringHash(id)} | ${partitionOf(id, 50)} | \`${encodeToken(group)}\` |`,
      );
    }
    const hex = (bytes: Uint8Array) => `| \`${Buffer.from(bytes).toString('hex')}\` |`;
    const owned = [{ topic: 'orders', partition: 2 }];
    expect(protocol).toContain(hex(encodeSubscription({ topics: ['orders'], ownedPartitions: owned, generation: 7 })));
    expect(protocol).toContain(hex(encodeAssignment({ partitions: [{ topic: 'orders', partition: 0 }, ...owned] })));
    expect(protocol).toContain(hex(encodeCooperativeStickyUserData(7)));
  });
});

describe('docs/worker.md', () => {
  it('lists every error of the library with what it means', () => {
    const rows = Object.entries(workerErrors).map(
      ([name, { retriable, message }]) => `| ${name} | ${retriable ? 'yes' : 'no'} | ${message} |`,
    );
    expect(rows.filter((row) => !worker.includes(row))).toEqual([]);
  });

  it.each(Object.entries(optionFields))('has a table of exactly the options of %s', (what, fields) => {
    expect(namesIn(rowsOf(what)).sort()).toEqual(Object.keys(fields).sort());
  });

  it('names every call of administration with its options', () => {
    const from = worker.indexOf('\n## Admin\n');
    const text = worker.slice(from, worker.indexOf('\n## Testing\n'));
    const options = Object.entries(adminArguments).flatMap(([call, { shape }]) => [
      call,
      ...Object.values(shape as Record<string, z.ZodType>).flatMap((argument) =>
        argument instanceof z.ZodOptional ? fieldsOf(argument.unwrap() as z.ZodType) : [],
      ),
    ]);
    expect(options.length).toBeGreaterThan(25);
    expect([...new Set(options)].filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
  });

  it('says the defaults that a consumer has', () => {
    const settings = memberSettings({ group: 'billing' });
    const options = { group: 'billing', topics: ['orders'] };
    const numbers = Object.entries({ ...settings, ...consumerSettings(options, settings) }).filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number',
    );
    expect(numbers.length).toBeGreaterThan(8);
    const rows = rowsOf('consumer');
    for (const [name, value] of numbers) {
      const row = rows.find((line) => line.startsWith(`| \`${name}\` |`));
      expect(row?.split('|')[2]?.trim()).toMatch(new RegExp(`^${value.toLocaleString('en-US')}( |$)`));
    }
  });

  it('has a row for every event', () => {
    const names = namesIn(rowsOf('event'));
    const source = readFileSync(fileURLToPath(new URL('../../packages/worker/src/events.ts', import.meta.url)), 'utf8');
    const channels = [...source.matchAll(/channel\('(muster:[a-z-]+)'\)/g)].map(([, name = '']) => name);
    expect(channels.length).toBeGreaterThan(10);
    expect(names.sort()).toEqual(channels.sort());
  });

  it('has a row for every metric', () => {
    const source = readFileSync(
      fileURLToPath(new URL('../../packages/worker/src/metrics.ts', import.meta.url)),
      'utf8',
    );
    const metrics = [...source.matchAll(/create\w+\('([a-z._]+)'/g)].map(([, name = '']) => name);
    expect(metrics.length).toBe(5);
    expect(namesIn(rowsOf('metric')).sort()).toEqual(metrics.sort());
  });

  it('links files that exist, and every example', () => {
    const links = [...worker.matchAll(/\]\(((?!http|#)[^)#]+)/g)].map(([, file]) => file ?? '');
    expect(links.filter((file) => !existsSync(`${docs}${file}`))).toEqual([]);
    const examples = readdirSync(`${docs}examples`).filter((file) => file !== 'billing.mjs');
    expect(examples.filter((file) => !links.includes(`examples/${file}`))).toEqual([]);
  });

  it('links headings that exist', () => {
    const headings = new Set(
      [...worker.matchAll(/^#+ (.+)$/gm)].map(([, text = '']) =>
        text
          .toLowerCase()
          .replace(/[^a-z0-9 -]/g, '')
          .replace(/ /g, '-'),
      ),
    );
    const links = [...worker.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor = '']) => anchor);
    expect(links.filter((anchor) => !headings.has(anchor))).toEqual([]);
  });
});
