/**
 * What comes in about a group: subject and envelope are checked here, and only what passes reaches an actor.
 *
 * I1: bad input gets a typed error and a log line, nothing else. I2: a client that has seen a later reign makes us doubt ours (C2).
 */

import type { BusMessage } from '@muster/cluster';
import type { GroupRequest } from '@muster/group';
import type {
  ApiName,
  Epoch,
  ErrorName,
  GroupId,
  LogId,
  Partition,
  RequestApi,
  RequestHead,
  RequestId,
  RequestOf,
  Subjects,
} from '@muster/protocol';
import { groupApis, parseRequest, partitionOf } from '@muster/protocol';
import { nodeLimits } from './limits.js';
import type { PartitionRuntime } from './partition-runtime.js';

export type IngressOptions = {
  readonly subjects: Subjects;
  readonly partitionCount: number;
  readonly logId: LogId;
  readonly onRefused: (refusal: {
    readonly subject: string;
    readonly error: ErrorName;
    readonly detail: string;
  }) => void;
  /** I2. @returns whether our reign is in doubt now; where the same claim was refuted just before, it is not */
  readonly onLaterEpoch: (partition: Partition, epoch: Epoch) => boolean;
};

/** @returns the callback that a partition's subscription calls for each message */
export function makeIngress(options: IngressOptions): (runtime: PartitionRuntime, message: BusMessage) => void {
  const { subjects, partitionCount, logId, onRefused, onLaterEpoch } = options;

  const refuse = (runtime: PartitionRuntime, message: BusMessage, id: string, error: ErrorName, detail: string) => {
    const { subject } = message;
    onRefused({ subject: subject.slice(0, 200), error, detail });
    runtime.answer(message.reply, id, { error, detail }, {});
  };

  return (runtime, message) => {
    const address = subjects.parseGroup(message.subject);
    if (address === undefined) {
      const apis = Object.keys(groupApis).join(', ');
      const detail = `the subject must be ${subjects.prefix}.g.<partition>.<group>.<api>, api one of ${apis}`;
      return refuse(runtime, message, '', 'INVALID_REQUEST', detail);
    }
    const { group, api } = address;
    if (partitionOf(group, partitionCount) !== runtime.partition) {
      const right = partitionOf(group, partitionCount);
      return refuse(
        runtime,
        message,
        '',
        'NOT_COORDINATOR',
        `the group belongs to partition ${right} of ${partitionCount}`,
      );
    }
    const { byteLength } = message.payload;
    if (byteLength > nodeLimits.requestBytesMax) {
      const detail = `${byteLength} bytes, a request may have ${nodeLimits.requestBytesMax}`;
      return refuse(runtime, message, '', 'MESSAGE_TOO_LARGE', detail);
    }
    const parsed = readers[api](message.payload, group);
    if (parsed.kind === 'refused') return refuse(runtime, message, parsed.id, parsed.error, parsed.detail);
    const { epoch, log, deadlineMs } = parsed.head;
    const isLater = epoch !== undefined && log === logId && epoch > runtime.epoch;
    if (isLater && onLaterEpoch(runtime.partition, epoch)) return;
    runtime.offer(group, parsed.request, message.reply, deadlineMs, byteLength);
  };
}

type Read =
  | { readonly kind: 'refused'; readonly id: string; readonly error: ErrorName; readonly detail: string }
  | { readonly kind: 'read'; readonly request: GroupRequest; readonly head: RequestHead };

type Reader = (payload: Uint8Array, group: GroupId) => Read;

function reader<Api extends ApiName>(
  api: RequestApi<RequestOf[Api]>,
  toRequest: (ref: RequestId, body: RequestOf[Api]) => GroupRequest,
): Reader {
  return (payload, group) => {
    const parsed = parseRequest(api, payload);
    if (parsed.kind === 'refused') return parsed;
    const { head, body } = parsed;
    if (body.groupId === group) return { kind: 'read', request: toRequest(head.id, body), head };
    const detail = `groupId: the body names ${JSON.stringify(body.groupId)}, the subject ${JSON.stringify(group)}`;
    return { kind: 'refused', id: head.id, error: 'INVALID_REQUEST', detail };
  };
}

const kind = 'request';

/** One reader per API: a new API breaks the build here until it is read. */
const readers: { readonly [Api in ApiName]: Reader } = {
  join: reader<'join'>(groupApis.join, (ref, body) => ({ kind, api: 'join', ref, body })),
  sync: reader<'sync'>(groupApis.sync, (ref, body) => ({ kind, api: 'sync', ref, body })),
  heartbeat: reader<'heartbeat'>(groupApis.heartbeat, (ref, body) => ({ kind, api: 'heartbeat', ref, body })),
  leave: reader<'leave'>(groupApis.leave, (ref, body) => ({ kind, api: 'leave', ref, body })),
  commit: reader<'commit'>(groupApis.commit, (ref, body) => ({ kind, api: 'commit', ref, body })),
  fetch: reader<'fetch'>(groupApis.fetch, (ref, body) => ({ kind, api: 'fetch', ref, body })),
  'delete-offsets': reader<'delete-offsets'>(groupApis['delete-offsets'], (ref, body) => ({
    kind,
    api: 'delete-offsets',
    ref,
    body,
  })),
  'stage-offsets': reader<'stage-offsets'>(groupApis['stage-offsets'], (ref, body) => ({
    kind,
    api: 'stage-offsets',
    ref,
    body,
  })),
  'end-stage': reader<'end-stage'>(groupApis['end-stage'], (ref, body) => ({ kind, api: 'end-stage', ref, body })),
  describe: reader<'describe'>(groupApis.describe, (ref, body) => ({ kind, api: 'describe', ref, body })),
  delete: reader<'delete'>(groupApis.delete, (ref, body) => ({ kind, api: 'delete', ref, body })),
};
