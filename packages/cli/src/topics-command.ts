/**
 * `muster topics`: the registry of partitioned streams.
 */

import { MusterError, type TopicSpec } from '@muster/worker';
import { type Command, Option } from 'commander';
import { requireConsent } from './asking.js';
import { type AskingFlags, asking, examples, notes } from './commands.js';
import { exitCodes } from './exit-codes.js';
import { CliError, type Failure, failureOf } from './failure.js';
import type { Cli, Io } from './io.js';
import { itemOf, showItems } from './items.js';
import { type Column, type Row, show } from './output.js';
import { type Session, withSession } from './session.js';
import { registered, subjectOf } from './stream-facts.js';
import { differencesOf, streamSettings } from './stream-settings.js';
import { byteSize, durationOption, integer, pattern } from './values.js';

const PARTITIONS_MAX = 10_000;
const YEAR_MS = 31_536_000_000;

const topicColumns: readonly Column[] = [
  { key: 'topic', title: 'TOPIC' },
  { key: 'partitions', title: 'PARTITIONS' },
  { key: 'stream', title: 'STREAM' },
  { key: 'subject', title: 'SUBJECT', isElastic: true, leaveOut: 1 },
  { key: 'keyHash', title: 'KEY-HASH', leaveOut: 2 },
];

function rowOf({ name, partitions, stream, subject, keyHash }: TopicSpec): Row {
  return { topic: name, partitions, stream, subject, keyHash };
}

export function addTopics(program: Command, cli: Cli): void {
  const topics = program.command('topics').description('create, adopt, list, describe and delete topics');
  examples(
    topics,
    'muster topics create orders --partitions 12',
    'muster topics list',
    'muster topics describe orders',
  );
  addCreate(topics, cli);
  addAdopt(topics, cli);
  addList(topics, cli);
  addDescribe(topics, cli);
  addDelete(topics, cli);
}

/** Of a cluster that nobody knows: a typing error far more often than the first step. */
const newClusterAdvice = 'to make topics before the first coordinator starts add --force';

type CreateFlags = AskingFlags & {
  readonly force?: boolean;
  readonly partitions: number;
  readonly replicas?: number;
  readonly storage?: 'file' | 'memory';
  readonly maxAge?: number;
  readonly maxBytes?: number;
  readonly duplicateWindow?: number;
  readonly stream?: string;
  readonly subject?: string;
  readonly keyHash?: 'fnv1a' | 'murmur2';
};

const keyHashOption = () =>
  new Option('--key-hash <name>', 'how keys become partitions (default: fnv1a, as nats-server maps)').choices([
    'fnv1a',
    'murmur2',
  ]);

function addCreate(topics: Command, cli: Cli): void {
  const create = topics
    .command('create')
    .argument('<topic>', 'name of the topic')
    .description('create a topic and its stream; one that exists with the same shape is fine')
    .requiredOption('--partitions <count>', 'partitions, fixed for life', integer(1, PARTITIONS_MAX))
    .option('--replicas <count>', 'replicas of the stream (default: 1)', integer(1, 5))
    .addOption(new Option('--storage <kind>', 'where the stream is kept (default: file)').choices(['file', 'memory']))
    .addOption(
      durationOption('--max-age <time>', 'messages older than this go (default: never)', {
        minMs: 100,
        maxMs: YEAR_MS,
      }),
    )
    .option('--max-bytes <size>', 'the oldest messages go above this size, such as 10GiB (default: no limit)', byteSize)
    .addOption(
      durationOption('--duplicate-window <time>', 'how long message ids are remembered (default: 2m)', {
        minMs: 100,
        maxMs: 86_400_000,
      }),
    )
    .option('--stream <name>', 'name of the stream (default: MUSTER_<cluster>_T_<topic>)')
    .option('--subject <template>', 'subject with {partition} and at the end {key}')
    .addOption(keyHashOption())
    .option('--force', 'also for a cluster that nobody knows yet');
  notes(
    create,
    'Of a topic that exists, what is given is compared with what it has; where it differs nothing is changed, and the exit code is 4. A',
    'cluster that no coordinator and no stream knows is refused (3): to make topics before its first coordinator starts give --force.',
  );
  examples(
    create,
    'muster topics create orders --partitions 12',
    'muster topics create orders --partitions 32 --replicas 3 --max-age 7d',
    "muster topics create orders --partitions 12 --subject 'shop.orders.{partition}.{key}' --key-hash murmur2",
  );
  asking(create).action((name: string, flags: CreateFlags) =>
    withSession(
      cli,
      flags,
      async (session) => {
        const { muster, io } = session;
        const { partitions, replicas, storage, maxAge, maxBytes, duplicateWindow, stream, subject, keyHash } = flags;
        const isThere = (await registered(session, [name])).has(name);
        const spec = await muster.topics.create({
          name,
          partitions,
          ...(replicas === undefined ? {} : { replicas }),
          ...(storage === undefined ? {} : { storage }),
          ...(maxAge === undefined ? {} : { maxAgeMs: maxAge }),
          ...(maxBytes === undefined ? {} : { maxBytes }),
          ...(duplicateWindow === undefined ? {} : { duplicateWindowMs: duplicateWindow }),
          ...(stream === undefined ? {} : { stream }),
          ...(subject === undefined ? {} : { subject }),
          ...(keyHash === undefined ? {} : { keyHash }),
        });
        if (isThere) await requireSettings(session, spec, flags);
        show(io, flags.output, { columns: topicColumns, rows: [rowOf(spec)], name: 'topic', empty: '' });
        return exitCodes.ok;
      },
      { isNewClusterFine: flags.force === true, newClusterAdvice },
    ),
  );
}

/** What somebody asks for and does not get must not look as if they had. @throws CliError conflict, naming each difference */
async function requireSettings(session: Session, { name, stream }: TopicSpec, flags: CreateFlags): Promise<void> {
  const differences = differencesOf(await streamSettings(session, stream), flags);
  if (differences.length === 0) return;
  throw new CliError(
    exitCodes.conflict,
    `the topic ${JSON.stringify(name)} exists with other settings: ${differences.join('; ')}`,
    `nothing was changed; leave out what differs, or change the stream: "nats stream edit ${stream}"`,
  );
}

/** Two topics of one stream count its messages twice, and deleting one takes the other's. */
function sayAdopted(
  io: Io,
  { stream, keyHash = 'fnv1a' }: AdoptFlags,
  others: readonly TopicSpec[],
  isForced: boolean,
): void {
  const names = others.map(({ name }) => JSON.stringify(name)).join(', ');
  const message = `the stream ${JSON.stringify(stream)} is the topic ${names} already`;
  if (!isForced) {
    throw new CliError(
      exitCodes.conflict,
      message,
      'use that topic, or add --force: deleting one deletes the messages of both',
    );
  }
  io.err(`note: ${message}\ndeleting one deletes the messages of both\n`);
  for (const other of others.filter((topic) => topic.keyHash !== keyHash)) {
    io.err(
      `note: keys go by ${keyHash} here and by ${other.keyHash} in ${JSON.stringify(other.name)}: the same key may have two partitions\n`,
    );
  }
}

type AdoptFlags = AskingFlags & {
  readonly force?: boolean;
  readonly partitions: number;
  readonly stream: string;
  readonly subject: string;
  readonly keyHash?: 'fnv1a' | 'murmur2';
};

function addAdopt(topics: Command, cli: Cli): void {
  const adopt = topics
    .command('adopt')
    .argument('<topic>', 'name of the topic')
    .description('register a stream that exists already as a topic; the stream stays as it is')
    .requiredOption('--stream <name>', 'name of the stream')
    .requiredOption('--subject <template>', 'its subjects, with {partition} and at the end {key}')
    .requiredOption('--partitions <count>', 'partitions, from 0', integer(1, PARTITIONS_MAX))
    .addOption(keyHashOption())
    .option(
      '--force',
      'also a stream that is a topic under another name already, or for a cluster that nobody knows yet',
    );
  examples(adopt, "muster topics adopt orders --stream ORDERS --subject 'orders.{partition}.{key}' --partitions 16");
  asking(adopt).action((name: string, flags: AdoptFlags) =>
    withSession(
      cli,
      flags,
      async ({ muster, io }) => {
        const { partitions, stream, subject, keyHash } = flags;
        const others = (await muster.topics.list()).filter((topic) => topic.stream === stream && topic.name !== name);
        if (others.length > 0) sayAdopted(io, flags, others, flags.force === true);
        const hash = keyHash === undefined ? {} : { keyHash };
        const spec = await muster.topics.adopt({ name, partitions, stream, subject, ...hash });
        show(io, flags.output, { columns: topicColumns, rows: [rowOf(spec)], name: 'topic', empty: '' });
        return exitCodes.ok;
      },
      { isNewClusterFine: flags.force === true, newClusterAdvice },
    ),
  );
}

function addList(topics: Command, cli: Cli): void {
  const list = topics.command('list').alias('ls').description('list the topics of the cluster');
  list.option('--match <regex>', 'only topics whose name matches', pattern);
  examples(list, 'muster topics list', 'muster topics list -o name', "muster topics list --match '^orders-(eu|us)$'");
  asking(list).action((flags: AskingFlags & { readonly match?: RegExp }) =>
    withSession(cli, flags, async ({ muster, io }) => {
      const { match } = flags;
      const found = (await muster.topics.list()).filter(({ name }) => match === undefined || match.test(name));
      const rows = found.map(rowOf);
      show(io, flags.output, { columns: topicColumns, rows, name: 'topic', empty: 'no topics' });
      return exitCodes.ok;
    }),
  );
}

function addDescribe(topics: Command, cli: Cli): void {
  const describe = topics
    .command('describe')
    .argument('<topics...>', 'names of topics')
    .description('show each partition: messages and where it ends');
  examples(describe, 'muster topics describe orders', 'muster topics describe orders refunds -o yaml');
  asking(describe).action((names: string[], flags: AskingFlags) =>
    withSession(cli, flags, async (session) => {
      const rows: Row[] = [];
      const documents: unknown[] = [];
      const missing: Failure[] = [];
      for (const name of new Set(names)) {
        const spec = await readableTopic(session, name);
        if (!('name' in spec)) {
          missing.push(spec);
          continue;
        }
        const partitions = await partitionRows(session, spec);
        rows.push(...partitions);
        documents.push({ ...rowOf(spec), partitions });
      }
      for (const { message, advice } of missing) session.io.err(`error: ${message}\n${advice ?? ''}\n`);
      if (documents.length === 0) return exitCodes.notFound;
      show(session.io, flags.output, {
        columns: [
          { key: 'topic', title: 'TOPIC' },
          { key: 'partition', title: 'PARTITION' },
          { key: 'messages', title: 'MESSAGES' },
          { key: 'logEndOffset', title: 'LOG-END-OFFSET' },
          { key: 'stream', title: 'STREAM', isElastic: true, leaveOut: 2 },
          { key: 'subject', title: 'SUBJECT', isElastic: true, leaveOut: 1 },
        ],
        rows,
        name: (row) => `${String(row['topic'])}:${String(row['partition'])}`,
        empty: '',
        document: documents,
      });
      return missing.length === 0 ? exitCodes.ok : exitCodes.partly;
    }),
  );
}

/** @returns the topic; what to say where it, or the stream that it stands for, does not exist */
async function readableTopic({ muster }: Session, name: string): Promise<TopicSpec | Failure> {
  try {
    const spec = await muster.topics.describe(name);
    if ((await muster.topics.lookUp(name)) !== undefined) return spec;
    const { stream, partitions } = spec;
    return {
      exitCode: exitCodes.notFound,
      message: `the topic ${JSON.stringify(name)} is registered, but its stream ${stream} does not exist: its messages are gone`,
      advice: `"muster topics create ${name} --partitions ${partitions}" makes an empty one, "muster topics delete ${name}" ends the topic`,
    };
  } catch (thrown) {
    if (thrown instanceof MusterError && thrown.code === 'UNKNOWN_TOPIC') return failureOf(thrown);
    throw thrown;
  }
}

async function partitionRows(session: Session, spec: TopicSpec): Promise<Row[]> {
  const numbers = Array.from({ length: spec.partitions }, (_, partition) => partition);
  const places = numbers.map((partition) => ({ topic: spec.name, partition }));
  const [ends, counts] = await Promise.all([session.admin.endOffsets(places), session.admin.countMessages(places)]);
  return numbers.map((partition) => ({
    topic: spec.name,
    partition,
    messages: counts[partition]?.error === 'NONE' ? counts[partition].messages : null,
    logEndOffset: ends[partition]?.endOffset ?? null,
    stream: spec.stream,
    subject: subjectOf(spec, partition),
  }));
}

function addDelete(topics: Command, cli: Cli): void {
  const remove = topics
    .command('delete')
    .argument('<topics...>', 'names of topics')
    .description('delete topics with their streams and all messages')
    .option('--force', 'do not ask');
  examples(remove, 'muster topics delete orders', 'muster topics delete orders refunds --force');
  asking(remove).action((names: string[], flags: AskingFlags & { readonly force?: boolean }) =>
    withSession(cli, flags, async ({ admin, io }) => {
      await requireConsent(io, `Delete ${names.join(', ')} with all messages?`, flags.force === true);
      const results = await admin.deleteTopics(names);
      const items = results.map((result) => itemOf({ topic: result.item }, result));
      const shape = { columns: [{ key: 'topic', title: 'TOPIC' }], name: 'topic', done: 'deleted', empty: '' };
      return showItems(io, flags.output, shape, items);
    }),
  );
}
