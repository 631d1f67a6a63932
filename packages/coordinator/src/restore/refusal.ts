/**
 * Why a log is not restored, or only half-way: a closed set, so that whoever shows it can say what to do.
 */

export type RestoreRefusalCode =
  /** A coordinator node runs. */
  | 'NODES_RUNNING'
  /** Neither a record nor a stream: there is no such cluster. */
  | 'NOTHING_THERE'
  /** Neither record nor streams tell how the cluster is laid out. */
  | 'FACTS_UNKNOWN'
  /** Record, streams and what was asked for contradict each other. */
  | 'FACTS_DIFFER'
  /** Frames of several logs, and nothing says which of them counts. */
  | 'LOG_AMBIGUOUS'
  /** No frame is of the log that was named. */
  | 'LOG_UNKNOWN'
  /** No partition has anything to copy, and an empty log was not asked for. */
  | 'NOTHING_TO_COPY'
  /** A partition of the old log cannot be trusted (L1). */
  | 'DAMAGED'
  | 'SECRET_DIFFERS'
  /** Somebody else has written the record meanwhile. */
  | 'INTERFERED'
  /** A log stream is full. */
  | 'LOG_FULL'
  /** The store did not answer, or not in time. */
  | 'UNAVAILABLE';

/** The message says what was found and what is allowed. After `execute` has begun, another run finishes the work. */
export class RestoreRefused extends Error {
  override readonly name = 'RestoreRefused';
  readonly code: RestoreRefusalCode;

  constructor(code: RestoreRefusalCode, message: string) {
    super(message);
    this.code = code;
  }
}
