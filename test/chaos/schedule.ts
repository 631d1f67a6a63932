/**
 * The faults of a run, drawn from its seed before anything starts: the same seed and options give the same schedule.
 *
 * S1: faults follow one another; about one in four begins while the one before is still on. S2: at most one NATS server is down at a
 * time, and one coordinator at least is left alone: more is not promised to be survived. S3: nothing begins in the last part of
 * the run, so that everything can come to rest. S4: what does not fit into the rest of the time is left out, but not the first
 * fault of all: a run too short for any has one, and takes longer.
 */

import { SeededRandom } from '@muster/testkit/internals';
import type { ProxyState } from './proxy.js';
import type { RouteCut } from './route-proxies.js';

export const faultKinds = [
  'kill',
  'pause',
  'partition',
  'nats-kill',
  'nats-leader',
  'drain',
  'worker-kill',
  'worker-pause',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/**
 * Which servers are parted from which: `server` from all others or, where there is an `other`, from that one alone, so that the third
 * still sees both. `hears` false: what the others send to it is held up, otherwise what it sends; of interest one-way only.
 */
export type RouteTrouble = {
  readonly server: number;
  readonly other: number | undefined;
  readonly how: RouteCut;
  readonly hears: boolean;
  /** Members are brought to the side that must go on: the cut is longer than a session. */
  readonly shelters: boolean;
};

/** One fault with everything that is drawn about it. */
export type Fault = {
  readonly id: number;
  /** From the beginning of the schedule. */
  readonly atMs: number;
  /** How long it stays on, or until what was ended is started again. */
  readonly forMs: number;
} & (
  | { readonly kind: 'kill' | 'pause'; readonly node: number }
  | {
      readonly kind: 'partition';
      readonly role: 'node' | 'light' | 'workers';
      readonly node: number;
      readonly state: Exclude<ProxyState, 'open'>;
      readonly heal: 'deliver' | 'reset';
    }
  | ({ readonly kind: 'partition'; readonly role: 'routes'; readonly heal: 'deliver' | 'reset' } & RouteTrouble)
  | { readonly kind: 'nats-kill'; readonly server: number }
  | { readonly kind: 'nats-leader'; readonly streams: number }
  | { readonly kind: 'drain'; readonly scope: 'coordinators' | 'coordinators and workers' | 'everything' }
  | { readonly kind: 'worker-kill' | 'worker-pause'; readonly worker: number }
);

export type ScheduleOptions = {
  readonly seed: string;
  readonly kinds: readonly FaultKind[];
  readonly durationMs: number;
  readonly nodes: number;
  readonly workers: number;
  readonly servers: number;
  readonly workerSessionMs: number;
  readonly lightSessionMs: number;
};

/** A coordinator's lease runs out after this at the latest: pauses are drawn to both sides of it, more often beyond. */
const LEASE_MS = 5_000;

/** What members get to connect elsewhere before their server is cut off. */
export const SHELTER_MS = 1_500;

/** @returns the faults in the order of their beginning */
export function drawSchedule(options: ScheduleOptions): readonly Fault[] {
  const random = new SeededRandom(`chaos-${options.seed}`);
  const faults: Fault[] = [];
  let atMs = 500 + random.below(1_000);
  let bag: FaultKind[] = [];
  let busyUntilMs = 0;
  while (options.kinds.length > 0) {
    // Every kind has its turn before any comes again, in an order of its own each time.
    if (bag.length === 0) bag = shuffled(options.kinds, random);
    const kind = bag.pop() ?? 'kill';
    const fault = draw(kind, faults.length + 1, Math.round(atMs), options, random);
    const endsAtMs = fault.atMs + nominalMs(fault, options.nodes);
    // S4
    if (endsAtMs > options.durationMs && faults.length > 0) {
      if (bag.length > 0) continue;
      break;
    }
    faults.push(fault);
    busyUntilMs = Math.max(busyUntilMs, endsAtMs);
    const overlaps = random.next() < 0.25 && !isExclusive(fault);
    atMs = overlaps ? fault.atMs + random.below(2_000) : busyUntilMs + 1_000 + random.below(3_000);
  }
  return faults;
}

/** How long the fault takes, as far as that is known beforehand. */
function nominalMs(fault: Fault, nodes: number): number {
  if (fault.kind === 'partition' && fault.role === 'routes' && fault.shelters) return fault.forMs + SHELTER_MS;
  if (fault.kind !== 'drain') return fault.forMs;
  return nodes * 2_500 + (fault.scope === 'coordinators' ? 0 : 6_000) + (fault.scope === 'everything' ? 8_000 : 0);
}

/** S2: what must not overlap with the next. */
function isExclusive({ kind }: Fault): boolean {
  return kind === 'nats-kill' || kind === 'drain' || kind === 'pause' || kind === 'kill' || kind === 'partition';
}

function draw(kind: FaultKind, id: number, atMs: number, options: ScheduleOptions, random: SeededRandom): Fault {
  const { nodes, workers, servers, workerSessionMs } = options;
  const between = (least: number, most: number) => Math.round(least + random.next() * (most - least));
  switch (kind) {
    case 'kill':
      return { id, atMs, kind, node: random.below(nodes), forMs: between(500, 4_000) };
    case 'pause':
      return { id, atMs, kind, node: random.below(nodes), forMs: between(LEASE_MS - 1_500, LEASE_MS + 4_000) };
    case 'partition': {
      const role = random.pick(['node', 'node', 'routes', 'routes', 'routes', 'light', 'workers'] as const);
      if (role === 'routes') return { ...drawRoutes(options, random, between), id, atMs, kind, role };
      const state = random.pick(['cut', 'stalled', 'stalled-to-server', 'stalled-to-client'] as const);
      const heal = random.pick(['deliver', 'reset'] as const);
      const most = role === 'node' ? 9_000 : memberSilenceMsMax(options);
      return { id, atMs, kind, role, node: random.below(nodes), state, heal, forMs: between(500, most) };
    }
    case 'nats-kill':
      return { id, atMs, kind, server: random.below(servers), forMs: between(1_000, 6_000) };
    case 'nats-leader':
      return { id, atMs, kind, streams: 1 + random.below(8), forMs: 0 };
    case 'drain': {
      const scope = random.pick(['coordinators', 'coordinators', 'coordinators and workers', 'everything'] as const);
      return { id, atMs, kind, scope, forMs: 0 };
    }
    case 'worker-kill':
      return { id, atMs, kind, worker: random.below(workers), forMs: between(500, 3_000) };
    case 'worker-pause':
      return { id, atMs, kind, worker: random.below(workers), forMs: workerSessionMs + between(500, 3_000) };
  }
}

/** Members that are silent for their session are expelled, and rightly so: what cuts them off is shorter. */
function memberSilenceMsMax({ lightSessionMs, workerSessionMs }: ScheduleOptions): number {
  return Math.min(lightSessionMs, workerSessionMs) / 3;
}

function drawRoutes(
  options: ScheduleOptions,
  random: SeededRandom,
  between: (least: number, most: number) => number,
): RouteTrouble & { readonly heal: 'deliver' | 'reset'; readonly forMs: number } {
  const server = random.below(options.servers);
  const other = random.next() < 0.35 ? (server + 1) % options.servers : undefined;
  const how = random.pick(['cut', 'stalled', 'stalled-one-way', 'stalled-one-way'] as const);
  const hears = random.next() < 0.5;
  const shelters = random.next() < 0.7;
  // Long enough for elections (4 to 9 s) on one side, and for the other to find out that it has no quorum (10 s).
  const forMs = shelters ? between(4_000, 12_000) : between(500, memberSilenceMsMax(options));
  return { server, other, how, hears, shelters, forMs, heal: random.pick(['deliver', 'reset'] as const) };
}

function shuffled<T>(items: readonly T[], random: SeededRandom): T[] {
  const left = [...items];
  const order: T[] = [];
  while (left.length > 0) order.push(...left.splice(random.below(left.length), 1));
  return order;
}
