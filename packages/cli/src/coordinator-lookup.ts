/**
 * Which node coordinates a group: one question that any node answers.
 */

import { clusterApis, encodeRequest, groupId, parseReply, requestId, Subjects } from '@muster/protocol';
import { ErrorCode, NatsError, nuid } from 'nats';
import type { Session } from './session.js';

export interface CoordinatorPlace {
  /** Empty where nobody owns the partition at this moment. */
  readonly node: string;
  readonly partition: number;
  readonly epoch: number;
  readonly partitionCount: number;
}

/** @returns where the group is coordinated; undefined where no node answers */
export async function findCoordinator(
  { nats, connection }: Session,
  group: string,
): Promise<CoordinatorPlace | undefined> {
  const { find } = new Subjects(connection.cluster);
  const head = { id: requestId(nuid.next()), deadlineMs: connection.timeoutMs };
  const payload = encodeRequest(head, { groupId: groupId(group), suspectEpoch: null });
  try {
    const answer = await nats.request(find, payload, { timeout: connection.timeoutMs });
    const reply = parseReply(clusterApis.find, answer.data);
    if (reply.kind === 'garbled' || reply.fields === undefined) return undefined;
    const { nodeId, partition, ownerEpoch, partitionCount } = reply.fields;
    return { node: nodeId, partition, epoch: ownerEpoch, partitionCount };
  } catch (thrown) {
    const isSilence =
      thrown instanceof NatsError && (thrown.code === ErrorCode.NoResponders || thrown.code === ErrorCode.Timeout);
    if (isSilence) return undefined;
    throw thrown;
  }
}
