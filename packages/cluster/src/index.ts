export * from './cluster-node.js';
export * from './cluster-record.js';
export { NodeIdInUse } from './lease.js';
export type { LeaseState, LeaseValue } from './lease-entry.js';
export type { ClaimResult, KnownOwner, LogTail, PartitionHost } from './ownership.js';
export * from './placement.js';
export * from './ports.js';
export * from './settings.js';
