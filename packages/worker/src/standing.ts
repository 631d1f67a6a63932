/**
 * Who this member is at the moment: id, generation and state, and which state may follow which.
 *
 * Decides nothing: the loop of membership.ts moves the state, answers that are still about this member change id and generation.
 */

import { type Generation, generation, type InstanceId, type MemberId, memberId } from '@muster/protocol';
import type { Logger } from './logger.js';
import type { MemberIdentity } from './member-handler.js';
import { type MembershipState, type StateKind, transitions } from './membership-state.js';

const NOBODY = memberId('');
const NO_GENERATION = generation(-1);

export class Standing {
  readonly #groupInstanceId: InstanceId | null;
  readonly #logger: Logger;
  #state: MembershipState = { kind: 'unjoined' };
  #memberId: MemberId = NOBODY;
  #generation: Generation = NO_GENERATION;

  constructor(groupInstanceId: InstanceId | null, logger: Logger) {
    this.#groupInstanceId = groupInstanceId;
    this.#logger = logger;
  }

  get state(): MembershipState {
    return this.#state;
  }
  get memberId(): MemberId {
    return this.#memberId;
  }
  get generation(): Generation {
    return this.#generation;
  }
  /** The coordinator has given this member an id. */
  get isNamed(): boolean {
    return this.#memberId !== NOBODY;
  }
  /** It is a member of a generation. */
  get isMember(): boolean {
    return this.#generation >= 0;
  }
  get identity(): MemberIdentity {
    return { memberId: this.#memberId, groupInstanceId: this.#groupInstanceId, generationId: this.#generation };
  }

  /** @returns whether an answer to somebody is an answer to this member as it is now (M2) */
  isCurrent(asked: MemberIdentity): boolean {
    return asked.memberId === this.#memberId && asked.generationId === this.#generation;
  }

  /** An id was handed out, without a generation yet. */
  named(id: MemberId): void {
    this.#memberId = id;
  }

  joined(id: MemberId, inGeneration: Generation): void {
    this.#memberId = id;
    this.#generation = inGeneration;
  }

  /** The generation is over for this member; with `forgetId` its id, too. */
  leftGeneration(forgetId = false): void {
    this.#generation = NO_GENERATION;
    if (forgetId) this.#memberId = NOBODY;
  }

  /** Goes to another state; a failed membership can only be left. Throws where the step is not allowed. */
  become(state: MembershipState): void {
    if (this.#state.kind === 'failed' && state.kind !== 'left') return;
    const allowed: readonly StateKind[] = transitions[this.#state.kind];
    if (!allowed.includes(state.kind)) throw new Error(`a member cannot go from ${this.#state.kind} to ${state.kind}`);
    this.#logger.debug('membership', { from: this.#state.kind, to: state.kind, generation: this.#generation });
    this.#state = state;
  }
}
