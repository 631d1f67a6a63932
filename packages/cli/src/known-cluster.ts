/**
 * Whether there is a cluster of this name, so that a mistyped name is an error at once and not a timeout or an empty list.
 *
 * C1 "there is none" is said only where everybody who could know has answered: no coordinator listens, and JetStream has neither
 * the cluster's store nor its topics nor its log. Whoever cannot be asked (permissions, an outage) proves nothing.
 */

import { recordKey } from '@muster/cluster';
import { leaseBucket, logStreamName, OWN_API } from '@muster/nats';
import { encodeRequest, groupId, requestId, Subjects } from '@muster/protocol';
import { ErrorCode, type JetStreamManager, type NatsConnection, NatsError, nuid } from 'nats';
import type { Connection } from './connection.js';
import { exitCodes } from './exit-codes.js';
import { CliError } from './failure.js';
import { apiErrorOf, messageOrNothing, NO_STREAM } from './jetstream-errors.js';

const ASK_MS = 1_000;
/** Others are not worth the time of looking at each. */
const CLUSTERS_MAX = 50;
const STREAM_PREFIX = 'KV_MUSTER_';
const TOPICS_SUFFIX = '_TOPICS';

/** @returns undefined where the cluster is there or might be; else what to say */
export async function missingCluster(
  nats: NatsConnection,
  { cluster, timeoutMs, jetStream }: Connection,
): Promise<CliError | undefined> {
  const timeout = Math.min(ASK_MS, timeoutMs);
  if (!(await hasNoListener(nats, cluster, timeout))) return undefined;
  const jetstream = await nats.jetstreamManager({ ...jetStream, timeout, checkAPI: false });
  const store = `KV_${leaseBucket(cluster)}`;
  const streams = [store, `${store}${TOPICS_SUFFIX}`, logStreamName({ cluster }, 0)];
  for (const stream of streams) if (!(await isAbsent(jetstream, stream))) return undefined;
  const others = await knownClusters(jetstream);
  return new CliError(
    exitCodes.notFound,
    `there is no Muster cluster ${JSON.stringify(cluster)} here: no coordinator answers, and this NATS account has neither its store nor its topics${thereAre(others)}`,
    others === undefined || others.length === 0
      ? 'start a coordinator with "muster node" or "muster dev", or check --server and the NATS context'
      : `name one of them with --cluster, or start a coordinator with "muster node --cluster ${cluster}"`,
  );
}

/**
 * For somebody at a leaf node who has not said where the cluster's JetStream is: topics would seem to be unknown. Only servers with a
 * domain are such; in another account without one (deploy/nats/accounts.conf) the coordinators' store is out of sight on purpose.
 * @returns what to say where coordinators answer but the JetStream of this domain has neither their store nor topics; undefined otherwise
 */
export async function otherJetStream(
  nats: NatsConnection,
  { cluster, timeoutMs, jetStream }: Connection,
): Promise<string | undefined> {
  const timeout = Math.min(ASK_MS, timeoutMs);
  const domain = domainOf(nats);
  if (domain === undefined || jetStream.apiPrefix !== OWN_API) return undefined;
  const manager = await nats.jetstreamManager({ ...jetStream, timeout, checkAPI: false });
  const store = `KV_${leaseBucket(cluster)}`;
  for (const stream of [store, `${store}${TOPICS_SUFFIX}`]) if (!(await isAbsent(manager, stream))) return undefined;
  if (await hasNoListener(nats, cluster, timeout)) return undefined;
  return `coordinators of ${JSON.stringify(cluster)} answer, but their store is not in the JetStream domain ${JSON.stringify(domain)} of this server: to see topics say which it is with --js-domain`;
}

/** The client passes on what the server says of itself, and has no type for this. */
function domainOf({ info }: NatsConnection): string | undefined {
  const { domain }: { domain?: unknown } = { domain: undefined, ...info };
  return typeof domain === 'string' && domain !== '' ? domain : undefined;
}

function thereAre(others: readonly string[] | undefined): string {
  if (others === undefined) return '';
  return others.length === 0 ? '; there is no other cluster either' : `; there are: ${others.join(', ')}`;
}

/** @returns whether NATS itself says that nobody listens for questions to this cluster's nodes */
async function hasNoListener(nats: NatsConnection, cluster: string, timeout: number): Promise<boolean> {
  const question = encodeRequest(
    { id: requestId(nuid.next()), deadlineMs: timeout },
    { groupId: groupId(''), suspectEpoch: null },
  );
  try {
    await nats.request(new Subjects(cluster).find, question, { timeout });
    return false;
  } catch (thrown) {
    return thrown instanceof NatsError && thrown.code === ErrorCode.NoResponders;
  }
}

async function isAbsent(jetstream: JetStreamManager, stream: string): Promise<boolean> {
  try {
    await jetstream.streams.info(stream);
    return false;
  } catch (thrown) {
    return apiErrorOf(thrown) === NO_STREAM;
  }
}

/** @returns names of clusters with a store or topics here; undefined where that may not be asked */
async function knownClusters(jetstream: JetStreamManager): Promise<string[] | undefined> {
  const found = new Set<string>();
  try {
    const buckets: string[] = [];
    for await (const name of jetstream.streams.names()) {
      if (name.startsWith(STREAM_PREFIX)) buckets.push(name.slice(STREAM_PREFIX.length));
      if (buckets.length >= CLUSTERS_MAX) break;
    }
    for (const bucket of buckets) {
      const hasRecord = await messageOrNothing(
        jetstream,
        `${STREAM_PREFIX}${bucket}`,
        `$KV.MUSTER_${bucket}.${recordKey}`,
      );
      if (hasRecord !== undefined) found.add(bucket);
      else if (bucket.endsWith(TOPICS_SUFFIX)) found.add(bucket.slice(0, -TOPICS_SUFFIX.length));
    }
  } catch {
    return undefined;
  }
  return [...found].sort();
}
