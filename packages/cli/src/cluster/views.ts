/**
 * How the status of a cluster is shown: as nodes, partitions or log streams, and all of it as one document.
 */

import type { ClusterRecord } from '@muster/cluster';
import type { Cell, Report, Row } from '../output.js';
import { byteText, countText, durationText } from '../quantities.js';
import { type ClusterStatus, isLiving, type NodeStatus } from './status.js';

/** Those that left or died longer ago are history. */
const GONE_SHOWN_MS = 900_000;
const INCARNATION_SHOWN = 8;

/** @returns the line above the tables */
export function headOf({ cluster, record, partitionCount, hidden }: ClusterStatus): string {
  const unseen = hidden.length === 0 ? '' : `\nnot visible to this NATS user: ${hidden.join(', ')}`;
  if (record === null) return `cluster ${cluster}: ${partitionCount} partitions${unseen}\n\n`;
  const { replicas, streamCount, logId, epochFloor, restoring } = record;
  const parts = [
    `${partitionCount} partitions in ${countText(streamCount, 'log stream')}`,
    countText(replicas, 'replica'),
    `log ${logId}`,
    ...(epochFloor > 0 ? [`epochs above ${epochFloor}`] : []),
    ...(restoring === undefined ? [] : ['its log is being restored: run muster cluster restore-log to its end']),
  ];
  return `cluster ${cluster}: ${parts.join(', ')}${unseen}\n\n`;
}

export function nodesReport(status: ClusterStatus, isAll: boolean): Report {
  const shown = status.nodes.filter((node) => isAll || isRecent(node));
  return {
    columns: [
      { key: 'node', title: 'NODE' },
      { key: 'incarnation', title: 'INCARNATION', text: (id) => String(id).slice(0, INCARNATION_SHOWN) },
      { key: 'state', title: 'STATE' },
      { key: 'leaseAgeMs', title: 'LEASE-AGE', text: (ms) => durationText(Number(ms)) },
      { key: 'partitionCount', title: '#PARTITIONS' },
      { key: 'share', title: 'SHARE', text: percentText },
      { key: 'epochs', title: 'EPOCHS' },
    ],
    rows: shown.map((node) => nodeRow(node, status)),
    name: 'node',
    empty: 'no nodes',
    document: documentOf(status, shown),
  };
}

function isRecent({ lease, owned }: NodeStatus): boolean {
  return lease === null || isLiving(lease.state) || owned.length > 0 || lease.ageMs < GONE_SHOWN_MS;
}

function nodeRow({ node, lease, incarnation, owned }: NodeStatus, status: ClusterStatus): Row {
  const areOwnersKnown = knowsOwners(status);
  return {
    node,
    incarnation,
    state: lease?.state ?? null,
    leaseAgeMs: lease?.ageMs ?? null,
    partitionCount: areOwnersKnown ? owned.length : null,
    share: areOwnersKnown ? shareOf(owned.length, status.partitionCount) : null,
    epochs: rangeText(owned.flatMap(({ epoch }) => (epoch === null ? [] : [epoch]))),
  };
}

function knowsOwners({ hidden }: ClusterStatus): boolean {
  return !hidden.includes('owners of partitions');
}

/** @returns the part of the whole, from 0 to 1, to three digits */
function shareOf(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part / whole) * 1_000) / 1_000;
}

function percentText(share: Cell): string {
  return `${Math.round(Number(share) * 100)} %`;
}

/** @returns such as `3` or `1-7` */
function rangeText(numbers: readonly number[]): string | null {
  if (numbers.length === 0) return null;
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  return least === most ? String(least) : `${least}-${most}`;
}

export function partitionsReport({ partitions }: ClusterStatus): Report {
  return {
    columns: [
      { key: 'partition', title: 'PARTITION' },
      { key: 'owner', title: 'OWNER' },
      { key: 'epoch', title: 'EPOCH' },
      { key: 'stream', title: 'STREAM' },
    ],
    rows: partitions.map(({ partition, owner, epoch, stream }) => ({ partition, owner, epoch, stream })),
    name: 'partition',
    empty: 'nobody says how many partitions there are',
  };
}

export function streamsReport({ streams }: ClusterStatus): Report {
  return {
    columns: [
      { key: 'stream', title: 'STREAM' },
      { key: 'leader', title: 'LEADER', isElastic: true },
      { key: 'inSync', title: 'IN-SYNC', text: (inSync, { replicas }) => `${String(inSync)}/${String(replicas)}` },
      { key: 'messages', title: 'FRAMES' },
      { key: 'bytes', title: 'SIZE', text: (bytes) => byteText(Number(bytes)) },
      { key: 'fill', title: 'FULL', text: (fill, row) => `${percentText(fill)}${ofAccount(row)}` },
    ],
    rows: streams,
    name: 'stream',
    empty: 'the log streams are not visible to this NATS user',
  };
}

/** Where a stream has no limit of its own, the account's storage is what runs full. */
function ofAccount({ fillOf }: Row): string {
  return fillOf === 'account' ? ' of account' : '';
}

/** What may be told of the record: it may hold more, which is nobody's business outside of the nodes. */
function factsOf({ clusterId, logId, partitionCount, streamCount, replicas, epochFloor }: ClusterRecord): unknown {
  return { clusterId, logId, partitionCount, streamCount, replicas, epochFloor };
}

/** The keys of JSON and YAML: numbers stay numbers. */
function documentOf(status: ClusterStatus, nodes: readonly NodeStatus[]): unknown {
  const { cluster, record, partitionCount, unowned, partitions, streams, warnings, hidden } = status;
  const areOwnersKnown = knowsOwners(status);
  return {
    cluster,
    hidden,
    record: record === null ? null : factsOf(record),
    partitionCount,
    unownedPartitions: areOwnersKnown ? unowned : null,
    nodes: nodes.map(({ node, incarnation, lease, owned }) => ({
      node,
      incarnation,
      state: lease?.state ?? null,
      leaseAgeMs: lease?.ageMs ?? null,
      markedBy: lease === null || lease.markedBy === '' ? null : lease.markedBy,
      partitionCount: areOwnersKnown ? owned.length : null,
      share: areOwnersKnown ? shareOf(owned.length, partitionCount) : null,
      partitions: areOwnersKnown ? owned.map(({ partition }) => partition) : null,
    })),
    partitions,
    logStreams: streams,
    warnings,
  };
}
