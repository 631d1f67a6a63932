/**
 * What nodes do with the log, the leases and each other, held against the rules of ownership.
 *
 * It judges with what only a simulation knows: who lives, who is disturbed, which reign is the last.
 */

import { type GroupId, type Partition, utf8Decode } from '@muster/protocol';
import type { RuntimeOf } from './canaries.js';
import type { SimNode } from './cluster.js';
import type { LeaseWritten } from './lease-server.js';
import type { ClaimSeen } from './log-watch.js';
import type { SimProcess } from './process.js';
import type { World } from './world.js';

/** Proof of ownership older than this serves nothing (O3); what clocks may differ by, and one turn, come on top. */
const LEASE_MS = 4_000;
export const LOOK_EVERY_MS = 250;
const QUEUED_RECORDS_MAX = 10_000;
/** Whoever has heard for so long that room is scarce, undisturbed, takes no new group in. */
const ROOM_KNOWN_MS = 3_000;
/** So long after a disturbance nothing follows from it any more: two leases. */
const UNDISTURBED_MS = 10_000;

export class NodeWatch {
  readonly #world: World;
  /** The processes that ever held a lease, by key, the newest last. */
  readonly #holders = new Map<string, string[]>();

  constructor(world: World) {
    this.#world = world;
  }

  /** O4: nobody claims over an owner that lives and has given nothing away. */
  claimed({ partition, claim, by, base, baseBy }: ClaimSeen): void {
    this.#world.history.mark('a claim');
    if (base === undefined || base.body.kind === 'release' || by === baseBy) return;
    this.#world.history.mark('a claim without release');
    const entry = this.#world.leases.entryOf(`node.${base.node}`);
    const lease =
      entry?.value === undefined
        ? undefined
        : (JSON.parse(utf8Decode(entry.value)) as { readonly incarnation: string; readonly state: string });
    const isMarked =
      lease === undefined || lease.incarnation !== base.incarnation || lease.state === 'dead' || lease.state === 'left';
    const owner = this.#world.cluster.nodes.find(({ process }) => process.name === baseBy);
    const hasGivenUp =
      owner !== undefined && !owner.assembled.cluster.ownership.owned().some(([each]) => each === partition);
    const holds = isMarked || hasGivenUp || this.#world.drained.has(base.incarnation);
    this.#world.verdicts.check(
      'death-is-a-write',
      holds,
      `log ${partition}`,
      () => `${claim.node} claims over ${base.node}, which nobody has marked`,
    );
  }

  /** L7: a nearly full stream takes in no new group; whoever has been told so for a while, undisturbed, knows. */
  appeared(partition: Partition, group: GroupId): void {
    const since = [
      this.#world.log.scarceSince(partition),
      this.#world.log.streamOf(partition).soundSince,
      this.#world.network.linkedSince,
      ...this.#world.cluster.nodes.map(({ process }) => process.soundSince),
    ];
    const { loss, delay, delayMsMax } = this.#world.network.weather;
    const isMild = loss === 0 && (delay === 0 || delayMsMax <= 300);
    const mustKnow = isMild && since.every((at) => at !== undefined && this.#world.scheduler.now - at > ROOM_KNOWN_MS);
    this.#world.verdicts.check('no-new-group-without-room', !mustKnow, group, () => 'was made although room is scarce');
  }

  /** O1, O4: who writes a lease, and whom others mark. */
  written({ entry, by }: LeaseWritten): void {
    if (entry.value === undefined || !entry.key.startsWith('node.')) return;
    const lease = JSON.parse(utf8Decode(entry.value)) as { readonly incarnation: string; readonly state: string };
    if (lease.state !== 'alive') {
      this.#world.history.note(
        entry.key.replace('.', ' '),
        () => `lease of ${lease.incarnation}: ${lease.state}, by ${by.name}`,
      );
    }
    if (lease.state === 'dead') return this.#judgeMark(entry.key, lease.incarnation, by);
    const holders = this.#holders.get(entry.key) ?? [];
    this.#holders.set(entry.key, holders);
    if (holders.at(-1) === by.name) return;
    this.#world.verdicts.check(
      'one-process-per-node-id',
      !holders.includes(by.name),
      `node ${entry.key}`,
      () => `${by.name} renews the lease that ${holders.at(-1)} has taken from it`,
    );
    holders.push(by.name);
  }

  /** Whoever has run undisturbed for a while, with everything between all nodes in order, is not marked. */
  #judgeMark(key: string, incarnation: string, by: SimProcess): void {
    const owner = this.#world.cluster.nodes.find((node) => node.incarnation === incarnation && node.process.isAlive);
    const since = [
      owner?.process.soundSince,
      by.soundSince,
      this.#world.network.wholeSince,
      this.#world.leases.stream.untroubledSince,
    ];
    const isUndisturbed = since.every((at) => at !== undefined && this.#world.scheduler.now - at > UNDISTURBED_MS);
    this.#world.history.mark(owner === undefined ? 'a dead node was marked' : 'a living node was marked');
    this.#world.verdicts.check(
      'living-node-not-marked',
      !isUndisturbed,
      key,
      () => `${by.name} marks ${owner?.process.name}, which nothing has disturbed`,
    );
  }

  /** O6 */
  resumed(runtime: RuntimeOf, node: SimNode, askedAt: number): void {
    this.#world.history.mark('a partition was resumed');
    const at = this.#world.logWatch.supersededAt(runtime.partition, runtime.epoch);
    this.#world.verdicts.check(
      'resume-is-proven',
      at === undefined || at > askedAt,
      `log ${runtime.partition}`,
      () => `${node.name} serves epoch ${runtime.epoch} again; it was superseded at ${at}`,
    );
  }

  /** A look at every node, now and then. */
  look(): void {
    const now = this.#world.scheduler.now;
    for (const node of this.#world.cluster.nodes) {
      for (const runtime of node.assembled.partitions.all()) {
        const about = `log ${runtime.partition}`;
        this.#world.verdicts.check(
          'bounded-queues',
          runtime.log.queuedRecords <= QUEUED_RECORDS_MAX,
          about,
          () => `${runtime.log.queuedRecords} records wait`,
        );
        if (node.process.isPaused || !node.assembled.cluster.ownership.mayServe(runtime.partition)) continue;
        const at = this.#world.logWatch.supersededAt(runtime.partition, runtime.epoch);
        if (at !== undefined) this.#world.history.mark('a superseded owner had not noticed yet');
        const allowedMs = LEASE_MS * (1 + 3 * this.#world.plan.driftMax) + LOOK_EVERY_MS;
        this.#world.verdicts.check(
          'superseded-owner-falls-silent',
          at === undefined || now - at <= allowedMs,
          about,
          () =>
            `${node.name} still serves epoch ${runtime.epoch}, superseded ${((now - (at ?? 0)) / 1_000).toFixed(1)} s ago`,
        );
      }
    }
  }
}
