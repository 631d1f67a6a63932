/**
 * What a checker says about a history: how much it has looked at, and what was wrong.
 */

export type Verdict = {
  /** As the simulator calls the same invariant, where it has it. */
  readonly name: string;
  /** How many things were looked at; 0 = the run never exercised this. */
  readonly checked: number;
  readonly violations: readonly Violation[];
};

/** One thing that was wrong, and when it happened or began. */
export type Violation = { readonly at: number; readonly what: string };
