/**
 * The narrow port to core NATS: publish, subscribe, connection events. Replies come to an inbox of ours, one token per
 * request, so that a reply which must be skipped (rule C2) does not use up the request.
 *
 * Does not resend, does not wait, knows no coordinator. Core NATS may lose anything that passes here.
 */

/** A message on a subscription. */
export interface Incoming {
  readonly subject: string;
  readonly payload: Uint8Array;
  /** NATS' own answer on the reply subject: nobody listens where the request went. */
  readonly noResponders: boolean;
}

export type ConnectionEvent =
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected' }
  /** The server denies a publish or a subscription for want of permission. */
  | { readonly kind: 'denied'; readonly operation: string; readonly subject: string }
  | { readonly kind: 'closed' };

export type Unsubscribe = () => void;

export interface Transport {
  isConnected(): boolean;
  /** Largest payload that the server accepts, in bytes; undefined where that is not known. */
  payloadBytesMax(): number | undefined;
  /** A subject prefix of our own; replies to `<inbox>.<token>` come to who subscribes `<inbox>.*`. */
  newInbox(): string;
  /** Sends or drops; never throws. What is sent while disconnected is lost. */
  publish(subject: string, payload: Uint8Array, replyTo?: string): void;
  /** Survives reconnects. The handler must not throw. */
  subscribe(subject: string, onMessage: (message: Incoming) => void): Unsubscribe;
  onConnection(listener: (event: ConnectionEvent) => void): Unsubscribe;
  /** Closes what this transport opened itself. Never throws. */
  close(): Promise<void>;
}
