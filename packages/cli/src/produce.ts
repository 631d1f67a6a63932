/**
 * `muster produce`: messages from arguments or standard input into a topic.
 *
 * P1 what is read waits for what is on its way: memory stays bounded however long the input is.
 */

import { createInterface } from 'node:readline';
import { type Key, type OutgoingMessage, type Stored, stringCodec } from '@muster/worker';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { startProgress } from './asking.js';
import { type AskingFlags, asking, examples, notes } from './commands.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { CliError, failureOf } from './failure.js';
import type { Cli, Io } from './io.js';
import { show } from './output.js';
import { countText } from './quantities.js';
import { type Session, withSession } from './session.js';
import { collectHeaders, integer, wrongHeader } from './values.js';

type ProduceFlags = AskingFlags & {
  readonly key?: string;
  readonly keySeparator?: string;
  readonly header?: Readonly<Record<string, string>>;
  readonly partition?: number;
  readonly input: 'lines' | 'json';
};

const IN_FLIGHT_MAX = 500;
/** Beyond this, more of the same failures tell nothing new. */
const FAILURES_MAX = 100;

export function addProduce(program: Command, cli: Cli): void {
  const produce = program
    .command('produce')
    .argument('<topic>', 'name of the topic')
    .argument('[values...]', 'one message each; without any, each line of standard input is one')
    .description('write messages into a topic')
    .option('--key <text>', 'key of every message')
    .option('--key-separator <text>', 'each line is a key, this text, and the value')
    .option('--header <name=value>', 'header of every message; may be repeated', collectHeaders)
    .option('--partition <number>', 'instead of the partition of the key', integer(0))
    .addOption(
      new Option('--input <form>', 'form of a line: the value, or JSON with value, key, headers, partition')
        .choices(['lines', 'json'])
        .default('lines'),
    );
  examples(
    produce,
    `muster produce orders '{"total":3}' --key customer-7`,
    'cat orders.txt | muster produce orders --key-separator :',
    'muster consume orders --idle 2s -o json | muster produce orders-copy --input json',
  );
  notes(
    produce,
    'A line that cannot be read ends it: the messages before it are stored, nothing from there on, and its number is said (exit code 6, or 2',
    'where nothing was stored). Empty lines are no messages. A value is stored as it is written; workers decode JSON unless they are given',
    'another codec. Headers that begin with Nats- mean something to JetStream: they are refused, and of lines of --input json left out.',
  );
  asking(produce).action((topic: string, values: string[], flags: ProduceFlags) =>
    withSession(cli, flags, (session) => produceAll(session, topic, values, flags)),
  );
}

async function produceAll(
  session: Session,
  topic: string,
  values: readonly string[],
  flags: ProduceFlags,
): Promise<ExitCode> {
  const { muster, io } = session;
  const producer = await muster.producer({ topic, codec: stringCodec });
  const tally = new Tally();
  const progress = startProgress(io, 'produced', values.length === 0 ? undefined : values.length);
  const underWay = new Set<Promise<void>>();
  if (values.length === 0 && io.isInteractive) io.err('each line is a message; end with Ctrl-D\n');
  const sayIfNoJson = warningOfText(io, flags);
  let number = 0;
  let bad: BadLine | undefined;
  for await (const line of values.length === 0 ? linesOf(io) : values) {
    number += 1;
    // An empty line is no message, and a line to count all the same.
    if (line === '' && values.length === 0) continue;
    const message = messageOrProblem(line, flags);
    if (message instanceof CliError) {
      bad = { problem: message, what: `${values.length === 0 ? 'line' : 'value'} ${number}` };
      break;
    }
    sayIfNoJson(message.value);
    const sending = producer.send(message).then(
      (stored) => {
        tally.stored(stored);
        progress.at(tally.count);
      },
      (thrown: unknown) => tally.failed(thrown),
    );
    underWay.add(sending);
    void sending.then(() => underWay.delete(sending));
    // P1
    if (underWay.size >= IN_FLIGHT_MAX) await Promise.race(underWay);
    if (tally.failures >= FAILURES_MAX) break;
  }
  await Promise.all(underWay);
  await producer.close();
  progress.end(`${countText(tally.count, 'message')} produced`);
  return showTally(io, flags, topic, tally, bad);
}

/** Says once to a person that workers will not decode what they write. What is copied with `--input json` is as it was. */
function warningOfText(io: Io, flags: ProduceFlags): (value: string) => void {
  let isSaid = !io.isTerminal || flags.input === 'json';
  return (value) => {
    if (isSaid || isJson(value)) return;
    isSaid = true;
    const shown = JSON.stringify(value.slice(0, 40));
    io.err(`note: ${shown} is no JSON\nworkers decode JSON unless they are given another codec\n`);
  };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** What could not be read ends the reading: what comes after it is not stored. */
interface BadLine {
  readonly problem: CliError;
  /** Such as `line 7`. */
  readonly what: string;
}

function messageOrProblem(line: string, flags: ProduceFlags): OutgoingMessage<string> | CliError {
  try {
    return messageOf(line, flags);
  } catch (thrown) {
    if (thrown instanceof CliError) return thrown;
    throw thrown;
  }
}

function showTally(io: Io, flags: ProduceFlags, topic: string, tally: Tally, bad: BadLine | undefined): ExitCode {
  show(io, flags.output, {
    columns: [
      { key: 'topic', title: 'TOPIC' },
      { key: 'partition', title: 'PARTITION' },
      { key: 'messages', title: 'MESSAGES' },
      { key: 'firstOffset', title: 'FIRST-OFFSET' },
      { key: 'lastOffset', title: 'LAST-OFFSET' },
    ],
    rows: tally.rows(topic),
    name: (row) => `${topic}:${String(row['partition'])}`,
    empty: 'nothing was produced',
  });
  if (bad !== undefined) {
    const stored = tally.count === 0 ? 'nothing was stored' : `${countText(tally.count, 'message')} before it stored`;
    io.err(`error: ${bad.what}: ${bad.problem.message}\n${stored}, nothing from there on\n`);
  }
  if (tally.firstFailure === undefined) {
    return bad === undefined ? exitCodes.ok : tally.count > 0 ? exitCodes.partly : bad.problem.exitCode;
  }
  const { message, exitCode, advice } = failureOf(tally.firstFailure);
  io.err(
    `error: ${countText(tally.failures, 'message')} not stored; the first: ${message}\n${advice === undefined ? '' : `${advice}\n`}`,
  );
  return tally.count > 0 ? exitCodes.partly : exitCode;
}

async function* linesOf(io: Io): AsyncGenerator<string, void, void> {
  for await (const line of createInterface({ input: io.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    yield line;
  }
}

const keySchema = z
  .union([z.string(), z.array(z.string()).min(1)])
  .nullable()
  .optional();
const jsonLine = z.object({
  value: z.unknown(),
  key: keySchema,
  headers: z.record(z.string(), z.string()).optional(),
  partition: z.int().min(0).optional(),
});

/** @returns the message of a line; throws CliError for a line that is not in the form asked for */
export function messageOf(
  line: string,
  flags: Pick<ProduceFlags, 'key' | 'keySeparator' | 'header' | 'partition' | 'input'>,
): OutgoingMessage<string> {
  const headers = flags.header;
  const make = (
    value: string,
    key: Key | undefined,
    more: Readonly<Record<string, string>> = {},
    partition = flags.partition,
  ) => ({
    value,
    ...(key === undefined ? {} : { key }),
    ...(headers === undefined && Object.keys(more).length === 0 ? {} : { headers: { ...more, ...headers } }),
    ...(partition === undefined ? {} : { partition }),
  });
  if (flags.input === 'json') {
    const parsed = jsonLine.safeParse(jsonOf(line));
    if (!parsed.success) throw wrongLine(line, 'is no JSON object with a value');
    const { value, key, headers: own, partition } = parsed.data;
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    if (text === undefined) throw wrongLine(line, 'has no value');
    // What JetStream was told of the original is not true of the copy.
    const kept = Object.entries(own ?? {}).filter(([name]) => !/^nats-/i.test(name));
    const why = kept.map(([name, content]) => wrongHeader(name, content)).find((problem) => problem !== undefined);
    if (why !== undefined) throw wrongLine(line, `has a header that can be none: ${why}`);
    return make(text, flags.key ?? key ?? undefined, Object.fromEntries(kept), flags.partition ?? partition);
  }
  const { keySeparator } = flags;
  if (keySeparator === undefined) return make(line, flags.key);
  const at = line.indexOf(keySeparator);
  if (at < 0) throw wrongLine(line, `has no ${JSON.stringify(keySeparator)}`);
  return make(line.slice(at + keySeparator.length), line.slice(0, at));
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function wrongLine(line: string, why: string): CliError {
  return new CliError(exitCodes.usage, `${JSON.stringify(line.slice(0, 80))} ${why}`);
}

class Tally {
  readonly #partitions = new Map<number, { messages: number; firstOffset: number; lastOffset: number }>();
  count = 0;
  failures = 0;
  firstFailure: unknown;

  stored({ partition, offset }: Stored): void {
    this.count += 1;
    const known = this.#partitions.get(partition);
    if (known === undefined) this.#partitions.set(partition, { messages: 1, firstOffset: offset, lastOffset: offset });
    else {
      known.messages += 1;
      known.firstOffset = Math.min(known.firstOffset, offset);
      known.lastOffset = Math.max(known.lastOffset, offset);
    }
  }
  failed(thrown: unknown): void {
    this.failures += 1;
    this.firstFailure ??= thrown;
  }
  rows(topic: string) {
    return [...this.#partitions]
      .sort(([left], [right]) => left - right)
      .map(([partition, facts]) => ({ topic, partition, ...facts }));
  }
}
