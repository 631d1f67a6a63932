import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReplyGate } from './reply-gate.js';

function gateOf(heldMax = 100) {
  const sent: string[] = [];
  return { sent, gate: new ReplyGate<string>((output) => sent.push(output), heldMax) };
}

describe('a reply gate', () => {
  test('releases at once when no record is in flight', () => {
    const { sent, gate } = gateOf();
    expect(gate.push('read')).toBe(true);
    expect(sent).toEqual(['read']);
    expect(gate.held).toBe(0);
  });

  test('holds the answer of a turn without records while the same actor has records in flight', () => {
    const { sent, gate } = gateOf();
    gate.appended(1);
    gate.push('commit');
    gate.push('read');
    expect(sent).toEqual([]);
    gate.durable(1);
    expect(sent).toEqual(['commit', 'read']);
  });

  test('holds an output until the last record before it is durable, not the first', () => {
    const { sent, gate } = gateOf();
    gate.appended(2);
    gate.push('a');
    gate.appended(1);
    gate.push('b');
    gate.durable(1);
    expect(sent).toEqual([]);
    gate.durable(1);
    expect(sent).toEqual(['a']);
    gate.durable(1);
    expect(sent).toEqual(['a', 'b']);
    expect(gate.inFlight).toBe(0);
  });

  test('refuses an output beyond heldMax, says so before the turn, and takes outputs again after a release', () => {
    const { sent, gate } = gateOf(2);
    expect(gate.full).toBe(false);
    gate.appended(1);
    gate.push('a');
    expect(gate.full).toBe(false);
    gate.push('b');
    expect(gate.full).toBe(true);
    expect(gate.push('c')).toBe(false);
    gate.durable(1);
    expect(sent).toEqual(['a', 'b']);
    expect(gate.full).toBe(false);
    expect(gate.push('d')).toBe(true);
  });

  test('releases nothing after drop, hands back what it held, and ignores the late acknowledgement', () => {
    const { sent, gate } = gateOf();
    gate.appended(2);
    gate.push('a');
    gate.push('b');
    expect(gate.drop()).toEqual(['a', 'b']);
    gate.durable(2);
    expect(sent).toEqual([]);
    expect(gate.drop()).toEqual([]);
    expect(gate.dropped).toBe(true);
    expect(() => gate.push('c')).toThrow('ownership');
    expect(() => gate.appended(1)).toThrow('ownership');
    expect(sent).toEqual([]);
  });

  test('throws when more records become durable than are in flight', () => {
    const { sent, gate } = gateOf();
    gate.appended(1);
    gate.push('a');
    expect(() => gate.durable(2)).toThrow(RangeError);
    expect(sent).toEqual([]);
    expect(() => gate.appended(-1)).toThrow(RangeError);
    expect(() => gate.durable(0.5)).toThrow(RangeError);
    expect(() => gateOf(0)).toThrow(RangeError);
  });

  test('keeps the order when release itself pushes', () => {
    const sent: string[] = [];
    const gate: ReplyGate<string> = new ReplyGate((output) => {
      sent.push(output);
      if (output === 'a') gate.push('pushed by a');
    }, 10);
    gate.appended(1);
    gate.push('a');
    gate.push('b');
    gate.durable(1);
    expect(sent).toEqual(['a', 'b', 'pushed by a']);
    expect(gate.held).toBe(0);
  });

  test('stops in the middle of a release when release drops the gate', () => {
    const sent: string[] = [];
    const gate: ReplyGate<string> = new ReplyGate((output) => {
      sent.push(output);
      expect(gate.drop()).toEqual(['b']);
    }, 10);
    gate.appended(1);
    gate.push('a');
    gate.push('b');
    gate.durable(1);
    expect(sent).toEqual(['a']);
  });

  test('offers every due output to release although one throws, then throws that error', () => {
    const sent: string[] = [];
    const gate = new ReplyGate<string>((output) => {
      if (output === 'a') throw new Error('no connection');
      sent.push(output);
    }, 10);
    gate.appended(1);
    gate.push('a');
    gate.push('b');
    expect(() => gate.durable(1)).toThrow('no connection');
    expect(sent).toEqual(['b']);
    gate.push('c');
    expect(sent).toEqual(['b', 'c']);
  });

  test('lets outputs leave in order, never before their records are durable, and as soon as they are', () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('appended' as const), count: fc.nat({ max: 4 }) }) },
      { weight: 4, arbitrary: fc.constant({ kind: 'push' as const }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('durable' as const), share: fc.nat({ max: 4 }) }) },
      { weight: 1, arbitrary: fc.constant({ kind: 'drop' as const }) },
    );
    const scenario = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 200, size: 'max' }));
    fc.assert(
      fc.property(scenario, ([heldMax, steps]) => {
        let appended = 0;
        let durable = 0;
        const waiting: { id: number; behind: number }[] = [];
        const released: number[] = [];
        const gate = new ReplyGate<number>((id) => released.push(id), heldMax);
        const expected: number[] = [];
        for (const [id, next] of steps.entries()) {
          if (next.kind === 'drop') {
            expect(gate.drop()).toEqual(waiting.map((output) => output.id));
            gate.durable(appended - durable);
            break;
          }
          if (next.kind === 'appended') {
            gate.appended(next.count);
            appended += next.count;
          } else if (next.kind === 'push') {
            const taken = appended === durable || waiting.length < heldMax;
            if (taken) waiting.push({ id, behind: appended });
            expect(gate.push(id)).toBe(taken);
          } else {
            const count = Math.ceil(((appended - durable) * next.share) / 4);
            durable += count;
            gate.durable(count);
          }
          while (waiting[0] !== undefined && waiting[0].behind <= durable) expected.push(waiting.shift()!.id);
          expect(released).toEqual(expected);
          expect(gate.held).toBe(waiting.length);
          expect(gate.inFlight).toBe(appended - durable);
        }
        expect(released).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });
});
