/**
 * Staged commits: Kafka's TxnOffsetCommit and the end of its transaction, without Kafka's transactions. What a producer stages
 * becomes visible when it ends the stage with COMMIT. Rules: classic-protocol.md section 3.7, last paragraph.
 *
 * There is no coordinator of transactions: the producer ends its stage itself, group by group.
 *
 * Invariant T1: a producer epoch lower than one seen is refused, so a replaced producer cannot commit behind its successor.
 */

import type { EndStageRequest, RequestId, StageOffsetsRequest } from '@muster/protocol';
import { errorCode } from '@muster/protocol';
import type { Refusal } from './answers.js';
import { STAGES_MAX } from './bounds.js';
import { admitCommit, checkOffsets } from './commit.js';
import { endStage, epochOfProducer, stageOffsets } from './offset-store.js';
import type { Turn } from './turn.js';
import { record } from './turn.js';

export function handleStageOffsets(turn: Turn, ref: RequestId, request: StageOffsetsRequest): void {
  const { producerId, producerEpoch } = request;
  if (request.groupId === '') return refuse(turn, ref, request, 'INVALID_GROUP_ID');
  // kafka: the rules of a plain commit, except that a producer without membership may stage in a group with members, that
  // staging goes on while the group completes a rebalance, and that it is no sign of life.
  const admission = admitCommit(turn, request);
  if (admission.kind === 'refused') return refuse(turn, ref, request, admission.error);
  const { group } = admission;
  const store = group.offsets;
  if (producerEpoch < (epochOfProducer(store, producerId) ?? 0)) {
    return refuse(turn, ref, request, 'INVALID_PRODUCER_EPOCH');
  }
  if (!store.stages.has(producerId) && store.stages.size >= STAGES_MAX) {
    return refuse(turn, ref, request, 'THROTTLING_QUOTA_EXCEEDED');
  }
  const { errors: partitions, accepted: offsets } = checkOffsets(turn, group, request.offsets, null);
  if (offsets.length > 0) {
    const at = turn.context.wallNow;
    stageOffsets(store, producerId, producerEpoch, offsets, at);
    record(turn, { kind: 'staged-offsets', producerId, producerEpoch, at, offsets });
  }
  turn.effects.replies.push({ api: 'stage-offsets', ref, error: 'NONE', fields: { partitions } });
}

/**
 * Ends a stage. Ending one that is not open changes nothing and is no error: the same request again, or a COMMIT after an
 * ABORT. A higher epoch than that of the stage fences the producer that staged: its offsets are dropped.
 */
export function handleEndStage(turn: Turn, ref: RequestId, request: EndStageRequest): void {
  const { group } = turn.slot;
  const { producerId, producerEpoch, result } = request;
  const answer = (error: Refusal | 'NONE') => {
    turn.effects.replies.push({ api: 'end-stage', ref, error, fields: {} });
  };
  if (request.groupId === '') return answer('INVALID_GROUP_ID');
  if (group?.phase.kind === 'Dead') return answer('COORDINATOR_NOT_AVAILABLE');
  const epoch = group === undefined ? undefined : epochOfProducer(group.offsets, producerId);
  if (group === undefined || epoch === undefined) return answer('NONE');
  if (producerEpoch < epoch) return answer('INVALID_PRODUCER_EPOCH');
  if (group.offsets.stages.has(producerId) || producerEpoch > epoch) {
    const { order } = group.offsets;
    const at = turn.context.wallNow;
    endStage(group.offsets, producerId, { producerEpoch, order, endedAt: at }, result);
    record(turn, { kind: 'stage-end', producerId, producerEpoch, at, order, result });
  }
  answer('NONE');
}

function refuse(turn: Turn, ref: RequestId, { offsets }: StageOffsetsRequest, error: Refusal): void {
  const code = errorCode(error);
  const partitions = offsets.map(({ topic, partition }) => ({ topic, partition, error: code }));
  turn.effects.replies.push({ api: 'stage-offsets', ref, error, fields: { partitions } });
}
