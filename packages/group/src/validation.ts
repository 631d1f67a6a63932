/**
 * Who a request comes from: the member check that all APIs share (classic-protocol.md section 3.1), and the gates before it.
 */

import type { InstanceId, MemberId } from '@muster/protocol';
import type { Group, Member } from './group.js';

/** How a request names its member. */
export type Identity = { readonly memberId: MemberId; readonly groupInstanceId: InstanceId | null };

export type Validated =
  | { readonly kind: 'member'; readonly member: Member }
  | { readonly kind: 'refused'; readonly error: 'UNKNOWN_MEMBER_ID' | 'FENCED_INSTANCE_ID' };

const unknown = { kind: 'refused', error: 'UNKNOWN_MEMBER_ID' } as const satisfies Validated;
const fenced = { kind: 'refused', error: 'FENCED_INSTANCE_ID' } as const satisfies Validated;

/**
 * kafka: the instance id is looked at first, so that a replaced process learns that it is fenced; a request that leaves the
 * instance id out but uses a static member's id is accepted.
 */
export function validateMember(group: Group, { memberId, groupInstanceId }: Identity): Validated {
  if (groupInstanceId !== null) {
    const holder = group.staticMembers.get(groupInstanceId);
    if (holder === undefined) return unknown;
    if (holder !== memberId) return fenced;
  }
  const member = group.members.get(memberId);
  return member === undefined ? unknown : { kind: 'member', member };
}
