/**
 * The ports through which a node meets the world: messages, leases, time. Adapters: real NATS (package nats) and memory
 * with faults (testkit); both pass the same contract suites.
 */

import type { MonotonicMs } from '@muster/protocol';

/** A message as it came in. `reply` is empty where nobody waits for an answer. */
export type BusMessage = { readonly subject: string; readonly reply: string; readonly payload: Uint8Array };

/** How a request ended. Everything but a reply may be tried again. */
export type BusReply =
  | { readonly kind: 'reply'; readonly payload: Uint8Array }
  /** Nobody subscribes the subject, as far as the server that was asked sees. */
  | { readonly kind: 'no-responders' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'disconnected' };

export interface BusSubscription {
  /** Stops delivery at once; callbacks for messages that have already come are not made any more. */
  unsubscribe(): void;
}

export interface Bus {
  /** Sends and forgets. Lost without a word while disconnected: callers resend (rule C1). */
  publish(subject: string, payload: Uint8Array, reply?: string): void;
  /** Calls back for each message, synchronously from the connection's reader: no iterator on the hot path. */
  subscribe(
    subject: string,
    onMessage: (message: BusMessage) => void,
    options?: { readonly queue?: string },
  ): BusSubscription;
  /** Asks one; settles within `timeoutMs`, never rejects. */
  request(subject: string, payload: Uint8Array, timeoutMs: number): Promise<BusReply>;
  /** Asks everybody: collects the replies that come within `timeoutMs`, or until `isComplete` says that all are there. */
  requestMany(
    subject: string,
    payload: Uint8Array,
    timeoutMs: number,
    isComplete: (replies: readonly Uint8Array[]) => boolean,
  ): Promise<readonly Uint8Array[]>;
  /** A PING/PONG with the server: everything that it sent before has arrived. @returns false where it failed or timed out */
  roundTrip(timeoutMs: number): Promise<boolean>;
  /** Whether there is a connection now. */
  readonly connected: boolean;
  /** Largest payload that the server accepts, in bytes. */
  readonly payloadBytesMax: number;
  /** Calls back on every loss and return of the connection; returns how to stop it. */
  onConnection(listener: (connected: boolean) => void): () => void;
}

/** A key of the lease store as it stands. `value` is undefined where the key was deleted. */
export type LeaseEntry = { readonly key: string; readonly value: Uint8Array | undefined; readonly revision: number };

export type LeaseOutcome =
  | { readonly kind: 'written'; readonly revision: number }
  /** The key's revision is another: somebody else wrote. */
  | { readonly kind: 'refused' }
  /** No answer, no leader, no connection: nothing is known. */
  | { readonly kind: 'unknown'; readonly cause: string };

/** Conditional keys in one bucket: node leases and the cluster record. */
export interface LeaseStore {
  /** Writes the key only if its revision is still `expectedRevision`; 0 = the key must not exist. Never rejects. */
  write(key: string, value: Uint8Array, expectedRevision: number): Promise<LeaseOutcome>;
  /** Reads from the stream leader; undefined where the key does not exist. @throws LeaseStoreUnavailable */
  read(key: string): Promise<LeaseEntry | undefined>;
  /**
   * Calls back with the current entry of every key, then with changes, in one order for all keys. `onReady` is called once when
   * the current state has been delivered. Recreates itself after a loss; an entry may come more than once, and one that is
   * replaced at once may be skipped: the newest of each key always comes.
   */
  watch(onEntry: (entry: LeaseEntry) => void, onReady: () => void): Promise<{ stop(): void }>;
}

/** A read of the lease store that could not be served now. */
export class LeaseStoreUnavailable extends Error {
  override readonly name = 'LeaseStoreUnavailable';
}

export interface Clock {
  now(): MonotonicMs;
  /** Milliseconds since 1970. */
  wallNow(): number;
  /** Calls back once after `ms`; returns how to cancel it. */
  after(ms: number, run: () => void): () => void;
}

/** Randomness: ids and jitter. Seeded in simulation. */
export interface Random {
  /** @returns a fresh id of 1 to 64 plain characters */
  id(): string;
  /** @returns a fresh random UUID (version 4) */
  uuid(): string;
  /** @returns a number in [0, 1) */
  next(): number;
}
