/**
 * The faults that the tests of the group must notice: one line each. A mutation whose line is gone stops the check, so that the
 * list cannot fall behind the code.
 */

export type Mutation = {
  /** In `packages/group/src`. */
  readonly file: string;
  /** The whole line, leading blanks aside. It occurs once in the file. */
  readonly line: string;
  readonly becomes: string;
  /** What is wrong then. */
  readonly breaks: string;
};

export const mutations: readonly Mutation[] = [
  {
    file: 'rebalance.ts',
    line: "if (timer.kind === 'initial-delay') return;",
    becomes: '',
    breaks: 'everybody being there ends the initial delay early',
  },
  {
    file: 'rebalance.ts',
    line: '} else if (phase.joins.size === group.members.size && group.pendingMembers.size === 0) {',
    becomes: '} else if (phase.joins.size === group.members.size) {',
    breaks: 'a round does not wait for ids that were handed out',
  },
  {
    file: 'rebalance.ts',
    line: 'remainingMs: Math.max(timer.remainingMs - timer.stepMs, 0),',
    becomes: 'remainingMs: timer.remainingMs,',
    breaks: 'arrivals stretch the initial delay beyond the rebalance timeout',
  },
  {
    file: 'rebalance.ts',
    line: "if (phase.timer.kind === 'initial-delay' && !hasHadGeneration(group))",
    becomes: "if (phase.timer.kind === 'initial-delay')",
    breaks: 'arrivals stretch the initial delay also in later generations',
  },
  {
    file: 'rebalance.ts',
    line: 'if (member.groupInstanceId === null && !phase.joins.has(member.memberId)) removeMember(turn, group, member);',
    becomes: 'if (!phase.joins.has(member.memberId)) removeMember(turn, group, member);',
    breaks: 'silent static members lose their seat at the rebalance timeout',
  },
  {
    file: 'rebalance.ts',
    line: 'waitForRebalanceTimeout(turn, group, phase, REPEATED_WAIT_MS_MIN);',
    becomes: 'waitForRebalanceTimeout(turn, group, phase);',
    breaks: 'silent static members without a rebalance timeout spin the join timer',
  },
  {
    file: 'rebalance.ts',
    line: 'group.generation = generation(group.generation + 1);',
    becomes: 'if (group.members.size > 0) group.generation = generation(group.generation + 1);',
    breaks: 'a group empties without a generation of its own',
  },
  {
    file: 'rebalance.ts',
    line: "if (!initial) turn.effects.notices.push({ kind: 'rebalance', generation: group.generation });",
    becomes: '',
    breaks: 'members do not hear of a rebalance at once',
  },
  {
    file: 'rebalance.ts',
    line: 'if (group.leader !== null && phase.joins.has(group.leader)) return true;',
    becomes: 'if (group.leader !== null) return true;',
    breaks: 'a leader that did not rejoin leads on',
  },
  {
    file: 'rebalance.ts',
    line: 'if (member !== undefined) restartSession(turn, member);',
    becomes: '',
    breaks: 'a member whose sync was sent back to join has no session any more',
  },
  {
    file: 'rebalance.ts',
    line: 'unsynced: new Set(group.members.keys()),',
    becomes: 'unsynced: new Set(),',
    breaks: 'members that never sync stay for ever',
  },
  {
    file: 'rebalance.ts',
    line: 'return { snapshot: memberRemoved ? { ...snapshot, rebalanceDue: true } : snapshot, without };',
    becomes: 'return { snapshot, without };',
    breaks: 'a checkpoint forgets that a member was removed, so that no rebalance is due after a failover',
  },
  {
    file: 'join.ts',
    line: "if (group.phase.kind === 'PreparingRebalance' && group.phase.joins.get(memberId)?.ref === ref) return;",
    becomes: '',
    breaks: 'a join that is sent again supersedes itself',
  },
  {
    file: 'join.ts',
    line: 'return phase.joins.has(memberId) || phase.joins.size < maxSize;',
    becomes: 'return group.members.has(memberId) || phase.joins.size < maxSize;',
    breaks: 'an oversized group does not shed those who come last',
  },
  {
    file: 'join.ts',
    line: 'if (memberId === NO_MEMBER && groupInstanceId !== null && group.staticMembers.has(groupInstanceId)) return true;',
    becomes: '',
    breaks: 'a static member cannot return to a full group',
  },
  {
    file: 'join.ts',
    line: "if (group.phase.kind === 'PreparingRebalance') settleRound(turn, group);",
    becomes: '',
    breaks: 'a round waits for a member that was just refused its seat',
  },
  {
    file: 'join.ts',
    line: 'if (!sameProtocols(member.protocols, request.protocols)) break;',
    becomes: '',
    breaks: 'a changed subscription between join and sync goes unnoticed',
  },
  {
    file: 'join.ts',
    line: 'if (group.leader === memberId || !sameProtocols(member.protocols, request.protocols)) break;',
    becomes: 'if (!sameProtocols(member.protocols, request.protocols)) break;',
    breaks: 'a leader cannot report new partitions by joining again',
  },
  {
    file: 'join.ts',
    line: "if (phase.kind === 'Stable' && selectProtocol(group) === phase.protocol) {",
    becomes: "if (phase.kind === 'Stable') {",
    breaks: 'a static restart that changes the chosen protocol goes unnoticed',
  },
  {
    file: 'join.ts',
    line: 'recordSnapshot(turn, group);',
    becomes: '',
    breaks: 'the new id of a restarted static member is lost in a failover',
  },
  {
    file: 'join.ts',
    line: 'return memberOfInstance(group, groupInstanceId)?.replacedJoins.includes(ref) ?? false;',
    becomes: 'return false;',
    breaks: 'a late copy of a join fences the process that has taken over the instance id',
  },
  {
    file: 'join.ts',
    line: 'return growth <= 0 || group.membersBytes + growth <= MEMBERS_BYTES_MAX;',
    becomes: 'return true;',
    breaks: 'a group grows until its record cannot be loaded again',
  },
  {
    file: 'join-reply.ts',
    line: 'const leader = supportSkippingAssignment ? group.leader : toldBefore;',
    becomes: 'const leader = group.leader;',
    breaks: 'a restarted leader of an old client assigns without knowing the members',
  },
  {
    file: 'membership.ts',
    line: "if (ref !== undefined) refuseSync(turn, ref, 'FENCED_INSTANCE_ID');",
    becomes: '',
    breaks: 'a replaced process waits for its sync for ever',
  },
  {
    file: 'membership.ts',
    line: 'if (group.leader === id) group.leader = firstMember(group);',
    becomes: 'if (group.leader === id) group.leader = null;',
    breaks: 'a group goes on without a leader',
  },
  {
    file: 'membership.ts',
    line: "if (recorded) record(turn, { kind: 'member-removed', memberId: id });",
    becomes: '',
    breaks: 'an acknowledged leave comes back as a ghost after a failover',
  },
  {
    file: 'membership.ts',
    line: 'if (group.members.size === 0) group.protocolType = request.protocolType;',
    becomes: 'group.protocolType ??= request.protocolType;',
    breaks: 'an emptied group cannot be used with another protocol type',
  },
  {
    file: 'membership.ts',
    line: 'const sessionDeadline = after(turn, old.sessionTimeoutMs);',
    becomes: 'const sessionDeadline = old.sessionDeadline;',
    breaks: 'a static restart is no sign of life',
  },
  {
    file: 'protocols.ts',
    line: 'const choice = member.protocols.find(isShared);',
    becomes: 'const choice = member.protocols[0];',
    breaks: 'a member votes for a protocol that not all have',
  },
  {
    file: 'protocols.ts',
    line: 'if (winner === undefined || (votes.get(name) ?? 0) > (votes.get(winner) ?? 0)) winner = name;',
    becomes: 'winner ??= name;',
    breaks: 'the leader alone chooses the protocol',
  },
  {
    file: 'protocols.ts',
    line: 'return protocols.some(({ name }) => (group.protocolCounts.get(name) ?? 0) === size);',
    becomes: 'return protocols.length > 0;',
    breaks: 'members without a common protocol are let in',
  },
  {
    file: 'protocols.ts',
    line: 'return group.subscribedTopics === null || group.subscribedTopics.has(topic);',
    becomes: 'return group.subscribedTopics?.has(topic) ?? false;',
    breaks: 'offsets of unreadable subscriptions can be deleted',
  },
  {
    file: 'sync.ts',
    line: 'if (group.leader === memberId) becomeStable(turn, group, phase, request);',
    becomes: 'becomeStable(turn, group, phase, request);',
    breaks: 'a follower assigns',
  },
  {
    file: 'sync.ts',
    line: "if (request.generationId !== group.generation) return refuseSync(turn, ref, 'ILLEGAL_GENERATION');",
    becomes: "if (request.generationId > group.generation) return refuseSync(turn, ref, 'ILLEGAL_GENERATION');",
    breaks: 'a sync of an old generation gets an assignment',
  },
  {
    file: 'sync.ts',
    line: 'restartSession(turn, validated.member);',
    becomes: '',
    breaks: 'a sync in a stable group is no sign of life',
  },
  {
    file: 'sync.ts',
    line: 'restartSession(turn, member);',
    becomes: '',
    breaks: 'a member has no session after its sync was answered',
  },
  {
    file: 'sync.ts',
    line: 'recordSnapshot(turn, group);',
    becomes: '',
    breaks: 'assignments are told before they are durable',
  },
  {
    file: 'sync.ts',
    line: 'return group.membersBytes + assignmentsBytes(assignments) > ASSIGNED_BYTES_MAX;',
    becomes: 'return false;',
    breaks: 'an assignment is recorded that cannot be loaded again',
  },
  {
    file: 'heartbeat.ts',
    line: "return 'REBALANCE_IN_PROGRESS';",
    becomes: "return 'NONE';",
    breaks: 'heartbeats do not tell of a rebalance',
  },
  {
    file: 'timers.ts',
    line: 'if (member === undefined || waitsForUs(group, id)) return;',
    becomes: 'if (member === undefined) return;',
    breaks: 'members expire while they wait for the coordinator',
  },
  {
    file: 'timers.ts',
    line: "if (phase.kind === 'PreparingRebalance') return phase.joins.get(id)?.newcomer === false;",
    becomes: "if (phase.kind === 'PreparingRebalance') return phase.joins.has(id);",
    breaks: 'a newcomer that vanished waits for ever',
  },
  {
    file: 'timers.ts',
    line: 'forgetPending(turn, group, id);',
    becomes: '',
    breaks: 'ids that were handed out never lapse',
  },
  {
    file: 'session.ts',
    line: 'return deadline < group.graceUntil ? group.graceUntil : deadline;',
    becomes: 'return deadline;',
    breaks: 'a new owner drops members before the grace is over',
  },
  {
    file: 'validation.ts',
    line: 'if (holder !== memberId) return fenced;',
    becomes: 'if (holder !== memberId) return unknown;',
    breaks: 'a replaced process does not learn that it is fenced',
  },
  {
    file: 'leave.ts',
    line: "if (group.pendingMembers.has(memberId)) return { kind: 'pending' };",
    becomes: '',
    breaks: 'an id that was handed out cannot be given back',
  },
  {
    file: 'commit.ts',
    line: "if (group.phase.kind === 'CompletingRebalance') return refuse(turn, ref, request, 'REBALANCE_IN_PROGRESS');",
    becomes: '',
    breaks: 'a member commits between its join and its assignment',
  },
  {
    file: 'commit.ts',
    line: 'if (member !== null) signOfLife(turn, group, member);',
    becomes: '',
    breaks: 'a commit is no sign of life',
  },
  {
    file: 'commit.ts',
    line: 'return member !== null && commitSeq !== null && commitSeq <= member.commitSeq;',
    becomes: 'return member !== null && commitSeq !== null && commitSeq === member.commitSeq;',
    breaks: 'a delayed copy of a commit moves an offset back',
  },
  {
    file: 'commit.ts',
    line: "if (generationId < 0 && group.phase.kind === 'Empty') return { kind: 'admitted', group, member: null };",
    becomes: '',
    breaks: 'an administrator cannot set offsets of a group without members',
  },
  {
    file: 'commit.ts',
    line: 'if (text.length > config.offsetMetadataMaxLength) error = METADATA_TOO_LARGE;',
    becomes: 'if (text.length >= config.offsetMetadataMaxLength) error = METADATA_TOO_LARGE;',
    breaks: 'metadata of just the longest length is refused',
  },
  {
    file: 'offset-store.ts',
    line: 'if (!commits || (current !== undefined && current.order > staged.order)) continue;',
    becomes: 'if (!commits) continue;',
    breaks: 'a staged commit overwrites a plain one that came after it',
  },
  {
    file: 'fetch.ts',
    line: 'if (requireStable && group !== undefined && isStaged(group.offsets, topic, partition)) {',
    becomes: 'if (group !== undefined && isStaged(group.offsets, topic, partition)) {',
    breaks: 'staged commits disturb readers that do not ask for stable offsets',
  },
  {
    file: 'expiry.ts',
    line: "if (group.phase.kind === 'Empty') return group.stateChangedAt;",
    becomes: "if (group.phase.kind === 'Empty') return stored.commitTimestamp;",
    breaks: 'the retention of an emptied group counts from the commit',
  },
  {
    file: 'expiry.ts',
    line: 'if (subscribedTopics === null || subscribedTopics.has(stored.topic)) return undefined;',
    becomes: 'if (subscribedTopics === null) return undefined;',
    breaks: 'offsets of subscribed topics expire',
  },
  {
    file: 'deletion.ts',
    line: "if (hasHadGeneration(group) || group.offsets.order > 0) record(turn, { kind: 'group-tombstone' });",
    becomes: '',
    breaks: 'a deleted group comes back after a failover',
  },
  {
    file: 'deletion.ts',
    line: "if (group.phase.kind === 'Empty' && !isUsed) removeGroup(turn, group);",
    becomes: 'if (!isUsed) removeGroup(turn, group);',
    breaks: 'the sweep removes a group that has members',
  },
  {
    file: 'describe.ts',
    line: "const protocol = phase.kind === 'Stable' ? phase.protocol : null;",
    becomes:
      "const protocol = phase.kind === 'Stable' || phase.kind === 'CompletingRebalance' ? phase.protocol : null;",
    breaks: 'a group shows a protocol before it is stable',
  },
  {
    file: 'unload.ts',
    line: "for (const [id, join] of phase.joins) refuseJoin(turn, join.ref, 'NOT_COORDINATOR', id);",
    becomes: '',
    breaks: 'whoever waits is not told that the partition moves away',
  },
  {
    file: 'replay.ts',
    line: 'if (!this.#removed.has(record.memberId)) this.#loadMember(turn, group, record);',
    becomes: 'this.#loadMember(turn, group, record);',
    breaks: 'removed members come back with the log',
  },
  {
    file: 'replay.ts',
    line: 'if (this.#snapshotSeq < seq) this.#forgetMetadata();',
    becomes: '',
    breaks: 'a deleted group comes back when a purge is late',
  },
  {
    file: 'replay.ts',
    line: 'if (record.memberId !== null) this.#commitSeqs.set(record.memberId, record.commitSeq);',
    becomes: '',
    breaks: 'a failover forgets the numbers of commits',
  },
  {
    file: 'replay.ts',
    line: 'for (const producerId of openBefore) if (!stages.has(producerId)) this.#fenceSeqs.set(producerId, seq);',
    becomes: '',
    breaks: 'a failover forgets the fence of a producer whose staged offsets were deleted',
  },
  {
    file: 'snapshot.ts',
    line: 'if (without.has(member.memberId)) continue;',
    becomes: '',
    breaks: 'a checkpoint in the middle of a round brings back members that left',
  },
  {
    file: 'snapshot.ts',
    line: 'if (bytes < OFFSETS_BYTES_PER_RECORD) continue;',
    becomes: 'continue;',
    breaks: 'a checkpoint puts all offsets of a group into one record',
  },
  {
    file: 'record-codec.ts',
    line: 'member.assignment,',
    becomes: 'new Uint8Array(0),',
    breaks: 'assignments are lost on their way through the log',
  },
  {
    file: 'history.ts',
    line: 'group.rebalances = [...group.rebalances.slice(1 - REBALANCES_KEPT), entry];',
    becomes: 'group.rebalances = [...group.rebalances, entry];',
    breaks: 'the history of a group grows without an end',
  },
];
