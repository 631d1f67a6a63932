/**
 * Looks at everything once in a while and draws the picture of it.
 */

import type { GroupId } from '@muster/protocol';
import { groupId } from '@muster/protocol';
import type { Admin } from '@muster/worker';
import type { Child } from './child.js';
import type { ClusterWatch } from './cluster-watch.js';
import type { Display } from './display.js';
import type { WorkerPool } from './worker-pool.js';

export type ScreenSources = {
  readonly durationMs: number;
  readonly pool: WorkerPool;
  readonly nodes: ReadonlyMap<string, Child>;
  readonly watch: ClusterWatch;
  readonly admin: Admin;
  readonly group: string;
  readonly produced: () => number;
  readonly handled: () => number;
};

const intervalMs = 500;

export class Screen {
  readonly #display: Display;
  readonly #sources: ScreenSources;
  readonly #group: GroupId;
  #timer: NodeJS.Timeout | undefined;
  #startedAt = 0;
  #state = 'unknown';
  #generation = -1;
  #isAsking = false;
  #last = { at: 0, produced: 0, handled: 0 };

  constructor(display: Display, sources: ScreenSources) {
    this.#display = display;
    this.#sources = sources;
    this.#group = groupId(sources.group);
  }

  /** Begins to draw, as soon as it is known what the group looks like. */
  async start(): Promise<void> {
    const { state, generationId } = await this.#sources.admin.describeGroup(this.#sources.group);
    this.#state = state;
    this.#generation = generationId;
    this.#startedAt = performance.now();
    this.#last = { at: this.#startedAt, produced: this.#sources.produced(), handled: this.#sources.handled() };
    this.#timer = setInterval(() => this.#draw(), intervalMs);
  }
  stop(): void {
    clearInterval(this.#timer);
  }

  #draw(): void {
    this.#ask();
    const { durationMs, pool, nodes, watch, produced, handled } = this.#sources;
    const now = performance.now();
    const current = { at: now, produced: produced(), handled: handled() };
    const perSecond = (before: number, after: number) => Math.round(((after - before) / (now - this.#last.at)) * 1_000);
    this.#display.show({
      elapsedMs: now - this.#startedAt,
      durationMs,
      nodes: [...nodes].map(([name, child]) => ({
        name,
        state: child.isGone ? 'killed' : 'up',
        partitions: child.isGone ? 0 : watch.countOf(name),
      })),
      workers: pool.seats.map(({ name, child, isLeaving, partitions, handled: count }) => ({
        name,
        state: child.isGone ? 'left' : isLeaving ? 'leaving' : 'up',
        partitions,
        handled: count,
      })),
      group: {
        state: this.#state,
        generation: this.#generation,
        coordinator: watch.coordinatorOf(this.#group) || 'nobody',
      },
      producedPerSecond: perSecond(this.#last.produced, current.produced),
      handledPerSecond: perSecond(this.#last.handled, current.handled),
      lag: Math.max(0, current.produced - current.handled),
    });
    this.#last = current;
  }

  /** The group's state is asked for in the background: a coordinator that does not answer must not stop the picture. */
  #ask(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const { admin, group } = this.#sources;
    admin
      .describeGroup(group)
      .then(
        ({ state, generationId }) => {
          this.#state = state;
          this.#generation = generationId;
        },
        () => {
          this.#state = 'no answer';
        },
      )
      .finally(() => {
        this.#isAsking = false;
      });
  }
}
