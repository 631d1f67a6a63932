/**
 * Which protocols a group shares, which one it chooses, and which topics its members subscribe to.
 *
 * Reads and counts; it changes no phase. Rules: classic-protocol.md sections 5.2, 5.3 and 1.1.
 */

import type { InstanceId } from '@muster/protocol';
import { parseSubscribedTopics } from '@muster/protocol';
import type { Group, Member } from './group.js';
import type { Protocol } from './records.js';

/** kafka: the protocol type whose subscriptions the coordinator can read. */
export const CONSUMER_PROTOCOL_TYPE = 'consumer';

const noTopics: ReadonlySet<string> = new Set();

export function countProtocols(group: Group, protocols: readonly Protocol[], by: 1 | -1): void {
  const counts = group.protocolCounts;
  for (const { name } of protocols) {
    const count = (counts.get(name) ?? 0) + by;
    if (count > 0) counts.set(name, count);
    else counts.delete(name);
  }
}

/** Whether a name occurs twice. differs from kafka: there it makes the counts wrong and leaves the group stuck. */
export function hasDuplicateName(protocols: readonly Protocol[]): boolean {
  if (protocols.length < 2) return false;
  return new Set(protocols.map(({ name }) => name)).size < protocols.length;
}

/**
 * Whether a member with these protocols may be in the group: the same type, and at least one protocol that every member has.
 * kafka: the member's own former protocols count, so a lone member cannot switch from {A} to {B}.
 */
export function supportsProtocols(group: Group, protocolType: string, protocols: readonly Protocol[]): boolean {
  if (group.phase.kind === 'Empty') return protocolType !== '' && protocols.length > 0;
  if (group.protocolType !== protocolType) return false;
  const { size } = group.members;
  return protocols.some(({ name }) => (group.protocolCounts.get(name) ?? 0) === size);
}

/**
 * The protocol that the members choose: each votes for its first one that all share, most votes win.
 * A tie goes to what the leader prefers; in Kafka to whatever its hash order says.
 */
export function selectProtocol(group: Group): string {
  const { members, protocolCounts, leader } = group;
  const isShared = ({ name }: Protocol) => protocolCounts.get(name) === members.size;
  const votes = new Map<string, number>();
  for (const member of members.values()) {
    const choice = member.protocols.find(isShared);
    if (choice !== undefined) votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1);
  }
  const leading = leader === null ? undefined : members.get(leader);
  let winner: string | undefined;
  for (const { name } of leading?.protocols.filter(isShared) ?? []) {
    if (winner === undefined || (votes.get(name) ?? 0) > (votes.get(winner) ?? 0)) winner = name;
  }
  if (winner === undefined) throw new Error(`the members of group ${group.groupId} share no protocol (G7)`);
  return winner;
}

/** @returns the subscription bytes of a member for a protocol */
export function metadataOf(member: Member, protocol: string): Uint8Array {
  const found = member.protocols.find(({ name }) => name === protocol);
  if (found === undefined) throw new Error(`member ${member.memberId} does not offer protocol ${protocol} (G7)`);
  return found.metadata;
}

/** Whether protocols are the same: same order, same names, same bytes. */
export function sameProtocols(left: readonly Protocol[], right: readonly Protocol[]): boolean {
  return (
    left === right ||
    (left.length === right.length &&
      left.every((mine, index) => {
        const other = right[index];
        return other !== undefined && mine.name === other.name && sameBytes(mine.metadata, other.metadata);
      }))
  );
}

export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.byteLength !== right.byteLength) return false;
  for (let index = 0; index < left.byteLength; index += 1) if (left[index] !== right[index]) return false;
  return true;
}

/**
 * The topics that the members subscribe to with this protocol. kafka: known only for type `consumer` and when every member's
 * metadata can be read; computed only when a generation begins and at load.
 * @param protocol null for a group without members
 */
export function subscribedTopicsOf(group: Group, protocol: string | null): ReadonlySet<string> | null {
  if (group.protocolType !== CONSUMER_PROTOCOL_TYPE) return null;
  if (protocol === null) return noTopics;
  const topics = new Set<string>();
  for (const member of group.members.values()) {
    const parsed = parseSubscribedTopics(metadataOf(member, protocol));
    if (parsed === undefined) return null;
    for (const topic of parsed) topics.add(topic);
  }
  return topics;
}

/** Whether offsets of the topic are in use. kafka: where subscriptions are unknown a consumer group counts as using all. */
export function isSubscribed(group: Group, topic: string): boolean {
  if (group.phase.kind === 'Empty' || group.protocolType !== CONSUMER_PROTOCOL_TYPE) return false;
  return group.subscribedTopics === null || group.subscribedTopics.has(topic);
}

/** @returns the member that holds the instance id now */
export function memberOfInstance(group: Group, instance: InstanceId): Member | undefined {
  const holder = group.staticMembers.get(instance);
  return holder === undefined ? undefined : group.members.get(holder);
}
