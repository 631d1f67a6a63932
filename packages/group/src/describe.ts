/**
 * What is shown of a group: DescribeGroups, and its line in ListGroups with the filters (classic-protocol.md sections 3.10,
 * 3.11).
 */

import type { DescribeReply, ListReply, ListRequest, RequestId } from '@muster/protocol';
import { NO_BYTES, NO_GENERATION, NO_MEMBER } from './answers.js';
import type { Group, GroupSlot } from './group.js';
import { metadataOf } from './protocols.js';
import type { Turn } from './turn.js';

export type ListEntry = ListReply['groups'][number];

/** @returns the group as DescribeGroups shows it. kafka: one that does not exist is Dead, without an error. */
export function describeGroup({ groupId, group }: GroupSlot): DescribeReply {
  if (group === undefined) {
    return {
      groupId,
      state: 'Dead',
      protocolType: '',
      protocol: '',
      generationId: NO_GENERATION,
      leader: NO_MEMBER,
      members: [],
      rebalances: [],
    };
  }
  const { phase } = group;
  // kafka: protocol and subscriptions are shown only where they are settled.
  const protocol = phase.kind === 'Stable' ? phase.protocol : null;
  const members: DescribeReply['members'] = [];
  for (const member of group.members.values()) {
    const { memberId, groupInstanceId, clientId, clientHost, assignment } = member;
    const metadata = protocol === null ? NO_BYTES : metadataOf(member, protocol);
    members.push({ memberId, groupInstanceId, clientId, clientHost, metadata, assignment });
  }
  return {
    groupId,
    state: phase.kind,
    protocolType: group.protocolType ?? '',
    protocol: protocol ?? '',
    generationId: group.generation,
    leader: group.leader ?? NO_MEMBER,
    members,
    rebalances: [...group.rebalances],
  };
}

export function handleDescribe(turn: Turn, ref: RequestId): void {
  turn.effects.replies.push({ api: 'describe', ref, error: 'NONE', fields: describeGroup(turn.slot) });
}

/**
 * @returns the group's line in ListGroups, undefined where a filter excludes it. kafka: both filters must match, an empty one
 * matches all; states and types are compared without case and surrounding blanks, unknown ones match nothing.
 */
export function listEntry(group: Group, filters: ListRequest): ListEntry | undefined {
  const state = group.phase.kind;
  if (!matches(filters.statesFilter, state) || !matches(filters.typesFilter, 'classic')) return undefined;
  return { groupId: group.groupId, protocolType: group.protocolType ?? '', state, groupType: 'classic' };
}

function matches(filter: readonly string[], actual: string): boolean {
  return filter.length === 0 || filter.some((each) => each.trim().toLowerCase() === actual.toLowerCase());
}
