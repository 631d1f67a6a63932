/**
 * What both sides of the comparison can do: clients in groups, and coordinators that are started and struck.
 *
 * Every measurement is written once, against this; `kafka-side.ts` and `muster-side.ts` say how each side does it.
 */

/** What every member is told, on both sides. */
export type GroupSettings = {
  readonly members: number;
  readonly topic: string;
  readonly partitions: number;
  readonly sessionMs: number;
  readonly heartbeatMs: number;
};

export type Commits = { readonly latenciesMs: readonly number[]; readonly elapsedMs: number };
/** When each group's commit was acknowledged, in ms since 1970, and how many a client's user saw fail before. */
export type Struck = { readonly answeredAt: readonly number[]; readonly failed: number };
/** `longestMs`: for each group the longest time between two commits that worked. */
export type Watched = { readonly commits: number; readonly failed: number; readonly longestMs: readonly number[] };
/** `store` where the records are kept by processes of their own. */
export type Resident = { readonly coordinatorsMiB: readonly number[]; readonly storeMiB: readonly number[] };

export type Side = {
  readonly name: string;
  /** A topic with so many messages, spread over its partitions, on three replicas. */
  readonly topic: (name: string, partitions: number, messages: number) => Promise<void>;
  /** Forms groups; settles when each shares the topic evenly. */
  readonly open: (groups: readonly string[], settings: GroupSettings) => Promise<void>;
  /** Every member leaves. */
  readonly close: () => Promise<void>;
  /** One more member. @returns ms from the making of its client until everybody holds its share */
  readonly join: (group: string) => Promise<number>;
  /** The youngest member leaves in order. @returns ms from its first step until the others hold everything */
  readonly leave: (group: string) => Promise<number>;
  /** So many commits of each open group, one in flight each. */
  readonly commits: (each: number) => Promise<Commits>;
  /** Every open group stands ready to commit. */
  readonly arm: () => Promise<void>;
  /** Every open group commits once, until it works. */
  readonly strike: () => Promise<Struck>;
  /** Every open group commits again and again with this pause, until `unwatch`. */
  readonly watch: (everyMs: number) => Promise<void>;
  readonly unwatch: () => Promise<Watched>;
  /** The generation of each open group: one more for each rebalance. */
  readonly generations: () => Promise<Readonly<Record<string, number>>>;

  readonly coordinators: readonly string[];
  /** For each of the 50 partitions who coordinates its groups. */
  readonly owners: () => Promise<readonly string[]>;
  /** @returns a coordinator whose end is no election of the servers' own metadata leader */
  readonly victim: () => Promise<string>;
  /** kill -9. */
  readonly kill: (coordinator: string) => Promise<void>;
  /** Starts what was killed; settles when everything is where it was. */
  readonly revive: (coordinator: string) => Promise<void>;
  /** SIGTERM and start again; settles when it takes part and nothing is missing. */
  readonly restart: (coordinator: string) => Promise<void>;
  /** kill -9 of the coordinator and of the store's process beside it; undefined where the two are one process. */
  readonly killHost: ((coordinator: string) => Promise<void>) | undefined;
  /** Groups without members, with an offset committed on each partition. */
  readonly idleGroups: (count: number, topic: string, partitions: number) => Promise<void>;
  readonly resident: () => Promise<Resident>;
  readonly stop: () => Promise<void>;
};
