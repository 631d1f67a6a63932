/**
 * What a node tells over HTTP: whether it lives, whether it is ready, and its figures. For probes and Prometheus; nothing can be changed
 * here, and nothing secret is told.
 *
 * S1: it listens from the start of the process on, so that a probe sees a node that waits for NATS as alive and not ready.
 */

import type { AddressInfo } from 'node:net';
import { type ServerType, serve } from '@hono/node-server';
import { Hono } from 'hono';
import type { NodeMetrics } from './node-metrics.js';

/** How the node stands, as the probes tell it. */
export type NodeStatus = {
  readonly node: string;
  readonly incarnation: string;
  /** Whether it knows the cluster and serves what it owns. */
  readonly isReady: boolean;
  readonly isConnected: boolean;
  /** Partitions by what this node has to do with them. */
  readonly partitions: Readonly<Record<string, number>>;
};

export type StatusServerOptions = {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly status: () => NodeStatus;
  readonly metrics: Pick<NodeMetrics, 'text' | 'contentType'>;
};

export type StatusServer = { readonly port: number; readonly close: () => Promise<void> };

/** Nobody can listen where the node should tell how it is. */
export class StatusPortUnavailable extends Error {
  override readonly name = 'StatusPortUnavailable';
}

/** Longest request line and headers, and how long they may take: nobody needs to send more here. */
const limits = { maxHeaderSize: 8 * 1_024, headersTimeout: 5_000, requestTimeout: 10_000 } as const;

/**
 * Listens.
 * @throws StatusPortUnavailable
 */
export async function serveStatus(options: StatusServerOptions): Promise<StatusServer> {
  const { host, port } = options;
  const server: ServerType = await new Promise((resolve, reject) => {
    const started = serve({ fetch: statusApp(options).fetch, hostname: host, port, serverOptions: limits }, () =>
      resolve(started),
    );
    started.once('error', (cause: Error) => {
      reject(new StatusPortUnavailable(`nobody can listen on ${host}:${port}: ${cause.message}`, { cause }));
    });
  });
  const address = server.address();
  return {
    port: isAddress(address) ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      }),
  };
}

/** @returns the routes: `/livez`, `/readyz`, `/metrics` */
export function statusApp({ status, metrics }: Pick<StatusServerOptions, 'status' | 'metrics'>): Hono {
  const app = new Hono();
  app.get('/', (context) => context.text('/livez /readyz /metrics\n'));
  // A process that answers lives: one whose incarnation is over ends by itself.
  app.get('/livez', (context) => context.json({ ...status(), isAlive: true }));
  app.get('/readyz', (context) => {
    const now = status();
    return context.json(now, now.isReady && now.isConnected ? 200 : 503);
  });
  app.get('/metrics', async (context) =>
    context.body(await metrics.text(), 200, { 'Content-Type': metrics.contentType }),
  );
  return app;
}

function isAddress(address: string | AddressInfo | null): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}
