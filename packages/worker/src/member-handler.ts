/**
 * The line between the membership protocol and who uses it: a consumer of streams, or a plain member.
 */

import type { JoinMember } from '@muster/assignors';
import type { Generation, InstanceId, MemberId } from '@muster/protocol';
import type { MusterError } from './errors.js';

/** Who a member is to the coordinator; the wire's own field names. */
export interface MemberIdentity {
  readonly memberId: MemberId;
  readonly groupInstanceId: InstanceId | null;
  readonly generationId: Generation;
}

/** One way to share the work that this member understands. */
export interface OfferedProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}

/** What a completed rebalance gave this member. */
export interface NewAssignment {
  readonly identity: MemberIdentity;
  readonly protocolName: string;
  readonly isLeader: boolean;
  readonly assignment: Uint8Array;
}

/** What the membership asks of its user. Heartbeats go on during every one of these calls; none may hang. */
export interface MemberHandler {
  /** What to offer in the next JoinGroup, the best first. Called once per round: a round sends the same bytes (C4). */
  protocols(): readonly OfferedProtocol[];
  /**
   * Runs before each JoinGroup. Without a loss the membership is still good: give up what must be given up, with commits.
   * With one, ownership has ended already: nothing can be committed any more.
   */
  prepare(loss: MusterError | undefined): Promise<void>;
  /** The leader's part: one assignment per member. */
  assign(protocolName: string, members: readonly JoinMember[]): Promise<ReadonlyMap<string, Uint8Array>>;
  /**
   * Takes the assignment. `rejoin`: another round has to follow. `again`: it cannot begin with it now; another round, after a pause that
   * grows, because every round is one for the whole group.
   */
  install(assignment: NewAssignment): Promise<'stable' | 'rejoin' | 'again'>;
  /** Ownership has ended at this moment: stop what is running. Synchronous; `prepare` with the same loss follows. */
  fence(loss: MusterError): void;
  /** Ownership was in doubt and is proven again: what was held back may go on. Synchronous. */
  resume(): void;
}
