/**
 * What is measured, in the terms of the library. Apart from metrics.ts, so that whoever has no OpenTelemetry can compile against these
 * types.
 */

/** What takes time at a server. `type` is the conventions'; what they have no type for has none. */
export interface TimedOperation {
  /** `send`, `commit`, `fetch_offsets` (the committed ones), `subscribe` (a reader of one partition). */
  readonly name: 'send' | 'commit' | 'fetch_offsets' | 'subscribe';
  readonly type?: 'send' | 'settle' | 'receive';
  readonly group?: string;
  readonly topic?: string;
  readonly partition?: number;
}

/** The lag of one partition at this moment. */
export interface LagReading {
  readonly topic: string;
  readonly partition: number;
  /** Messages not handled yet, as far as known. */
  readonly messages: number;
}
