/**
 * The classic consumer group: state machine and offset store, pure. What a host of groups needs, and nothing else.
 */

export type { Refusal } from './answers.js';
export { loadingReply, unloadedReply } from './answers.js';
export type * from './commands.js';
export * from './context.js';
export type { ListEntry } from './describe.js';
export { describeGroup, listEntry } from './describe.js';
export type * from './effects.js';
export type { Group, GroupSlot, Member, PhaseName, RebalanceCause } from './group.js';
export { handle } from './handle.js';
export * from './record-codec.js';
export * from './records.js';
export { GroupReplay } from './replay.js';
export { checkpointRecords } from './snapshot.js';
