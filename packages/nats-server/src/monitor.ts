/**
 * Reads a server's monitoring endpoints (`/varz`, `/healthz`, `/routez`, `/jsz`).
 *
 * Does not judge what it reads; `readiness.ts` does. Everything that is missing or odd reads as "not there".
 */

import { get } from 'node:http';

const ANSWER_BYTES_MAX = 1024 * 1024;

export interface MonitorAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** Asks one endpoint. undefined: no answer within `timeoutMs`, or not one in JSON. Never throws. */
export function askMonitor(monitorUrl: string, path: string, timeoutMs: number): Promise<MonitorAnswer | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => request.destroy(), timeoutMs);
    const finish = (answer: MonitorAnswer | undefined) => {
      clearTimeout(timer);
      resolve(answer);
    };
    const request = get(`${monitorUrl}${path}`, { agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.byteLength;
        if (bytes > ANSWER_BYTES_MAX) request.destroy();
        else chunks.push(chunk);
      });
      response.once('end', () => finish(parseAnswer(response.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'))));
      response.once('error', () => finish(undefined));
      response.once('close', () => finish(undefined));
    });
    request.once('error', () => finish(undefined));
    request.once('close', () => finish(undefined));
  });
}

function parseAnswer(status: number, text: string): MonitorAnswer | undefined {
  try {
    return { status, body: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/** A field of something parsed from JSON; undefined where there is none. */
export function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
