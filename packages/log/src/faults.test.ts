/**
 * Random owners on a random store: whatever gets lost, delayed or read stale, the history in the log stays sound.
 */

import { groupId } from '@muster/protocol';
import {
  type AppendFault,
  describeState,
  type LogOwner,
  LogScene,
  type PurgeFault,
  type ReadFault,
} from '@muster/testkit/internals';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeFrame } from './index.js';

const limits = {
  frameBytesMax: 2_600,
  groupBytesPerFrameMax: 1_200,
  checkpointFrameBytesMax: 2_100,
  checkpointBytesMin: 3_000,
};

const ms = fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 20 }) }, fc.integer({ min: 0, max: 6_000 }));
const fine = { weight: 6, arbitrary: fc.constant(undefined) };
const appendFault = fc.oneof<fc.WeightedArbitrary<AppendFault | undefined>[]>(
  fine,
  { weight: 2, arbitrary: fc.constantFrom<AppendFault>({ kind: 'ack-lost' }, { kind: 'dropped' }) },
  { weight: 3, arbitrary: ms.map((landsAfterMs) => ({ kind: 'delayed' as const, landsAfterMs })) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<AppendFault>(
      { kind: 'busy' },
      { kind: 'full' },
      { kind: 'refusal-unnamed' },
      { kind: 'deposed', lastSeq: 1 },
      { kind: 'hang' },
    ),
  },
);
const readFault = fc.oneof<fc.WeightedArbitrary<ReadFault | undefined>[]>(
  fine,
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 4 }).map((behind) => ({ kind: 'stale' as const, behind })) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 0, max: 9 }).map((afterFrames) => ({ kind: 'cut' as const, afterFrames })),
  },
  { weight: 1, arbitrary: fc.constantFrom<ReadFault>({ kind: 'unavailable' }, { kind: 'hang' }) },
);
const purgeFault = fc.oneof<fc.WeightedArbitrary<PurgeFault | undefined>[]>(
  { weight: 1, arbitrary: fc.constant(undefined) },
  { weight: 2, arbitrary: ms.map((landsAfterMs) => ({ kind: 'delayed' as const, landsAfterMs })) },
  { weight: 1, arbitrary: fc.constantFrom<PurgeFault>({ kind: 'unavailable' }, { kind: 'hang' }) },
);

const who = fc.nat({ max: 2 });
const group = fc.nat({ max: 3 }).map((index) => groupId(`g${index}`));
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('put' as const), who, group, bytes: fc.integer({ min: 0, max: 600 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('put' as const), who, group, bytes: fc.constant(4_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), who, group }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('barrier' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('claim' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('checkpoint' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('release' as const, 'close' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'heal' as const), who }) },
  { weight: 1, arbitrary: fc.constant({ do: 'release-hung' as const }) },
  { weight: 8, arbitrary: ms.map((time) => ({ do: 'advance' as const, time })) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

class Walk {
  readonly scene = new LogScene({}, limits);
  readonly owners: LogOwner[] = ['n1', 'n2', 'n3'].map((name) => this.scene.owner(name));
  readonly unsound: string[] = [];
  readonly seen = { acknowledged: 0, claims: 0, fenced: 0, proven: 0, checkpoints: 0 };
  readonly #claiming = new Set<LogOwner>();
  readonly #released = new Set<unknown>();

  async take(step: Step): Promise<void> {
    if (step.do === 'advance') return this.scene.clock.advance(step.time);
    if (step.do === 'release-hung') return this.scene.store.releaseHung();
    const owner = this.owners[step.who]!;
    if (step.do === 'cut') return this.scene.store.cut(owner.name);
    if (step.do === 'heal') return this.scene.store.heal(owner.name);
    if (step.do === 'claim') return this.#claim(owner);
    const { log } = owner;
    if (log === undefined || this.#claiming.has(owner) || this.#released.has(log)) return;
    switch (step.do) {
      case 'put':
        owner.put(step.group, 'k', step.bytes);
        break;
      case 'delete':
        owner.deleteGroup(step.group);
        break;
      case 'barrier':
        this.#barrier(log);
        break;
      case 'checkpoint':
        log.checkpoint(owner.snapshot());
        break;
      case 'release':
        this.#released.add(log);
        void log.release(null);
        break;
      case 'close':
        log.close();
        break;
    }
    log.kick();
  }

  #claim(owner: LogOwner): void {
    if (this.#claiming.has(owner)) return;
    owner.log?.close();
    this.#claiming.add(owner);
    void owner.claim({ deadlineMs: 20_000 }).then(() => this.#claiming.delete(owner));
  }

  /** O7: what is proven must have been true when the question was asked. */
  #barrier(log: NonNullable<LogOwner['log']>): void {
    const askedAt = this.scene.store.landed.length;
    log.barrier(() => {
      this.seen.proven += 1;
      for (const { bytes, seq } of this.scene.store.landed.slice(0, askedAt)) {
        const decoded = decodeFrame(bytes);
        if (decoded.ok && decoded.frame.epoch > log.epoch) this.unsound.push(`proven over frame ${seq}`);
      }
    });
  }

  async end(): Promise<void> {
    const { scene } = this;
    const { store } = scene;
    store.plan = {};
    for (const { name } of this.owners) store.heal(name);
    store.releaseHung();
    await scene.clock.advance(60_000);
    const last = await scene.claimed('n9');
    const verdict = scene.verdict();
    expect(verdict.problems).toEqual([]);
    expect(this.unsound).toEqual([]);
    expect(describeState(last.state)).toEqual(describeState(verdict.state));
    for (const owner of this.owners) {
      for (const id of owner.acknowledged) expect(verdict.landed).toContain(id);
      this.seen.acknowledged += owner.acknowledged.length;
      this.seen.fenced += owner.events.filter((event) => event === 'lost fenced').length;
      expect(owner.events).not.toContain('lost broken');
    }
    this.seen.claims += scene.kinds().filter((kind) => kind === 'claim').length;
    this.seen.checkpoints += scene.kinds().filter((kind) => kind === 'checkpoint-end').length;
  }
}

/** Runs through the faults over and over, so that a short list suffices. */
function cycle<T>(faults: readonly T[]): () => T | undefined {
  let at = 0;
  return () => {
    at += 1;
    return faults[(at - 1) % faults.length];
  };
}

test('no acknowledged record is lost, no two owners interleave, the chain holds, epochs rise, barriers are sound', async () => {
  const seen = { acknowledged: 0, claims: 0, fenced: 0, proven: 0, checkpoints: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 60, maxLength: 150 }),
      fc.array(appendFault, { minLength: 5, maxLength: 30 }),
      fc.array(readFault, { minLength: 5, maxLength: 20 }),
      fc.array(purgeFault, { minLength: 1, maxLength: 5 }),
      async (steps, appends, reads, purges) => {
        const walk = new Walk();
        const read = cycle(reads);
        walk.scene.store.plan = { append: cycle(appends), last: read, read, purge: cycle(purges) };
        for (const owner of walk.owners.slice(0, 1)) await walk.take({ do: 'claim', who: walk.owners.indexOf(owner) });
        for (const each of steps) await walk.take(each);
        await walk.end();
        for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += walk.seen[key];
      },
    ),
    { numRuns: 250, interruptAfterTimeLimit: 15_000 },
  );
  // A walk that does nothing finds nothing.
  expect(Object.entries(seen).filter(([, count]) => count < 100)).toEqual([]);
});
