export type { BusProblem, NatsBusOptions } from './bus.js';
export { NatsBus } from './bus.js';
export * from './connection.js';
export type { LeaseStoreOptions } from './lease-store.js';
export { JetStreamLeaseStore, openLeaseStore } from './lease-store.js';
export type { LeaseStreamErrorCode, LeaseStreamOptions } from './lease-stream.js';
export { ensureLeaseStream, LeaseStreamError, leaseBucket } from './lease-stream.js';
export * from './server-info.js';
export * from './system-clock.js';
