/**
 * What the consumers of one group have handled, held against what was produced and against what the log says is committed.
 *
 * Handled at least once: a worker that was cut off may still handle what another handles again. So each rule speaks of one
 * generation, or of what was committed in an earlier one.
 */

import type { GroupId } from '@muster/protocol';
import type { History } from './history.js';
import type { Verdicts } from './verdicts.js';

type Running = {
  readonly who: string;
  readonly generation: number;
  readonly offset: number;
  readonly signal: { readonly aborted: boolean };
};
type Commit = { readonly generation: number; readonly offset: number };

type PartitionState = {
  readonly produced: number[];
  readonly handled: Set<number>;
  readonly running: Set<Running>;
  /** The highest commit of each generation, the newest last. */
  readonly commits: Commit[];
  /** Where each process has begun a message last. */
  readonly begun: Map<string, Running>;
};

export type Handled = {
  readonly who: string;
  readonly partition: number;
  readonly offset: number;
  readonly generation: number;
  /** Aborted: the handler has been told that the partition is no longer its own. */
  readonly signal: { readonly aborted: boolean };
};

export class HandlingWatch {
  readonly #group: GroupId;
  readonly #verdicts: Verdicts;
  readonly #history: History;
  readonly #partitions: readonly PartitionState[];
  /** Messages whose handling has ended well, repetitions too. */
  handledCount = 0;

  constructor(group: GroupId, partitions: number, verdicts: Verdicts, history: History) {
    this.#group = group;
    this.#verdicts = verdicts;
    this.#history = history;
    this.#partitions = Array.from({ length: partitions }, () => ({
      produced: [],
      handled: new Set(),
      running: new Set(),
      commits: [],
      begun: new Map(),
    }));
  }

  produced(partition: number, offset: number): void {
    this.#of(partition).produced.push(offset);
  }

  /** A handler begins. @returns to be called when it has ended well */
  begins({ who, partition, offset, generation, signal }: Handled): () => void {
    const state = this.#of(partition);
    const place = `${partition}/${offset}`;
    this.#history.take(offset * 64 + partition);
    this.#history.note(this.#group, () => `${who} handles ${place} in generation ${generation}`);
    const floor = Math.max(
      0,
      ...state.commits.filter((each) => each.generation < generation).map((each) => each.offset),
    );
    this.#check('committed-is-not-handled-again', offset >= floor, () => {
      return `${who} handles ${place} in generation ${generation}, committed is ${floor}`;
    });
    const rival = [...state.running].find((each) => each.generation === generation && !each.signal.aborted);
    this.#check('one-handler-per-partition', rival === undefined, () => {
      return `${who} handles ${place} in generation ${generation}, ${rival?.who} handles ${rival?.offset}`;
    });
    const before = state.begun.get(who);
    const isInOrder = before === undefined || before.generation < generation || before.offset < offset;
    this.#check('handled-in-order', isInOrder, () => `${who} handles ${place} after ${before?.offset}`);
    if (state.handled.has(offset)) this.#history.mark('a message was handled again');
    const running = { who, generation, offset, signal };
    state.running.add(running);
    state.begun.set(who, running);
    return () => {
      state.running.delete(running);
      state.handled.add(offset);
      this.handledCount += 1;
    };
  }

  /** The handler of a process has failed, and will be tried again. */
  gaveUp(who: string, partition: number): void {
    const { running, begun } = this.#of(partition);
    for (const each of running) if (each.who === who) running.delete(each);
    begun.delete(who);
  }

  /** A process has got partitions, or had to go without: where it begins in them next is up to the last commit. */
  changedHands(who: string): void {
    for (const { begun } of this.#partitions) begun.delete(who);
  }

  /** A process has ended: its handlers with it. */
  ended(who: string): void {
    for (const { running } of this.#partitions) for (const each of running) if (each.who === who) running.delete(each);
  }

  /** The log has a commit. */
  committed(partition: number, offset: number, generation: number): void {
    const state = this.#of(partition);
    const left = state.produced.find((each) => each < offset && !state.handled.has(each));
    this.#check('commits-cover-handled-only', left === undefined, () => {
      return `${partition} is committed up to ${offset}, ${left} has not been handled`;
    });
    const last = state.commits.at(-1);
    if (last?.generation === generation) state.commits.pop();
    state.commits.push({ generation, offset: Math.max(offset, last?.generation === generation ? last.offset : 0) });
  }

  /** The log has forgotten the group's offsets: everything begins anew. */
  forgotten(): void {
    for (const { commits } of this.#partitions) commits.length = 0;
  }

  /** Messages that nobody has handled yet. */
  get left(): readonly string[] {
    return this.#partitions.flatMap(({ produced, handled }, partition) =>
      produced.filter((offset) => !handled.has(offset)).map((offset) => `${partition}/${offset}`),
    );
  }

  #check(
    name:
      | 'committed-is-not-handled-again'
      | 'one-handler-per-partition'
      | 'handled-in-order'
      | 'commits-cover-handled-only',
    holds: boolean,
    text: () => string,
  ): void {
    this.#verdicts.check(name, holds, this.#group, text);
  }

  #of(partition: number): PartitionState {
    const state = this.#partitions[partition];
    if (state === undefined) throw new RangeError(`there is no topic partition ${partition}`);
    return state;
  }
}
