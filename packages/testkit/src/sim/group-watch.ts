/**
 * What the clients of one group were told, held against what the log says and against what they were told before.
 *
 * Offsets of one topic partition are numbers that only grow, whoever commits them: so every later answer can be judged.
 */

import type { GroupId, Partition } from '@muster/protocol';
import type { History } from './history.js';
import type { LoggedGroup, LogWatch } from './log-watch.js';
import { TOPIC } from './topics.js';
import type { Verdicts } from './verdicts.js';

type Ledger = {
  sent: number;
  acknowledged: number /** What was sent before a deletion must not come back. */;
  ghosts: number;
};

/** Answers of a group's earlier life leave within so long after its end. */
const ERA_MS = 100;

export type Who = { readonly memberId: string; readonly generation: number };

export class GroupWatch {
  readonly group: GroupId;
  readonly partition: Partition;
  /** Topic partitions that the members share. */
  readonly topicPartitions: number;
  readonly #verdicts: Verdicts;
  readonly #history: History;
  readonly #log: LogWatch;
  readonly #ledgers: Ledger[];
  readonly #leaders = new Map<number, string>();
  readonly #holders = new Map<number, Map<number, string>>();
  #forgottenAt = -1;
  acknowledgedCommits = 0;

  constructor(options: {
    readonly group: GroupId;
    readonly partition: Partition;
    readonly topicPartitions: number;
    readonly verdicts: Verdicts;
    readonly history: History;
    readonly log: LogWatch;
  }) {
    this.group = options.group;
    this.partition = options.partition;
    this.topicPartitions = options.topicPartitions;
    this.#verdicts = options.verdicts;
    this.#history = options.history;
    this.#log = options.log;
    this.#ledgers = Array.from({ length: options.topicPartitions }, () => ({ sent: -1, acknowledged: -1, ghosts: -1 }));
  }

  /** What the log says of the group. */
  get logged(): LoggedGroup | undefined {
    return this.#log.group(this.partition, this.group);
  }

  /** Whether a later reign than `epoch` had begun at that moment. */
  isSuperseded(epoch: number, at: number): boolean {
    const supersededAt = this.#log.supersededAt(this.partition, epoch);
    return supersededAt !== undefined && supersededAt <= at;
  }

  /** @returns the topic partitions of member `index` of `count`, as its assignment */
  share(index: number, count: number): Uint8Array {
    const all = Array.from({ length: this.topicPartitions }, (_, each) => each);
    return Uint8Array.from(all.filter((each) => each % count === index));
  }

  /** @returns the next offset to commit */
  nextOffset(topicPartition: number): number {
    const ledger = this.#ledger(topicPartition);
    ledger.sent += 1;
    return ledger.sent;
  }

  /** The log has deleted the group, or forgotten its offsets. */
  forgotten(at: number): void {
    this.#forgottenAt = at;
    this.#leaders.clear();
    this.#holders.clear();
    for (const ledger of this.#ledgers) {
      ledger.ghosts = ledger.sent;
      ledger.acknowledged = -1;
    }
  }

  joined(who: Who, leader: string, answeredAt: number): void {
    if (this.#isOfEarlierLife(answeredAt)) return;
    const identity = this.#identityOf(leader);
    const known = this.#leaders.get(who.generation);
    if (known === undefined) this.#leaders.set(who.generation, identity);
    this.#verdicts.check(
      'one-leader-per-generation',
      known === undefined || known === identity,
      this.group,
      () => `${identity} leads generation ${who.generation}, others heard of ${known}`,
    );
    const recorded = this.logged?.generations.get(who.generation);
    this.#durable(recorded?.at, answeredAt, () => `generation ${who.generation}`);
  }

  assigned(who: Who, topicPartitions: readonly number[], answeredAt: number): void {
    if (this.#isOfEarlierLife(answeredAt)) return;
    let holders = this.#holders.get(who.generation);
    if (holders === undefined) {
      holders = new Map();
      this.#holders.set(who.generation, holders);
    }
    const identity = this.#identityOf(who.memberId);
    for (const each of topicPartitions) {
      const holder = holders.get(each) ?? identity;
      holders.set(each, holder);
      this.#verdicts.check(
        'exclusive-assignment',
        holder === identity,
        this.group,
        () => `${identity} and ${holder} both have ${each} in generation ${who.generation}`,
      );
    }
  }

  /** A request of `who`, first sent at `askedAt`, was answered with success. */
  succeeded(api: string, who: Who, askedAt: number): void {
    const logged = this.logged;
    let why: string | undefined;
    if (logged !== undefined) {
      const removedAt = logged.removedAt.get(who.memberId);
      if (removedAt !== undefined && removedAt < askedAt) why = 'the member was removed before';
      const next = logged.generations.get(who.generation + 1);
      if (next !== undefined && next.at < askedAt) why = `generation ${who.generation + 1} was recorded before`;
    }
    this.#verdicts.check('no-success-for-the-stale', why === undefined, this.group, () => {
      return `${api} of ${who.memberId} in generation ${who.generation} succeeded, asked at ${askedAt}: ${why}`;
    });
  }

  committed(topicPartition: number, offset: number, askedAt: number, answeredAt: number): void {
    if (askedAt < this.#forgottenAt) return;
    const ledger = this.#ledger(topicPartition);
    ledger.acknowledged = Math.max(ledger.acknowledged, offset);
    this.acknowledgedCommits += 1;
    const at = this.logged?.offsetAt.get(`${TOPIC}/${topicPartition}/${offset}`);
    this.#durable(at, answeredAt, () => `offset ${offset} of ${TOPIC}/${topicPartition}`);
  }

  left(memberId: string, answeredAt: number): void {
    const logged = this.logged;
    if (logged === undefined) return;
    const isThere = logged.members.has(memberId);
    const removedAt = logged.removedAt.get(memberId);
    if (isThere || removedAt !== undefined)
      this.#durable(isThere ? undefined : removedAt, answeredAt, () => `the leave of ${memberId}`);
  }

  /** @returns what a fetch that is sent now must at least bring: to be given back with its answer */
  floors(): readonly number[] {
    return this.#ledgers.map(({ acknowledged }) => acknowledged);
  }

  /** An answer to a fetch of all offsets. */
  fetchedAll(
    partitions: readonly { readonly topic: string; readonly partition: number; readonly offset: number }[],
    floors: readonly number[],
    askedAt: number,
  ): void {
    const offsets = new Map(
      partitions.filter(({ topic }) => topic === TOPIC).map(({ partition, offset }) => [partition, offset]),
    );
    for (let index = 0; index < floors.length; index += 1) {
      this.#fetched(index, offsets.get(index) ?? -1, floors, askedAt);
    }
  }

  /** Expired offsets have been looked for. What members of the group are committed to stays, however old it is. */
  swept(retentionMs: number, now: number): void {
    const { logged } = this;
    if (logged === undefined || logged.members.size === 0) return;
    this.#ledgers.forEach(({ acknowledged }, index) => {
      const at = logged.offsetAt.get(`${TOPIC}/${index}/${acknowledged}`);
      if (acknowledged < 0 || at === undefined || now - at < retentionMs) return;
      this.#verdicts.check(
        'active-offsets-never-expire',
        (logged.offsets.get(`${TOPIC}/${index}`) ?? -1) >= acknowledged,
        this.group,
        () => `${TOPIC}/${index} has expired, the group has members`,
      );
    });
  }

  #fetched(topicPartition: number, offset: number, floors: readonly number[], askedAt: number): void {
    if (askedAt <= this.#forgottenAt) return;
    const { sent, ghosts } = this.#ledger(topicPartition);
    const floor = floors[topicPartition] ?? -1;
    const isGhost = offset >= 0 && offset <= ghosts;
    this.#verdicts.check(
      'no-acknowledged-commit-lost',
      offset >= floor && offset <= sent && !isGhost,
      this.group,
      () => {
        if (isGhost) return `${TOPIC}/${topicPartition} is ${offset}, of before the group was deleted`;
        return `${TOPIC}/${topicPartition} is ${offset}; ${floor} was acknowledged, ${sent} was sent last`;
      },
    );
  }

  /** A static member that was told that it is fenced has tried something under its old identity. */
  triedFenced(memberId: string, error: string): void {
    this.#verdicts.check(
      'no-success-for-the-fenced',
      error !== 'NONE',
      this.group,
      () => `${memberId} succeeded after it was fenced`,
    );
  }

  /** An honest member was told that it is none, after it was last heard of in order at `heardAt`. */
  expelled(memberId: string, sinceMs: number, allowedMs: number): void {
    // Another took its place, and has left since: the place is gone, and with it whatever could tell that it was fenced.
    if (this.#wasReplaced(memberId)) return;
    this.#history.mark('a member was expelled');
    this.#verdicts.check(
      'heartbeating-member-not-expelled',
      sinceMs >= allowedMs * 0.9,
      this.group,
      () => `${memberId} was expelled ${sinceMs.toFixed(0)} ms after its last heartbeat, ${allowedMs} are allowed`,
    );
  }

  /** Answered before, or with the frame that also deleted the group: of a life that is over. */
  #isOfEarlierLife(answeredAt: number): boolean {
    return this.#forgottenAt >= 0 && answeredAt - this.#forgottenAt < ERA_MS;
  }

  #wasReplaced(memberId: string): boolean {
    const instance = this.logged?.instanceOf.get(memberId);
    if (instance === undefined) return false;
    const holders = [...(this.logged?.instanceOf ?? [])].filter(([, of]) => of === instance);
    return holders.at(-1)?.[0] !== memberId;
  }

  /** Whoever takes the place of a static member is the same to the group. */
  #identityOf(memberId: string): string {
    return this.logged?.instanceOf.get(memberId) ?? memberId;
  }

  #durable(at: number | undefined, answeredAt: number, what: () => string): void {
    if (answeredAt < this.#forgottenAt + 1) return;
    this.#verdicts.check('no-undurable-reply', at !== undefined && at <= answeredAt, this.group, () =>
      at === undefined
        ? `${what()} was told and is not in the log`
        : `${what()} was told at ${answeredAt}, recorded at ${at}`,
    );
  }

  #ledger(topicPartition: number): Ledger {
    const ledger = this.#ledgers[topicPartition];
    if (ledger === undefined) throw new RangeError(`there is no topic partition ${topicPartition}`);
    return ledger;
  }
}
