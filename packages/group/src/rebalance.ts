/**
 * A round: the join phase from its opening to its completion.
 *
 * `openRound`, then the change that caused it (a join is parked, a member added), then `settleRound`, all in one turn. The
 * other half, from the JoinGroup replies to Stable, is in `sync.ts`. Rules: classic-protocol.md sections 2 and 4.1.
 *
 * Invariants:
 * - R1 A generation is recorded in the turn that completes the join phase, so the replies that name it wait for the record
 *   (architecture.md section 7; Kafka does not record it and reuses numbers after a failover).
 * - R2 At the end of a turn a PreparingRebalance group has a timer: it cannot wait for ever.
 */

import type { MemberId } from '@muster/protocol';
import { generation } from '@muster/protocol';
import { refuseSync } from './answers.js';
import type { CompletingPhase, DurableView, Group, JoinTimer, PreparingPhase, RebalanceCause } from './group.js';
import { hasHadGeneration } from './group.js';
import { closeRound } from './history.js';
import { answerJoin } from './join-reply.js';
import { removeMember } from './membership.js';
import { selectProtocol, subscribedTopicsOf } from './protocols.js';
import { graced, restartSession } from './session.js';
import { snapshotOf } from './snapshot.js';
import { enter } from './transitions.js';
import type { Turn } from './turn.js';
import { after, cancelTimer, recordSnapshot, setTimer } from './turn.js';

/** differs from kafka: silent static members with a rebalance timeout of 0 must not make the join timer spin. */
const REPEATED_WAIT_MS_MIN = 1_000;

export type RoundStart = {
  readonly cause: RebalanceCause;
  readonly memberId: MemberId;
  /** Why somebody removed the member, where that was said. */
  readonly reason?: string | null;
  /** A recorded member was taken out before: what the log says is a generation that must not go on. */
  readonly memberRemoved: boolean;
  /** A member that was added before and is not recorded yet. */
  readonly unrecorded?: MemberId;
};

/**
 * Opens a round. Parked syncs are answered REBALANCE_IN_PROGRESS, members learn of it by a notice. The caller then changes
 * what it has to change and calls `settleRound`.
 */
export function openRound(turn: Turn, group: Group, start: RoundStart): void {
  const { cause, memberId, reason = null } = start;
  const { phase } = group;
  if (phase.kind === 'PreparingRebalance' || phase.kind === 'Dead') throw new Error(`no round opens in ${phase.kind}`);
  const initial = phase.kind === 'Empty';
  const { wallNow } = turn.context;
  const durable = durableView(group, start);
  if (phase.kind === 'CompletingRebalance') {
    for (const [id, ref] of phase.syncs) {
      refuseSync(turn, ref, 'REBALANCE_IN_PROGRESS');
      const member = group.members.get(id);
      if (member !== undefined) restartSession(turn, member);
    }
    closeRound(group, phase.round, wallNow, null);
  }
  if (phase.kind !== 'Empty' && phase.syncWait !== null) cancelTimer(turn, { kind: 'sync' });
  enter(
    group,
    {
      kind: 'PreparingRebalance',
      protocol: phase.kind === 'Empty' ? null : phase.protocol,
      joins: new Map(),
      timer: { kind: 'unset', initial },
      round: { cause, memberId, startedAt: wallNow, reason },
      durable,
    },
    wallNow,
  );
  // differs from kafka: members hear of it at once instead of at their next heartbeat. An empty group has nobody to tell.
  if (!initial) turn.effects.notices.push({ kind: 'rebalance', generation: group.generation });
}

function durableView(group: Group, { memberRemoved, unrecorded }: RoundStart): DurableView | null {
  if (group.phase.kind === 'Empty' && !hasHadGeneration(group)) return null;
  const snapshot = snapshotOf(group);
  const without = new Set<MemberId>();
  if (unrecorded !== undefined) without.add(unrecorded);
  return { snapshot: memberRemoved ? { ...snapshot, rebalanceDue: true } : snapshot, without };
}

/** Completes the join phase if everybody is there, and makes sure that it has a timer otherwise (R2). */
export function settleRound(turn: Turn, group: Group): void {
  const { phase } = group;
  if (phase.kind !== 'PreparingRebalance') throw new Error(`no round to settle in ${phase.kind}`);
  const { timer } = phase;
  // kafka: the arrival of members, even of all of them, never ends the initial delay early.
  if (timer.kind === 'initial-delay') return;
  if (timer.kind === 'unset' && timer.initial) {
    const stepMs = turn.context.config.initialRebalanceDelayMs;
    const remainingMs = Math.max(longestRebalanceTimeoutMs(group) - stepMs, 0);
    const deadline = after(turn, stepMs);
    setJoinTimer(turn, phase, { kind: 'initial-delay', deadline, stepMs, remainingMs, memberAdded: false });
  } else if (phase.joins.size === group.members.size && group.pendingMembers.size === 0) {
    completeJoin(turn, group, phase);
  } else if (timer.kind === 'unset') {
    // kafka: sampled now; members that join later with longer timeouts do not lengthen a phase that runs.
    waitForRebalanceTimeout(turn, group, phase);
  }
}

function waitForRebalanceTimeout(turn: Turn, group: Group, phase: PreparingPhase, leastMs = 0): void {
  const waitMs = Math.max(longestRebalanceTimeoutMs(group), leastMs);
  setJoinTimer(turn, phase, { kind: 'rebalance-timeout', deadline: after(turn, waitMs) });
}

function setJoinTimer(turn: Turn, phase: PreparingPhase, timer: Exclude<JoinTimer, { kind: 'unset' }>): void {
  phase.timer = timer;
  setTimer(turn, { kind: 'join' }, timer.deadline);
}

/** @returns the longest rebalance timeout of the members, 0 without members */
export function longestRebalanceTimeoutMs(group: Group): number {
  let longestMs = 0;
  for (const { rebalanceTimeoutMs } of group.members.values()) longestMs = Math.max(longestMs, rebalanceTimeoutMs);
  return longestMs;
}

/**
 * Notes that a member arrived while the initial delay runs: it buys one more step. kafka (Scala): only in the first generation of
 * the group; the Java side counts arrivals whenever an empty group fills.
 */
export function noteArrival(group: Group, phase: PreparingPhase): void {
  if (phase.timer.kind === 'initial-delay' && !hasHadGeneration(group))
    phase.timer = { ...phase.timer, memberAdded: true };
}

/** The join timer fell due: the end of a step of the initial delay, or of the time to rejoin. */
export function onJoinTimer(turn: Turn, group: Group): void {
  const { phase } = group;
  if (phase.kind !== 'PreparingRebalance' || phase.timer.kind === 'unset') return;
  const { timer } = phase;
  const deadline = timer.kind === 'initial-delay' ? timer.deadline : graced(group, timer.deadline);
  if (turn.context.now < deadline) {
    setTimer(turn, { kind: 'join' }, deadline);
    return;
  }
  if (timer.kind === 'initial-delay' && timer.memberAdded && timer.remainingMs > 0) {
    const stepMs = Math.min(turn.context.config.initialRebalanceDelayMs, timer.remainingMs);
    setJoinTimer(turn, phase, {
      kind: 'initial-delay',
      deadline: after(turn, stepMs),
      stepMs,
      remainingMs: Math.max(timer.remainingMs - timer.stepMs, 0),
      memberAdded: false,
    });
    return;
  }
  completeJoin(turn, group, phase);
}

/**
 * Ends the join phase with whoever is there: dynamic members that are not go, static ones keep their seat. Ids that were
 * handed out stay valid and no longer hold anybody up.
 */
function completeJoin(turn: Turn, group: Group, phase: PreparingPhase): void {
  for (const member of group.members.values()) {
    if (member.groupInstanceId === null && !phase.joins.has(member.memberId)) removeMember(turn, group, member);
  }
  if (!electJoinedLeader(group, phase)) {
    // kafka: only silent static members are left; they get another rebalance timeout.
    waitForRebalanceTimeout(turn, group, phase, REPEATED_WAIT_MS_MIN);
    return;
  }
  cancelTimer(turn, { kind: 'join' });
  group.generation = generation(group.generation + 1);
  if (group.members.size === 0) becomeEmpty(turn, group, phase);
  else beginGeneration(turn, group, phase);
}

/** Makes sure that the leader takes part in the generation. @returns false if there are members but none that joined */
function electJoinedLeader(group: Group, phase: PreparingPhase): boolean {
  if (group.members.size === 0) return true;
  if (group.leader !== null && phase.joins.has(group.leader)) return true;
  for (const id of group.members.keys()) {
    if (!phase.joins.has(id)) continue;
    group.leader = id;
    return true;
  }
  return false;
}

function becomeEmpty(turn: Turn, group: Group, phase: PreparingPhase): void {
  const { wallNow } = turn.context;
  group.subscribedTopics = subscribedTopicsOf(group, null);
  enter(group, { kind: 'Empty' }, wallNow);
  closeRound(group, phase.round, wallNow, 0);
  recordSnapshot(turn, group);
}

function beginGeneration(turn: Turn, group: Group, phase: PreparingPhase): void {
  const protocol = selectProtocol(group);
  group.subscribedTopics = subscribedTopicsOf(group, protocol);
  const next: CompletingPhase = {
    kind: 'CompletingRebalance',
    protocol,
    syncs: new Map(),
    syncWait: {
      unsynced: new Set(group.members.keys()),
      deadline: after(turn, longestRebalanceTimeoutMs(group)),
    },
    round: phase.round,
  };
  enter(group, next, turn.context.wallNow);
  for (const member of group.members.values()) {
    const join = phase.joins.get(member.memberId);
    if (join !== undefined) answerJoin(turn, group, protocol, join.ref, member);
    // kafka: silent static members too get a full session; only the sync timer bounds them.
    restartSession(turn, member);
  }
  setTimer(turn, { kind: 'sync' }, next.syncWait.deadline);
  recordSnapshot(turn, group);
}
