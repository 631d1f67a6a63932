/**
 * Who holds what in a group, by the members' own word, and since when all of it is shared evenly.
 *
 * Pure. The twin of `Group` in KafkaPeer.java.
 */

export class GroupShare {
  readonly #partitions: number;
  readonly #members = new Map<string, { readonly owned: Set<number>; changedAtMs: number }>();

  constructor(partitions: number) {
    this.#partitions = partitions;
  }

  add(member: string): void {
    this.#members.set(member, { owned: new Set(), changedAtMs: Number.NEGATIVE_INFINITY });
  }
  /** What it holds does not count any more. */
  remove(member: string): void {
    this.#members.delete(member);
  }
  took(member: string, partitions: readonly number[], atMs: number): void {
    this.#change(member, atMs, (owned) => {
      for (const partition of partitions) owned.add(partition);
    });
  }
  gave(member: string, partitions: readonly number[], atMs: number): void {
    this.#change(member, atMs, (owned) => {
      for (const partition of partitions) owned.delete(partition);
    });
  }

  /** @returns when the last member changed, where every partition is held once and no two shares differ by more than one */
  sharedSinceMs(): number | undefined {
    const members = [...this.#members.values()];
    const least = Math.floor(this.#partitions / Math.max(1, members.length));
    const sizes = members.map(({ owned }) => owned.size);
    const isEven = sizes.every((size) => size === least || size === least + 1);
    const distinct = new Set(members.flatMap(({ owned }) => [...owned])).size;
    const held = sizes.reduce((sum, size) => sum + size, 0);
    if (!isEven || distinct !== this.#partitions || held !== distinct) return undefined;
    return Math.max(...members.map(({ changedAtMs }) => changedAtMs));
  }

  #change(member: string, atMs: number, change: (owned: Set<number>) => void): void {
    const known = this.#members.get(member);
    // One that has left may still say so.
    if (known === undefined) return;
    change(known.owned);
    known.changedAtMs = atMs;
  }
}
