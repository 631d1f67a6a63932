export type { AssembledNode, NodeIdentity, NodePorts } from './assembly.js';
export { assembleNode } from './assembly.js';
export type { NodeConfig } from './config.js';
export { ConfigError, configOptions, readConfig } from './config.js';
export type { RunningNode } from './node.js';
export { startNode } from './node.js';
