// The two orders of members that assignors deal in. Plain comparison of UTF-16 code units, as Java compares strings.

import type { AssignorMember } from './assignor.js';

export function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** sticky and cooperative-sticky: by member id alone. */
export function byMemberId(members: readonly AssignorMember[]): AssignorMember[] {
  return [...members].sort((left, right) => compareText(left.memberId, right.memberId));
}

/**
 * range and roundrobin: static members first, by their instance id, then dynamic ones by member id. So a static member
 * that comes back under a new member id gets what it had.
 */
export function staticMembersFirst(members: readonly AssignorMember[]): AssignorMember[] {
  return [...members].sort((left, right) => {
    if (left.groupInstanceId !== null && right.groupInstanceId !== null) {
      return compareText(left.groupInstanceId, right.groupInstanceId);
    }
    if (left.groupInstanceId !== null) return -1;
    if (right.groupInstanceId !== null) return 1;
    return compareText(left.memberId, right.memberId);
  });
}
