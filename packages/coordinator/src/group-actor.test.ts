import { TimerWheel } from '@muster/actor';
import type { GroupCommand, GroupConfig, GroupNotice, GroupRequest, GroupSlot } from '@muster/group';
import { groupConfigDefaults } from '@muster/group';
import type { Answer, ApiName, GroupId, MemberId, RequestOf } from '@muster/protocol';
import { generation, groupId, memberId, monotonicMs, requestId, wallMs } from '@muster/protocol';
import { describe, expect, test } from 'vitest';
import { type ActorOutlet, GroupActor, type GroupTimerOf } from './group-actor.js';
import { nodeLimits } from './limits.js';

const group: GroupId = groupId('billing');

type RepliedJoin = { readonly memberId: string };
type Said = { readonly to: string; readonly ref: string; readonly answer: Answer; readonly fields: object };

/** An actor on a stage of its own: time passes, records become durable, barriers fall when the test says so. */
class ActorScene {
  readonly actor: GroupActor;
  readonly said: Said[] = [];
  readonly notices: GroupNotice[] = [];
  readonly appended: (readonly unknown[])[] = [];
  readonly quarantined: GroupCommand[] = [];
  /** `api ERROR ms` of everything that was counted. */
  readonly counted: string[] = [];
  readonly rounds: string[] = [];
  readonly slot: GroupSlot = { groupId: group, group: undefined };
  isServing = true;
  woken = 0;
  idle = 0;
  nowMs = 0;
  /** What the next turn throws instead of reading the time. */
  failure: Error | undefined;
  /** What the log says to the next records. */
  refusal: Error | undefined;
  readonly #wheel = new TimerWheel<GroupTimerOf>({ tickMs: 10 });
  #barriers: (() => void)[] = [];
  #undurable = 0;
  #uuids = 0;

  constructor(config: Partial<GroupConfig> = {}) {
    const context = () => {
      if (this.failure !== undefined) throw this.failure;
      return {
        now: monotonicMs(this.nowMs),
        wallNow: wallMs(this.nowMs),
        newUuid: () => {
          this.#uuids += 1;
          return `uuid-${this.#uuids}`;
        },
        config: { ...groupConfigDefaults, initialRebalanceDelayMs: 0, ...config },
      };
    };
    const outlet: ActorOutlet = {
      append: (_group, records) => {
        if (this.refusal !== undefined) throw this.refusal;
        this.appended.push(...records);
        this.#undurable += records.length;
      },
      barrier: (onDurable) => this.#barriers.push(onDurable),
      answer: (to, ref, answer, fields) => this.said.push({ to, ref, answer, fields }),
      answered: (api, error, waitedMs) => this.counted.push(`${api} ${error} ${waitedMs ?? '-'}`),
      rebalanced: ({ cause }) => this.rounds.push(cause),
      notify: (_group, notice) => this.notices.push(notice),
      wake: () => {
        this.woken += 1;
      },
      quarantined: (_actor, command) => this.quarantined.push(command),
      mayServe: () => this.isServing,
      idle: () => {
        this.idle += 1;
      },
      context,
      now: () => monotonicMs(this.nowMs),
    };
    this.actor = new GroupActor(this.slot, this.#wheel, outlet);
  }

  /** Sends a request; takes no turn. */
  offer<Api extends ApiName>(
    api: Api,
    ref: string,
    body: Partial<RequestOf[Api]> = {},
    to = `inbox-${ref}`,
    bytes = 100,
  ) {
    const request = { kind: 'request', api, ref: requestId(ref), body: { ...defaults[api], ...body } };
    this.actor.offer(request as unknown as GroupRequest, to, 1_000, bytes);
  }
  turns(most = 16): boolean {
    return this.actor.runTurns(most);
  }
  /** Sends a request and takes turns. */
  ask<Api extends ApiName>(api: Api, ref: string, body: Partial<RequestOf[Api]> = {}): void {
    this.offer(api, ref, body);
    this.turns();
  }
  /** So many of the oldest records, or all, are durable now. */
  durable(count = this.#undurable): void {
    this.#undurable -= count;
    this.actor.durable(count);
  }
  /** Every barrier that waits falls. */
  passBarriers(): void {
    for (const passed of this.#barriers.splice(0)) passed();
  }
  get barriers(): number {
    return this.#barriers.length;
  }
  /** Lets time pass; due timers become orders. */
  advance(ms: number): void {
    this.nowMs += ms;
    this.#wheel.advance(this.nowMs, (timer, handle) => timer.actor.fired(timer, handle));
  }
  /** `ref ERROR` of everything that was answered. */
  get answers(): string[] {
    return this.said.map(({ ref, answer }) => `${ref} ${answer.error}`);
  }
  get undurable(): number {
    return this.#undurable;
  }

  /** The join phase ends with whoever is there. */
  completeRound(): void {
    this.advance(10);
    this.turns();
    this.durable();
  }

  /** A stable group of one member. @returns its id */
  stable(): MemberId {
    this.ask('join', 'join');
    this.completeRound();
    const [joined] = this.said.splice(0);
    const member = memberId((joined?.fields as RepliedJoin | undefined)?.memberId ?? '');
    const assignments = [{ memberId: member, assignment: new Uint8Array([1]) }];
    this.ask('sync', 'sync', { memberId: member, generationId: generation(1), assignments });
    this.durable();
    this.said.length = 0;
    this.notices.length = 0;
    return member;
  }
}

const member = { groupId: group, memberId: memberId(''), groupInstanceId: null, generationId: generation(-1) };

const defaults: { readonly [Api in ApiName]: object } = {
  join: {
    groupId: group,
    memberId: memberId(''),
    groupInstanceId: null,
    clientId: 'c',
    clientHost: 'h',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    protocolType: 'test',
    protocols: [{ name: 'p', metadata: new Uint8Array([1]) }],
    requireKnownMemberId: false,
    supportSkippingAssignment: true,
    reason: null,
  },
  sync: { ...member, protocolType: null, protocolName: null, assignments: [] },
  heartbeat: member,
  leave: { groupId: group, members: [] },
  commit: {
    ...member,
    commitSeq: null,
    retentionTimeMs: null,
    offsets: [{ topic: 't', partition: 0, offset: 5, leaderEpoch: -1, metadata: '', commitTimestamp: null }],
  },
  fetch: { groupId: group, requireStable: false, partitions: null },
  'delete-offsets': { groupId: group, partitions: [] },
  'stage-offsets': { ...member, transactionalId: 't', producerId: 1, producerEpoch: 0, offsets: [] },
  'end-stage': { groupId: group, producerId: 1, producerEpoch: 0, result: 'COMMIT' },
  describe: { groupId: group },
  delete: { groupId: group },
};

describe('a request that is sent again', () => {
  test('waits on where it waits already, and is answered once, at its newest return address (C1, A1)', () => {
    const scene = new ActorScene();
    scene.ask('commit', 'r1');
    scene.offer('commit', 'r1', {}, 'elsewhere');
    scene.turns();
    expect(scene.said).toEqual([]);
    expect(scene.appended).toHaveLength(1);
    scene.durable();
    expect(scene.answers).toEqual(['r1 NONE']);
    expect(scene.said[0]?.to).toBe('elsewhere');
  });

  test('does so while it is parked, too: a join that waits for others is not a second join', () => {
    const scene = new ActorScene();
    scene.stable();
    scene.ask('join', 'second');
    scene.offer('join', 'second', {}, 'elsewhere');
    scene.turns();
    expect(scene.slot.group?.members.size).toBe(2);
    expect(scene.said).toEqual([]);
  });

  test('is handled again where its answer could not leave: ownership was not proven at that moment', () => {
    const scene = new ActorScene();
    scene.ask('commit', 'r1');
    scene.isServing = false;
    scene.durable();
    expect(scene.answers).toEqual([]);
    scene.isServing = true;
    scene.ask('commit', 'r1');
    scene.durable();
    expect(scene.answers).toEqual(['r1 NONE']);
  });

  test('wakes the actor where its turn was refused: ownership was not proven at that moment', () => {
    const scene = new ActorScene();
    scene.isServing = false;
    scene.ask('commit', 'r1');
    const { woken } = scene;
    scene.isServing = true;
    scene.offer('commit', 'r1');
    expect(scene.woken).toBe(woken + 1);
    scene.turns();
    scene.durable();
    expect(scene.answers).toEqual(['r1 NONE']);
  });
});

describe('the release rule (A2)', () => {
  test('holds an answer until every record decided before it is durable', () => {
    const scene = new ActorScene();
    scene.ask('commit', 'r1');
    scene.ask('commit', 'r2');
    expect(scene.answers).toEqual([]);
    scene.durable(1);
    expect(scene.answers).toEqual(['r1 NONE']);
    scene.durable(1);
    expect(scene.answers).toEqual(['r1 NONE', 'r2 NONE']);
  });

  test('holds back what was only read, too, while records of the group are in flight', () => {
    const scene = new ActorScene();
    const memberId = scene.stable();
    scene.ask('heartbeat', 'at rest', { memberId, generationId: generation(1) });
    scene.ask('commit', 'c', { memberId, generationId: generation(1) });
    scene.ask('heartbeat', 'behind', { memberId, generationId: generation(1) });
    expect(scene.answers).toEqual(['at rest NONE']);
    scene.durable();
    expect(scene.answers).toEqual(['at rest NONE', 'c NONE', 'behind NONE']);
  });

  test('holds notices as it holds answers', () => {
    const scene = new ActorScene();
    const memberId = scene.stable();
    scene.ask('commit', 'c', { memberId, generationId: generation(1) });
    scene.ask('join', 'second');
    expect(scene.notices).toEqual([]);
    scene.durable();
    expect(scene.notices).toMatchObject([{ kind: 'rebalance' }]);
  });

  test('lets nothing leave once the partition is gone (O9), however late a frame is acknowledged', () => {
    const scene = new ActorScene();
    scene.ask('commit', 'r1');
    scene.ask('fetch', 'f1');
    scene.actor.drop();
    scene.actor.durable(1);
    scene.passBarriers();
    expect(scene.said).toEqual([]);
    expect(scene.turns()).toBe(false);
  });
});

describe('an offset fetch (O7)', () => {
  test('leaves behind an append that was sent after it was asked, and no other request waits for that', () => {
    const scene = new ActorScene();
    scene.ask('commit', 'c');
    scene.durable();
    scene.ask('fetch', 'f');
    scene.ask('describe', 'd');
    expect(scene.barriers).toBe(1);
    expect(scene.answers).toEqual(['c NONE', 'd NONE']);
    scene.passBarriers();
    expect(scene.answers).toEqual(['c NONE', 'd NONE', 'f NONE']);
    expect(scene.said.at(-1)?.fields).toMatchObject({ partitions: [{ offset: 5 }] });
  });

  test('is not alone in that: so does describing, where it is asked for what no failover takes back', () => {
    const scene = new ActorScene();
    scene.stable();
    scene.ask('describe', 'plain');
    scene.ask('describe', 'proven', { stable: true });
    expect([scene.answers, scene.barriers]).toEqual([['plain NONE'], 1]);
    scene.passBarriers();
    expect(scene.answers).toEqual(['plain NONE', 'proven NONE']);
    expect(scene.said.at(-1)?.fields).toMatchObject({ state: 'Stable', generationId: 1 });
  });

  test('waits for records of the group as well', () => {
    const scene = new ActorScene();
    scene.ask('commit', 'c');
    scene.ask('fetch', 'f');
    scene.passBarriers();
    expect(scene.answers).toEqual([]);
    scene.durable();
    expect(scene.answers).toEqual(['c NONE', 'f NONE']);
  });

  test('of a group that does not exist leaves nothing behind', () => {
    const scene = new ActorScene();
    scene.ask('fetch', 'f');
    expect(scene.idle).toBe(0);
    scene.passBarriers();
    expect(scene.answers).toEqual(['f NONE']);
    expect(scene.idle).toBe(1);
  });
});

describe('a mailbox', () => {
  test('drops a request whose client has given up, before its turn: a late join would leave a ghost', () => {
    const scene = new ActorScene();
    scene.offer('join', 'late');
    scene.nowMs += 1_001;
    scene.turns();
    expect(scene.said).toEqual([]);
    expect(scene.slot.group).toBeUndefined();
    expect(scene.idle).toBe(1);
    // The same request again is a new one.
    scene.ask('join', 'late');
    scene.completeRound();
    expect(scene.answers).toEqual(['late NONE']);
  });

  test('that is full answers at once, retriable and with a time to wait', () => {
    const scene = new ActorScene();
    for (let index = 0; index < nodeLimits.mailboxCountMax; index += 1) scene.offer('describe', `r${index}`);
    scene.offer('describe', 'one too many');
    expect(scene.said).toHaveLength(1);
    expect(scene.said[0]).toMatchObject({
      ref: 'one too many',
      answer: { error: 'THROTTLING_QUOTA_EXCEEDED', retryAfterMs: nodeLimits.overloadRetryAfterMs },
    });
    scene.turns(1);
    scene.offer('describe', 'one too many');
    expect(scene.said).toHaveLength(2);
    expect(scene.said[1]?.answer.error).not.toBe('THROTTLING_QUOTA_EXCEEDED');
  });

  test('is bounded in bytes, too', () => {
    const scene = new ActorScene();
    scene.offer('describe', 'large', {}, 'inbox', nodeLimits.mailboxBytesMax);
    scene.offer('describe', 'small', {}, 'inbox', 1);
    expect(scene.answers).toEqual(['small THROTTLING_QUOTA_EXCEEDED']);
  });

  test('gives at most so many turns at a visit, and says that more waits', () => {
    const scene = new ActorScene();
    for (let index = 0; index < 5; index += 1) scene.offer('describe', `r${index}`);
    expect(scene.turns(3)).toBe(true);
    expect(scene.said).toHaveLength(3);
    expect(scene.turns(3)).toBe(false);
    expect(scene.said).toHaveLength(5);
  });

  test('keeps its letters while no turn may be taken (O3)', () => {
    const scene = new ActorScene();
    scene.offer('describe', 'r');
    scene.isServing = false;
    expect(scene.turns()).toBe(false);
    expect(scene.said).toEqual([]);
    scene.isServing = true;
    scene.turns();
    expect(scene.said).toHaveLength(1);
  });
});

describe('a turn that throws (A4)', () => {
  test('because the log takes no such record leaves nothing of it behind: what was decided before is answered', () => {
    const scene = new ActorScene();
    const own = { memberId: scene.stable(), generationId: generation(1) };
    scene.ask('commit', 'before', own);
    scene.refusal = new RangeError('the record is too large');
    scene.ask('commit', 'too large', own);
    scene.refusal = undefined;
    expect(scene.quarantined).toMatchObject([{ kind: 'request', ref: 'too large' }]);
    scene.durable();
    expect(scene.answers).toContain('before NONE');
    expect(scene.answers).toContain('too large UNKNOWN_SERVER_ERROR');
  });

  test('is answered UNKNOWN_SERVER_ERROR, and so is everything after it: its group is quarantined', () => {
    const scene = new ActorScene();
    scene.stable();
    scene.failure = new Error('a broken invariant');
    scene.ask('describe', 'r1');
    scene.failure = undefined;
    scene.ask('describe', 'r2');
    expect(scene.answers).toEqual(['r1 UNKNOWN_SERVER_ERROR', 'r2 UNKNOWN_SERVER_ERROR']);
    expect(scene.quarantined).toMatchObject([{ kind: 'request', ref: 'r1' }]);
    expect(scene.actor.isQuarantined).toBe(true);
  });

  test('answers those who wait for another turn of the group, and first those whose records are still on their way', () => {
    const scene = new ActorScene();
    const memberId = scene.stable();
    scene.ask('join', 'parked');
    scene.ask('commit', 'decided', { memberId, generationId: generation(1) });
    scene.failure = new Error('a broken invariant');
    scene.ask('describe', 'poison');
    scene.failure = undefined;
    expect(scene.answers).toEqual(['poison UNKNOWN_SERVER_ERROR']);
    scene.durable();
    expect(scene.answers).toEqual(['poison UNKNOWN_SERVER_ERROR', 'decided NONE', 'parked UNKNOWN_SERVER_ERROR']);
  });

  test('ends the timers of its group: nothing of a quarantined group is changed or recorded', () => {
    const scene = new ActorScene();
    scene.stable();
    scene.failure = new Error('a broken invariant');
    scene.ask('describe', 'r1');
    scene.failure = undefined;
    const records = scene.appended.length;
    scene.advance(60_000);
    scene.turns();
    expect(scene.appended).toHaveLength(records);
    expect(scene.slot.group?.members.size).toBe(1);
  });
});

describe('time', () => {
  test('takes input before the timers that fell due with it (A3): a heartbeat that waited saves its member', () => {
    const scene = new ActorScene();
    const memberId = scene.stable();
    scene.nowMs += 9_990;
    scene.offer('heartbeat', 'h', { memberId, generationId: generation(1) });
    scene.advance(50);
    scene.turns();
    expect(scene.answers).toEqual(['h NONE']);
    expect(scene.slot.group?.members.size).toBe(1);
  });

  test('drops a member that has not spoken for its session', () => {
    const scene = new ActorScene();
    scene.stable();
    scene.advance(10_020);
    scene.turns();
    expect(scene.slot.group?.members.size).toBe(0);
  });

  test('after a pause deadlines move by it before any timer that fell due meanwhile is looked at (O11)', () => {
    const scene = new ActorScene();
    scene.stable();
    scene.advance(6_000);
    scene.isServing = false;
    scene.advance(8_000);
    scene.turns();
    scene.isServing = true;
    scene.actor.thaw(8_000);
    scene.turns();
    expect(scene.slot.group?.members.size).toBe(1);
    scene.advance(3_990);
    scene.turns();
    expect(scene.slot.group?.members.size).toBe(1);
    scene.advance(30);
    scene.turns();
    expect(scene.slot.group?.members.size).toBe(0);
  });

  test('a resume wakes what waited, also where nothing has to be shifted', () => {
    const scene = new ActorScene();
    scene.offer('describe', 'r');
    const { woken } = scene;
    scene.actor.thaw(0);
    expect(scene.woken).toBe(woken + 1);
  });
});

describe('what is counted', () => {
  test('is every answer once, with how long it took from when it came in until it was durable', () => {
    const scene = new ActorScene();
    scene.ask('commit', 'r1');
    scene.advance(40);
    scene.offer('commit', 'r1', {}, 'elsewhere');
    scene.turns();
    expect(scene.counted).toEqual([]);
    scene.durable();
    expect(scene.counted).toEqual(['commit NONE 40']);
  });

  test('is a refusal for want of room, too', () => {
    const scene = new ActorScene();
    scene.offer('commit', 'huge', {}, 'inbox', nodeLimits.mailboxBytesMax + 1);
    expect(scene.counted).toEqual(['commit THROTTLING_QUOTA_EXCEEDED -']);
    expect(scene.actor.openCount).toBe(0);
  });

  test('is every round that ends, with what began it; what waits for others is open until then', () => {
    const scene = new ActorScene();
    scene.ask('join', 'j');
    expect([scene.actor.openCount, scene.rounds]).toEqual([1, []]);
    scene.completeRound();
    expect([scene.actor.openCount, scene.rounds]).toEqual([0, []]);
    const joined = scene.said[0]?.fields as RepliedJoin | undefined;
    const memberOfRound = memberId(joined?.memberId ?? '');
    const assignments = [{ memberId: memberOfRound, assignment: new Uint8Array([1]) }];
    scene.ask('sync', 's', { memberId: memberOfRound, generationId: generation(1), assignments });
    expect(scene.rounds).toEqual(['member-joined']);
  });
});
