/**
 * The classic protocol as a member sees it: join, sync, heartbeat, rejoin, leave; one explicit state, one loop.
 *
 * Does not know what is shared (member-handler.ts), does not resend (coordinator-client.ts). A rebalance is no error.
 *
 * M1 one loop moves the state; heartbeats, notices and commits only leave it a demand (demands.ts).
 * M2 an answer about another id or generation than the current one changes nothing.
 * M3 a lost generation or id fences the handler at once, before anything else is awaited.
 * M4 heartbeats run from the JoinGroup reply to the next JoinGroup, through drains and hooks.
 * M5 a session that is over by our own clock is lost before a JoinGroup, which would prolong it: a process that was suspended hears of the
 *    rebalance that has expelled it before its timers run.
 * M6 a parked join is not proven by heartbeats: who stood still for a session in the middle of one has lost what it kept.
 */

import type { JoinMember } from '@muster/assignors';
import { assertNever, type ErrorName, type JoinReply, type MemberId, type Notice } from '@muster/protocol';
import { ContactWatch } from './contact.js';
import { Demands } from './demands.js';
import { asMusterError, MusterError, messageOf } from './errors.js';
import { Heartbeats } from './heartbeats.js';
import type { MemberHandler, MemberIdentity, NewAssignment } from './member-handler.js';
import type { MembershipState } from './membership-state.js';
import { type Reaction, reactionTo } from './reactions.js';
import { joinGroup, parkedMsMax, type RoundEnd, type RoundOptions, syncGroup } from './round.js';
import { RoundPacing } from './round-pacing.js';
import { Standing } from './standing.js';
import { Standstill } from './standstill.js';
import type { Unsubscribe } from './transport.js';
import { deferred } from './waiting.js';

export interface MembershipOptions extends RoundOptions {
  readonly handler: MemberHandler;
}

export class Membership {
  readonly #options: MembershipOptions;
  readonly #standing: Standing;
  readonly #heartbeats: Heartbeats;
  readonly #contact: ContactWatch;
  readonly #standstill: Standstill;
  readonly #pacing: RoundPacing;
  readonly #firstStable = deferred<void>();
  readonly #ended = deferred<MusterError | undefined>();
  readonly #demands = new Demands();
  /** Why the present round began; told to the coordinator. */
  #reason: string | undefined;
  #failure: MusterError | undefined;
  #loop: Promise<void> = Promise.resolve();
  #stopWatching: Unsubscribe = () => {};

  constructor(options: MembershipOptions) {
    const { client, environment, logger, groupId } = options;
    this.#options = options;
    this.#standing = new Standing(options.groupInstanceId, logger);
    this.#contact = new ContactWatch({ client, environment, logger, groupId, describe: () => this.#named() });
    this.#pacing = new RoundPacing(environment);
    this.#standstill = new Standstill(environment.clock, options.sessionTimeoutMs, () => this.#onStoodStill());
    this.#heartbeats = new Heartbeats({
      client,
      clock: environment.clock,
      groupId,
      intervalMs: options.heartbeatIntervalMs,
      sessionTimeoutMs: options.sessionTimeoutMs,
      onAnswer: (error, asked) => this.#onHeartbeat(error, asked),
      onResumed: () => options.handler.resume(),
      onSilence: () => this.#onSilence(),
    });
  }

  get state(): MembershipState {
    return this.#standing.state;
  }
  /** Resolves at the first installed assignment, or at the end. */
  get firstStable(): Promise<void> {
    return this.#firstStable.promise;
  }
  /** Resolves when the membership has ended: with the error if it failed. */
  get ended(): Promise<MusterError | undefined> {
    return this.#ended.promise;
  }
  /** Why the membership has failed; also after its end. */
  get failure(): MusterError | undefined {
    return this.#failure;
  }
  get heartbeats(): Pick<Heartbeats, 'lastSuccessAt'> {
    return this.#heartbeats;
  }
  get memberId(): MemberId {
    return this.#standing.memberId;
  }
  /** Why the coordinator of the group does not answer; undefined where it does. */
  get problem(): string | undefined {
    return this.#contact.problem;
  }

  /** @returns who this member is in its last generation; undefined while it is no member of one */
  identity(): MemberIdentity | undefined {
    return this.#standing.isMember ? this.#standing.identity : undefined;
  }

  /** @returns whether an OffsetCommit makes sense now: kafka refuses it on the client's side while a round is under way */
  canCommit(): boolean {
    return this.#standing.isMember && !this.#isInRound();
  }

  /** @returns whether work may begin on what is owned: read from the clock at this moment (H2) */
  mayHandle(): boolean {
    const isStale = this.#isInRound() && this.#standstill.isOn;
    return this.#standing.isMember && !isStale && this.#heartbeats.isWithinSession();
  }

  /** Does nothing once it is held: who closes while the way to the first round is still prepared must not find it begun later. */
  start(): void {
    if (this.#demands.isOver) return;
    this.#stopWatching = this.#options.client.watch(this.#options.groupId, (notice) => this.#onNotice(notice));
    this.#contact.start();
    this.#standstill.start();
    this.#loop = this.#run()
      .catch((thrown: unknown) => this.#fail(asMusterError(thrown, 'UNKNOWN_SERVER_ERROR')))
      // What failed is lost: the handler hears so in its own time. A hook that fails here has nobody left to tell.
      .then(() => (this.#failure === undefined ? undefined : this.#options.handler.prepare(this.#failure)))
      .catch((thrown: unknown) => this.#options.logger.error('a hook failed at the end', { error: messageOf(thrown) }));
  }

  /** Begins another round, if the member is not in one already. */
  rejoin(reason: string): void {
    this.#demands.rejoin(reason);
  }

  /** Tells the membership what the coordinator said to a commit of `asked`. @returns what it means for the commit */
  onCommitAnswer(error: ErrorName, asked: MemberIdentity): Reaction {
    const reaction = reactionTo.commit(error);
    if (reaction === 'rejoin') this.#rejoinIn(asked, 'a commit was answered REBALANCE_IN_PROGRESS');
    if (reaction === 'reset-generation' || reaction === 'reset-member') this.#reset(reaction, error, asked);
    if (error === 'FENCED_INSTANCE_ID' && this.#standing.isCurrent(asked)) this.#fail(new MusterError(error));
    return reaction;
  }

  /**
   * Joins no more, but lets a round that is under way end: until then nothing can be committed, and after it only in its generation.
   * @returns when no call into the handler is under way
   */
  async finish(): Promise<void> {
    this.#demands.finish();
    await this.#loop;
  }

  /**
   * Joins no more, and ends a round that is under way. Heartbeats go on, so that what is owned can be drained and committed.
   * Resolves when no call into the handler is under way.
   */
  async hold(): Promise<void> {
    this.#demands.end();
    await this.#loop;
  }

  /** Ends the membership after `hold`; with `leave` the others need not wait for the session timeout. */
  async end(options: { readonly leave: boolean; readonly timeoutMs: number }): Promise<void> {
    this.#demands.end();
    this.#heartbeats.stop();
    this.#heartbeats.liftFence();
    this.#stopWatching();
    this.#contact.stop();
    this.#standstill.stop();
    const { client, groupId, groupInstanceId, heartbeatIntervalMs } = this.#options;
    const standing = this.#standing;
    if (options.leave && options.timeoutMs > 0 && standing.isNamed && standing.state.kind !== 'left') {
      const members = [{ memberId: standing.memberId, groupInstanceId, reason: 'closed by its application' }];
      const times = { deadlineMs: options.timeoutMs, resendMs: Math.min(heartbeatIntervalMs, 1_000) };
      await client.request('leave', { groupId, members }, times).catch(() => {});
    }
    standing.leftGeneration();
    if (standing.state.kind === 'held' || standing.state.kind === 'failed') standing.become({ kind: 'left' });
    this.#firstStable.resolve();
    this.#ended.resolve(this.#failure);
  }

  async #run(): Promise<void> {
    while (!this.#demands.isOver) {
      await this.#prepare();
      if (this.#demands.isOver) break;
      const joined = await this.#join();
      const assigned = joined === undefined ? undefined : await this.#sync(joined);
      if (this.#demands.isOver) break;
      const isInstalled = assigned !== undefined && (await this.#install(assigned));
      if (isInstalled) this.#pacing.succeeded();
      else await this.#pacing.afterEmpty(this.#demands.step());
      if (assigned === undefined) continue;
      this.#settle();
      await this.#demands.any();
    }
    if (this.#failure === undefined) this.#standing.become({ kind: 'held' });
  }

  async #prepare(): Promise<void> {
    this.#loseWhatIsOver();
    do {
      const { loss, reason } = this.#demands.take();
      this.#reason = reason;
      this.#standing.become({ kind: 'preparing' });
      await this.#options.handler.prepare(loss);
      this.#loseWhatIsOver();
      // Lost while it was giving up in good order: then it is a loss after all.
    } while (this.#demands.hasLoss && !this.#demands.isOver);
  }

  async #join(): Promise<JoinReply | undefined> {
    const { environment, sessionTimeoutMs, protocolType, handler } = this.#options;
    const signal = this.#enter({ kind: 'joining' });
    this.#heartbeats.stop();
    // A parked join is not answered while the others finish: ownership of what is kept lasts through it.
    const parkedMs = parkedMsMax(this.#options);
    if (this.#standing.isMember) this.#heartbeats.prove(environment.clock.now(), parkedMs + sessionTimeoutMs);
    else this.#heartbeats.liftFence();
    const result = await joinGroup(this.#options, {
      memberId: this.#standing.memberId,
      protocols: handler.protocols(),
      reason: this.#reason,
      signal,
      onMemberId: (id) => this.#standing.named(id),
    });
    if (result.kind !== 'joined') return this.#giveUpRound(result);
    // M6: the answer may have waited for us while the coordinator waited for our heartbeats.
    if (this.#standstill.isOn && this.#standing.isMember) {
      this.#onStoodStill();
      return undefined;
    }
    const { reply } = result;
    if (reply.protocolType !== null && reply.protocolType !== protocolType) {
      this.#fail(new MusterError('INCONSISTENT_GROUP_PROTOCOL', `the group's protocol type is ${reply.protocolType}`));
      return undefined;
    }
    this.#standing.joined(reply.memberId, reply.generationId);
    return reply;
  }

  async #sync(joined: JoinReply): Promise<NewAssignment | undefined> {
    const { environment, sessionTimeoutMs } = this.#options;
    const signal = this.#enter({ kind: 'syncing' });
    const identity = this.#standing.identity;
    // The first heartbeat goes at once: it proves what the reply, which may have waited in a queue, only suggests.
    this.#heartbeats.prove(environment.clock.now(), sessionTimeoutMs);
    this.#heartbeats.start(identity);
    this.#heartbeats.soon();
    const result = await syncGroup(this.#options, identity, joined, signal, (name, members) =>
      this.#assign(name, members),
    );
    return result.kind === 'assigned' ? result.assigned : this.#giveUpRound(result);
  }

  async #assign(protocolName: string, members: readonly JoinMember[]) {
    try {
      return await this.#options.handler.assign(protocolName, members);
    } catch (thrown) {
      const error = asMusterError(thrown, 'ASSIGNOR_FAILED');
      // What is missing for the moment (the topic registry does not answer) is no reason to end the membership.
      if (!error.retriable) this.#fail(error);
      this.#options.logger.warn('the leader could not assign', { error: error.message });
      return undefined;
    }
  }

  /** Applies the reaction to an answer that ends a round without an assignment. */
  #giveUpRound(end: RoundEnd): undefined {
    if (end.kind === 'aborted') return undefined;
    const { api, reaction, error, detail } = end;
    this.#options.logger.debug('round ended without an assignment', { api, error, reaction });
    switch (reaction) {
      case 'proceed':
      case 'fatal':
        this.#fail(new MusterError(error, detail === undefined ? `${api} was refused` : `${api}: ${detail}`));
        break;
      case 'reset-generation':
      case 'reset-member':
        this.#reset(reaction, error, this.#standing.identity);
        break;
      case 'rejoin':
      case 'keep-id':
      case 'retry':
        break;
      default:
        assertNever(reaction);
    }
    return undefined;
  }

  /** @returns false where the handler could not begin with it: another round follows, but not in a hurry */
  async #install(assigned: NewAssignment): Promise<boolean> {
    if (!this.#standing.isCurrent(assigned.identity)) return true;
    this.#standing.become({ kind: 'installing' });
    const verdict = await this.#options.handler.install(assigned);
    if (verdict === 'rejoin') this.rejoin('partitions were given up for others');
    if (verdict === 'again') this.rejoin('it could not begin with what it was assigned');
    return verdict !== 'again';
  }

  #settle(): void {
    if (this.#demands.hasLoss || this.#demands.isOver) return;
    this.#standing.become({ kind: 'stable' });
    this.#firstStable.resolve();
  }

  #onHeartbeat(error: ErrorName, asked: MemberIdentity): void {
    const reaction = reactionTo.heartbeat(error);
    switch (reaction) {
      case 'proceed':
        break;
      case 'rejoin':
        this.#rejoinIn(asked, 'a heartbeat was answered REBALANCE_IN_PROGRESS');
        break;
      case 'reset-generation':
      case 'reset-member':
        this.#reset(reaction, error, asked);
        break;
      case 'fatal':
        if (this.#standing.isCurrent(asked)) this.#fail(new MusterError(error));
        break;
      case 'keep-id':
      case 'retry':
        this.#options.logger.warn('heartbeat refused', { error });
        break;
      default:
        assertNever(reaction);
    }
  }

  #onNotice(notice: Notice): void {
    if (notice.kind === 'coordinator') this.#heartbeats.soon();
    else if (notice.generationId < 0 || notice.generationId >= this.#standing.generation) {
      this.#rejoinIn(this.#standing.identity, 'the coordinator announced a rebalance');
    }
  }

  #isInRound(): boolean {
    const { kind } = this.#standing.state;
    return kind === 'joining' || kind === 'syncing';
  }

  /** M6 */
  #onStoodStill(): void {
    if (this.#isInRound() && this.#standing.isMember) this.#onSilence();
  }

  /** M5 */
  #loseWhatIsOver(): void {
    if (this.#standing.isMember && !this.#heartbeats.isWithinSession()) this.#onSilence();
  }

  #onSilence(): void {
    const detail = `no word from the coordinator for ${this.#options.sessionTimeoutMs} ms`;
    this.#lose('reset-generation', new MusterError('OWNERSHIP_LOST', detail));
  }

  /**
   * Another round than the one that has led to this generation. Kafka's client waits for the next heartbeat where it is not stable yet;
   * but while a SyncGroup is under way its assignment may have left before the other round began, and says nothing of it.
   */
  #rejoinIn(generation: MemberIdentity, reason: string): void {
    const { kind } = this.#standing.state;
    const isIn = kind === 'syncing' || kind === 'installing' || kind === 'stable';
    if (isIn && this.#standing.isCurrent(generation)) this.rejoin(reason);
  }

  #reset(what: 'reset-generation' | 'reset-member', error: ErrorName, asked: MemberIdentity): void {
    if (!this.#standing.isCurrent(asked)) return;
    this.#lose(what, new MusterError('OWNERSHIP_LOST', `the coordinator answered ${error}`));
  }

  #lose(what: 'reset-generation' | 'reset-member', loss: MusterError): void {
    const owned = this.#standing.isMember;
    this.#standing.leftGeneration(what === 'reset-member');
    this.#heartbeats.stop();
    this.#heartbeats.liftFence();
    if (owned) this.#options.handler.fence(loss);
    this.#demands.interrupt(owned ? loss : undefined);
  }

  #fail(error: MusterError): void {
    if (this.#failure !== undefined || this.#standing.state.kind === 'left') return;
    this.#failure = error;
    this.#standing.leftGeneration();
    this.#heartbeats.stop();
    this.#heartbeats.liftFence();
    this.#standing.become({ kind: 'failed', error });
    this.#options.handler.fence(error);
    this.#demands.end();
    this.#firstStable.resolve();
    this.#ended.resolve(error);
  }

  #enter(state: MembershipState): AbortSignal {
    this.#standing.become(state);
    return this.#demands.step();
  }

  #named(): { readonly memberId: string; readonly generation: number } {
    return { memberId: this.#standing.memberId, generation: this.#standing.generation };
  }
}
