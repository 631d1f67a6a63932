import { epoch, nodeId, partition } from '@muster/protocol';
import { VirtualClock } from '@muster/testkit/internals';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { makeClusterLog } from './cluster-log.js';

type Line = { readonly level: number; readonly msg: string; readonly partitions?: number; readonly detail?: string };

function logged() {
  const lines: Line[] = [];
  const clock = new VirtualClock();
  const log = pino({ level: 'info' }, { write: (text: string) => void lines.push(JSON.parse(text)) });
  return { lines, clock, report: makeClusterLog(log, clock) };
}

describe('the log of a cluster', () => {
  test('has one line for what happens to many partitions at once, by its reason', async () => {
    const { lines, clock, report } = logged();
    for (let index = 0; index < 50; index += 1) {
      report({ kind: 'suspended', partition: partition(index), detail: index < 49 ? 'no connection' : 'stalled' });
    }
    await clock.advance(1_000);
    expect(lines).toMatchObject([
      { msg: 'partitions suspended', partitions: 49, detail: 'no connection' },
      { msg: 'partitions suspended', partitions: 1, detail: 'stalled' },
    ]);
  });

  test('tells what happens later in a line of its own', async () => {
    const { lines, clock, report } = logged();
    report({ kind: 'resumed', partition: partition(1), epoch: epoch(2), tookMs: 3 });
    await clock.advance(1_000);
    report({ kind: 'resumed', partition: partition(1), epoch: epoch(2), tookMs: 3 });
    await clock.advance(1_000);
    expect(lines.map(({ msg }) => msg)).toEqual(['partitions resumed', 'partitions resumed']);
  });

  test('says once who is there, until that changes', () => {
    const { lines, report } = logged();
    for (const nodes of [['a'], ['a'], ['a', 'b']]) report({ kind: 'view-changed', nodes: nodes.map(nodeId) });
    expect(lines).toHaveLength(2);
  });

  test('tells of a lease that cannot be renewed once in ten seconds', async () => {
    const { lines, clock, report } = logged();
    for (let second = 0; second < 15; second += 1) {
      report({ kind: 'lease-failed', detail: 'no leader' });
      await clock.advance(1_000);
    }
    expect(lines).toHaveLength(2);
  });
});
