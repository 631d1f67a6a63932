/**
 * Depth 2 (`--through node`): the same cases as encoded requests through the in-memory NATS to the serving part of a node, with its
 * ingress, actors, turn loop, timer wheel and partition logs, and decoded replies back. Only membership is left out: the driver
 * decides itself which partitions the node owns, because cases resign and elect.
 *
 * A node that does not own a partition is silent, and clients hear "no responders"; that is told in the words of the cases as
 * NOT_COORDINATOR, or COORDINATOR_NOT_AVAILABLE once the node has been shut down.
 */

import type { Serving } from '@muster/coordinator';
import { assembleServing, serveClusterRequests } from '@muster/coordinator';
import type { GroupReply, GroupRequest } from '@muster/group';
import { decodeRecord, encodeRecord, unloadedReply } from '@muster/group';
import { claimPartition, decodeFrame, logLimitsDefaults, unpackRecord } from '@muster/log';
import type { GroupId, Partition, RequestId } from '@muster/protocol';
import {
  clusterApis,
  encodeRequest,
  groupApis,
  groupId,
  incarnation,
  logId,
  nodeId,
  parseReply,
  partitionOf,
  requestId,
  Subjects,
} from '@muster/protocol';
import { MemoryLogStore, MemoryNats, SeededRandom, VirtualClock } from '@muster/testkit/internals';
import { pino } from 'pino';
import type { CaseConfig, CaseRequest, Hook } from './cases.js';
import type { CaseReply, ConformanceDriver, DriverFactory, GroupView, HookOutcome, OnReply } from './driver.js';
import type { SeedHook } from './seeds.js';
import { isStoredByKafka, NO_ROLLBACK, NO_TRANSACTION_COORDINATOR, SeedOrders, toRecord } from './seeds.js';
import { commonError, toCaseReply, toGroupConfig, toGroupRequest } from './translation.js';

/** So many that no two groups of a case share a partition: hooks concern one group only. */
const PARTITION_COUNT = 9_973;
const TICK_MS = 1;
const DEADLINE_MS = 7_200_000;
const SILENCE =
  'a node that gives a partition away answers nobody who waits: they send again and the new owner answers';
const done: HookOutcome = { kind: 'done' };

export const makeNodeDriver: DriverFactory = async (config, onReply) => new NodeDriver(config, onReply);

class NodeDriver implements ConformanceDriver {
  readonly #clock = new VirtualClock(0, 0);
  readonly #nats = new MemoryNats({ clock: this.#clock });
  readonly #client = this.#nats.connect('client');
  readonly #node = this.#nats.connect('node');
  readonly #log = new MemoryLogStore({ clock: this.#clock, latencyMs: 0 });
  readonly #random = new SeededRandom('conformance');
  readonly #subjects = new Subjects('cases');
  readonly #serving: Serving;
  readonly #stopList: () => void;
  readonly #onReply: OnReply;
  readonly #owned = new Map<Partition, 'owned' | 'elsewhere'>();
  readonly #epochs = new Map<Partition, number>();
  /** Requests without a reply yet, by their ids. */
  readonly #waiting = new Map<RequestId, { readonly groupId: GroupId }>();
  readonly #producerEpochs = new Map<number, number>();
  readonly #seedOrders = new SeedOrders();
  #ownRequests = 0;
  #holding = false;
  #hungFrames = 0;
  readonly #viewsBeforeHold = new Map<string, GroupView>();
  #shutDown = false;

  constructor(config: CaseConfig, onReply: OnReply) {
    this.#onReply = onReply;
    const identity = {
      node: nodeId('node'),
      incarnation: incarnation('one'),
      subjects: this.#subjects,
      logId: logId('L'),
    };
    const scope = { partitionCount: PARTITION_COUNT, epochFloor: 0 };
    const mayServe = (partition: Partition) => this.#owned.get(partition) === 'owned';
    this.#serving = assembleServing(
      { ...identity, ...scope },
      {
        bus: this.#node,
        store: this.#log,
        clock: this.#clock,
        random: this.#random,
        defer: (run) => void this.#clock.after(0, run),
      },
      toGroupConfig(config),
      { mayServe, onLaterEpoch: () => false, onLost: () => {}, onStalled: () => {}, graceMs: 0 },
      pino({ level: 'silent' }),
      TICK_MS,
    );
    this.#stopList = serveClusterRequests({
      bus: this.#node,
      subjects: this.#subjects,
      node: identity.node,
      logId: identity.logId,
      partitionCount: PARTITION_COUNT,
      cluster: { ownerOf: () => undefined, hint: () => {} },
      runtimes: () => this.#serving.partitions.all(),
      mayServe,
      onRefused: () => {},
    });
  }

  async request(name: string, request: CaseRequest): Promise<void> {
    if (request.op === 'list') return this.#list(name, request);
    if (request.op === 'deleteGroups') return this.#deleteGroups(name, request.args.groupIds);
    if (request.op === 'txnCommit') this.#producerEpochs.set(request.args.producerId, request.args.producerEpoch);
    let translated: GroupRequest;
    try {
      translated = toGroupRequest(requestId(name), request);
    } catch {
      return this.#onReply(name, { error: 'INVALID_REQUEST' });
    }
    if (this.#holding && this.#hungFrames === 0) {
      this.#viewsBeforeHold.set(translated.body.groupId, await this.#view(translated.body.groupId));
    }
    await this.#send(translated, (reply) => this.#onReply(name, reply));
  }

  /** Publishes the request; its reply comes whenever the node sends it. */
  async #send(request: GroupRequest, onReply: (reply: CaseReply) => void): Promise<void> {
    const { api, ref, body } = request;
    const partition = partitionOf(body.groupId, PARTITION_COUNT);
    await this.#ownUnlessResigned(partition);
    if (this.#owned.get(partition) !== 'owned' || this.#shutDown) return onReply(toCaseReply(this.#silence(request)));
    const inbox = `_INBOX.${this.#random.id()}`;
    this.#client.subscribe(inbox, ({ payload }) => {
      const parsed = parseReply<unknown>(groupApis[api], payload);
      if (parsed.kind === 'garbled') throw new Error(`garbled reply: ${parsed.detail}`);
      this.#waiting.delete(ref);
      const { error, fields } = parsed;
      onReply(fields === undefined ? { error } : toCaseReply({ api, ref, error, fields } as GroupReply));
    });
    this.#waiting.set(ref, body);
    const subject = this.#subjects.group(partition, body.groupId, api);
    this.#client.publish(subject, encodeRequest({ id: ref, deadlineMs: DEADLINE_MS }, body), inbox);
    await this.#settle();
  }

  #silence(request: GroupRequest): GroupReply {
    return unloadedReply(request, this.#shutDown ? 'COORDINATOR_NOT_AVAILABLE' : 'NOT_COORDINATOR');
  }

  async #list(name: string, { args }: Extract<CaseRequest, { op: 'list' }>): Promise<void> {
    if (this.#shutDown) return this.#onReply(name, { error: 'COORDINATOR_NOT_AVAILABLE', groups: [] });
    const inbox = `_INBOX.${this.#random.id()}`;
    this.#client.subscribe(inbox, ({ payload }) => {
      const parsed = parseReply(clusterApis.list, payload);
      if (parsed.kind === 'reply') this.#onReply(name, { error: parsed.error, groups: parsed.fields?.groups ?? [] });
    });
    const payload = encodeRequest({ id: requestId(name), deadlineMs: DEADLINE_MS }, args);
    this.#client.publish(this.#subjects.all, payload, inbox);
    await this.#settle();
  }

  async #deleteGroups(name: string, groupIds: readonly string[]): Promise<void> {
    const results: { groupId: string; error: GroupReply['error'] }[] = [];
    for (const id of new Set(groupIds)) {
      const ref = this.#ownRef();
      await this.#send({ kind: 'request', api: 'delete', ref, body: { groupId: groupId(id) } }, ({ error }) => {
        results.push({ groupId: id, error: error as GroupReply['error'] });
      });
    }
    this.#onReply(name, { error: commonError(results, 'NONE'), results });
  }

  async advance(ms: number): Promise<void> {
    await this.#clock.advance(ms);
    // The wheel fires within one of its ticks; what it set in motion settles now.
    await this.#settle();
  }

  async inspect(id: string): Promise<GroupView> {
    const before = this.#hungFrames > 0 ? this.#viewsBeforeHold.get(id) : undefined;
    return before ?? this.#view(groupId(id));
  }

  async #view(id: GroupId): Promise<GroupView> {
    const partition = partitionOf(id, PARTITION_COUNT);
    let view: GroupView | undefined;
    const request: GroupRequest = { kind: 'request', api: 'describe', ref: this.#ownRef(), body: { groupId: id } };
    await this.#send(request, (reply) => {
      view = toView(reply, this.#pendingMembers(partition, id));
    });
    if (view === undefined) throw new Error(`no description of ${id}`);
    return view;
  }

  #pendingMembers(partition: Partition, id: GroupId): number {
    for (const runtime of this.#serving.partitions.all()) {
      if (runtime.partition === partition) return runtime.inspect(id)?.group?.pendingMembers.size ?? 0;
    }
    return 0;
  }

  isHeld(name: string): boolean {
    return this.#hungFrames > 0 && this.#waiting.has(requestId(name));
  }

  async close(): Promise<void> {
    this.#stopList();
    this.#serving.stop();
  }

  async hook(hook: Hook): Promise<HookOutcome> {
    switch (hook.op) {
      case 'failNextStore':
        return { kind: 'unsupported', reason: NO_ROLLBACK };
      case 'failNextTxnVerification':
        return { kind: 'unsupported', reason: NO_TRANSACTION_COORDINATOR };
      case 'markDead':
        return { kind: 'unsupported', reason: 'a node keeps no group that is being removed' };
      case 'beginLoad':
      case 'endLoad':
        return {
          kind: 'unsupported',
          reason: 'a node is silent while it loads: clients hear "no responders" and try again',
        };
      case 'holdStore':
        this.#hold();
        return done;
      case 'releaseStore':
        return this.#release(hook);
      case 'shutdown':
        this.#shutDown = true;
        return done;
      case 'endTxn':
        for (const id of hook.groupIds) await this.#endTransaction(id, hook.producerId, hook.result);
        return done;
      case 'deletePartitions': {
        const partitions = hook.partitions.map(([topic, partition]) => ({ topic, partition }));
        for (const runtime of this.#serving.partitions.all()) {
          runtime.orderAll({ kind: 'topic-partitions-deleted', partitions });
        }
        await this.#settle();
        return done;
      }
      case 'resign':
      case 'elect':
        return this.#move(hook);
      case 'seedGroup':
      case 'seedOffset':
      case 'seedTombstone':
      case 'seedTxnMarker':
        await this.#seed(hook);
        return done;
    }
  }

  #hold(): void {
    this.#holding = true;
    this.#log.plan = {
      append: ({ bytes }) => {
        if (!holdsStores(bytes)) return undefined;
        this.#hungFrames += 1;
        return { kind: 'hang' };
      },
    };
  }

  async #release({ count, error }: Extract<Hook, { op: 'releaseStore' }>): Promise<HookOutcome> {
    if (error !== undefined) return { kind: 'unsupported', reason: NO_ROLLBACK };
    if (count !== undefined && count > 1) {
      return { kind: 'unsupported', reason: 'what is decided while a frame is in flight shares the next frame' };
    }
    this.#hungFrames = 0;
    if (count === undefined) {
      this.#holding = false;
      this.#log.plan = {};
    }
    this.#log.releaseHung();
    await this.#settle();
    return done;
  }

  async #move({ op, groupId: id, epoch }: Extract<Hook, { op: 'resign' | 'elect' }>): Promise<HookOutcome> {
    const partition = partitionOf(groupId(id), PARTITION_COUNT);
    if (epoch !== undefined) {
      if (epoch < (this.#epochs.get(partition) ?? Number.NEGATIVE_INFINITY)) return done;
      this.#epochs.set(partition, epoch);
    }
    await this.#ownUnlessResigned(partition);
    if (op === 'elect') await this.#own(partition);
    else {
      if ([...this.#waiting.values()].some((body) => body.groupId === id))
        return { kind: 'unsupported', reason: SILENCE };
      this.#serving.partitions.drop(partition);
      this.#owned.set(partition, 'elsewhere');
    }
    return done;
  }

  async #ownUnlessResigned(partition: Partition): Promise<void> {
    if (!this.#owned.has(partition)) await this.#own(partition);
  }

  async #own(partition: Partition): Promise<void> {
    if (this.#owned.get(partition) === 'owned') return;
    const claim = this.#serving.partitions.claim(partition, () => true);
    await this.#settle();
    const result = await claim;
    if (result.kind !== 'claimed') throw new Error(`partition ${partition} was not claimed: ${result.detail}`);
    this.#owned.set(partition, 'owned');
  }

  async #endTransaction(id: string, producerId: number, result: 'COMMIT' | 'ABORT'): Promise<void> {
    const producerEpoch = this.#producerEpochs.get(producerId) ?? 0;
    const body = { groupId: groupId(id), producerId, producerEpoch, result };
    await this.#send({ kind: 'request', api: 'end-stage', ref: this.#ownRef(), body }, () => {});
  }

  /** Another node owns the partition for a moment and writes the record. */
  async #seed(hook: SeedHook): Promise<void> {
    const group = groupId(hook.groupId);
    const claim = claimPartition({
      store: this.#log,
      clock: this.#clock,
      partition: partitionOf(group, PARTITION_COUNT),
      node: nodeId('seeder'),
      incarnation: incarnation('seeder'),
      newNonce: () => this.#random.id(),
      sink: {
        record: (_seq, of, record) => of === group && this.#seedOrders.note(decodeRecord(record)),
        forgetBelow: () => {},
      },
      listener: { durable: () => {}, stalled: () => {}, lost: () => {}, full: () => {} },
      limits: logLimitsDefaults,
      deadlineMs: 1_000,
    });
    await this.#settle();
    const outcome = await claim;
    if (outcome.kind !== 'claimed') throw new Error(`the seeder could not claim: ${outcome.kind}`);
    outcome.log.append(group, [encodeRecord(toRecord(hook, this.#clock.now(), this.#seedOrders))]);
    outcome.log.kick();
    await this.#settle();
    outcome.log.close();
  }

  #ownRef(): RequestId {
    this.#ownRequests += 1;
    return requestId(`$driver.${this.#ownRequests}`);
  }

  /** Lets everything that is due at this moment happen. */
  async #settle(): Promise<void> {
    await this.#clock.advance(0);
  }
}

/** Whether a frame holds a durable write of Kafka; what only Muster records (a generation, a removed member) is not held. */
function holdsStores(bytes: Uint8Array): boolean {
  const decoded = decodeFrame(bytes);
  if (!decoded.ok || decoded.frame.body.kind !== 'records') return false;
  const pieces = decoded.frame.body.entries.flatMap((entry) => entry.pieces);
  return pieces.some(({ bytes: record }) => isStoredByKafka(decodeRecord(unpackRecord(record))));
}

function toView(reply: CaseReply, pendingMembers: number): GroupView {
  const members = reply['members'] as readonly { memberId: string; groupInstanceId: string | null }[];
  return {
    state: String(reply['state']),
    members: members.length,
    memberIds: members.map(({ memberId }) => memberId),
    groupInstanceIds: members.map(({ groupInstanceId }) => groupInstanceId),
    protocolType: String(reply['protocolType']),
    protocol: String(reply['protocol']),
    generationId: Number(reply['generationId']),
    leader: String(reply['leader']),
    pendingMembers,
  };
}
