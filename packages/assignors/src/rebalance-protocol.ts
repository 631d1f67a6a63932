// Which rebalance protocol a member runs, given all the assignors it is configured with.

import type { Assignor, RebalanceProtocol } from './assignor.js';

export type RebalanceProtocolChoice =
  | { readonly kind: 'chosen'; readonly rebalanceProtocol: RebalanceProtocol }
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * kafka: the highest protocol that *all* configured assignors have in common; so [range, cooperative-sticky] runs eager,
 * and dropping range in a second rolling restart turns cooperative on. Refused when the list is empty, when a name
 * occurs twice, and when no protocol is common to all: mistakes to report at start-up.
 */
export function chooseRebalanceProtocol(assignors: readonly Assignor[]): RebalanceProtocolChoice {
  const names = assignors.map(({ name }) => name);
  const twice = names.find((name, place) => names.indexOf(name) !== place);
  if (assignors.length === 0) {
    return { kind: 'refused', reason: 'at least one assignor is needed' };
  }
  if (twice !== undefined) {
    return { kind: 'refused', reason: `two assignors are named ${twice}` };
  }
  for (const rebalanceProtocol of ['cooperative', 'eager'] as const) {
    if (assignors.every((assignor) => assignor.rebalanceProtocols.includes(rebalanceProtocol))) {
      return { kind: 'chosen', rebalanceProtocol };
    }
  }
  return { kind: 'refused', reason: `no rebalance protocol is common to ${names.join(', ')}` };
}
