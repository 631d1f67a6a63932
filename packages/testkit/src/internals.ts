/**
 * What Muster's own tests run on: doubles of the ports with faults, checkers of logs, the simulator. Not for applications: their entry is
 * user/index.ts.
 */

export { checkLandedLog, describeState, type LogVerdict } from './log-checker.js';
export { applyRecord, LogOwner, type LogOwnerOptions, type OwnedState, type OwnedValue } from './log-owner.js';
export { LogScene } from './log-scene.js';
export { MemoryBus } from './memory-bus.js';
export * from './memory-lease-store.js';
export {
  type AppendFault,
  type LandedAppend,
  type LogCall,
  type LogFaultPlan,
  type MemoryLogOptions,
  MemoryLogStore,
  type PurgeFault,
  type ReadFault,
} from './memory-log-store.js';
export type { LinkState, MemoryNatsOptions, Transit } from './memory-nats.js';
export { MemoryNats } from './memory-nats.js';
export { ProcessClock } from './process-clock.js';
export { SeededRandom } from './seeded-random.js';
export * from './sim/index.js';
export { settle, VirtualClock } from './virtual-clock.js';
