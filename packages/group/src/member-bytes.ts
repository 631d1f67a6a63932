/**
 * How many bytes members take in a record. Group metadata is one record, and a loader takes none above 16 MiB: size is checked before
 * anything is decided (rule L3), or one group would cost the whole partition at its next failover.
 *
 * Invariant: MB1 what is counted here is never less than what the codec writes.
 */

import { utf8Length } from '@muster/protocol';
import type { MemberRecord, Protocol } from './records.js';

/** Heads of the array and its numbers. */
const FIXED_BYTES = 64;
/** Longest head of a text or a byte string. */
const HEAD_BYTES = 5;

/** @returns the bytes of a member in a record, its assignment apart */
export function memberBytes(member: Omit<MemberRecord, 'assignment'>): number {
  const { memberId, groupInstanceId, clientId, clientHost, createdBy, replacedJoins, protocols } = member;
  let bytes = FIXED_BYTES + protocolsBytes(protocols);
  for (const text of [memberId, groupInstanceId ?? '', clientId, clientHost, createdBy, ...replacedJoins]) {
    bytes += HEAD_BYTES + utf8Length(text);
  }
  return bytes;
}

/** @returns the bytes of what a member offers */
export function protocolsBytes(protocols: readonly Protocol[]): number {
  let bytes = 0;
  for (const { name, metadata } of protocols) bytes += 3 * HEAD_BYTES + utf8Length(name) + metadata.byteLength;
  return bytes;
}

/** @returns the bytes of the assignments that a leader brings */
export function assignmentsBytes(assignments: readonly { readonly assignment: Uint8Array }[]): number {
  let bytes = 0;
  for (const { assignment } of assignments) bytes += HEAD_BYTES + assignment.byteLength;
  return bytes;
}
