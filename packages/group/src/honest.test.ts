import type { MemberId, RequestId } from '@muster/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joinDefaults, text, World } from '../test/world.js';

const TICK_MS = 1_000;
const SESSION_MS = 10_000;

/** A client as the protocol wants it: heartbeats every few seconds, joins when told, resends what is unanswered (rule C1). */
class HonestClient {
  readonly #world: World;
  readonly #instance: string | null;
  readonly #beatEvery: number;
  #memberId = '';
  #generation = -1;
  #leads: readonly MemberId[] | undefined;
  #waiting: { readonly api: 'join' | 'sync'; readonly ref: RequestId; readonly body: object } | undefined;
  #assigned = false;
  expelled = false;

  constructor(world: World, instance: string | null, beatEvery: number) {
    this.#world = world;
    this.#instance = instance;
    this.#beatEvery = beatEvery;
  }

  get settled(): boolean {
    return this.#assigned && this.#waiting === undefined;
  }

  tick(count: number): void {
    if (this.#waiting !== undefined) this.#hear();
    if (this.#waiting !== undefined) this.#sendAgain();
    else if (!this.#assigned) this.#join();
    else if (count % this.#beatEvery === 0) this.#beat();
  }

  #join(): void {
    const body = {
      ...joinDefaults,
      memberId: this.#memberId,
      groupInstanceId: this.#instance,
      requireKnownMemberId: true,
      sessionTimeoutMs: SESSION_MS,
    };
    this.#send('join', body);
  }

  #send(api: 'join' | 'sync', body: object): void {
    const ref = this.#world.newRef();
    this.#assigned = false;
    this.#waiting = { api, ref, body };
    this.#world.send(api, body, ref);
    this.#hear();
  }

  #sendAgain(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#world.send(waiting.api, waiting.body, waiting.ref);
    this.#hear();
  }

  #hear(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const { ref } = waiting;
    if (waiting.api === 'join') this.#hearJoin(ref);
    else this.#hearSync(ref);
  }

  #hearJoin(ref: RequestId): void {
    const reply = this.#world.reply('join', ref);
    if (reply === undefined) return;
    this.#waiting = undefined;
    if (reply.error === 'MEMBER_ID_REQUIRED') {
      this.#memberId = reply.fields.memberId;
      return this.#join();
    }
    if (reply.error !== 'NONE') return this.#refused(reply.error);
    const { memberId, generationId, leader, members } = reply.fields;
    this.#memberId = memberId;
    this.#generation = generationId;
    this.#leads = leader === memberId ? members.map((member) => member.memberId) : undefined;
    const assignments = (this.#leads ?? []).map((id) => ({ memberId: id, assignment: text(`${generationId}`) }));
    this.#send('sync', { ...this.#identity(), assignments });
  }

  #hearSync(ref: RequestId): void {
    const reply = this.#world.reply('sync', ref);
    if (reply === undefined) return;
    this.#waiting = undefined;
    if (reply.error !== 'NONE') return this.#refused(reply.error);
    expect(reply.fields.assignment).toEqual(text(`${this.#generation}`));
    this.#assigned = true;
  }

  #beat(): void {
    const reply = this.#world.send('heartbeat', this.#identity());
    if (reply !== undefined && reply.error !== 'NONE') this.#refused(reply.error);
  }

  #identity() {
    return { memberId: this.#memberId, groupInstanceId: this.#instance, generationId: this.#generation };
  }

  /** Being told to rejoin is fine; being forgotten is not, except for a newcomer whose round a failover swallowed. */
  #refused(error: string): void {
    if (error === 'UNKNOWN_MEMBER_ID') {
      this.expelled ||= this.#generation >= 0;
      this.#memberId = '';
    } else expect(['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION']).toContain(error);
    this.#assigned = false;
  }
}

const disturbance = fc.record({
  tick: fc.nat({ max: 90 }),
  do: fc.oneof(
    fc.constantFrom('reload', 'graced reload', 'pause', 'sweep'),
    fc.record({ join: fc.constantFrom(null, 'other'), known: fc.boolean(), sessionTimeoutMs: fc.constant(6_000) }),
    fc.constant('stranger leaves'),
  ),
});

describe('members that keep to the protocol', () => {
  it('are never expelled, whatever strangers and failovers do, and come to rest in one generation', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ instance: fc.boolean(), beatEvery: fc.integer({ min: 1, max: 4 }) }), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.array(disturbance, { maxLength: 8 }),
        (kinds, disturbances) => {
          const world = new World({ initialRebalanceDelayMs: 3_000 });
          const clients = kinds.map(
            ({ instance, beatEvery }, index) => new HonestClient(world, instance ? `i${index}` : null, beatEvery),
          );
          const strangers: string[] = [];
          for (let tick = 0; tick < 240; tick += 1) {
            for (const each of disturbances) if (each.tick === tick) disturb(world, each.do, strangers);
            for (const client of clients) client.tick(tick);
            world.advance(TICK_MS);
          }
          expect(clients.map(({ expelled }) => expelled)).toEqual(clients.map(() => false));
          expect(clients.map(({ settled }) => settled)).toEqual(clients.map(() => true));
          expect(world.state).toBe('Stable');
        },
      ),
      { numRuns: 80 },
    );
  });
});

type Disturbance = typeof disturbance extends fc.Arbitrary<infer T> ? T : never;

function disturb(world: World, what: Disturbance['do'], strangers: string[]): void {
  if (what === 'reload') world.reload();
  else if (what === 'graced reload') world.reload(world.nowMs + 6_000);
  else if (what === 'sweep') world.run({ kind: 'sweep' });
  else if (what === 'pause') {
    world.nowMs += 20_000;
    world.run({ kind: 'shift-deadlines', byMs: 20_000 });
  } else if (what === 'stranger leaves') {
    world.send('leave', { members: strangers.map((memberId) => ({ memberId })) });
  } else {
    const { join: groupInstanceId, known, sessionTimeoutMs } = what;
    world.send('join', { ...joinDefaults, groupInstanceId, requireKnownMemberId: known, sessionTimeoutMs });
    strangers.push(...(world.slot.group?.pendingMembers.keys() ?? []));
  }
}
