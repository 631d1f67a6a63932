/**
 * The answer to a JoinGroup that succeeded: the generation, and for the leader the members with their subscriptions.
 */

import type { JoinReply, MemberId, RequestId } from '@muster/protocol';
import { NO_MEMBER } from './answers.js';
import type { Group, Member } from './group.js';
import { metadataOf } from './protocols.js';
import type { Turn } from './turn.js';

/** Answers with the current generation. Only the leader sees the members. */
export function answerJoin(turn: Turn, group: Group, protocol: string, ref: RequestId, member: Member): void {
  const leads = group.leader === member.memberId;
  push(turn, group, protocol, ref, member, group.leader ?? NO_MEMBER, leads, false);
}

/**
 * Answers a static member that came back to a Stable group without a rebalance. kafka: a leader that understands it is told
 * to skip the assignment (KIP-814); for an older client the leader of before is named, so that it takes itself for a follower.
 */
export function answerReturned(
  turn: Turn,
  group: Group,
  protocol: string,
  ref: RequestId,
  member: Member,
  leaderBefore: MemberId | null,
  supportSkippingAssignment: boolean,
): void {
  const leads = group.leader === member.memberId && supportSkippingAssignment;
  // kafka: an old client that led must not take itself for the leader, so it is told the id that it had before.
  const toldBefore = group.leader === member.memberId ? leaderBefore : group.leader;
  const leader = supportSkippingAssignment ? group.leader : toldBefore;
  push(turn, group, protocol, ref, member, leader ?? NO_MEMBER, leads, leads);
}

function push(
  turn: Turn,
  group: Group,
  protocol: string,
  ref: RequestId,
  member: Member,
  leader: MemberId,
  withMembers: boolean,
  skipAssignment: boolean,
): void {
  const members: JoinReply['members'] = [];
  if (withMembers) {
    for (const each of group.members.values()) {
      const { memberId, groupInstanceId } = each;
      members.push({ memberId, groupInstanceId, metadata: metadataOf(each, protocol) });
    }
  }
  turn.effects.replies.push({
    api: 'join',
    ref,
    error: 'NONE',
    fields: {
      memberId: member.memberId,
      generationId: group.generation,
      protocolType: group.protocolType,
      protocolName: protocol,
      leader,
      skipAssignment,
      members,
    },
  });
}
