/**
 * One group as an actor: its mailbox, its state, its timers, its gate. Only its own turn touches its state.
 *
 * It knows no NATS: it is given requests with an opaque return address and gives answers to its outlet.
 *
 * A1: a request is answered exactly once, or the actor is dropped with its partition (the client sends it again, C1).
 * A2: nothing leaves before the records decided before it are durable (the gate). A3: orders of our own (timers, sweeps) come
 * after the input that is already there, so that a pause of ours expels nobody who has spoken (O11). A4: what throws
 * quarantines this group only.
 */

import type { TimerHandle, TimerOf, TimerWheel } from '@muster/actor';
import { Mailbox, ReplyGate, TimerTable } from '@muster/actor';
import type {
  Effects,
  Group,
  GroupCommand,
  GroupNotice,
  GroupReply,
  GroupRequest,
  GroupSlot,
  GroupTimer,
  TurnContext,
} from '@muster/group';
import { encodeRecord, handle } from '@muster/group';
import type { Answer, ApiName, ErrorName, GroupId, MemberId, MonotonicMs, RequestId } from '@muster/protocol';
import { nodeLimits } from './limits.js';

/** A timer as the wheel hands it back. */
export type GroupTimerOf = TimerOf<GroupActor, GroupTimer['kind'], MemberId>;

/** Where an actor's decisions go. */
export interface ActorOutlet {
  /** Queues records of the group for the partition log, in order: all or, where it throws, none. */
  append(group: GroupId, records: readonly (readonly unknown[])[]): void;
  /** Calls back when a frame sent after this moment is durable (O7). */
  barrier(onDurable: () => void): void;
  /** Sends an answer to the return address of a request. */
  answer(returnAddress: string, ref: RequestId, answer: Answer, fields: object): void;
  /** A request has its answer, `waitedMs` after it was taken in; undefined where it was not. */
  answered(api: ApiName, error: ErrorName, waitedMs?: number): void;
  /** A round of the group has ended (its entry in the group's history). */
  rebalanced(round: Group['rebalances'][number]): void;
  /** Tells every member of the group. */
  notify(group: GroupId, notice: GroupNotice): void;
  /** The actor has work: it wants a visit of the turn loop. */
  wake(actor: GroupActor): void;
  /** A turn threw (A4). */
  quarantined(actor: GroupActor, command: GroupCommand, error: unknown): void;
  /** Whether turns may be taken and answers may leave at this moment (O3). */
  mayServe(): boolean;
  /** The group is gone and nobody waits: the actor can be forgotten. */
  idle(actor: GroupActor): void;
  context(): TurnContext;
  now(): MonotonicMs;
}

type Letter = { readonly request: GroupRequest; readonly expiresAt: number };
type OpenRequest = { returnAddress: string; readonly api: ApiName; readonly since: MonotonicMs };
type Output =
  | { readonly kind: 'reply'; readonly reply: GroupReply }
  | { readonly kind: 'notice'; readonly notice: GroupNotice };

const mailboxLimits = { countMax: nodeLimits.mailboxCountMax, bytesMax: nodeLimits.mailboxBytesMax };

export class GroupActor {
  readonly groupId: GroupId;
  readonly slot: GroupSlot;
  readonly #outlet: ActorOutlet;
  readonly #mailbox = new Mailbox<Letter>(mailboxLimits);
  readonly #orders: GroupCommand[] = [];
  /** Requests that have been accepted and not answered. */
  readonly #open = new Map<RequestId, OpenRequest>();
  readonly #gate: ReplyGate<Output>;
  readonly #timers: TimerTable<GroupActor, GroupTimer['kind'], MemberId>;
  #isQuarantined = false;

  constructor(slot: GroupSlot, wheel: TimerWheel<GroupTimerOf>, outlet: ActorOutlet) {
    this.groupId = slot.groupId;
    this.slot = slot;
    this.#outlet = outlet;
    this.#gate = new ReplyGate((output) => this.#send(output), nodeLimits.heldRepliesMax);
    this.#timers = new TimerTable(wheel, this);
  }

  /**
   * Takes in a request.
   * @param deadlineMs relative; a request that is older when its turn comes is dropped, its client has given up
   * @param bytes size of the request on the wire
   */
  offer(request: GroupRequest, returnAddress: string, deadlineMs: number, bytes: number): void {
    const { ref, api } = request;
    const open = this.#open.get(ref);
    if (open !== undefined) {
      // C1: the same request again. It waits already; only its return address may have changed. Turns that were refused for want of
      // a proof are taken up again at the latest now.
      open.returnAddress = returnAddress;
      if (this.hasWork) this.#outlet.wake(this);
      return;
    }
    const since = this.#outlet.now();
    const letter = { request, expiresAt: since + deadlineMs };
    if (this.#open.size >= nodeLimits.openRequestsMax || !this.#mailbox.offer(letter, bytes)) {
      this.#outlet.answered(api, overloaded.error);
      return this.#outlet.answer(returnAddress, ref, overloaded, {});
    }
    this.#open.set(ref, { returnAddress, api, since });
    this.#outlet.wake(this);
  }

  /** An order of the partition; never refused, and bounded by the group's own timers. */
  order(command: GroupCommand): void {
    this.#orders.push(command);
    this.#outlet.wake(this);
  }

  /**
   * Time goes on after a pause: deadlines move by it before any timer that fell due meanwhile is looked at (O11).
   */
  thaw(pauseMs: number): void {
    if (pauseMs > 0 && this.slot.group !== undefined) this.#orders.unshift({ kind: 'shift-deadlines', byMs: pauseMs });
    if (this.hasWork) this.#outlet.wake(this);
  }

  /** The wheel has fired one of the actor's timers. */
  fired(timer: GroupTimerOf, handle: TimerHandle): void {
    this.#timers.fired(timer, handle);
    const { kind, member } = timer;
    if (kind === 'session' || kind === 'pending-member') {
      if (member !== undefined) this.order({ kind: 'timer', timer: { kind, member } });
    } else this.order({ kind: 'timer', timer: { kind } });
  }

  /** The log has made `count` of the oldest records of this group durable. */
  durable(count: number): void {
    this.#gate.durable(count);
    this.#refuseOpenIfQuarantined();
    // A full gate may have held up orders, too.
    if (this.hasWork) this.#outlet.wake(this);
    this.#restIfIdle();
  }

  /** Takes up to `messagesMax` turns; input first, then orders (A3). @returns whether more waits */
  runTurns(messagesMax: number): boolean {
    for (let turn = 0; turn < messagesMax; turn += 1) {
      if (!this.#outlet.mayServe()) return false;
      // A full gate is back-pressure: the next acknowledged frame wakes the actor.
      if (this.#gate.full) return false;
      const letter = this.#mailbox.take();
      if (letter !== undefined) this.#readLetter(letter);
      else {
        const order = this.#orders.shift();
        if (order === undefined) break;
        this.#turn(order);
      }
    }
    this.#restIfIdle();
    return this.#mailbox.count > 0 || this.#orders.length > 0;
  }

  /** Carries out what loading decided: timers, records. */
  adopt(effects: Effects): void {
    this.#carryOut(effects);
  }

  /** How many requests were taken in and have no answer yet. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Whether something waits for a turn. */
  get hasWork(): boolean {
    return this.#mailbox.count > 0 || this.#orders.length > 0;
  }

  /** Whether the group's memory can be trusted (A4). */
  get isQuarantined(): boolean {
    return this.#isQuarantined;
  }

  /** The partition is not ours any more: nobody hears anything (O9), everybody asks the new owner (C1). */
  drop(): void {
    this.#timers.clearAll();
    this.#gate.drop();
    this.#mailbox.clear();
    this.#orders.length = 0;
    this.#open.clear();
  }

  #readLetter({ request, expiresAt }: Letter): void {
    if (this.#outlet.now() > expiresAt) this.#open.delete(request.ref);
    else if (this.#isQuarantined) this.#refuse(request.ref, 'UNKNOWN_SERVER_ERROR', 'the group is quarantined');
    else this.#turn(request);
  }

  #turn(command: GroupCommand): void {
    if (this.#isQuarantined) return;
    const history = this.slot.group?.rebalances;
    try {
      const effects = handle(this.slot, command, this.#outlet.context());
      this.#noteRebalance(history);
      this.#carryOut(effects, command);
    } catch (error) {
      this.#isQuarantined = true;
      this.#timers.clearAll();
      if (command.kind === 'request') this.#refuse(command.ref, 'UNKNOWN_SERVER_ERROR', 'the turn failed');
      this.#refuseOpenIfQuarantined();
      this.#outlet.quarantined(this, command, error);
    }
  }

  /** A turn that ends a round puts it into the group's history, which is never changed in place. */
  #noteRebalance(before: Group['rebalances'] | undefined): void {
    const rebalances = this.slot.group?.rebalances;
    const last = rebalances === before ? undefined : rebalances?.at(-1);
    if (last !== undefined) this.#outlet.rebalanced(last);
  }

  #carryOut(effects: Effects, command?: GroupCommand): void {
    for (const effect of effects.timers) {
      const { timer } = effect;
      const member = 'member' in timer ? timer.member : undefined;
      if (effect.kind === 'set') this.#timers.set(timer.kind, member, effect.deadline);
      else this.#timers.clear(timer.kind, member);
    }
    if (effects.records.length > 0) {
      // In this order: what the log refuses was never appended.
      this.#outlet.append(this.groupId, effects.records.map(encodeRecord));
      this.#gate.appended(effects.records.length);
    }
    for (const notice of effects.notices) this.#gate.push({ kind: 'notice', notice });
    const isRead = command?.kind === 'request' && isProvenRead(command);
    for (const reply of effects.replies) {
      if (isRead) this.#outlet.barrier(() => this.#releaseRead(reply));
      else this.#release(reply);
    }
  }

  #releaseRead(reply: GroupReply): void {
    this.#release(reply);
    // A group that does not exist was read: nothing else would let go of its actor.
    this.#restIfIdle();
  }

  #release(reply: GroupReply): void {
    if (this.#gate.dropped) return;
    if (!this.#gate.push({ kind: 'reply', reply })) this.#answerOnce(reply.ref, overloaded, {});
  }

  /** A4: what waits for a turn that will never come. What was decided before leaves first, when it is durable. */
  #refuseOpenIfQuarantined(): void {
    if (!this.#isQuarantined || this.#gate.held > 0) return;
    for (const ref of [...this.#open.keys()]) this.#refuse(ref, 'UNKNOWN_SERVER_ERROR', 'the group is quarantined');
  }

  #send(output: Output): void {
    // O3: proof is looked at when replies leave. What may not leave now is lost; its client asks again (C1), and must not be taken
    // for one that waits still.
    if (!this.#outlet.mayServe()) {
      if (output.kind === 'reply') this.#open.delete(output.reply.ref);
    } else if (output.kind === 'notice') this.#outlet.notify(this.groupId, output.notice);
    else {
      const { ref, error, detail, fields } = output.reply;
      this.#answerOnce(ref, detail === undefined ? { error } : { error, detail }, fields);
    }
  }

  #refuse(ref: RequestId, error: ErrorName, detail: string): void {
    this.#answerOnce(ref, { error, detail }, {});
  }

  /** A1 */
  #answerOnce(ref: RequestId, answer: Answer, fields: object): void {
    const open = this.#open.get(ref);
    if (open === undefined) return;
    this.#open.delete(ref);
    this.#outlet.answered(open.api, answer.error, this.#outlet.now() - open.since);
    this.#outlet.answer(open.returnAddress, ref, answer, fields);
  }

  #restIfIdle(): void {
    if (this.slot.group !== undefined || this.hasWork || this.#open.size > 0) return;
    if (this.#gate.inFlight === 0 && this.#timers.count === 0) this.#outlet.idle(this);
  }
}

/** O7: reads that must not show what another owner may have changed meanwhile leave behind an append that was sent after they came. */
function isProvenRead(request: GroupRequest): boolean {
  return request.api === 'fetch' || (request.api === 'describe' && request.body.stable === true);
}

const overloaded = {
  error: 'THROTTLING_QUOTA_EXCEEDED',
  detail: 'the group has as many requests waiting as it takes',
  retryAfterMs: nodeLimits.overloadRetryAfterMs,
} as const satisfies Answer;
