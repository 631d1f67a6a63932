import { encode, epoch, incarnation, nodeId, partition } from '@muster/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeLease, encodeLease, leaseKey, nodeOfKey } from './lease-entry.js';
import { encodeHeartbeat, encodeOffer, parseHeartbeat, parseOffer } from './messages.js';

const node = nodeId('node-1');
const life = incarnation('life-1');

describe('messages between nodes', () => {
  test('come back as they were sent', () => {
    const reign = fc.tuple(fc.nat(10_000).map(partition), fc.nat().map(epoch));
    fc.assert(
      fc.property(fc.array(reign), fc.string(), (owned, view) => {
        const heartbeat = { node, incarnation: life, view, owned };
        expect(parseHeartbeat(encodeHeartbeat(heartbeat))).toEqual({ v: 1, ...heartbeat });
      }),
    );
    const offer = { node, incarnation: life, partition: partition(3), epoch: epoch(9) };
    expect(parseOffer(encodeOffer(offer))).toEqual({ v: 1, ...offer });
  });

  test('are ignored where they are anything else, and never throw', () => {
    const heartbeat = { v: 1, node, incarnation: life, view: 'x', owned: [] };
    for (const bad of [
      { ...heartbeat, v: 2 },
      { ...heartbeat, node: 'a.b' },
      { ...heartbeat, incarnation: '' },
      { ...heartbeat, owned: [[-1, 1]] },
      { ...heartbeat, owned: [[1]] },
      { ...heartbeat, owned: [[1, 0.5]] },
      [],
      null,
    ]) {
      expect(parseHeartbeat(encode(bad)), JSON.stringify(bad)).toBeUndefined();
      expect(parseOffer(encode(bad))).toBeUndefined();
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(parseHeartbeat(bytes)).toBeUndefined();
        expect(parseOffer(bytes)).toBeUndefined();
        expect(decodeLease(bytes)).toBeUndefined();
      }),
    );
  });
});

describe('a lease in its store', () => {
  test('is one line of JSON under a key of its node', () => {
    const lease = { node, incarnation: life, state: 'dead', renewal: 4, markedBy: 'b: silent' } as const;
    const bytes = encodeLease(lease);
    expect(decodeLease(bytes)).toEqual({ v: 1, ...lease });
    expect(JSON.parse(new TextDecoder().decode(bytes))).toEqual({ v: 1, ...lease });
    expect(leaseKey(node)).toBe('node.node-1');
    expect(nodeOfKey(leaseKey(node))).toBe(node);
    expect(nodeOfKey('cluster')).toBeUndefined();
  });
});
