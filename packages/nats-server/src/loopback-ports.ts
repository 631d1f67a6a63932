/**
 * Free ports on the loopback interface.
 *
 * A port that is free now may be taken before a server binds it; whoever starts the server must cope (see `start.ts`).
 *
 * P1: within this process no port is handed out twice at a time.
 * P2: chosen below the range that Linux uses for outgoing connections (32768 and up), which would take them at random.
 */

import { createServer } from 'node:net';
import { NatsServerError } from './errors.js';

export const LOOPBACK = '127.0.0.1';
const PORT_MIN = 20_000;
const PORT_MAX = 32_000;
const TRIES_MAX = 400;

const handedOut = new Set<number>();

/** Reserves `count` ports. Throws `port-taken` where none are free. Give them back with `releasePorts`. */
export async function reservePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries += 1) {
    if (tries >= TRIES_MAX) {
      releasePorts(ports);
      throw new NatsServerError('port-taken', `no ${count} free ports from ${PORT_MIN} to ${PORT_MAX} on ${LOOPBACK}`);
    }
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    if (await isFree(port)) ports.push(port);
    else handedOut.delete(port);
  }
  return ports;
}

export function releasePorts(ports: readonly number[]): void {
  for (const port of ports) handedOut.delete(port);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
