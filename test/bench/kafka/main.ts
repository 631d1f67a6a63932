/**
 * `node test/dist/bench/kafka/main.js`: Muster beside Kafka's own group coordinator, both on this machine, in one run, in alternating
 * rounds. What is printed are ratios; docs/testing.md says what they mean and what they do not.
 *
 * Needs java and Maven, which fetches Kafka; says so and ends with exit code 3 where they are missing.
 */

import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveNatsServer } from '@muster/nats-server';
import Table from 'cli-table3';
import { Argument, Command, Option } from 'commander';
import { RealCluster } from '../../world/real-cluster.js';
import { type Figure, figuresOf, ratioOf, ratioText, type Sample, summaryText } from './figures.js';
import { findJava } from './java.js';
import { KafkaBrokers, tunedProperties } from './kafka-brokers.js';
import { type KafkaProtocol, kafkaSide } from './kafka-side.js';
import {
  fillWithIdleGroups,
  type MeasurementName,
  measurementNames,
  measurements,
  memory,
  type Plan,
  TOPICS,
  warmUp,
} from './measurements.js';
import { musterSide, NODES } from './muster-side.js';
import { KafkaPeer } from './peer.js';
import type { Side } from './side.js';

const MISSING = 3;
const whole = (text: string) => Number.parseInt(text, 10);

type Options = {
  readonly rounds: number;
  readonly groups: number;
  readonly session: number;
  readonly heartbeat: number;
  readonly tuned?: true;
  readonly newProtocol?: true;
  readonly keep?: true;
  readonly json?: true;
};

const command = new Command('bench/kafka')
  .description("Muster beside Kafka's own group coordinator; needs java and Maven")
  .addArgument(new Argument('[measurement...]', 'what to measure').choices(measurementNames))
  .addOption(new Option('--rounds <n>', 'rounds of each measurement').argParser(whole).default(3))
  .addOption(new Option('--groups <n>', 'groups of the coordinator that is killed').argParser(whole).default(200))
  .addOption(new Option('--session <ms>', 'session timeout of all members').argParser(whole).default(10_000))
  .addOption(new Option('--heartbeat <ms>', 'heartbeat interval of all members').argParser(whole).default(3_000))
  .option('--tuned', 'Kafka told to append at once and to miss a broker after 1 s instead of 9 s')
  .option('--new-protocol', "a further column: Kafka's group.protocol=consumer (KIP-848)")
  .option('--keep', 'keep the folder with the logs of the brokers')
  .option('--json', 'print one JSON object')
  .action(compare);

async function compare(given: MeasurementName[], options: Options): Promise<void> {
  const java = await findJava();
  if (java.kind === 'missing') {
    process.stderr.write(`The comparison with Kafka cannot run: ${java.what}\n`);
    process.exitCode = MISSING;
    return;
  }
  await resolveNatsServer();
  const { rounds, groups, session: sessionMs, heartbeat: heartbeatMs } = options;
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  const plan: Plan = { rounds, groups, sessionMs, heartbeatMs, say };
  const folder = await mkdtemp(join(tmpdir(), 'muster-kafka-'));
  // Also where the run is ended from outside; the processes have been killed by then.
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  if (options.keep !== true) process.once('exit', remove);
  const stops: (() => Promise<void>)[] = [];
  const samples: Sample[] = [];
  const [loadBefore = 0] = loadavg();
  try {
    const sides: Side[] = [];
    for (const start of [() => startKafka(java.classpath, folder, options, stops), () => startMuster(stops)]) {
      const { side, startedAt, others } = await start();
      samples.push(await firstCommit(side, startedAt, plan));
      for (const { topic, partitions, messages } of Object.values(TOPICS))
        await side.topic(topic, partitions, messages);
      sides.push(side, ...others);
    }
    await fillWithIdleGroups(owning(sides));
    samples.push(...(await memory(owning(sides), 'just started')));
    for (const side of sides) await warmUp(side, plan);
    for (const name of given.length === 0 ? measurementNames : given) {
      samples.push(...(await measurements[name](name === 'memory' ? owning(sides) : sides, plan)));
    }
  } catch (thrown) {
    // What has been measured by then is still worth telling.
    say(`broken off: ${thrown instanceof Error ? thrown.stack : thrown}`);
    process.exitCode = 1;
  } finally {
    for (const stop of stops.reverse()) await stop().catch((thrown: unknown) => say(`ending: ${thrown}`));
    if (options.keep === true) say(`logs: ${folder}`);
  }
  const [loadAfter = 0] = loadavg();
  if (options.json === true) console.log(JSON.stringify({ figures: figuresOf(samples), loadBefore, loadAfter }));
  else print(figuresOf(samples));
  say(`${java.version}; load average ${loadBefore.toFixed(1)} before, ${loadAfter.toFixed(1)} after`);
}

/** The new protocol is another way to speak to the same brokers. */
function owning(sides: readonly Side[]): readonly Side[] {
  return sides.filter(({ name }) => name === 'kafka' || name === 'muster');
}

type Started = { readonly side: Side; readonly startedAt: number; readonly others: readonly Side[] };

async function startKafka(
  classpath: string,
  folder: string,
  { tuned, newProtocol }: Options,
  stops: (() => Promise<void>)[],
): Promise<Started> {
  const brokers = await KafkaBrokers.prepare(classpath, folder, tuned === true ? tunedProperties : {});
  const peer = new KafkaPeer(classpath, brokers.servers, join(folder, 'peer.log'));
  const sideOf = (protocol: KafkaProtocol) => kafkaSide(brokers, peer, protocol);
  const side = sideOf('classic');
  stops.push(side.stop);
  brokers.onStart = (pid) => void peer.order('guard', { pid }).catch(() => {});
  const startedAt = performance.now();
  for (const name of brokers.names) brokers.start(name);
  await brokers.untilListening();
  await peer.order('ready', { brokers: brokers.names.length });
  return { side, startedAt, others: newProtocol === true ? [sideOf('consumer')] : [] };
}

async function startMuster(stops: (() => Promise<void>)[]): Promise<Started> {
  const startedAt = performance.now();
  const nodeFlags = { '--group-initial-rebalance-delay-ms': '0', '--log-level': 'info' };
  const cluster = await RealCluster.start({ nats: { servers: 3 }, partitions: 50, nodeFlags });
  stops.push(() => cluster.close());
  await cluster.startNodes(...NODES);
  const side = await musterSide(cluster);
  stops.push(side.stop);
  return { side, startedAt, others: [] };
}

/** From the start of the first process: all of it, on an empty store. */
async function firstCommit(side: Side, startedAt: number, plan: Plan): Promise<Sample> {
  await side.topic('bench-first', 1, 10);
  const { sessionMs, heartbeatMs } = plan;
  await side.open(['first'], { members: 1, topic: 'bench-first', partitions: 1, sessionMs, heartbeatMs });
  await side.commits(1);
  const values = [performance.now() - startedAt];
  await side.close();
  return { figure: 'cold start of everything, to the first commit of a group', unit: 'ms', side: side.name, values };
}

function print(figures: readonly Figure[]): void {
  const sides = [...new Set(figures.flatMap(({ sides: by }) => Object.keys(by)))];
  const others = sides.filter((side) => side !== 'muster');
  const head = ['figure', 'unit', ...sides.map((side) => `${side}: p50 / p99 / max (values)`)];
  const table = new Table({
    head: [...head, ...others.map((side) => `${side} : muster`)],
    style: { head: [], border: [] },
  });
  for (const { figure, unit, sides: by } of figures) {
    const ratios = others.map((side) => {
      const [theirs, ours] = [by[side], by['muster']];
      const [p50, p99] = (['p50', 'p99'] as const).map((at) => ratioText(ratioOf(unit, theirs?.[at], ours?.[at])));
      return theirs !== undefined && theirs.count > 100 ? `${p50}, p99 ${p99}` : (p50 ?? '-');
    });
    table.push([figure, unit, ...sides.map((side) => summaryText(unit, by[side])), ...ratios]);
  }
  console.log(table.toString());
  console.log(
    'ratio: how many times better Muster does (p50); below 1 Kafka is ahead; - where a value is 0 or missing',
  );
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
await command.parseAsync();
