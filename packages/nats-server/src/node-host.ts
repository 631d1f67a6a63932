/**
 * The real machine behind `ResolverHost`: node builtins only.
 *
 * Does not decide what to run or where to look.
 */

import { execFile } from 'node:child_process';
import {
  access,
  chmod,
  constants,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf } from './errors.js';
import type { FetchLimits, FetchOutcome, ResolverHost, RunLimits, RunOutcome } from './host.js';

const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;
const BUSY_RETRIES_MAX = 5;
const BUSY_RETRY_MS = 50;

export function nodeHost(): ResolverHost {
  return {
    env: process.env,
    platform: process.platform,
    arch: process.arch,
    homeDir: homedir(),
    tempDir: tmpdir(),
    run,
    fetch: fetchBytes,
    isExecutable: (path) => isAccessible(path, constants.X_OK),
    isFile: (path) => isAccessible(path, constants.R_OK),
    list: (path) => readdir(path).catch(() => []),
    makeTempDir: async (parent, prefix) => {
      await mkdir(parent, { recursive: true });
      const path = await mkdtemp(join(parent, prefix));
      // Readable by others: apt gives up root for its downloads, and a cache may be shared. Nothing in it is secret.
      await chmod(path, 0o755);
      return path;
    },
    makeDir: async (path) => {
      await mkdir(path, { recursive: true });
    },
    writeFile: (path, content) => writeFile(path, content),
    copyExecutable: async (from, to) => {
      await copyFile(from, to);
      await chmod(to, 0o755);
    },
    renameDir,
    remove: (path) => rm(path, { recursive: true, force: true, maxRetries: 3 }),
  };
}

async function isAccessible(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

async function renameDir(from: string, to: string): Promise<'renamed' | 'occupied'> {
  try {
    await rename(from, to);
    return 'renamed';
  } catch (thrown) {
    const code = errnoOf(thrown);
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'EPERM') return 'occupied';
    throw thrown;
  }
}

async function run(file: string, args: readonly string[], limits: RunLimits): Promise<RunOutcome> {
  // A binary that was copied a moment ago is "text file busy" while some fork of this process, between fork and exec,
  // still holds the descriptor of the copy. That passes by itself.
  for (let retries = 0; ; retries += 1) {
    const outcome = await runOnce(file, args, limits);
    if (outcome.errno !== 'ETXTBSY' || retries >= BUSY_RETRIES_MAX) return outcome.result;
    await delay(BUSY_RETRY_MS);
  }
}

function runOnce(
  file: string,
  args: readonly string[],
  limits: RunLimits,
): Promise<{ readonly result: RunOutcome; readonly errno: string | undefined }> {
  const options = {
    timeout: limits.timeoutMs,
    killSignal: 'SIGKILL' as const,
    maxBuffer: OUTPUT_BYTES_MAX,
    encoding: 'utf8' as const,
    // Output is parsed: it must not be translated.
    env: { ...process.env, LC_ALL: 'C' },
    ...(limits.cwd === undefined ? {} : { cwd: limits.cwd }),
  };
  return new Promise((resolve) => {
    execFile(file, [...args], options, (error, stdout, stderr) => {
      if (error === null) {
        resolve({ result: { kind: 'exited', code: 0, stdout, stderr }, errno: undefined });
      } else if (typeof error.code === 'number') {
        resolve({ result: { kind: 'exited', code: error.code, stdout, stderr }, errno: undefined });
      } else {
        const reason = error.killed
          ? `did not end within ${limits.timeoutMs} ms`
          : error.signal
            ? `was ended by ${error.signal}`
            : reasonOf(error);
        resolve({ result: { kind: 'failed', reason }, errno: errnoOf(error) });
      }
    });
  });
}

async function fetchBytes(url: string, limits: FetchLimits): Promise<FetchOutcome> {
  const aborter = new AbortController();
  const stopAfter = (ms: number, what: string) => setTimeout(() => aborter.abort(new Error(what)), ms);
  const connectTimer = stopAfter(limits.connectTimeoutMs, `no answer within ${limits.connectTimeoutMs} ms`);
  const totalTimer = stopAfter(limits.totalTimeoutMs, `not complete within ${limits.totalTimeoutMs} ms`);
  try {
    const response = await fetch(url, { signal: aborter.signal, redirect: 'follow' });
    clearTimeout(connectTimer);
    if (!response.ok || response.body === null) {
      aborter.abort();
      return { kind: 'failed', reason: `HTTP status ${response.status}` };
    }
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      bytes += chunk.byteLength;
      if (bytes > limits.bytesMax) {
        aborter.abort();
        return { kind: 'failed', reason: `larger than ${limits.bytesMax} bytes` };
      }
      chunks.push(chunk);
    }
    return { kind: 'fetched', bytes: Buffer.concat(chunks) };
  } catch (thrown) {
    return { kind: 'failed', reason: reasonOf(thrown) };
  } finally {
    clearTimeout(connectTimer);
    clearTimeout(totalTimer);
  }
}

function errnoOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}
