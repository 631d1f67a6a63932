import { groupId } from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import type { GroupFigures } from './group-figures.js';
import { NodeMetrics, type NodeView } from './node-metrics.js';

const metrics = () => new NodeMetrics({ cluster: 'c', node: 'n', incarnation: 'i7' });

/** @returns the value of a series, by its name and these labels */
function seriesOf(text: string, name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const line = text
    .split('\n')
    .find((each) => /^[a-z_]+/.exec(each)?.[0] === name && wanted.every((label) => each.includes(label)));
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1));
}

const figures = (lags: GroupFigures['lags']): GroupFigures => ({
  states: { Empty: 1, PreparingRebalance: 0, CompletingRebalance: 0, Stable: 2, Dead: 0 },
  members: 5,
  offsets: 12,
  lags,
  lagsLeftOut: 3,
});

describe('the metrics of a node', () => {
  it('say which node of which cluster they are of', async () => {
    const text = await metrics().text();
    expect(seriesOf(text, 'muster_node_info', { cluster: 'c', node: 'n', incarnation: 'i7' })).toBe(1);
  });

  it('count requests by API and error, and time those that waited', async () => {
    const { meter, text } = bound(metrics());
    meter.answered('commit', 'NONE', 20);
    meter.answered('commit', 'NONE', 30);
    meter.answered('commit', 'ILLEGAL_GENERATION', 1);
    meter.answered('find', 'NONE');
    const now = await text();
    expect(seriesOf(now, 'muster_requests_total', { api: 'commit', error: 'NONE' })).toBe(2);
    expect(seriesOf(now, 'muster_requests_total', { api: 'commit', error: 'ILLEGAL_GENERATION' })).toBe(1);
    expect(seriesOf(now, 'muster_requests_total', { api: 'find', error: 'NONE' })).toBe(1);
    expect(seriesOf(now, 'muster_request_duration_seconds_count', { api: 'commit' })).toBe(3);
    expect(seriesOf(now, 'muster_request_duration_seconds_sum', { api: 'commit' })).toBeCloseTo(0.051);
    expect(seriesOf(now, 'muster_request_duration_seconds_count', { api: 'find' })).toBeUndefined();
  });

  it('count what happens to the log, to partitions and to groups', async () => {
    const { meter, text } = bound(metrics());
    meter.appended('stored', 1_000, 2);
    meter.appended('busy', 1_000, 1);
    meter.rebalanced('member-joined', 250);
    meter.loaded({ claimMs: 10, loadMs: 90 });
    meter.reported('suspended');
    meter.quarantined();
    meter.stoodStill(1_500);
    const now = await text();
    expect(seriesOf(now, 'muster_log_appends_total', { outcome: 'stored' })).toBe(1);
    expect(seriesOf(now, 'muster_log_appends_total', { outcome: 'busy' })).toBe(1);
    expect(seriesOf(now, 'muster_log_appended_bytes_total')).toBe(1_000);
    expect(seriesOf(now, 'muster_log_append_duration_seconds_count')).toBe(1);
    expect(seriesOf(now, 'muster_rebalances_total', { cause: 'member-joined' })).toBe(1);
    expect(seriesOf(now, 'muster_rebalance_duration_seconds_sum')).toBeCloseTo(0.25);
    expect(seriesOf(now, 'muster_partition_load_seconds_sum', { step: 'load' })).toBeCloseTo(0.09);
    expect(seriesOf(now, 'muster_cluster_events_total', { event: 'suspended' })).toBe(1);
    expect(seriesOf(now, 'muster_groups_quarantined_total')).toBe(1);
    expect(seriesOf(now, 'muster_stood_still_seconds_total')).toBeCloseTo(1.5);
  });

  it('tell the state of the node as it is when they are asked for, and nothing of it before there is one', async () => {
    const { node, text } = bound(metrics());
    expect(seriesOf(await text(), 'muster_node_ready')).toBeUndefined();
    let isReady = false;
    let lags: GroupFigures['lags'] = [
      { group: groupId('billing'), topic: 'orders', messages: 7, oldestMs: 2_500, committedAt: 1_700_000_000_000 },
    ];
    const view: NodeView = {
      isReady: () => isReady,
      isConnected: () => true,
      partitions: () => ({ owned: 16, claiming: 1 }),
      waiting: () => 4,
      groups: () => figures(lags),
    };
    node.follow(view);
    const first = await text();
    expect(seriesOf(first, 'muster_node_ready')).toBe(0);
    expect(seriesOf(first, 'muster_nats_connected')).toBe(1);
    expect(seriesOf(first, 'muster_partitions', { state: 'owned' })).toBe(16);
    expect(seriesOf(first, 'muster_requests_waiting')).toBe(4);
    expect(seriesOf(first, 'muster_groups', { state: 'Stable' })).toBe(2);
    expect(seriesOf(first, 'muster_group_members')).toBe(5);
    expect(seriesOf(first, 'muster_committed_offsets')).toBe(12);
    expect(seriesOf(first, 'muster_group_lags_left_out')).toBe(3);
    const ofOrders = { group: 'billing', topic: 'orders' };
    expect(seriesOf(first, 'muster_group_lag_messages', ofOrders)).toBe(7);
    expect(seriesOf(first, 'muster_group_lag_seconds', ofOrders)).toBe(2.5);
    expect(seriesOf(first, 'muster_group_last_commit_timestamp_seconds', ofOrders)).toBe(1_700_000_000);

    isReady = true;
    lags = [];
    const second = await text();
    expect(seriesOf(second, 'muster_node_ready')).toBe(1);
    // The group has gone to another node: two that tell of it would be counted twice.
    expect(seriesOf(second, 'muster_group_lag_messages', ofOrders)).toBeUndefined();
  });
});

function bound(node: NodeMetrics) {
  return { node, meter: node.meter, text: () => node.text() };
}
