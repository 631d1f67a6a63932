/**
 * Depth 1: the cases against the state machine of @muster/group under a virtual clock, without a node and without NATS.
 */

import type { GroupConfig, GroupReply, GroupRequest, TurnContext } from '@muster/group';
import { listEntry, loadingReply, unloadedReply } from '@muster/group';
import type { ErrorName, RequestId } from '@muster/protocol';
import { groupId, listRequest, monotonicMs, requestId, wallMs } from '@muster/protocol';
import type { CaseConfig, CaseRequest, Hook } from './cases.js';
import type { CaseReply, ConformanceDriver, DriverFactory, GroupView, HookOutcome, OnReply } from './driver.js';
import { GroupHost } from './group-host.js';
import type { SeedHook } from './seeds.js';
import { NO_ROLLBACK, NO_TRANSACTION_COORDINATOR, toRecord } from './seeds.js';
import { commonError, toCaseReply, toGroupConfig, toGroupRequest } from './translation.js';

/** kafka: offsets.retention.check.interval.ms */
const SWEEP_INTERVAL_MS = 600_000;
const done: HookOutcome = { kind: 'done' };

export const makeGroupDriver: DriverFactory = async (config, onReply) => new GroupDriver(config, onReply);

class GroupDriver implements ConformanceDriver {
  readonly #config: GroupConfig;
  readonly #onReply: OnReply;
  readonly #hosts = new Map<string, GroupHost>();
  /** Hosts in the order of their held turns, oldest first. */
  readonly #heldOrder: GroupHost[] = [];
  readonly #sent = new Map<RequestId, GroupRequest>();
  readonly #producerEpochs = new Map<number, number>();
  #nowMs = 0;
  #nextSweepMs = SWEEP_INTERVAL_MS;
  #uuids = 0;
  #ownRequests = 0;
  #holding = false;
  #shutDown = false;

  constructor(config: CaseConfig, onReply: OnReply) {
    this.#onReply = onReply;
    this.#config = toGroupConfig(config);
  }

  async request(name: string, request: CaseRequest): Promise<void> {
    if (request.op === 'list') return this.#onReply(name, this.#list(request));
    if (request.op === 'deleteGroups') return this.#onReply(name, this.#deleteGroups(request));
    const ref = requestId(name);
    if (request.op === 'txnCommit') this.#producerEpochs.set(request.args.producerId, request.args.producerEpoch);
    let translated: GroupRequest;
    try {
      translated = toGroupRequest(ref, request);
    } catch {
      return this.#onReply(name, { error: 'INVALID_REQUEST' });
    }
    this.#send(translated);
  }

  #send(request: GroupRequest): void {
    this.#sent.set(request.ref, request);
    const gated = this.#gate(request);
    if (gated !== undefined) return this.#release([gated]);
    try {
      this.#run(this.#host(request.body.groupId), request);
    } catch (error) {
      console.error(error);
      this.#release([unloadedReply(request, 'UNKNOWN_SERVER_ERROR')]);
    }
  }

  /** What a node answers without asking the group. */
  #gate(request: GroupRequest): GroupReply | undefined {
    if (this.#shutDown) return unloadedReply(request, 'COORDINATOR_NOT_AVAILABLE');
    const { status } = this.#host(request.body.groupId);
    if (status === 'loading') return loadingReply(request);
    return status === 'elsewhere' ? unloadedReply(request, 'NOT_COORDINATOR') : undefined;
  }

  #run(host: GroupHost, command: Parameters<GroupHost['run']>[0]): void {
    const heldBefore = host.held.length;
    const replies = host.run(command, this.#context(), this.#holding);
    if (host.held.length > heldBefore) this.#heldOrder.push(host);
    this.#release(replies);
  }

  #release(replies: readonly GroupReply[]): void {
    for (const reply of replies) {
      // Requests of the driver itself have names that no case can have.
      if (!reply.ref.startsWith('$')) this.#onReply(reply.ref, toCaseReply(reply));
    }
  }

  #list({ args }: Extract<CaseRequest, { op: 'list' }>): CaseReply {
    const filters = listRequest.parse(args);
    let error: ErrorName = this.#shutDown ? 'COORDINATOR_NOT_AVAILABLE' : 'NONE';
    const groups: unknown[] = [];
    for (const { slot, status } of this.#hosts.values()) {
      if (status === 'loading' && error === 'NONE') error = 'COORDINATOR_LOAD_IN_PROGRESS';
      const entry = status === 'serving' && slot.group !== undefined ? listEntry(slot.group, filters) : undefined;
      if (entry !== undefined && !this.#shutDown) groups.push(entry);
    }
    return { error, groups };
  }

  #deleteGroups({ args }: Extract<CaseRequest, { op: 'deleteGroups' }>): CaseReply {
    const results = [...new Set(args.groupIds)].map((id) => {
      const ref = this.#ownRef();
      const request: GroupRequest = { kind: 'request', api: 'delete', ref, body: { groupId: groupId(id) } };
      const gated = this.#gate(request);
      const replies = gated === undefined ? this.#host(id).run(request, this.#context(), false) : [gated];
      return { groupId: id, error: replies.find((reply) => reply.ref === ref)?.error ?? 'UNKNOWN_SERVER_ERROR' };
    });
    return { error: commonError(results, 'NONE'), results };
  }

  async advance(ms: number): Promise<void> {
    const end = this.#nowMs + ms;
    for (;;) {
      const due = this.#nextDue();
      const deadline = Math.min(due?.deadline ?? Number.POSITIVE_INFINITY, this.#nextSweepMs);
      if (deadline > end) break;
      this.#nowMs = Math.max(this.#nowMs, deadline);
      if (due !== undefined && due.deadline === deadline) {
        due.host.forgetTimer(due.timer);
        this.#run(due.host, { kind: 'timer', timer: due.timer });
      } else {
        this.#nextSweepMs += SWEEP_INTERVAL_MS;
        for (const host of this.#hosts.values()) if (host.status === 'serving') this.#run(host, { kind: 'sweep' });
      }
    }
    this.#nowMs = end;
  }

  #nextDue() {
    let next: ({ readonly host: GroupHost } & NonNullable<ReturnType<GroupHost['nextTimer']>>) | undefined;
    for (const host of this.#hosts.values()) {
      const timer = host.nextTimer();
      if (timer !== undefined && (next === undefined || timer.deadline < next.deadline)) next = { host, ...timer };
    }
    return next;
  }

  async inspect(id: string): Promise<GroupView> {
    return this.#host(id).visible();
  }

  isHeld(name: string): boolean {
    return this.#heldOrder.some(({ held }) => held.some(({ replies }) => replies.some(({ ref }) => ref === name)));
  }

  async close(): Promise<void> {}

  async hook(hook: Hook): Promise<HookOutcome> {
    switch (hook.op) {
      case 'failNextStore':
        return { kind: 'unsupported', reason: NO_ROLLBACK };
      case 'failNextTxnVerification':
        return { kind: 'unsupported', reason: NO_TRANSACTION_COORDINATOR };
      case 'holdStore':
        this.#holding = true;
        return done;
      case 'releaseStore':
        if (hook.error !== undefined) return { kind: 'unsupported', reason: NO_ROLLBACK };
        this.#releaseStores(hook.count);
        return done;
      case 'shutdown':
        this.#shutDown = true;
        return done;
      case 'markDead':
        this.#markDead(hook.groupId);
        return done;
      case 'endTxn':
        for (const id of hook.groupIds) this.#endTransaction(id, hook.producerId, hook.result);
        return done;
      case 'deletePartitions': {
        const partitions = hook.partitions.map(([topic, partition]) => ({ topic, partition }));
        for (const host of this.#hosts.values()) this.#run(host, { kind: 'topic-partitions-deleted', partitions });
        return done;
      }
      case 'resign':
      case 'elect':
      case 'beginLoad':
      case 'endLoad':
        this.#move(hook);
        return done;
      case 'seedGroup':
      case 'seedOffset':
      case 'seedTombstone':
      case 'seedTxnMarker':
        this.#seed(hook);
        return done;
    }
  }

  #releaseStores(count = Number.POSITIVE_INFINITY): void {
    let left = count;
    for (let host = this.#heldOrder[0]; host !== undefined; host = this.#heldOrder[0]) {
      if (host.held[0]?.isStore === true && left-- <= 0) return;
      this.#heldOrder.shift();
      this.#release(host.releaseOldest());
    }
    if (count === Number.POSITIVE_INFINITY) this.#holding = false;
  }

  #move({ op, groupId: id, epoch }: Extract<Hook, { op: 'resign' | 'elect' | 'beginLoad' | 'endLoad' }>): void {
    const host = this.#host(id);
    if (epoch !== undefined) {
      if (epoch < host.epoch) return;
      host.epoch = epoch;
    }
    if (op === 'elect' && host.status === 'serving') return;
    if (op === 'resign' || op === 'beginLoad') this.#unload(host);
    if (op === 'elect' || op === 'endLoad') host.load(this.#context());
    host.status = op === 'resign' ? 'elsewhere' : op === 'beginLoad' ? 'loading' : 'serving';
  }

  #unload(host: GroupHost): void {
    if (host.status !== 'serving') return;
    const replies = host.run({ kind: 'unload' }, this.#context(), false);
    const waiting = host.drop();
    for (let index = this.#heldOrder.length - 1; index >= 0; index -= 1) {
      if (this.#heldOrder[index] === host) this.#heldOrder.splice(index, 1);
    }
    this.#release(replies);
    // What waited for records that never became durable: the next owner has not seen it.
    for (const { ref, api, error, fields } of waiting) {
      const request = this.#sent.get(ref);
      const unloaded = error === 'NOT_COORDINATOR' || request === undefined;
      this.#release([
        unloaded ? ({ ref, api, error, fields } as GroupReply) : unloadedReply(request, 'NOT_COORDINATOR'),
      ]);
    }
  }

  /** A group that was made by its first join and then caught by an unload. */
  #markDead(id: string): void {
    const host = this.#host(id);
    if (host.slot.group === undefined) {
      const body = { op: 'join', args: joinThatIsRefused(id, this.#config.minSessionTimeoutMs) } as const;
      this.#run(host, toGroupRequest(this.#ownRef(), body));
    }
    this.#release(host.run({ kind: 'unload' }, this.#context(), false));
    host.clearTimers();
  }

  #endTransaction(id: string, producerId: number, result: 'COMMIT' | 'ABORT'): void {
    const producerEpoch = this.#producerEpochs.get(producerId) ?? 0;
    const body = { groupId: groupId(id), producerId, producerEpoch, result };
    this.#send({ kind: 'request', api: 'end-stage', ref: this.#ownRef(), body });
  }

  #seed(hook: SeedHook): void {
    const host = this.#host(hook.groupId);
    host.append([toRecord(hook, this.#nowMs, host.orders())]);
  }

  #host(id: string): GroupHost {
    let host = this.#hosts.get(id);
    if (host === undefined) {
      host = new GroupHost(groupId(id));
      this.#hosts.set(id, host);
    }
    return host;
  }

  #ownRef(): RequestId {
    this.#ownRequests += 1;
    return requestId(`$driver.${this.#ownRequests}`);
  }

  #context(): TurnContext {
    return {
      now: monotonicMs(this.#nowMs),
      wallNow: wallMs(this.#nowMs),
      newUuid: () => {
        this.#uuids += 1;
        return `00000000-0000-4000-8000-${String(this.#uuids).padStart(12, '0')}`;
      },
      config: this.#config,
    };
  }
}

function joinThatIsRefused(id: string, sessionTimeoutMs: number) {
  return {
    groupId: id,
    memberId: '',
    groupInstanceId: null,
    requireKnownMemberId: false,
    clientId: 'c',
    clientHost: 'h',
    sessionTimeoutMs,
    rebalanceTimeoutMs: 0,
    protocolType: 'consumer',
    protocols: [],
    supportSkippingAssignment: true,
  };
}
