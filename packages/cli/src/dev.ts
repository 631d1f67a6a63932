/**
 * `muster dev`: everything for development in one command: a nats-server (fetched where there is none), a coordinator in this
 * process, and how to connect.
 *
 * D1 what it started ends with it, in order: the coordinator before the server.
 */

import { ConfigError, readConfig, startNode } from '@muster/coordinator';
import { type NatsServerHandle, startNatsServer } from '@muster/nats-server';
import { connect, type TopicOptions } from '@muster/worker';
import { type Command, InvalidArgumentError } from 'commander';
import { pino } from 'pino';
import { withSpinner } from './asking.js';
import { examples, notes } from './commands.js';
import { exitCodes } from './exit-codes.js';
import { CliError } from './failure.js';
import { aborted, type Cli, type Io, pause } from './io.js';
import { type OutputOptions, outputOption, show } from './output.js';
import { integer } from './values.js';

type DevFlags = OutputOptions & {
  readonly port: number;
  readonly cluster: string;
  readonly storeDir?: string;
  readonly topic?: readonly TopicOptions[];
  readonly partitions: number;
  readonly logLevel: string;
};

export function addDev(program: Command, cli: Cli): void {
  const dev = program
    .command('dev')
    .description('start a NATS server and a coordinator for development, and say how to connect')
    .option(
      '--port <number>',
      'port of the NATS server on 127.0.0.1; 0 takes any that is free',
      integer(0, 65_535),
      4_222,
    )
    .option('--cluster <name>', 'name of the Muster cluster', 'default')
    .option('--store-dir <folder>', 'keep messages and offsets there (default: gone at the end)')
    .option('--topic <name:partitions>', 'create this topic; may be repeated', collectTopicOptions)
    .option('--partitions <count>', 'coordinator partitions of a new cluster', integer(1, 10_000), 10)
    .option('--log-level <level>', 'of the coordinator, on standard error', 'warn')
    .addOption(outputOption());
  examples(
    dev,
    'muster dev',
    'muster dev --topic orders:12 --topic refunds:4',
    'muster dev --port 0 --store-dir ./muster-data -o json',
  );
  notes(
    dev,
    'It ends with exit code 1 when the NATS server or the coordinator ends by itself, such as when somebody kills it; neither is started',
    'again.',
  );
  dev.action(async (flags: DevFlags) => {
    cli.exitCode = await runDev(flags, cli.io);
  });
}

function collectTopicOptions(text: string, before: readonly TopicOptions[] = []): readonly TopicOptions[] {
  const match = /^(.+):(\d+)$/.exec(text);
  if (match === null) throw new InvalidArgumentError('write it as name:partitions, such as orders:12.');
  return [...before, { name: match[1] ?? '', partitions: Number(match[2]) }];
}

async function runDev(flags: DevFlags, io: Io): Promise<number> {
  const signal = io.interrupted();
  const { cluster, storeDir, port } = flags;
  const server = await withSpinner(io, 'starting nats-server (it is fetched where there is none)', () =>
    startNatsServer({
      ...(port === 0 ? {} : { ports: { client: port } }),
      ...(storeDir === undefined ? {} : { storeDir }),
    }),
  );
  try {
    const config = readConfig({ flags: nodeFlags(flags, server.url), env: {}, file: undefined });
    const log = pino({ level: config.logLevel, name: 'muster' }, { write: (line: string) => io.err(line) });
    const node = await withSpinner(io, 'starting a coordinator', () => startNode(config, log));
    try {
      await createTopics(server.url, cluster, flags.topic ?? []);
      sayHowToConnect(io, flags, server.url, server.version);
      const ended = await Promise.race([
        aborted(signal),
        node.over.then((why) => `the coordinator ended (${why})`),
        serverEnded(server, signal),
      ]);
      if (typeof ended === 'string') throw endedEarly(flags, ended);
      io.err('ending\n');
      return exitCodes.ok;
    } finally {
      // D1
      await node.stop();
    }
  } catch (thrown) {
    if (thrown instanceof ConfigError) throw new CliError(exitCodes.usage, thrown.message);
    throw thrown;
  } finally {
    await server.stop();
  }
}

const LOOK_INTERVAL_MS = 500;

/** @returns what to say when the server has ended by itself; nothing when the signal aborts */
async function serverEnded({ servers }: NatsServerHandle, signal: AbortSignal): Promise<string | undefined> {
  while (!signal.aborted) {
    if (servers.every(({ pid }) => pid === undefined)) return 'nats-server ended';
    await pause(LOOK_INTERVAL_MS, signal);
  }
  return undefined;
}

/** Not started again: without --store-dir all that it held is gone, and a worker that goes on as before would hide that. */
function endedEarly({ storeDir }: DevFlags, what: string): CliError {
  const left = storeDir === undefined ? 'everything begins anew' : `what is in ${storeDir} is still there`;
  return new CliError(exitCodes.failed, `${what}, so all of it ends`, `start "muster dev" again: ${left}`);
}

function nodeFlags({ cluster, partitions, logLevel, storeDir }: DevFlags, url: string): Record<string, unknown> {
  return {
    servers: url,
    cluster,
    id: 'dev',
    logLevel,
    // A first member is served at once: nobody develops with three seconds of waiting.
    groupInitialRebalanceDelayMs: 0,
    // A lasting store remembers its count: only a new one may be told.
    ...(storeDir === undefined ? { partitions } : {}),
  };
}

async function createTopics(url: string, cluster: string, topics: readonly TopicOptions[]): Promise<void> {
  if (topics.length === 0) return;
  const muster = await connect({ servers: url, cluster });
  try {
    for (const topic of topics) await muster.topics.create(topic);
  } finally {
    await muster.close();
  }
}

function sayHowToConnect(
  io: Io,
  { output, cluster, topic = [], storeDir }: DevFlags,
  url: string,
  version: string,
): void {
  const store = storeDir ?? null;
  const row = { url, cluster, version, store, topics: topic.map(({ name }) => name) };
  if (output !== 'table') {
    const columns = ['url', 'cluster', 'version', 'store'].map((key) => ({ key, title: key.toUpperCase() }));
    show(io, output, { columns, rows: [row], name: 'url', empty: '', document: row });
    return;
  }
  const name = topic[0]?.name ?? 'orders';
  const ofCluster = cluster === 'default' ? '' : ` --cluster ${cluster}`;
  io.out(`
nats-server ${version} at ${url}
coordinator of cluster "${cluster}" ready; ${store === null ? 'nothing is kept at the end' : `kept in ${store}`}

In another terminal:
  export NATS_URL=${url}
${topic.length > 0 ? '' : `  ${io.startedAs} topics create ${name} --partitions 4${ofCluster}\n`}  ${io.startedAs} produce ${name} '{"total":40}'${ofCluster}
  ${io.startedAs} consume ${name} --group test${ofCluster}
  ${io.startedAs} groups describe test${ofCluster}

In an application:
  import { connect } from '@muster/worker';
  const muster = await connect({ servers: '${url}'${cluster === 'default' ? '' : `, cluster: '${cluster}'`} });

Ctrl-C ends it all.
`);
}
