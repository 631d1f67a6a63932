/**
 * Finds out who has died: silence and hints start probes, probes and expired leases lead to a mark, and only the mark, a
 * conditional write, is a death (O4). It claims nothing.
 *
 * D1: the mark is conditional on the revision seen before the first missed heartbeat, so that a renewal since then refutes it;
 * refuted, only a renewal that fails to come says anything. D2: a node is probed by one loop at a time, and marked by one.
 * D3: hints are rate-limited and only trigger probes (C5). D4: without proof of our own lease we count nobody's as expired (O3).
 * D5: after a gap of our own a node that has not been heard of again may just be slower to come back: only its lease counts.
 */

import type { Incarnation, MonotonicMs, NodeId, Subjects } from '@muster/protocol';
import { encodeLease, leaseKey } from './lease-entry.js';
import type { Bus, Clock, LeaseStore } from './ports.js';
import type { ClusterSettings } from './settings.js';
import type { View, ViewNode } from './view.js';

const nothing = new Uint8Array();

/** Where a probe of one incarnation goes (O1: a restarted node does not answer for the old one). */
export function probeSubject(subjects: Subjects, node: NodeId, incarnation: Incarnation): string {
  return subjects.node(node, `${incarnation}.probe`);
}

type Watched = {
  readonly incarnation: Incarnation;
  heardAt: MonotonicMs;
  /** Revision of the lease when the node was last known to be on time (D1). */
  revisionInTime: number;
  /** A mark was refused since the node was last heard of: it lived longer than its silence says (D1). */
  isRefuted: boolean;
  /** Not heard of since a gap of our own (D5). */
  isMissing: boolean;
  /** Its silence has been reported. */
  isSuspected: boolean;
  probing: boolean;
  marking: boolean;
  hintedAt: MonotonicMs | undefined;
};

export class DeathDetector {
  readonly #watched = new Map<NodeId, Watched>();
  readonly #self: NodeId;
  readonly #view: View;
  readonly #bus: Bus;
  readonly #store: LeaseStore;
  readonly #clock: Clock;
  readonly #subjects: Subjects;
  readonly #settings: ClusterSettings;
  readonly #report: (event: {
    readonly node: NodeId;
    readonly kind: 'suspected' | 'marked' | 'lives';
    why: string;
  }) => void;

  constructor(options: {
    readonly self: NodeId;
    readonly view: View;
    readonly bus: Bus;
    readonly store: LeaseStore;
    readonly clock: Clock;
    readonly subjects: Subjects;
    readonly settings: ClusterSettings;
    readonly report: (event: {
      readonly node: NodeId;
      readonly kind: 'suspected' | 'marked' | 'lives';
      why: string;
    }) => void;
  }) {
    this.#self = options.self;
    this.#view = options.view;
    this.#bus = options.bus;
    this.#store = options.store;
    this.#clock = options.clock;
    this.#subjects = options.subjects;
    this.#settings = options.settings;
    this.#report = options.report;
  }

  /** A heartbeat of a node has come. */
  heard(node: NodeId, incarnation: Incarnation): void {
    const known = this.#view.get(node);
    // O1: what an earlier process of this id says, paused until now, is no sign of life of the one that holds the lease.
    if (known !== undefined && known.incarnation !== incarnation) return;
    this.#signOfLife(this.#watch(node, incarnation));
  }

  /** We were away: without a connection, or standing still. Whom the others have lost meanwhile we cannot know (D5). */
  wasAway(): void {
    for (const watched of this.#watched.values()) watched.isMissing = true;
  }

  /** A client did not reach the node (C5). */
  hint(node: NodeId): void {
    const known = this.#view.get(node);
    if (known === undefined || !this.#isSuspectable(known)) return;
    const watched = this.#watch(known.node, known.incarnation);
    const now = this.#clock.now();
    const { silenceMs } = this.#settings;
    if (watched.hintedAt !== undefined && now - watched.hintedAt < silenceMs) return;
    watched.hintedAt = now;
    this.#suspect(known, watched, 'a client got no answer');
  }

  /**
   * Looks at every node once.
   * @param isOwnLeaseProven whether our own renewals succeed (D4)
   */
  tick(isOwnLeaseProven: boolean): void {
    const now = this.#clock.now();
    const { silenceMs, heartbeatIntervalMs, observerWaitMs } = this.#settings;
    for (const known of this.#view.all()) {
      if (!this.#isSuspectable(known)) continue;
      const watched = this.#watch(known.node, known.incarnation);
      const silentMs = now - watched.heardAt;
      if (known.changedAt - watched.heardAt <= heartbeatIntervalMs) watched.revisionInTime = known.revision;
      if (silentMs > silenceMs) this.#suspect(known, watched, `silent for ${Math.round(silentMs)} ms`);
      if (isOwnLeaseProven && now - known.changedAt > observerWaitMs) {
        void this.#mark(known, watched, known.revision, `its lease has not been renewed for ${observerWaitMs} ms`);
      }
    }
  }

  #isSuspectable(known: ViewNode): boolean {
    return known.node !== this.#self && this.#view.isLive(known.node, known.incarnation);
  }

  #watch(node: NodeId, incarnation: Incarnation): Watched {
    const existing = this.#watched.get(node);
    if (existing?.incarnation === incarnation) return existing;
    const revisionInTime = this.#view.get(node)?.revision ?? 0;
    const heardAt = this.#clock.now();
    const watched: Watched = {
      incarnation,
      heardAt,
      revisionInTime,
      isRefuted: false,
      isSuspected: false,
      isMissing: false,
      probing: false,
      marking: false,
      hintedAt: undefined,
    };
    this.#watched.set(node, watched);
    return watched;
  }

  #signOfLife(watched: Watched): void {
    watched.heardAt = this.#clock.now();
    watched.isRefuted = false;
    watched.isSuspected = false;
    watched.isMissing = false;
  }

  #suspect(known: ViewNode, watched: Watched, why: string): void {
    if (watched.probing || !this.#bus.connected || this.#revisionToMark(known, watched) === undefined) return;
    watched.probing = true;
    if (!watched.isSuspected) this.#report({ node: known.node, kind: 'suspected', why });
    watched.isSuspected = true;
    void this.#probe(known, watched).finally(() => {
      watched.probing = false;
    });
  }

  async #probe(known: ViewNode, watched: Watched): Promise<void> {
    const { probeTimeoutMs, probesBeforeMark, probeSpacingMs } = this.#settings;
    const subject = probeSubject(this.#subjects, known.node, known.incarnation);
    const { heardAt } = watched;
    for (let refusals = 0; refusals < probesBeforeMark; ) {
      const outcome = await this.#bus.request(subject, nothing, probeTimeoutMs);
      switch (outcome.kind) {
        case 'reply':
          this.#signOfLife(watched);
          return this.#report({ node: known.node, kind: 'lives', why: 'it answered a probe' });
        case 'timeout':
        case 'disconnected':
          // O10: no proof of anything. The next tick probes again; a lost host is found by its lease.
          return;
        case 'no-responders':
          refusals += 1;
          if (refusals < probesBeforeMark) await this.#pause(probeSpacingMs);
      }
    }
    // D1: only its server does not see the probe subject yet, or no more; the node itself has just spoken.
    if (watched.heardAt !== heardAt) return this.#report({ node: known.node, kind: 'lives', why: 'it was heard of' });
    const revision = this.#revisionToMark(known, watched);
    if (revision !== undefined) await this.#mark(known, watched, revision, 'no responders at its probe subject');
  }

  /** @returns what a mark after silence is conditional on; undefined = it is too early for one (D1, D5) */
  #revisionToMark(known: ViewNode, watched: Watched): number | undefined {
    if (watched.isMissing) return undefined;
    if (!watched.isRefuted) return watched.revisionInTime;
    const { renewIntervalMs, silenceMs } = this.#settings;
    const current = this.#view.get(known.node);
    if (current?.incarnation !== known.incarnation) return undefined;
    return this.#clock.now() - current.changedAt > renewIntervalMs + silenceMs ? current.revision : undefined;
  }

  async #mark(known: ViewNode, watched: Watched, revision: number, why: string): Promise<void> {
    if (watched.marking) return;
    watched.marking = true;
    const { node, incarnation } = known;
    const markedBy = `${this.#self}: ${why}`;
    const value = encodeLease({ node, incarnation, state: 'dead', renewal: 0, markedBy });
    const outcome = await this.#store.write(leaseKey(node), value, revision);
    watched.marking = false;
    switch (outcome.kind) {
      case 'written':
        this.#view.observe({ key: leaseKey(node), value, revision: outcome.revision }, this.#clock.now());
        return this.#report({ node, kind: 'marked', why });
      case 'refused': {
        // O4: it has renewed since, so it lives, or another node was faster. For now there is nothing more to do.
        watched.isRefuted = true;
        this.#view.renewed(node, incarnation, this.#clock.now());
        return this.#report({ node, kind: 'lives', why: 'its lease has changed since' });
      }
      case 'unknown':
        return;
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(ms, resolve);
    });
  }
}
