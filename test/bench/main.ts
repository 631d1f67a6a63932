/**
 * `npm run bench -- heartbeat commit [--json]`: what an API costs beside a bare NATS request-reply echo.
 *
 * Both subjects are measured in one run, in alternating rounds, with equal request and reply sizes and equal concurrency; what
 * is printed is the ratio. Absolute figures stand beside it only to make the ratio readable.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { readConfig } from '@muster/coordinator';
import { connectNats, NatsBus } from '@muster/nats';
import { startNatsServer } from '@muster/nats-server';
import { Subjects } from '@muster/protocol';
import Table from 'cli-table3';
import { Argument, Command } from 'commander';
import type { LoadedMember } from './group-load.js';
import { GroupLoad } from './group-load.js';
import type { Round, Send } from './load.js';
import { median, runRound } from './load.js';

const benchmarks = ['heartbeat', 'commit'] as const;
type Benchmark = (typeof benchmarks)[number];

const concurrencies = [1, 64, 256] as const;
const groupCount = 256;
const partitionCount = 50;
const rounds = 3;

type Result = {
  readonly benchmark: Benchmark;
  readonly concurrency: number;
  readonly perSecond: number;
  readonly echoPerSecond: number;
  /** Requests per second beside those of the echo; 1 = as fast as bare NATS. */
  readonly ratio: number;
  readonly p99Ms: number;
  readonly echoP99Ms: number;
  readonly failed: number;
};

const command = new Command('bench')
  .addArgument(new Argument('[benchmark...]', 'what to measure').choices(benchmarks))
  .option('--json', 'print one JSON object')
  .addHelpText('after', "\nBeside Kafka's own group coordinator: node test/dist/bench/kafka/main.js --help")
  .action(async (names: Benchmark[], { json }: { json?: boolean }) => {
    const results = await measure(names.length === 0 ? [...benchmarks] : names);
    if (json === true) console.log(JSON.stringify({ results }));
    else print(results);
    if (results.some(({ failed }) => failed > 0)) process.exitCode = 1;
  });

async function measure(names: readonly Benchmark[]): Promise<Result[]> {
  const server = await startNatsServer();
  const config = readConfig({
    flags: { servers: [server.url], cluster: 'bench', partitions: partitionCount, groupInitialRebalanceDelayMs: 0 },
    env: {},
    file: undefined,
  });
  const node = fork(fileURLToPath(new URL('./node-process.js', import.meta.url)), [JSON.stringify(config)]);
  const children = [node];
  const connection = await connectNats({ servers: [server.url], name: 'bench' });
  try {
    await once(node, 'message');
    const bus = new NatsBus(connection);
    const load = new GroupLoad(bus, new Subjects('bench'), partitionCount);
    const members = await Promise.all(Array.from({ length: groupCount }, (_, index) => load.member(`bench-${index}`)));
    const results: Result[] = [];
    for (const name of names) {
      const send = sender(name, load, members);
      // The echo answers with the coordinator's own answer, so that requests, replies and the client's work are the same.
      const sample = await load.send(name, bodyOf(name, load, at(members, 0)));
      if (sample === undefined || !load.isSuccess(name, sample)) throw new Error(`the first ${name} failed`);
      const echoSubject = `bench.echo.${name}`;
      const args = [server.url, echoSubject, Buffer.from(sample).toString('base64')];
      const echo = fork(fileURLToPath(new URL('./echo-process.js', import.meta.url)), args);
      children.push(echo);
      await once(echo, 'message');
      const sendEcho = sender(name, load, members, echoSubject);
      for (const concurrency of concurrencies) results.push(await compare(name, concurrency, send, sendEcho));
    }
    return results;
  } finally {
    for (const child of children) child.disconnect();
    await connection.close();
    await server.stop();
  }
}

function bodyOf(name: Benchmark, load: GroupLoad, member: LoadedMember) {
  return name === 'commit' ? load.commit(member) : load.heartbeat(member);
}

/** Sends requests of all members in turn; an answer counts only when it says that the request worked. */
function sender(name: Benchmark, load: GroupLoad, members: readonly LoadedMember[], subject?: string): Send {
  return async (index) => {
    const reply = await load.send(name, bodyOf(name, load, at(members, index % members.length)), subject);
    return reply !== undefined && load.isSuccess(name, reply);
  };
}

async function compare(benchmark: Benchmark, concurrency: number, send: Send, sendEcho: Send): Promise<Result> {
  const count = concurrency === 1 ? 2_000 : 20_000;
  const ours: Round[] = [];
  const echoes: Round[] = [];
  await runRound(sendEcho, concurrency, count / 4);
  await runRound(send, concurrency, count / 4);
  for (let round = 0; round < rounds; round += 1) {
    echoes.push(await runRound(sendEcho, concurrency, count));
    ours.push(await runRound(send, concurrency, count));
  }
  const of = (list: readonly Round[], key: keyof Round) => median(list.map((round) => round[key]));
  return {
    benchmark,
    concurrency,
    perSecond: of(ours, 'perSecond'),
    echoPerSecond: of(echoes, 'perSecond'),
    ratio: of(ours, 'perSecond') / of(echoes, 'perSecond'),
    p99Ms: of(ours, 'p99Ms'),
    echoP99Ms: of(echoes, 'p99Ms'),
    failed: [...ours, ...echoes].reduce((sum, { failed }) => sum + failed, 0),
  };
}

function print(results: readonly Result[]): void {
  const table = new Table({
    head: ['benchmark', 'in flight', 'requests/s', 'bare echo/s', 'ratio', 'p99 ms', 'echo p99 ms', 'failed'],
    style: { head: [] },
  });
  for (const result of results) {
    const { benchmark, concurrency, perSecond, echoPerSecond, ratio, p99Ms, echoP99Ms, failed } = result;
    const rates = [perSecond.toFixed(0), echoPerSecond.toFixed(0), ratio.toFixed(2)];
    table.push([benchmark, concurrency, ...rates, p99Ms.toFixed(2), echoP99Ms.toFixed(2), failed]);
  }
  console.log(table.toString());
  console.log('ratio: requests per second beside those of a bare NATS echo with equal bodies, in the same run');
}

function at<T>(list: readonly T[], index: number): T {
  const value = list[index];
  if (value === undefined) throw new RangeError(`no element ${index}`);
  return value;
}

await command.parseAsync();
