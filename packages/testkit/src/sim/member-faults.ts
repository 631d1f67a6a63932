/**
 * What befalls members and consumers: they come, go, die, stand still, are cut off, and have twins.
 */

import type { SeededRandom } from '../seeded-random.js';
import type { FaultKind } from './plan.js';
import type { Consumption, SimGroup, World } from './world.js';

const LATECOMERS_MAX = 2;

/** Things that go on for a while. */
export type Spells = {
  /** All of them have ended, and none begins any more. */
  readonly isOver: boolean;
  /** How long the next one is to be. */
  length(): number;
  during(what: string, ms: number, end: () => void): void;
};

export class MemberFaults {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #spells: Spells;
  #latecomers = 0;

  constructor(world: World, random: SeededRandom, spells: Spells) {
    this.#world = world;
    this.#random = random;
    this.#spells = spells;
  }

  /** Somebody new comes to a group of its own, up to a few times in a run. */
  comeLate(): void {
    const { groups } = this.#world;
    const model = groups.find(({ consumption }) => consumption === undefined)?.plan;
    if (model === undefined || this.#spells.isOver || this.#latecomers >= LATECOMERS_MAX) return;
    this.#latecomers += 1;
    const name = `late-${this.#latecomers}`;
    const habits = { ...model.habits, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 2_000 };
    this.#world.addGroup({ ...model, name, kind: 'churn', members: 1, statics: 0, liars: 0, workers: 0, habits });
  }

  /** To a member, or a consumer, of some group. */
  toMember(kind: FaultKind): void {
    const { groups } = this.#world;
    const group = this.#random.pick(groups);
    if (group.consumption !== undefined) return this.#toConsumer(kind, group, group.consumption);
    if (group.plan.kind === 'steady' && kind !== 'member-pause') return;
    const live = group.members.filter((member) => !member.isGone);
    if (kind === 'consumer-cut') return;
    if (kind === 'member-join') {
      if (live.length < 5) this.#world.addMember(group);
      return;
    }
    if (live.length === 0) return;
    const member = this.#random.pick(live);
    const { process } = member;
    switch (kind) {
      case 'member-leave':
        return this.#leave(group, member);
      case 'member-die':
        member.die();
        group.members = group.members.filter((each) => each !== member);
        return;
      case 'member-pause':
        process.pause();
        return this.#spells.during(`pause of ${member.name}`, this.#spells.length(), () => process.resume());
      default:
        throw new Error(`${kind} does not happen to members`);
    }
  }

  #toConsumer(kind: FaultKind, group: SimGroup, consumption: Consumption): void {
    const { network, history } = this.#world;
    const { consumers } = consumption;
    if (kind === 'member-join') {
      if (consumers.length < 4) this.#world.addConsumer(group);
      return;
    }
    if (consumers.length === 0) return;
    const consumer = this.#random.pick(consumers);
    const { process, peer, name } = consumer;
    history.note('fault', () => `${kind} of ${name}`);
    switch (kind) {
      case 'member-leave':
      case 'member-die':
        consumption.consumers = consumers.filter((each) => each !== consumer);
        return kind === 'member-die' ? consumer.die() : consumer.leave();
      case 'member-pause':
        process.pause(this.#random.next() < 0.3);
        return this.#spells.during(`pause of ${name}`, this.#spells.length(), () => process.resume());
      case 'consumer-cut':
        network.setLink(peer, this.#random.pick(['silent', 'down'] as const));
        return this.#spells.during(`cut of ${name}`, this.#spells.length(), () => network.setLink(peer, 'up'));
      default:
        throw new Error(`${kind} does not happen to consumers`);
    }
  }

  /** A static member goes without leaving and comes again, or another process comes under its instance id beside it. */
  toStatic(isTwin: boolean): void {
    const group = this.#random.pick(this.#world.groups);
    const statics = group.members.filter(({ instance, isGone }) => instance !== null && !isGone);
    if (statics.length === 0) return;
    const member = this.#random.pick(statics);
    const { instance, process } = member;
    this.#world.history.note('fault', () => `${isTwin ? 'a twin' : 'a restart'} of ${member.name}`);
    if (isTwin) {
      if (this.#random.next() < 0.4) {
        process.pause();
        this.#spells.during(`pause of the replaced ${member.name}`, this.#spells.length(), () => process.resume());
      }
      this.#world.addMember(group, instance);
      return;
    }
    member.die();
    group.members = group.members.filter((each) => each !== member);
    // Mostly within its session; a steady group waits for longer than a run has.
    const ms = this.#random.next() * (group.plan.kind === 'steady' ? 2_000 : 9_000);
    this.#spells.during(`absence of ${member.name}`, ms, () => this.#world.addMember(group, instance));
  }

  #leave(group: SimGroup, member: SimGroup['members'][number]): void {
    member.leave();
    group.members = group.members.filter((each) => each !== member);
    group.departed.push(member);
  }

  /** Everybody leaves, the group is deleted, somebody comes again: nothing of before may come back. */
  deleteGroup(): void {
    const group = this.#world.groups.find(({ plan }) => plan.kind === 'fleeting');
    if (group === undefined) return;
    for (const member of [...group.members]) this.#leave(group, member);
    const { client } = this.#world.client('admin');
    group.admins.push(client);
    const again = (tries: number): void => {
      if (this.#spells.isOver || tries === 0) return;
      client.ask('delete', { groupId: group.watch.group }, ({ error }) => {
        if (error === 'NON_EMPTY_GROUP') this.#world.scheduler.after(400, () => again(tries - 1));
      });
    };
    again(20);
    this.#world.scheduler.after(1_500 + this.#random.next() * 6_000, () => {
      if (group.members.length === 0 && !this.#spells.isOver) this.#world.addMember(group);
    });
  }
}
