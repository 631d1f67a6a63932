/**
 * The invariants of a run by name, and what was found about each.
 *
 * A check that was never made says so: `not exercised` is no success.
 */

/** What the product promises; docs/guarantees.md says under which faults. */
export const invariants = {
  'one-writer-per-log': 'the frames of a partition form one chain, epochs rise at claims only',
  'death-is-a-write': 'a claim stands on a release, a mark, or an owner that has given up',
  'living-node-not-marked': 'a node that runs undisturbed is not marked, after an outage of the store either',
  'one-process-per-node-id': 'a process whose node id another has taken never writes its lease again',
  'resume-is-proven': 'nobody serves again what another has claimed before it asked',
  'superseded-owner-falls-silent': 'an owner that has been superseded serves no longer than its lease',
  'exclusive-assignment': 'within one generation a partition is assigned to one member',
  'one-leader-per-generation': 'everybody hears of the same leader in a generation',
  'generation-never-repeats': 'generations only grow, each with one membership, across failover too',
  'no-success-for-the-stale': 'no success for a member or generation that the log has replaced',
  'no-success-for-the-fenced': 'a static member that was told that another has taken its place succeeds at nothing',
  'static-restart-moves-nobody': 'at rest a static member that restarts gets what it had, in the same generation',
  'no-acknowledged-commit-lost': 'what was acknowledged is read back, by whoever owns the group',
  'no-new-group-without-room': 'a stream that is nearly full takes in no new group',
  'offsets-never-move-back': 'a delayed or repeated commit does not move an offset back',
  'no-undurable-reply': 'no answer leaves before the log has what it says',
  'checkpoint-is-not-ahead': 'a checkpoint says of a group what the live records before it say',
  'replay-equals-memory': 'the log gives back what the owner has in memory',
  'stale-answer-never-accepted': 'a client takes no answer of a reign that it knows to be over',
  'committed-is-not-handled-again': 'no consumer handles what was committed in an earlier generation',
  'one-handler-per-partition': 'within one generation a partition has one handler at a time that was not told to stop',
  'handled-in-order': 'a consumer handles a partition in order',
  'commits-cover-handled-only': 'a commit that the log has covers nothing that was not handled to its end',
  'bounded-queues': 'queues stay within their bounds, and are empty at rest',
  'heartbeating-member-not-expelled': 'a member that is heard of in time stays a member',
  'active-offsets-never-expire': 'offsets of a group with members do not expire',
  'every-partition-owned': 'at rest every partition has one owner that answers',
  'live-groups-stable': 'at rest every group with live members is stable, with just these members',
  'produced-is-handled': 'at rest everything that was produced has been handled',
  'every-request-answered': 'at rest no request waits',
  'no-rebalance-without-cause': 'a group whose members stay is not rebalanced',
  'dead-members-replaced': 'at rest live members have all partitions of their group',
} as const;

export type InvariantName = keyof typeof invariants;

export type Problem = { readonly at: number; readonly about: string; readonly text: string };

export type Verdict =
  | { readonly kind: 'ok'; readonly checks: number }
  | { readonly kind: 'not exercised' }
  | { readonly kind: 'violated'; readonly problems: readonly Problem[] };

const PROBLEMS_MAX = 20;

export class Verdicts {
  readonly #checks = new Map<InvariantName, number>();
  readonly #problems = new Map<InvariantName, Problem[]>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** One look at one invariant. `about` names the group, log or node; the text is made only where it is violated. */
  check(name: InvariantName, holds: boolean, about: string, text: () => string): void {
    this.#checks.set(name, (this.#checks.get(name) ?? 0) + 1);
    if (holds) return;
    const problems = this.#problems.get(name) ?? [];
    this.#problems.set(name, problems);
    if (problems.length < PROBLEMS_MAX) problems.push({ at: this.#now(), about, text: text() });
  }

  get isViolated(): boolean {
    return this.#problems.size > 0;
  }

  /** @returns every invariant with what was found */
  all(): Readonly<Record<InvariantName, Verdict>> {
    const names = Object.keys(invariants) as InvariantName[];
    return Object.fromEntries(names.map((name) => [name, this.#verdictOf(name)])) as Record<InvariantName, Verdict>;
  }

  #verdictOf(name: InvariantName): Verdict {
    const problems = this.#problems.get(name);
    if (problems !== undefined) return { kind: 'violated', problems };
    const checks = this.#checks.get(name);
    return checks === undefined ? { kind: 'not exercised' } : { kind: 'ok', checks };
  }
}
