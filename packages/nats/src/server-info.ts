/**
 * What the connected server says about itself: version, cluster, limits, JetStream.
 *
 * It speaks for one server: the members of a rolling upgrade differ. Judging versions is the caller's business.
 */

import type { NatsConnection } from 'nats';
import { JetStreamApi, numberIn } from './jetstream-api.js';

export type ServerVersion = { readonly major: number; readonly minor: number; readonly patch: number };

export type JetStreamAvailability =
  | { readonly kind: 'available'; readonly streams: number }
  /** Switched off on the server or for the account. */
  | { readonly kind: 'disabled'; readonly reason: string }
  /** No leader or no answer now: ask again. */
  | { readonly kind: 'unavailable'; readonly reason: string };

export type NatsServerInfo = {
  readonly serverName: string;
  /** As the server writes it, such as `2.10.27` or `2.12.0-RC.1`. */
  readonly version: string;
  readonly parsedVersion: ServerVersion | undefined;
  /** Name of the cluster that the server is a member of; undefined for a single server. */
  readonly clusterName: string | undefined;
  readonly payloadBytesMax: number;
  readonly jetStream: JetStreamAvailability;
};

/** Error codes with which a server says that there is no JetStream here, now or later. */
const DISABLED_CODES: ReadonlySet<number> = new Set([10039, 10076]);

/**
 * Asks the connected server.
 * @param timeoutMs limit of the question for JetStream
 * @returns undefined where there is no connection
 */
export async function serverInfo(nc: NatsConnection, timeoutMs = 2_000): Promise<NatsServerInfo | undefined> {
  const info = nc.info;
  if (info === undefined) return undefined;
  return {
    serverName: info.server_name,
    version: info.version,
    parsedVersion: parseServerVersion(info.version),
    clusterName: info.cluster === undefined || info.cluster === '' ? undefined : info.cluster,
    payloadBytesMax: info.max_payload,
    jetStream: await jetStreamAvailability(nc, info.jetstream === true, timeoutMs),
  };
}

async function jetStreamAvailability(
  nc: NatsConnection,
  local: boolean,
  timeoutMs: number,
): Promise<JetStreamAvailability> {
  const answer = await new JetStreamApi(nc).call('INFO', undefined, timeoutMs);
  switch (answer.kind) {
    case 'ok':
      return { kind: 'available', streams: numberIn(answer.body, 'streams') ?? 0 };
    case 'error':
      return { kind: DISABLED_CODES.has(answer.code) ? 'disabled' : 'unavailable', reason: answer.description };
    case 'unavailable':
      // Nobody answers the API and the server itself has none: that is not a matter of time.
      if (answer.cause === 'no-responders' && !local) return { kind: 'disabled', reason: 'JetStream is not enabled' };
      return { kind: 'unavailable', reason: answer.cause };
  }
}

/** @returns the three numbers at the start of a version; undefined where there are none */
export function parseServerVersion(version: string): ServerVersion | undefined {
  const match = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]) };
}
