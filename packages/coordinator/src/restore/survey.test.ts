import type { ClusterRecord } from '@muster/cluster';
import type { FoundLogStream } from '@muster/nats';
import { logId, partition, Subjects } from '@muster/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RestoreRefused } from './refusal.js';
import { layoutOf, requireKnown, type Sources, sourceOf, surveyStreams, type WantedLayout } from './survey.js';

const subjects = new Subjects('c');
const [A, B, C] = [logId('A'), logId('B'), logId('C')];
const nothing: WantedLayout = { partitionCount: undefined, streamCount: undefined, replicas: undefined };
const record: ClusterRecord = {
  format: 1,
  clusterId: 'id',
  logId: A,
  partitionCount: 5,
  streamCount: 2,
  replicas: 3,
  epochFloor: 0,
  generationFloor: 0,
  streamsMade: true,
  oldLogs: [],
};

/** Stream `index` as it would be made. */
function stream(index: number, partitionCount: number, streamCount: number, replicas = 1): FoundLogStream {
  const taken: string[] = [];
  for (let p = index; p < partitionCount; p += streamCount) taken.push(subjects.log(A, partition(p)));
  return { index, name: `S${index}`, config: { num_replicas: replicas }, subjects: taken, messages: new Map() };
}
function cluster(partitionCount: number, streamCount: number): FoundLogStream[] {
  return Array.from({ length: streamCount }, (_, index) => stream(index, partitionCount, streamCount));
}
function layout(streams: readonly FoundLogStream[], known?: ClusterRecord, wanted: Partial<WantedLayout> = {}) {
  return layoutOf(surveyStreams(subjects, streams), known, { ...nothing, ...wanted });
}
function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof RestoreRefused) return thrown.code;
    throw thrown;
  }
  return 'none';
}

describe('the layout of a cluster', () => {
  test('is what all of its streams together say, whatever the numbers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 300 }), (streamCount, more) => {
        const partitionCount = streamCount + more;
        expect(layout(cluster(partitionCount, streamCount))).toEqual({ partitionCount, streamCount, replicas: 1 });
      }),
      { numRuns: 60 },
    );
  });

  test('is never guessed wrongly where streams are missing: right, or asked for, and with the options right', () => {
    const shapes = fc.record({
      streamCount: fc.integer({ min: 2, max: 12 }),
      more: fc.integer({ min: 0, max: 60 }),
      kept: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
    });
    fc.assert(
      fc.property(shapes, ({ streamCount, more, kept }) => {
        const partitionCount = streamCount + more;
        const there = cluster(partitionCount, streamCount).filter((_, at) => kept[at] === true);
        fc.pre(there.length > 0);
        const right = { partitionCount, streamCount, replicas: 1 };
        expect(layout(there, undefined, { partitionCount, streamCount })).toEqual(right);
        try {
          expect(layout(there)).toEqual(right);
        } catch (thrown) {
          if (!(thrown instanceof RestoreRefused)) throw thrown;
          expect(thrown.code).toBe('FACTS_UNKNOWN');
        }
      }),
      { numRuns: 200 },
    );
  });

  test('is asked for where each stream has one partition: there may have been more such streams', () => {
    expect(codeOf(() => layout(cluster(3, 3)))).toBe('FACTS_UNKNOWN');
    expect(layout(cluster(3, 3), undefined, { streamCount: 3 })).toMatchObject({ partitionCount: 3 });
  });

  test('is what the record says, whichever streams are missing', () => {
    expect(layout([], record)).toEqual({ partitionCount: 5, streamCount: 2, replicas: 3 });
    expect(layout([stream(1, 5, 2)], record)).toEqual({ partitionCount: 5, streamCount: 2, replicas: 3 });
  });

  test.each([
    ['streams of a cluster of another size', () => layout(cluster(7, 2), record), 'FACTS_DIFFER'],
    ['more streams than the record says', () => layout(cluster(5, 3), record), 'FACTS_DIFFER'],
    ['options other than the record', () => layout([], record, { partitionCount: 6 }), 'FACTS_DIFFER'],
    ['options that no stream fits', () => layout(cluster(5, 2), undefined, { partitionCount: 6 }), 'FACTS_DIFFER'],
    ['streams with different replicas', () => layout([stream(0, 4, 2), stream(1, 4, 2, 3)]), 'FACTS_UNKNOWN'],
    ['nothing at all', () => layout([], undefined, { partitionCount: 5, streamCount: 2 }), 'NOTHING_THERE'],
    [
      'a stream without subjects of ours',
      () => layout([{ ...stream(0, 4, 1), subjects: ['other.0'] }], { ...record, streamCount: 1 }),
      'FACTS_DIFFER',
    ],
  ] as const)('is refused with %s', (_, run, code) => {
    expect(codeOf(run)).toBe(code);
  });
});

describe('the log that a partition is read from', () => {
  const [first] = cluster(1, 1);
  const holding = (frames: Record<string, number>) =>
    surveyStreams(subjects, [
      {
        ...(first ?? expect.fail()),
        messages: new Map(
          Object.entries(frames).map(([log, count]) => [subjects.log(logId(log), partition(0)), count]),
        ),
      },
    ]);
  const from = (frames: Record<string, number>, sources: Partial<Sources> = {}) =>
    sourceOf(holding(frames), partition(0), { preferred: undefined, ignored: new Set(), chosen: [], ...sources });

  test.each([
    ['the only one that has frames', () => from({ B: 3 }), B],
    [
      'not one that the record names and that has none, as after an older backup',
      () => from({ B: 3 }, { preferred: A }),
      B,
    ],
    ['the one of the record, where there are others', () => from({ A: 1, B: 3 }, { preferred: A }), A],
    ['none that an earlier try has begun', () => from({ A: 1, B: 3 }, { ignored: new Set([B]) }), A],
    ['the one that was chosen', () => from({ A: 1, B: 3, C: 2 }, { chosen: [C] }), C],
    ['none where there are no frames', () => from({ A: 0 }), undefined],
    ['the only one that has frames, whatever was chosen for others', () => from({ A: 1 }, { chosen: [B] }), A],
  ] as const)('is %s', (_, run, log) => {
    expect(run()).toBe(log);
  });

  test('has to be one that frames are of, where it is named', () => {
    const named = (chosen: Sources['chosen']) => () =>
      requireKnown(holding({ A: 1, B: 2 }), { preferred: undefined, ignored: new Set([B]), chosen });
    expect(named([])).not.toThrow();
    expect(named([A])).not.toThrow();
    expect([codeOf(named([B])), codeOf(named([A, C]))]).toEqual(['LOG_UNKNOWN', 'LOG_UNKNOWN']);
  });

  test('is not chosen among several by chance', () => {
    expect(codeOf(() => from({ A: 1, B: 3 }))).toBe('LOG_AMBIGUOUS');
    expect(codeOf(() => from({ A: 1, B: 3 }, { preferred: C }))).toBe('LOG_AMBIGUOUS');
  });

  test('is not looked for under subjects of others', () => {
    const strange = new Map([
      ['muster.other.log.A.0', 5],
      ['muster.c.log.A.x', 5],
      ['muster.c.log.A.0.1', 5],
      ['muster.c.other.A.0', 5],
    ]);
    const survey = surveyStreams(subjects, [{ ...(first ?? expect.fail()), messages: strange }]);
    expect(survey.frames.size).toBe(0);
  });
});
