/**
 * A coordinator node on real NATS: connects, obeys the cluster record, claims partitions, serves groups, drains, ends.
 *
 * What a node is made of stands in assembly.ts; here it gets its adapters and its life.
 */

import { hostname } from 'node:os';
import type { GroupConfig } from '@muster/group';
import {
  type BusProblem,
  connectNats,
  JetStreamLogStore,
  NatsBus,
  openLeaseStore,
  requireServer,
  SystemClock,
  SystemRandom,
  startService,
  tooOldFor,
} from '@muster/nats';
import type { Incarnation, NodeId } from '@muster/protocol';
import { incarnation as incarnationOf, monotonicMs, nodeId, Subjects } from '@muster/protocol';
import type { NatsConnection } from 'nats';
import type { Logger } from 'pino';
import { type AssembledNode, assembleNode } from './assembly.js';
import type { NodeConfig } from './config.js';
import type { NodeMeter } from './observe/meter.js';
import { observe } from './observe/observation.js';
import { obeyRecord, obeyStreams } from './restore/obey.js';

export type RunningNode = {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  /** Whether it knows the cluster, serves what it owns, and is not leaving. */
  readonly isReady: () => boolean;
  /** Where it tells over HTTP how it is; undefined where it does not. */
  readonly httpPort: number | undefined;
  readonly counts: () => Readonly<Record<string, number>>;
  /** Gives everything away and leaves, within the configured grace. */
  readonly drain: () => Promise<void>;
  /** Ends at once, as a crash would look to the others except that the connection is closed in order. */
  readonly stop: () => Promise<void>;
  /** Settles when the node is over by itself: its lease was lost. */
  readonly over: Promise<string>;
};

/** Where a node's randomness and time come from; real unless a test says otherwise. */
const clock = new SystemClock();
const random = new SystemRandom();

/**
 * Starts a node.
 * @throws NatsConnectError, ServerUnfit, LeaseStreamError, ClusterRecordMismatch, ClusterRecordLost, LogRestoring, NodeIdInUse,
 *   LogStreamError, StatusPortUnavailable: each says what was found and what is allowed
 */
export async function startNode(config: NodeConfig, log: Logger): Promise<RunningNode> {
  const node = nodeId(
    config.id ??
      `${hostname()
        .replace(/[^A-Za-z0-9_-]/g, '-')
        .slice(0, 40)}-${random.id().slice(0, 6)}`,
  );
  const incarnation = incarnationOf(random.id());
  const nodeLog = log.child({ node, cluster: config.cluster });
  const endings: Ending[] = [];
  const endAll = async () => {
    for (const end of endings.splice(0).reverse()) await end();
  };
  try {
    // Before anything else: a probe sees a node that waits for NATS.
    const observation = await observe(config, { node, incarnation }, nodeLog);
    endings.push(observation.close);
    nodeLog.info({ servers: config.servers }, 'connecting to NATS');
    const connection = await connectNats({ ...connectOptions(config), name: `muster-${node}` });
    endings.push(() => connection.close());
    const bus = new NatsBus(connection, { onProblem: (problem) => logProblem(nodeLog, problem) });
    const parts = await joinCluster({
      config,
      node,
      incarnation,
      connection,
      bus,
      log: nodeLog,
      meter: observation.meter,
    });
    endings.push(parts.leave);
    let isDraining = false;
    const counts = () => parts.cluster.ownership.counts();
    const isReady = () => parts.cluster.isReady && !isDraining;
    observation.follow({ isReady, isConnected: () => bus.connected, counts, partitions: parts.partitions });
    return {
      node,
      incarnation,
      isReady,
      httpPort: observation.port,
      counts,
      over: parts.over,
      stop: endAll,
      drain: async () => {
        isDraining = true;
        sayThatItDrains(parts.cluster, node, config.shutdownGraceMs, nodeLog);
        await parts.cluster.drain(monotonicMs(clock.now() + config.shutdownGraceMs));
        await bus.roundTrip(1_000);
        await endAll();
        nodeLog.info('drained');
      },
    };
  } catch (cause) {
    await endAll();
    throw cause;
  }
}

type Ending = () => void | Promise<void>;

type Joining = {
  readonly config: NodeConfig;
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly connection: NatsConnection;
  readonly bus: NatsBus;
  readonly log: Logger;
  readonly meter: NodeMeter;
};

/** Obeys the cluster record, or writes the first one, and takes part. */
async function joinCluster(joining: Joining): Promise<AssembledNode & { readonly leave: Ending }> {
  const { config, node, incarnation, connection, bus, log, meter } = joining;
  const { cluster } = config;
  const subjects = new Subjects(cluster);
  const server = await requireServer(connection);
  const replicas = config.replicas ?? (server.clusterName === undefined ? 1 : 3);
  if (replicas === 1 && tooOldFor(server.version, 3) !== undefined) {
    log.warn({ server: server.version }, 'this nats-server is too old for a cluster: one server, development only');
  }
  const leases = await openLeaseStore(connection, { cluster, replicas, existingReplicas: 'any' });
  const record = await obeyRecord(connection, leases, { clock, random }, config, replicas);
  const { partitionCount, streamCount, logId, epochFloor } = record;
  // Only the record has told how many replicas there must be.
  await openLeaseStore(connection, { cluster, replicas: record.replicas });
  const placement = await obeyStreams(connection, leases, clock, { cluster, subjects }, record);
  const store = new JetStreamLogStore(connection, placement);

  const identity = { node, incarnation, subjects, logId, partitionCount, epochFloor };
  const ports = { bus, store, room: store, leases, clock, random, defer: setImmediate, meter };
  const parts = assembleNode(identity, ports, toGroupConfig(config, record.generationFloor), log);
  try {
    await parts.cluster.start();
    const stopService = await startService(connection, { cluster, node, incarnation });
    log.info({ server: server.version, partitionCount, streamCount, replicas: record.replicas }, 'node started');
    const leave = async () => {
      parts.stop();
      await stopService();
    };
    return { ...parts, leave };
  } catch (cause) {
    parts.stop();
    throw cause;
  }
}

function sayThatItDrains(cluster: AssembledNode['cluster'], node: NodeId, graceMs: number, log: Logger): void {
  const others = cluster.nodes.filter((other) => other !== node).length;
  if (others > 0) log.info({ others }, 'draining: every partition is handed over');
  else {
    const what = 'draining, but no other node is there: serving on until the grace period is nearly over';
    log.warn({ graceMs }, what);
  }
}

function logProblem(log: Logger, problem: BusProblem): void {
  if (problem.kind === 'denied') return log.warn(problem, 'NATS refused');
  // As `err`, an error is written with its message and stack; under any other name it would be an empty object.
  log.error({ subject: problem.subject, err: problem.error }, 'a callback threw');
}

function connectOptions(config: NodeConfig) {
  const { servers, user, password, token, credsFile, tlsCaFile, tlsCertFile, tlsKeyFile } = config;
  const { jetstreamDomain: domain, jetstreamApiPrefix: apiPrefix } = config;
  const hasTls = tlsCaFile !== undefined || tlsCertFile !== undefined;
  return {
    servers,
    waitOnFirstConnectMs: 15_000,
    jetStream: { ...(domain === undefined ? {} : { domain }), ...(apiPrefix === undefined ? {} : { apiPrefix }) },
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { pass: password }),
    ...(token === undefined ? {} : { token }),
    ...(credsFile === undefined ? {} : { credsFile }),
    ...(hasTls
      ? {
          tls: {
            ...(tlsCaFile === undefined ? {} : { caFile: tlsCaFile }),
            ...(tlsCertFile === undefined ? {} : { certFile: tlsCertFile }),
            ...(tlsKeyFile === undefined ? {} : { keyFile: tlsKeyFile }),
          },
        }
      : {}),
  };
}

function toGroupConfig(config: NodeConfig, generationFloor: number): GroupConfig {
  return {
    minSessionTimeoutMs: config.groupMinSessionTimeoutMs,
    maxSessionTimeoutMs: config.groupMaxSessionTimeoutMs,
    initialRebalanceDelayMs: config.groupInitialRebalanceDelayMs,
    maxSize: config.groupMaxSize,
    offsetsRetentionMs: config.offsetsRetentionMinutes * 60_000,
    offsetMetadataMaxLength: config.offsetMetadataMaxBytes,
    generationFloor,
  };
}
