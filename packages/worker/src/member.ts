/**
 * Plain membership: join, sync and heartbeat for anything that is not a stream: shards, cron owners, "one of us does it".
 *
 * What is shared and how is the application's business: opaque metadata goes in, an opaque assignment comes out. The
 * rebalance protocol is eager: what was assigned is given up before each round.
 */

import type { JoinMember } from '@muster/assignors';
import { checkOptions } from './check-options.js';
import { CLOSE_FAILED_MS, CLOSE_RESERVE, CLOSE_TIMEOUT_MS, type CloseOptions } from './closing.js';
import { MusterError, messageOf } from './errors.js';
import { type MemberHealth, memberHealthOf } from './health.js';
import { callHook } from './hooks.js';
import { untilJoined } from './joining.js';
import type { Logger } from './logger.js';
import type { MemberHandler, NewAssignment, OfferedProtocol } from './member-handler.js';
import { Membership } from './membership.js';
import type { MusterContext } from './muster-context.js';
import { type MemberOptions, memberSettings } from './options.js';
import { withinMs } from './waiting.js';

/** What a member holds between two rebalances. */
export interface Holding {
  readonly assignment: Uint8Array;
  readonly protocolName: string;
  readonly generation: number;
  readonly memberId: string;
  readonly isLeader: boolean;
  /** Aborts when the holding ends, in good order or not. */
  readonly signal: AbortSignal;
}

export interface PlainMemberOptions extends MemberOptions {
  /** Members of one group must agree on it; `consumer` is taken. */
  readonly protocolType: string;
  /** In order of preference. */
  readonly protocols: readonly OfferedProtocol[];
  /** The leader's part: one assignment per member; who is left out gets an empty one. */
  assign(
    protocolName: string,
    members: readonly JoinMember[],
  ): ReadonlyMap<string, Uint8Array> | Promise<ReadonlyMap<string, Uint8Array>>;
  onAssigned?(holding: Holding): Promise<void> | void;
  /** Another round begins: stop; the others wait for this to end. */
  onRevoked?(holding: Holding): Promise<void> | void;
  /** Somebody else may hold it already. */
  onLost?(holding: Holding, reason: MusterError): Promise<void> | void;
}

export class Member implements MemberHandler {
  readonly #context: MusterContext;
  readonly #options: PlainMemberOptions;
  readonly #logger: Logger;
  readonly #membership: Membership;
  readonly #hookTimeoutMs: number;
  readonly #joinTimeoutMs: number;
  #current: { readonly holding: Holding; readonly abort: AbortController } | undefined;
  #closing: Promise<void> | undefined;
  #isClosed = false;

  /** Use `muster.member`. Throws MusterError INVALID_ARGUMENT. */
  constructor(context: MusterContext, options: PlainMemberOptions) {
    const { client, environment, clientId, clientHost } = context;
    const settings = memberSettings(options);
    this.#context = context;
    this.#options = options;
    this.#logger = options.logger ?? context.logger;
    this.#hookTimeoutMs = settings.rebalanceTimeoutMs;
    this.#joinTimeoutMs = settings.joinTimeoutMs;
    this.#membership = new Membership({
      client,
      environment,
      clientId,
      clientHost,
      logger: this.#logger,
      protocolType: options.protocolType,
      handler: this,
      ...settings,
    });
  }

  /** Joins. Resolves with the first assignment; throws TIMEOUT after `joinTimeoutMs`, and what the coordinator refused with. */
  async start(): Promise<void> {
    this.#membership.start();
    // What has failed keeps no timers; why it failed stays to be asked for.
    void this.#membership.ended.then((error) => {
      if (error !== undefined) void this.close();
    });
    await untilJoined(this.#membership, this.#context.environment.clock, this.#joinTimeoutMs, () => {
      return this.close({ timeoutMs: CLOSE_FAILED_MS });
    });
    const { state } = this.#membership;
    if (state.kind !== 'failed' && this.#closing === undefined) return;
    await this.close();
    throw state.kind === 'failed' ? state.error : new MusterError('CLOSED', this.#options.group);
  }

  /** What is held now; undefined during a rebalance and after a loss. */
  get holding(): Holding | undefined {
    return this.#membership.mayHandle() ? this.#current?.holding : undefined;
  }
  get group(): string {
    return this.#options.group;
  }
  /** Why it is over, if it has failed. */
  get failure(): MusterError | undefined {
    return this.#membership.failure;
  }
  get isClosed(): boolean {
    return this.#isClosed;
  }
  get state(): string {
    return this.#membership.state.kind;
  }
  /** @returns how the membership stands */
  health(): MemberHealth {
    const nowMs = this.#context.environment.clock.now();
    return memberHealthOf(this.#options.group, this.#membership, nowMs);
  }
  /** Resolves when the membership has ended: with the error if it failed. */
  get ended(): Promise<MusterError | undefined> {
    return this.#membership.ended;
  }

  /** Asks for another round, for instance because there is something new to share out. */
  rejoin(reason: string): void {
    this.#membership.rejoin(reason);
  }

  /**
   * Gives up what is held, then leaves unless told otherwise. Ends within `timeoutMs`; throws nothing but MusterError INVALID_ARGUMENT for an
   * option that there is none of.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    checkOptions('close', options);
    this.#closing ??= this.#close(options.leave ?? this.#options.instanceId === undefined, options.timeoutMs);
    await this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protocols(): readonly OfferedProtocol[] {
    return this.#options.protocols;
  }

  async prepare(loss: MusterError | undefined): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    if (current === undefined) return;
    current.abort.abort(loss);
    const { holding } = current;
    if (loss === undefined) await this.#hook('onRevoked', () => this.#options.onRevoked?.(holding));
    else await this.#hook('onLost', () => this.#options.onLost?.(holding, loss));
  }

  async assign(protocolName: string, members: readonly JoinMember[]): Promise<ReadonlyMap<string, Uint8Array>> {
    return checkedAssignment(await this.#options.assign(protocolName, members));
  }

  async install(given: NewAssignment): Promise<'stable'> {
    const abort = new AbortController();
    const { assignment, protocolName, isLeader } = given;
    const { generationId, memberId } = given.identity;
    const holding = { assignment, protocolName, isLeader, generation: generationId, memberId, signal: abort.signal };
    this.#current = { holding, abort };
    await this.#hook('onAssigned', () => this.#options.onAssigned?.(holding));
    return 'stable';
  }

  fence(loss: MusterError): void {
    this.#current?.abort.abort(loss);
  }

  /** `holding` is read from the clock: nothing was held back. */
  resume(): void {}

  async #close(leave: boolean, timeoutMs = CLOSE_TIMEOUT_MS): Promise<void> {
    const { clock } = this.#context.environment;
    const deadlineAt = clock.now() + timeoutMs;
    const leftMs = () => Math.max(0, deadlineAt - clock.now());
    try {
      await withinMs(clock, leftMs() * (1 - CLOSE_RESERVE), this.#membership.hold());
      await withinMs(clock, leftMs() * (1 - CLOSE_RESERVE), this.prepare(undefined));
    } catch (thrown) {
      this.#logger.error('closing went on after a failure', { error: messageOf(thrown) });
    }
    await this.#membership.end({ leave, timeoutMs: leftMs() });
    this.#isClosed = true;
  }

  async #hook(name: string, call: () => Promise<void> | void): Promise<void> {
    const { clock } = this.#context.environment;
    await callHook(name, call, { clock, hookTimeoutMs: this.#hookTimeoutMs, logger: this.#logger });
  }
}

/** @returns what `assign` gave; throws MusterError ASSIGNOR_FAILED for anything but a Map from member id to bytes */
function checkedAssignment(given: unknown): ReadonlyMap<string, Uint8Array> {
  const wanted = 'assign must return a Map from member id to Uint8Array';
  if (!(given instanceof Map)) throw new MusterError('ASSIGNOR_FAILED', `${wanted}, not ${kindOf(given)}`);
  const checked = new Map<string, Uint8Array>();
  for (const [member, bytes] of given) {
    if (typeof member !== 'string') throw new MusterError('ASSIGNOR_FAILED', `${wanted}: a key is ${kindOf(member)}`);
    if (!(bytes instanceof Uint8Array)) {
      throw new MusterError('ASSIGNOR_FAILED', `${wanted}: the value of ${member} is ${kindOf(bytes)}`);
    }
    checked.set(member, bytes);
  }
  return checked;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === 'object' ? `a ${value.constructor?.name ?? 'object'}` : `a ${typeof value}`;
}
