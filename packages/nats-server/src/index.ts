/**
 * Finds or fetches a nats-server binary and runs one server or a cluster of them.
 *
 * Nothing here knows about consumer groups; no other package of the project is imported.
 */

export { NatsServerError, type NatsServerErrorCode } from './errors.js';
export {
  describeBinary,
  type NatsServerBinary,
  type NatsServerSource,
  type ResolveOptions,
  resolveNatsServer,
} from './resolve.js';
export type { ServerPorts } from './server-config.js';
export type { NatsServerControl, RestartOptions } from './server-process.js';
export { type NatsServerHandle, startNatsCluster, startNatsServer } from './start.js';
export type { NatsClusterOptions, NatsServerOptions } from './start-options.js';
