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
import type { Logger } from 'pino';
import { assembleNode } from './assembly.js';
import type { NodeConfig } from './config.js';
import { obeyRecord, obeyStreams } from './restore/obey.js';

export type RunningNode = {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  /** Whether it knows the cluster and serves what it owns. */
  readonly isReady: () => boolean;
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
 *   LogStreamError: each says what was found and what is allowed
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
  nodeLog.info({ servers: config.servers }, 'connecting to NATS');
  const connection = await connectNats({ ...connectOptions(config), name: `muster-${node}` });
  const bus = new NatsBus(connection, {
    onProblem: (problem) => logProblem(nodeLog, problem),
  });
  const subjects = new Subjects(config.cluster);
  const endings: (() => void | Promise<void>)[] = [];
  try {
    const server = await requireServer(connection);
    const replicas = config.replicas ?? (server.clusterName === undefined ? 1 : 3);
    if (replicas === 1 && tooOldFor(server.version, 3) !== undefined) {
      nodeLog.warn(
        { server: server.version },
        'this nats-server is too old for a cluster: one server, development only',
      );
    }
    const { cluster } = config;
    const leases = await openLeaseStore(connection, { cluster, replicas, existingReplicas: 'any' });
    const record = await obeyRecord(connection, leases, { clock, random }, config, replicas);
    const { partitionCount, streamCount } = record;
    // Only the record has told how many replicas there must be.
    await openLeaseStore(connection, { cluster, replicas: record.replicas });
    const placement = await obeyStreams(connection, leases, clock, { cluster, subjects }, record);
    const store = new JetStreamLogStore(connection, placement);

    const identity = {
      node,
      incarnation,
      subjects,
      logId: record.logId,
      partitionCount,
      epochFloor: record.epochFloor,
    };
    const ports = { bus, store, room: store, leases, clock, random, defer: setImmediate };
    const parts = assembleNode(identity, ports, toGroupConfig(config, record.generationFloor), nodeLog);
    endings.push(parts.stop);
    await parts.cluster.start();
    endings.push(await startService(connection, { cluster, node, incarnation }));
    nodeLog.info({ server: server.version, partitionCount, streamCount, replicas: record.replicas }, 'node started');

    const stop = async () => {
      for (const end of endings.splice(0)) await end();
      await connection.close();
    };
    return {
      node,
      incarnation,
      isReady: () => parts.cluster.isReady,
      counts: () => parts.cluster.ownership.counts(),
      over: parts.over,
      stop,
      drain: async () => {
        const others = parts.cluster.nodes.filter((other) => other !== node).length;
        const graceMs = config.shutdownGraceMs;
        if (others > 0) nodeLog.info({ others }, 'draining: every partition is handed over');
        else
          nodeLog.warn(
            { graceMs },
            'draining, but no other node is there: serving on until the grace period is nearly over',
          );
        await parts.cluster.drain(monotonicMs(clock.now() + config.shutdownGraceMs));
        await bus.roundTrip(1_000);
        await stop();
        nodeLog.info('drained');
      },
    };
  } catch (cause) {
    for (const end of endings.splice(0)) await end();
    await connection.close();
    throw cause;
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
