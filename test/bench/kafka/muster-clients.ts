/**
 * The Muster side's clients: consumers of the worker library in groups, each over a connection of its own.
 *
 * It judges nothing. Its twin is KafkaPeer.java: whoever changes what is measured here changes it there.
 */

import { bytesCodec, type Consumer, connect, type Message, type Muster } from '@muster/worker';
import { pause, until } from '../../chaos/fleet.js';
import { GroupShare } from './group-share.js';
import type { Commits, GroupSettings, Struck, Watched } from './side.js';

const PATIENCE_MS = 120_000;

type Seat = { readonly name: string; readonly muster: Muster; readonly consumer: Consumer<Uint8Array> };

class Group {
  readonly name: string;
  readonly share: GroupShare;
  readonly seats: Seat[] = [];
  readonly #settings: GroupSettings;
  readonly #servers: readonly string[];
  readonly #cluster: string;
  #messages: AsyncIterator<Message<Uint8Array>> | undefined;
  #seatsMade = 0;

  constructor(name: string, settings: GroupSettings, servers: readonly string[], cluster: string) {
    this.name = name;
    this.#settings = settings;
    this.#servers = servers;
    this.#cluster = cluster;
    this.share = new GroupShare(settings.partitions);
  }

  async add(): Promise<void> {
    const { topic, sessionMs, heartbeatMs } = this.#settings;
    this.#seatsMade += 1;
    const name = `member-${this.#seatsMade}`;
    this.share.add(name);
    const numbers = (places: readonly { readonly partition: number }[]) => places.map(({ partition }) => partition);
    const muster = await connect({ servers: [...this.#servers], cluster: this.#cluster, name: `${this.name}-${name}` });
    const consumer = await muster.consumer<Uint8Array>({
      group: this.name,
      topics: [topic],
      codec: bytesCodec,
      commit: { kind: 'manual' },
      sessionTimeoutMs: sessionMs,
      heartbeatIntervalMs: heartbeatMs,
      onAssigned: (places) => this.share.took(name, numbers(places), performance.now()),
      onRevoked: (places) => this.share.gave(name, numbers(places), performance.now()),
      onLost: (places) => this.share.gave(name, numbers(places), performance.now()),
    });
    this.seats.push({ name, muster, consumer });
  }

  /** @returns when the last member had its share */
  async untilShared(): Promise<number> {
    await until(`${this.name} is shared`, () => this.share.sharedSinceMs() !== undefined, PATIENCE_MS);
    return this.share.sharedSinceMs() ?? Number.NaN;
  }

  async next(): Promise<Message<Uint8Array>> {
    this.#messages ??= this.seats[0]?.consumer[Symbol.asyncIterator]();
    const next = await this.#messages?.next();
    if (next === undefined || next.done === true) throw new Error(`${this.name} has no messages`);
    return next.value;
  }

  /** @returns how many commits failed before one was acknowledged */
  async commitOnce(): Promise<number> {
    for (let failed = 0; ; failed += 1) if (await this.tryCommit()) return failed;
  }
  async tryCommit(): Promise<boolean> {
    const message = await this.next();
    return message.commit().then(
      () => true,
      (thrown: unknown) => {
        process.stderr.write(`${this.name}: ${thrown}\n`);
        return false;
      },
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.seats.map(({ muster }) => muster.close({ timeoutMs: 5_000 })));
  }
}

export class MusterClients {
  readonly #servers: readonly string[];
  readonly #cluster: string;
  #groups: Group[] = [];
  #watching: { isOver: boolean; readonly done: Promise<readonly (readonly [number, number, number])[]> } | undefined;

  constructor(servers: readonly string[], cluster: string) {
    this.#servers = servers;
    this.#cluster = cluster;
  }

  async open(names: readonly string[], settings: GroupSettings): Promise<void> {
    const opened = names.map((name) => new Group(name, settings, this.#servers, this.#cluster));
    this.#groups.push(...opened);
    await Promise.all(opened.flatMap((group) => Array.from({ length: settings.members }, () => group.add())));
    await Promise.all(opened.map((group) => group.untilShared()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#groups.map((group) => group.close()));
    this.#groups = [];
  }

  async join(name: string): Promise<number> {
    const group = this.#group(name);
    const from = performance.now();
    await group.add();
    return (await group.untilShared()) - from;
  }

  async leave(name: string): Promise<number> {
    const group = this.#group(name);
    const leaving = group.seats.pop();
    if (leaving === undefined) throw new Error(`${name} has no members`);
    const from = performance.now();
    group.share.remove(leaving.name);
    const closed = leaving.muster.close();
    const ms = (await group.untilShared()) - from;
    await closed;
    return ms;
  }

  async commits(each: number): Promise<Commits> {
    await this.arm();
    const startedAt = performance.now();
    const one = async (group: Group): Promise<readonly number[]> => {
      const latenciesMs: number[] = [];
      while (latenciesMs.length < each) {
        const message = await group.next();
        const from = performance.now();
        await message.commit();
        latenciesMs.push(performance.now() - from);
      }
      return latenciesMs;
    };
    const latenciesMs = (await Promise.all(this.#groups.map(one))).flat();
    return { latenciesMs, elapsedMs: performance.now() - startedAt };
  }

  /** Waits until every group has been handed a message, so that its reading is under way. */
  async arm(): Promise<void> {
    for (const message of await Promise.all(this.#groups.map((group) => group.next()))) message.ack();
  }

  async strike(): Promise<Struck> {
    const struck = await Promise.all(
      this.#groups.map(async (group) => ({ failed: await group.commitOnce(), at: Date.now() })),
    );
    const failed = struck.reduce((sum, one) => sum + one.failed, 0);
    return { answeredAt: struck.map(({ at }) => at), failed };
  }

  async watch(everyMs: number): Promise<void> {
    await this.arm();
    const state = { isOver: false };
    const follow = async (group: Group): Promise<readonly [number, number, number]> => {
      let [done, failed, longest] = [0, 0, 0];
      let last = performance.now();
      while (!state.isOver) {
        if (await group.tryCommit()) {
          done += 1;
          longest = Math.max(longest, performance.now() - last);
          last = performance.now();
        } else failed += 1;
        await pause(everyMs);
      }
      return [done, failed, longest];
    };
    this.#watching = Object.assign(state, { done: Promise.all(this.#groups.map(follow)) });
  }

  async unwatch(): Promise<Watched> {
    const watching = this.#watching;
    if (watching === undefined) throw new Error('nothing is watched');
    watching.isOver = true;
    const groups = await watching.done;
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    const [commits, failed] = [sum(groups.map(([done]) => done)), sum(groups.map(([, bad]) => bad))];
    return { commits, failed, longestMs: groups.map(([, , longest]) => longest) };
  }

  async generations(): Promise<Readonly<Record<string, number>>> {
    const generationOf = (group: Group) => group.seats[0]?.consumer.health().generation ?? -1;
    return Object.fromEntries(this.#groups.map((group) => [group.name, generationOf(group)]));
  }

  #group(name: string): Group {
    const found = this.#groups.find((group) => group.name === name);
    if (found === undefined) throw new RangeError(`there is no group ${name}`);
    return found;
  }
}
