export type { AssembledNode, NodePorts } from './assembly.js';
export { assembleNode } from './assembly.js';
export { serveClusterRequests } from './cluster-requests.js';
export type { ConfigSource, ConfigSources, NodeConfig } from './config.js';
export { ConfigError, configOptions, configSourceOf, readConfig } from './config.js';
export type { RunningNode } from './node.js';
export { startNode } from './node.js';
export { NODE_WATCH_MS } from './restore/node-watch.js';
export type { PartitionFacts, PlannedPartition, RestoreOptions, RestorePlan } from './restore/plan.js';
export { type RestoreRefusalCode, RestoreRefused } from './restore/refusal.js';
export {
  type OnRestoreStep,
  Restoration,
  type RestoredPartition,
  type RestoreStep,
} from './restore/restoration.js';
export type { NodeIdentity, Serving, ServingOwner, ServingPorts } from './serving.js';
export { assembleServing } from './serving.js';
