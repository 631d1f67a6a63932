/**
 * Three Kafka brokers in KRaft mode, each broker and controller, on loopback ports and a temporary folder.
 *
 * Configured as delivered, but for what the comparison makes equal on both sides (`common`), and what a run is told besides.
 */

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pause } from '../../chaos/fleet.js';
import { JavaProcess, residentMiB } from './java.js';

const run = promisify(execFile);
const NODES = [1, 2, 3] as const;
/** Below what the system gives to outgoing connections. */
const PORT_LEAST = 21_000;
const PORT_SPAN = 10_000;
const STOP_MS = 60_000;
/** As bin/kafka-server-start.sh and bin/kafka-run-class.sh start it. */
const heap = ['-Xmx1G', '-Xms1G'];
const collector = ['-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-XX:InitiatingHeapOccupancyPercent=35'];
const jvm = ['-server', ...heap, ...collector, '-XX:+ExplicitGCInvokesConcurrent', '-Djava.awt.headless=true'];
const quiet = '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn';

/** What both sides have the same, or what a cluster of three needs to keep what it has acknowledged. */
const common = {
  'offsets.topic.replication.factor': '3',
  'default.replication.factor': '3',
  'min.insync.replicas': '2',
  'offsets.topic.num.partitions': '50',
  'auto.create.topics.enable': 'false',
  'group.initial.rebalance.delay.ms': '0',
  // The new protocol is told its times by the brokers: the same as the members of the classic one.
  'group.consumer.min.session.timeout.ms': '10000',
  'group.consumer.session.timeout.ms': '10000',
  'group.consumer.min.heartbeat.interval.ms': '3000',
  'group.consumer.heartbeat.interval.ms': '3000',
} as const;

/** A Kafka that is told to be as quick as it can be told without changing what it keeps. */
export const tunedProperties = {
  'group.coordinator.append.linger.ms': '0',
  'broker.heartbeat.interval.ms': '200',
  'broker.session.timeout.ms': '1000',
} as const;

export class KafkaBrokers {
  readonly servers: readonly string[];
  readonly names = NODES.map((node) => `broker-${node}`);
  readonly #classpath: string;
  readonly #folder: string;
  readonly #processes = new Map<string, JavaProcess>();
  #onStart: (pid: number) => void = () => {};

  private constructor(classpath: string, folder: string, ports: readonly number[]) {
    this.#classpath = classpath;
    this.#folder = folder;
    this.servers = NODES.map((_, at) => `127.0.0.1:${ports[at]}`);
  }

  /** Writes configurations and formats the stores; nothing runs yet. */
  static async prepare(
    classpath: string,
    folder: string,
    more: Readonly<Record<string, string>>,
  ): Promise<KafkaBrokers> {
    const ports = await freePorts(2 * NODES.length);
    const brokers = new KafkaBrokers(classpath, folder, ports);
    const controllers = ports.slice(NODES.length);
    const clusterId = randomBytes(16).toString('base64url').replace(/^-/, 'A');
    for (const [at, node] of NODES.entries()) {
      const home = brokers.#home(`broker-${node}`);
      await mkdir(home, { recursive: true });
      const properties = {
        'process.roles': 'broker,controller',
        'node.id': node,
        'controller.quorum.voters': NODES.map((id, index) => `${id}@127.0.0.1:${controllers[index]}`).join(','),
        listeners: `PLAINTEXT://127.0.0.1:${ports[at]},CONTROLLER://127.0.0.1:${controllers[at]}`,
        'controller.listener.names': 'CONTROLLER',
        'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
        'log.dirs': join(home, 'data'),
        ...common,
        ...more,
      };
      const lines = Object.entries(properties).map(([key, value]) => `${key}=${value}\n`);
      const file = join(home, 'server.properties');
      await writeFile(file, lines.join(''));
      const format = ['-cp', classpath, quiet, 'kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', file];
      await run('java', format);
    }
    return brokers;
  }

  /** Tells of every process that is started, to somebody who ends it where this process cannot. */
  set onStart(tell: (pid: number) => void) {
    this.#onStart = tell;
  }

  /** Starts a broker; it is not ready when this returns. */
  start(name: string): void {
    const home = this.#home(name);
    const args = [...jvm, quiet, '-cp', this.#classpath, 'kafka.Kafka', join(home, 'server.properties')];
    const broker = new JavaProcess(args, join(home, 'broker.log'), 'logged');
    this.#processes.set(name, broker);
    this.#onStart(broker.pid);
  }

  /** Waits until every broker's port takes connections: a client that dials earlier backs off for up to a second. */
  async untilListening(): Promise<void> {
    const giveUpAt = performance.now() + STOP_MS;
    for (const server of this.servers) {
      while (!(await accepts(Number(server.split(':')[1])))) {
        if (performance.now() > giveUpAt) throw new Error(`${server} does not listen; see ${this.#folder}`);
        await pause(20);
      }
    }
  }

  async kill(name: string): Promise<void> {
    await this.#process(name).end('SIGKILL');
  }

  /** SIGTERM, which is a controlled shutdown; SIGKILL if that takes too long. */
  async terminate(name: string): Promise<void> {
    const insist = setTimeout(() => this.#process(name).signal('SIGKILL'), STOP_MS);
    await this.#process(name).end('SIGTERM');
    clearTimeout(insist);
  }

  residentMiB(): Promise<readonly number[]> {
    return Promise.all(this.names.map((name) => residentMiB(this.#process(name).pid)));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#processes.values()].map((broker) => broker.end('SIGKILL')));
  }

  #home(name: string): string {
    return join(this.#folder, name);
  }
  #process(name: string): JavaProcess {
    const found = this.#processes.get(name);
    if (found === undefined) throw new RangeError(`${name} was never started`);
    return found;
  }
}

async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  let candidate = PORT_LEAST + Math.floor(Math.random() * PORT_SPAN);
  for (let tries = 0; found.length < count && tries < PORT_SPAN; tries += 1, candidate += 1) {
    if (await isFree(candidate)) found.push(candidate);
  }
  if (found.length < count) throw new Error('no free ports');
  return found;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
