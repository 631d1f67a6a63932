/**
 * The figures of a node for Prometheus: counted as they happen (`meter`), or read off its state when somebody asks.
 *
 * N1: labels have few values, but for the lag, which is told of so many groups at most as the configuration says. N2: names and units
 * are Prometheus' own: base units, `_total` for what only grows.
 */

import type { AppendOutcome } from '@muster/log';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { GroupFigures } from './group-figures.js';
import type { MeteredApi, NodeMeter } from './meter.js';

/** What is read off the node when somebody asks. */
export type NodeView = {
  readonly isReady: () => boolean;
  readonly isConnected: () => boolean;
  /** Partitions by what this node has to do with them. */
  readonly partitions: () => Readonly<Record<string, number>>;
  /** Requests that were taken in and are not answered yet. */
  readonly waiting: () => number;
  readonly groups: () => GroupFigures;
};

/** What says which node this is. */
export type NodeLabels = { readonly cluster: string; readonly node: string; readonly incarnation: string };

const MS_PER_SECOND = 1_000;
const REQUEST_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const APPEND_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2];
const LOAD_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15];

export class NodeMetrics {
  readonly meter: NodeMeter;
  readonly #registry = new Registry();
  #state: ReturnType<typeof makeStateGauges> | undefined;

  constructor(labels: NodeLabels) {
    this.#registry.setDefaultLabels({ cluster: labels.cluster, node: labels.node });
    collectDefaultMetrics({ register: this.#registry });
    const registers = [this.#registry];
    new Gauge({
      name: 'muster_node_info',
      help: 'Always 1; says which incarnation of the node this is',
      labelNames: ['incarnation'],
      registers,
    }).set({ incarnation: labels.incarnation }, 1);
    this.meter = makeMeter(registers);
  }

  /** From here on there is a node whose state can be read; before, only what has happened is told. */
  follow(view: NodeView): void {
    this.#state = makeStateGauges([this.#registry], view);
  }

  /** @returns everything as it is now, in the text format of Prometheus */
  async text(): Promise<string> {
    this.#state?.();
    return await this.#registry.metrics();
  }

  /** What `text` is, as a media type. */
  get contentType(): string {
    return this.#registry.contentType;
  }
}

function makeMeter(registers: Registry[]): NodeMeter {
  const requests = new Counter({
    name: 'muster_requests_total',
    help: 'Requests answered, by API and error code (NONE for success)',
    labelNames: ['api', 'error'],
    registers,
  });
  const durations = new Histogram({
    name: 'muster_request_duration_seconds',
    help: 'From taking a request in until its answer left, durable; joins and syncs wait for the other members',
    labelNames: ['api'],
    buckets: REQUEST_SECONDS,
    registers,
  });
  const rebalances = new Counter({
    name: 'muster_rebalances_total',
    help: 'Rounds of groups that have ended, by what began them',
    labelNames: ['cause'],
    registers,
  });
  const rebalanceDurations = new Histogram({
    name: 'muster_rebalance_duration_seconds',
    help: 'From the beginning of a round until the leader has assigned',
    buckets: REQUEST_SECONDS,
    registers,
  });
  const log = logMeter(registers);
  const loads = new Histogram({
    name: 'muster_partition_load_seconds',
    help: 'Taking a partition over: the claim, and reading its log',
    labelNames: ['step'],
    buckets: LOAD_SECONDS,
    registers,
  });
  const events = new Counter({
    name: 'muster_cluster_events_total',
    help: 'What happened in the cluster as this node sees it, such as suspended, lost, marked, lease-failed',
    labelNames: ['event'],
    registers,
  });
  const quarantined = new Counter({
    name: 'muster_groups_quarantined_total',
    help: 'Groups that are served no more because a turn of theirs threw',
    registers,
  });
  const stalls = new Counter({
    name: 'muster_stood_still_seconds_total',
    help: 'Time for which the process did not run although it should have',
    registers,
  });
  const answered = answerCounts(requests, durations);
  return {
    answered,
    rebalanced: (cause, durationMs) => {
      rebalances.inc({ cause });
      rebalanceDurations.observe(durationMs / MS_PER_SECOND);
    },
    appended: log,
    loaded: ({ claimMs, loadMs }) => {
      loads.observe({ step: 'claim' }, claimMs / MS_PER_SECOND);
      loads.observe({ step: 'load' }, loadMs / MS_PER_SECOND);
    },
    reported: (event) => events.inc({ event }),
    quarantined: () => quarantined.inc(),
    stoodStill: (ms) => stalls.inc(ms / MS_PER_SECOND),
  };
}

/** Once for each request: what stands for a pair of labels is looked up in maps, which costs less than to make its text. */
function answerCounts(requests: Counter<'api' | 'error'>, durations: Histogram<'api'>): NodeMeter['answered'] {
  const counters = new Map<MeteredApi, Map<string, Counter.Internal>>();
  const observers = new Map<MeteredApi, Histogram.Internal<'api'>>();
  return (api, error, waitedMs) => {
    const ofApi = counters.get(api) ?? new Map<string, Counter.Internal>();
    if (ofApi.size === 0) counters.set(api, ofApi);
    const counter = ofApi.get(error) ?? requests.labels(api, error);
    ofApi.set(error, counter);
    counter.inc();
    if (waitedMs === undefined) return;
    const observer = observers.get(api) ?? durations.labels(api);
    observers.set(api, observer);
    observer.observe(waitedMs / MS_PER_SECOND);
  };
}

function logMeter(registers: Registry[]): NodeMeter['appended'] {
  const frames = new Counter({
    name: 'muster_log_appends_total',
    help: 'Tries to append a frame to a partition log, by outcome (stored, refused, busy, full, unknown)',
    labelNames: ['outcome'],
    registers,
  });
  const bytes = new Counter({
    name: 'muster_log_appended_bytes_total',
    help: 'Bytes of frames that were stored',
    registers,
  });
  const durations = new Histogram({
    name: 'muster_log_append_duration_seconds',
    help: 'From sending a frame until JetStream has acknowledged it',
    buckets: APPEND_SECONDS,
    registers,
  });
  return (outcome: AppendOutcome['kind'], size, tookMs) => {
    frames.inc({ outcome });
    if (outcome !== 'stored') return;
    bytes.inc(size);
    durations.observe(tookMs / MS_PER_SECOND);
  };
}

/** @returns what reads the state of the node into the gauges */
function makeStateGauges(registers: Registry[], view: NodeView): () => void {
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
  const ready = gauge('muster_node_ready', '1 where the node knows the cluster and serves what it owns');
  const connected = gauge('muster_nats_connected', '1 while there is a connection to NATS');
  const waiting = gauge('muster_requests_waiting', 'Requests not answered yet; joins and syncs wait for other members');
  const partitions = new Gauge({
    name: 'muster_partitions',
    help: 'Coordinator partitions by what this node has to do with them',
    labelNames: ['state'],
    registers,
  });
  const setGroups = makeGroupGauges(registers);
  return () => {
    ready.set(Number(view.isReady()));
    connected.set(Number(view.isConnected()));
    waiting.set(view.waiting());
    for (const [state, count] of Object.entries(view.partitions())) partitions.set({ state }, count);
    setGroups(view.groups());
  };
}

function makeGroupGauges(registers: Registry[]): (figures: GroupFigures) => void {
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
  const perTopic = (name: string, help: string) =>
    new Gauge({ name, help, labelNames: ['group', 'topic'] as const, registers });
  const groups = new Gauge({ name: 'muster_groups', help: 'Groups by state', labelNames: ['state'], registers });
  const members = gauge('muster_group_members', 'Members of all groups');
  const offsets = gauge('muster_committed_offsets', 'Committed offsets of all groups');
  const lag = perTopic(
    'muster_group_lag_messages',
    'Messages that a group had left in a topic when it last committed there',
  );
  const age = perTopic('muster_group_lag_seconds', 'Age of the oldest message that a group has left in a topic');
  const committed = perTopic(
    'muster_group_last_commit_timestamp_seconds',
    'When a group last committed in a topic, in seconds since 1970',
  );
  const leftOut = gauge('muster_group_lags_left_out', 'Groups whose lag is not told: more than lagGroupsMax have one');
  return (figures) => {
    for (const [state, count] of Object.entries(figures.states)) groups.set({ state }, count);
    members.set(figures.members);
    offsets.set(figures.offsets);
    leftOut.set(figures.lagsLeftOut);
    // Groups come and go, and move to other nodes.
    for (const each of [lag, age, committed]) each.reset();
    for (const { group, topic, messages, oldestMs, committedAt } of figures.lags) {
      lag.set({ group, topic }, messages);
      age.set({ group, topic }, oldestMs / MS_PER_SECOND);
      committed.set({ group, topic }, committedAt / MS_PER_SECOND);
    }
  };
}
