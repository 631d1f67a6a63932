/**
 * The one error class of this package.
 *
 * Does not decide anything: every place that gives up builds one of these with a code that callers can test.
 */

/** Why something was given up. The codes are stable; the messages are for people. */
export type NatsServerErrorCode =
  /** An option is not usable as it stands (malformed version, port below 1, ...). */
  | 'bad-option'
  /** A binary that was named explicitly is not executable or does not answer `--version`. */
  | 'bad-binary'
  /** No binary was found and none could be fetched. */
  | 'not-found'
  /** The binary is too old to be trusted with a cluster. */
  | 'not-cluster-safe'
  /** A port is held by another process. */
  | 'port-taken'
  /** A server ended before it was ready. */
  | 'start-failed'
  /** A server or cluster did not become ready before the deadline. */
  | 'not-ready'
  /** The JetStream meta group of a new cluster was founded without all servers, in every try. */
  | 'cluster-misfounded'
  /** The process that watches over the servers ended unexpectedly. */
  | 'supervisor-lost'
  /** The handle was stopped; it takes no more commands. */
  | 'stopped';

const RETRIABLE = {
  'bad-option': false,
  'bad-binary': false,
  'not-found': false,
  'not-cluster-safe': false,
  'port-taken': true,
  'start-failed': false,
  'not-ready': true,
  'cluster-misfounded': true,
  'supervisor-lost': true,
  stopped: false,
} as const satisfies Record<NatsServerErrorCode, boolean>;

/** Thrown by everything this package exports. `retriable` says whether the same call may succeed later. */
export class NatsServerError extends Error {
  override readonly name = 'NatsServerError';
  readonly code: NatsServerErrorCode;
  readonly retriable: boolean;

  constructor(code: NatsServerErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.retriable = RETRIABLE[code];
  }
}

/** The text of anything thrown, on one line: reasons are listed one per line in messages. */
export function reasonOf(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? ` (${thrown.cause.message})` : '';
  return `${text}${cause}`.replaceAll(/\s+/g, ' ').trim();
}
