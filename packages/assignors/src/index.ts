export type {
  Assignment,
  Assignor,
  AssignorMember,
  PartitionCounts,
  PreviousAssignment,
  RebalanceProtocol,
} from './assignor.js';
export { cooperativeStickyAssignor } from './cooperative-sticky.js';
export {
  type AssignorRefusal,
  type AssignorRun,
  encodeSubscriptionFor,
  type JoiningState,
  type JoinMember,
  runAssignor,
  topicsToLookUp,
} from './leader.js';
export { partitionsMissingFrom } from './partition-difference.js';
export { rangeAssignor } from './range.js';
export { chooseRebalanceProtocol, type RebalanceProtocolChoice } from './rebalance-protocol.js';
export { roundRobinAssignor } from './roundrobin.js';
export { stickyAssignor } from './sticky.js';
