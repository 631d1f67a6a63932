/**
 * What the runner needs of a coordinator under test, whatever its depth.
 *
 * Depth 1 (`group-driver.ts`) drives the state machine alone, depth 2 (`node-driver.ts`) a node through encoded requests; both under
 * a virtual clock.
 */

import type { CaseConfig, CaseRequest, Hook } from './cases.js';

/** A reply in the words of the cases: error names, base64, the fields of the request's kind. */
export type CaseReply = { readonly error: string; readonly [field: string]: unknown };

/** What `expectGroup` sees. */
export type GroupView = {
  readonly state: string;
  readonly members: number;
  readonly memberIds: readonly string[];
  readonly groupInstanceIds: readonly (string | null)[];
  readonly protocolType: string;
  readonly protocol: string;
  readonly generationId: number;
  readonly leader: string;
  readonly pendingMembers: number;
};

/** `unsupported`: the hook has no meaning at this depth, so the case is skipped with the reason. */
export type HookOutcome = { readonly kind: 'done' } | { readonly kind: 'unsupported'; readonly reason: string };

export interface ConformanceDriver {
  /** Sends a request under the name; the reply comes through `onReply`, at once or later. */
  request(name: string, request: CaseRequest): Promise<void>;
  /** Lets virtual time pass; whatever falls due happens in the order of its deadline. */
  advance(ms: number): Promise<void>;
  /** Does something behind the coordinator's back. */
  hook(hook: Hook): Promise<HookOutcome>;
  /** @returns the group as an observer sees it at this moment */
  inspect(groupId: string): Promise<GroupView>;
  /**
   * Whether the request has been decided and its reply only waits for the store, as the release rule wants it: where Kafka answers
   * at once, the case is not about Muster.
   */
  isHeld(name: string): boolean;
  close(): Promise<void>;
}

export type OnReply = (name: string, reply: CaseReply) => void;
/** Makes a fresh coordinator: no groups, an empty store, the clock at 0. */
export type DriverFactory = (config: CaseConfig, onReply: OnReply) => Promise<ConformanceDriver>;
