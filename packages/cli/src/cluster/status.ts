/**
 * Everything that can be found out about a cluster from outside, put together: what nodes answer, what they say in heartbeats,
 * what the lease store and the log streams hold. Each source may be silent (an account without it, nodes that are down); what the
 * others know is shown all the same.
 */

import { type ClusterRecord, clusterSettingsDefaults, type Heartbeat } from '@muster/cluster';
import { leaseBucket, logStreamName, logStreamOf } from '@muster/nats';
import { Subjects, partition as toPartition } from '@muster/protocol';
import { type ClusterDescription, MusterError } from '@muster/worker';
import type { JetStreamManager } from 'nats';
import { Denied } from '../denial.js';
import type { Row } from '../output.js';
import type { Session } from '../session.js';
import { manager } from '../stream-facts.js';
import { hearNodes } from './heartbeats.js';
import { type LeaseFacts, type NodeLease, readLeases } from './leases.js';
import { logStreamRows } from './log-streams.js';

export interface NodeStatus {
  readonly node: string;
  /** Null where this NATS account does not see leases. */
  readonly lease: NodeLease | null;
  readonly incarnation: string | null;
  /** In order; with the epoch of the reign where the node has said it. */
  readonly owned: readonly { readonly partition: number; readonly epoch: number | null }[];
}

export interface PartitionStatus {
  readonly partition: number;
  readonly owner: string | null;
  readonly epoch: number | null;
  readonly stream: string | null;
}

/** What a NATS user may be without: under deploy/nats/accounts.conf nobody but coordinators sees all of it. */
export type Hidden = 'leases' | 'log streams' | 'owners of partitions';

export interface ClusterStatus {
  readonly cluster: string;
  /** What this user may not see: of that, neither good nor bad is known. */
  readonly hidden: readonly Hidden[];
  readonly record: ClusterRecord | null;
  /** 0 where nobody knows. */
  readonly partitionCount: number;
  readonly nodes: readonly NodeStatus[];
  readonly partitions: readonly PartitionStatus[];
  readonly unowned: readonly number[];
  readonly streams: readonly Row[];
  /** What the nodes' own answer failed with; undefined also where it was not needed. */
  readonly unanswered: unknown;
  /** Sentences for a person: all that is worth knowing. */
  readonly warnings: readonly string[];
  /** Of these, what somebody has to mend. Members that do not agree yet are no such thing: that passes. */
  readonly problems: readonly string[];
}

type Heard = ReadonlyMap<string, Heartbeat>;
type Answered = { readonly cluster: ClusterDescription | undefined; readonly failure: unknown };

export async function gatherStatus(session: Session): Promise<ClusterStatus> {
  const { admin, connection, nats, denials } = session;
  const { cluster } = connection;
  const jetstream = await manager(session);
  const asking = denials
    .guard(() => admin.describeCluster())
    .then(
      (description): Answered => ({ cluster: description, failure: undefined }),
      (failure: unknown): Answered => ({ cluster: undefined, failure }),
    );
  const read = await readLeases(jetstream, cluster);
  const facts = typeof read === 'string' ? undefined : read;
  // In the account of the log streams the store is, too: where they are and it is not, somebody has deleted it.
  const hasLogOnly = read === 'absent' && (await isThere(jetstream, logStreamName({ cluster }, 0)));
  const living = facts?.leases.filter(({ state }) => isLiving(state)).map(({ node }) => node) ?? [];
  const partitionCount = facts?.record?.partitionCount ?? Number.POSITIVE_INFINITY;
  // A heartbeat may be older than a claim: then the next one is waited for.
  const isEnough = (heard: Heard) =>
    living.every((node) => heard.has(node)) && ownersOf(undefined, heard).size >= partitionCount;
  const [answered, heard, streams] = await Promise.all([
    asking,
    hearNodes(nats, cluster, isEnough),
    facts?.record === undefined ? [] : logStreamRows(jetstream, cluster, facts.record),
  ]);
  return compose(cluster, facts ?? (hasLogOnly ? 'deleted' : undefined), answered, heard, streams);
}

async function isThere(jetstream: JetStreamManager, stream: string): Promise<boolean> {
  return await jetstream.streams.info(stream).then(
    () => true,
    () => false,
  );
}

export function isLiving(state: NodeLease['state']): boolean {
  return state === 'alive' || state === 'draining';
}

/**
 * Pure: the same facts make the same status.
 * @param known `deleted`: the store is gone, its log streams are there; undefined: neither is visible here
 */
export function compose(
  cluster: string,
  known: LeaseFacts | 'deleted' | undefined,
  answered: Answered,
  heard: Heard,
  streams: readonly Row[],
): ClusterStatus {
  const facts = known === 'deleted' ? undefined : known;
  const record = facts?.record ?? null;
  const partitionCount = answered.cluster?.partitionCount ?? record?.partitionCount ?? 0;
  const owners = ownersOf(answered.cluster, heard);
  const partitions = Array.from({ length: partitionCount }, (_, partition): PartitionStatus => {
    const { owner = null, epoch = null } = owners.get(partition) ?? {};
    const placement = record === null ? undefined : { ...record, cluster, subjects: new Subjects(cluster) };
    const stream = placement === undefined ? null : logStreamOf(placement, toPartition(partition));
    return { partition, owner, epoch, stream };
  });
  const leases = new Map(facts?.leases.map((lease) => [lease.node, lease]));
  const names = new Set([...leases.keys(), ...heard.keys(), ...(answered.cluster?.nodes ?? []).map((n) => n.nodeId)]);
  const nodes = [...names].sort().map((node): NodeStatus => {
    const lease = leases.get(node) ?? null;
    const incarnation = lease?.incarnation ?? heard.get(node)?.incarnation ?? null;
    const owned = partitions.filter(({ owner }) => owner === node);
    return { node, lease, incarnation, owned: owned.map(({ partition, epoch }) => ({ partition, epoch })) };
  });
  const hidden = hiddenOf(known, answered, heard);
  const areOwnersKnown = !hidden.includes('owners of partitions');
  const ownerless = partitions.filter(({ owner }) => owner === null || isGone(leases.get(owner)));
  const ofAnswer = answered.cluster?.unowned ?? [];
  const numbers = areOwnersKnown ? [...ofAnswer, ...ownerless.map(({ partition }) => partition)] : [];
  const unowned = [...new Set(numbers)].sort((a, b) => a - b);
  const problems = [...nodes.flatMap(silenceOf), ...streams.flatMap(problemsOf)];
  if (facts?.problem !== undefined) problems.push(facts.problem);
  if (known === 'deleted') problems.push(storeGone(cluster));
  const warnings = [...problems, ...differingViews(heard)];
  if (known === undefined) {
    warnings.push('leases and log streams are not visible to this NATS user: they may lie in another account');
  }
  if (answered.failure instanceof Denied && facts !== undefined) {
    const without = areOwnersKnown ? 'shown is what they say of themselves' : 'who owns which partition is not known';
    warnings.push(`this NATS user may not ask the nodes (${answered.failure.message}): ${without}`);
  }
  return {
    cluster,
    hidden,
    record,
    partitionCount,
    nodes,
    partitions,
    unowned,
    streams,
    unanswered: failureOf(answered, facts),
    warnings,
    problems,
  };
}

function hiddenOf(known: LeaseFacts | 'deleted' | undefined, { failure }: Answered, heard: Heard): Hidden[] {
  const areOwnersHidden = failure instanceof Denied && heard.size === 0;
  return [
    ...(known === undefined ? (['leases', 'log streams'] as const) : []),
    ...(areOwnersHidden ? (['owners of partitions'] as const) : []),
  ];
}

/** That the nodes may not be asked is no failure where leases and streams tell how the cluster is; that none of them lives is one. */
function failureOf({ failure }: Answered, facts: LeaseFacts | undefined): unknown {
  if (!(failure instanceof Denied) || facts === undefined) return failure;
  const isAnyAlive = facts.leases.some(({ state }) => isLiving(state));
  return isAnyAlive ? undefined : new MusterError('COORDINATOR_NOT_AVAILABLE', 'no lease is alive');
}

/** A node that nobody hears of any more may still be named by an answer that is older. */
function isGone(lease: NodeLease | undefined): boolean {
  return lease !== undefined && !isLiving(lease.state);
}

function storeGone(cluster: string): string {
  return `the store KV_${leaseBucket(cluster)} does not exist any more, but the log streams do: it was deleted`;
}

type Ownership = { readonly owner: string; readonly epoch: number | null };

/** Of two that claim the same partition the one with the higher epoch has it: only its log accepts appends. */
function ownersOf(answer: ClusterDescription | undefined, heard: Heard): ReadonlyMap<number, Ownership> {
  const owners = new Map<number, Ownership>();
  for (const { nodeId, partitions } of answer?.nodes ?? []) {
    for (const partition of partitions) owners.set(partition, { owner: nodeId, epoch: null });
  }
  for (const { node, owned } of heard.values()) {
    for (const [partition, epoch] of owned) {
      const known = owners.get(partition)?.epoch ?? -1;
      if (epoch > known) owners.set(partition, { owner: node, epoch });
    }
  }
  return owners;
}

function silenceOf({ node, lease }: NodeStatus): string[] {
  if (lease === null || !isLiving(lease.state) || lease.ageMs < clusterSettingsDefaults.observerWaitMs) return [];
  const seconds = Math.round(lease.ageMs / 1_000);
  return [`${node} has not renewed its lease for ${seconds} s: it hangs, or is gone and nobody is left to take over`];
}

function differingViews(heard: Heard): string[] {
  const views = new Set([...heard.values()].map(({ view }) => view));
  return views.size > 1 ? ['the nodes do not all see the same members yet: partitions may still move'] : [];
}

function problemsOf({ stream, problem }: Row): string[] {
  return typeof problem === 'string' ? [`${String(stream)}: ${problem}`] : [];
}
