/**
 * All checkers over one history. Pure: what they say depends on the history alone.
 */

import type { HistoryEvent } from '../history.js';
import { checkCommits } from './commits.js';
import { checkEpochs } from './epochs.js';
import { checkExclusive } from './exclusive.js';
import { checkExpulsions } from './expulsions.js';
import { checkGenerations } from './generations.js';
import { checkLogs } from './logs.js';
import { checkMessages, type MessagesVerdict } from './messages.js';
import { checkRebalances, type RebalanceVerdict } from './rebalances.js';
import { checkRest } from './rest.js';
import type { Verdict } from './verdict.js';

export type { Verdict, Violation } from './verdict.js';

export type Judgement = {
  readonly verdicts: readonly Verdict[];
  readonly commits: Verdict;
  readonly rebalances: RebalanceVerdict;
  readonly messages: MessagesVerdict;
};

export function judge(
  events: readonly HistoryEvent[],
  options: {
    readonly lightGroups: ReadonlySet<string>;
    readonly lightSessionMs: number;
    readonly workerSessionMs: number;
    readonly steadyAt: number;
    readonly endedAt: number;
  },
): Judgement {
  const { lightGroups, lightSessionMs, workerSessionMs, steadyAt, endedAt } = options;
  const commits = checkCommits(events);
  const rebalances = checkRebalances(events, { lightGroups, steadyAt, workerSessionMs, lightSessionMs });
  const messages = checkMessages(events);
  const verdicts = [
    commits,
    checkLogs(events, endedAt),
    checkEpochs(events),
    checkGenerations(events),
    checkExclusive(events, lightGroups),
    rebalances,
    checkExpulsions(events, { lightGroups, sessionTimeoutMs: lightSessionMs }),
    messages,
    checkRest(events),
  ];
  return { verdicts, commits, rebalances, messages };
}
