/**
 * The command line under test against one real cluster: in this process, as a process in pipes, and in a pseudo-terminal of
 * `script`, which is part of every Debian.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type Muster } from '@muster/worker';
import { expect } from 'vitest';
import { until } from '../../../test/world/processes.js';
import { RealCluster } from '../../../test/world/real-cluster.js';
import { FakeIo, type Ran, run } from './fake-io.js';

/** The built command: a process of its own cannot run the sources. */
export const binary = fileURLToPath(new URL('../dist/main.js', import.meta.url));

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** A process of the command line, of which a test sees every output. */
export class Spawned {
  readonly #child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';

  /** @param env beside what finding Node and nats-server needs; a home without NATS contexts */
  constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>>, cwd?: string) {
    this.#child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...surroundings(), ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    // Who has ended reads no more.
    this.#child.stdin?.on('error', () => {});
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }));
    });
  }
  get pid(): number {
    return this.#child.pid ?? -1;
  }
  /** Waits for a text on standard output, or of a terminal. */
  async says(text: string): Promise<void> {
    await until(
      `it says ${JSON.stringify(text)}`,
      () => this.stdout.includes(text),
      30_000,
      () => this.stdout + this.stderr,
    );
  }
  type(text: string): void {
    this.#child.stdin?.write(text);
  }
  endInput(): void {
    this.#child.stdin?.end();
  }
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
  interrupt(): void {
    this.signal('SIGINT');
  }
}

function surroundings(): Record<string, string> {
  const { PATH = '', HOME = '', XDG_CACHE_HOME = join(HOME, '.cache') } = process.env;
  const kept = ['NATS_SERVER_BIN', 'MUSTER_CACHE_DIR'].flatMap((name): [string, string][] => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  });
  return { PATH, HOME, XDG_CACHE_HOME, TERM: 'xterm-256color', ...Object.fromEntries(kept) };
}

/** One cluster of one node in this process, and names that no other test uses. */
export class CliScene {
  readonly cluster: RealCluster;
  readonly muster: Muster;
  /** A home without NATS contexts. */
  readonly folder: string;
  #names = 0;

  private constructor(cluster: RealCluster, muster: Muster, folder: string) {
    this.cluster = cluster;
    this.muster = muster;
    this.folder = folder;
  }

  /** @param extraConfig more lines for the configuration of the NATS server */
  static async start(extraConfig = ''): Promise<CliScene> {
    const folder = await mkdtemp(join(tmpdir(), 'muster-cli-'));
    const cluster = await RealCluster.start({ partitions: 4, nats: { extraConfig } });
    await cluster.startInside('n1');
    const muster = await connect({ servers: cluster.nats.url, cluster: cluster.name });
    return new CliScene(cluster, muster, folder);
  }
  async close(): Promise<void> {
    await this.muster.close({ timeoutMs: 2_000 });
    await this.cluster.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  get environment(): Record<string, string> {
    return { NATS_URL: this.cluster.nats.url, MUSTER_CLUSTER: this.cluster.name };
  }
  newName(what: string): string {
    this.#names += 1;
    return `${what}-${this.#names}`;
  }

  /** Runs a command line in this process, without a terminal. */
  cli(...args: readonly string[]): Promise<Ran> {
    return run(args, new FakeIo({ env: this.environment }));
  }
  /** The same for a command that must work. @returns what it wrote */
  async ok(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.cli(...args);
    expect(code, `${args.join(' ')}\n${stderr}`).toBe(0);
    return stdout;
  }
  /** The same as JSON. */
  async rows(...args: readonly string[]): Promise<Record<string, unknown>[]> {
    return JSON.parse(await this.ok(...args, '-o', 'json'));
  }

  /** A topic of two partitions with messages 1 to `count`, which take turns: the odd ones in partition 0. */
  async newTopic(count = 0): Promise<string> {
    const topic = this.newName('topic');
    await this.ok('topics', 'create', topic, '--partitions', '2');
    for (let number = 1; number <= count; number += 1) {
      await this.ok('produce', topic, String(number), '--partition', String((number + 1) % 2));
    }
    return topic;
  }
  /** An empty group that has consumed a topic to its end. */
  async newGroup(topic: string): Promise<string> {
    const group = this.newName('group');
    await this.ok('groups', 'reset-offsets', group, '--topic', topic, '--to-latest', '--execute');
    return group;
  }
  async offsetsOf(group: string): Promise<Record<string, number>> {
    const offsets = await this.muster.admin().fetchOffsets(group);
    return Object.fromEntries(offsets.map(({ topic, partition, offset }) => [`${topic}:${partition}`, offset]));
  }

  /** The command line without a terminal. */
  inPipes(args: readonly string[], env: Readonly<Record<string, string>> = {}): Spawned {
    return new Spawned(process.execPath, [binary, ...args], { HOME: this.folder, ...this.environment, ...env });
  }
  /** The command line in a terminal of so many columns. What it writes comes on standard output, all of it. */
  inTerminal(args: readonly string[], columns = 120, env: Readonly<Record<string, string>> = {}): Spawned {
    const words = [process.execPath, binary, ...args].map((word) => `'${word}'`).join(' ');
    const command = `stty cols ${columns} rows 40; exec ${words}`;
    return new Spawned('script', ['-qec', command, '/dev/null'], {
      HOME: this.folder,
      ...this.environment,
      ...env,
    });
  }
}
