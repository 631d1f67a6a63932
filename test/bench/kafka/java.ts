/**
 * Java: whether it is there with Maven, where Kafka's classes are, and processes of it.
 *
 * J1: what was started here ends with this process. J2: processes are ended by their id.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Next to the source: what TypeScript does not compile is not copied to dist. */
export const SOURCES = fileURLToPath(new URL('../../../bench/kafka/', import.meta.url));
const DOWNLOAD_MS = 300_000;

export type Java =
  | { readonly kind: 'ready'; readonly classpath: string; readonly version: string }
  | { readonly kind: 'missing'; readonly what: string };

/** Looks for java and mvn, and lets Maven fetch Kafka of the version in pom.xml. */
export async function findJava(): Promise<Java> {
  const version = await run('java', ['-version']).then(
    ({ stderr }) => stderr.split('\n')[0] ?? '',
    () => undefined,
  );
  if (version === undefined) return { kind: 'missing', what: 'java (17 or newer) is not on PATH' };
  const folder = await mkdtemp(join(tmpdir(), 'muster-kafka-classpath-'));
  const file = join(folder, 'classpath');
  try {
    const goal = [
      '-q',
      '-B',
      '-f',
      join(SOURCES, 'pom.xml'),
      'dependency:build-classpath',
      `-Dmdep.outputFile=${file}`,
    ];
    await run('mvn', goal, { timeout: DOWNLOAD_MS });
    return { kind: 'ready', classpath: (await readFile(file, 'utf8')).trim(), version };
  } catch (thrown) {
    const error = thrown as NodeJS.ErrnoException & { readonly stdout?: string };
    if (error.code === 'ENOENT') return { kind: 'missing', what: 'mvn (Maven) is not on PATH' };
    return { kind: 'missing', what: `Maven could not fetch Kafka:\n${error.stdout ?? error.message}` };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const running = new Set<JavaProcess>();
process.once('exit', () => {
  for (const child of running) child.signal('SIGKILL');
});

export class JavaProcess {
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;

  /** @param channel whether standard input and output are spoken to; otherwise output goes to the log, as errors always do */
  constructor(args: readonly string[], logFile: string, channel: 'piped' | 'logged') {
    const log = openSync(logFile, 'a');
    const stdio = channel === 'piped' ? (['pipe', 'pipe', log] as const) : (['ignore', log, log] as const);
    this.#child = spawn('java', args, { stdio: [...stdio] });
    closeSync(log);
    running.add(this);
    this.exited = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code) => {
        running.delete(this);
        resolve(code);
      });
    });
    this.exited.catch(() => running.delete(this));
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }
  get isGone(): boolean {
    return !running.has(this);
  }
  get input(): ChildProcess['stdin'] {
    return this.#child.stdin;
  }
  get output(): ChildProcess['stdout'] {
    return this.#child.stdout;
  }
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
  /** Signals, and waits for its end. */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.isGone) return;
    this.signal(signal);
    await this.exited;
  }
}

/** @returns the resident memory of a process in MiB */
export async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) / 1_024;
}
