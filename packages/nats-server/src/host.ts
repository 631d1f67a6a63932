/**
 * What the search for a binary needs from the machine: environment, processes, files, downloads.
 *
 * An interface, so that the order of the search is tested against a machine that does not exist. `node-host.ts` is the
 * real one.
 */

export type RunOutcome =
  | { readonly kind: 'exited'; readonly code: number; readonly stdout: string; readonly stderr: string }
  /** Could not be started, was ended by a signal, or took too long. */
  | { readonly kind: 'failed'; readonly reason: string };

export type FetchOutcome =
  | { readonly kind: 'fetched'; readonly bytes: Uint8Array }
  | { readonly kind: 'failed'; readonly reason: string };

export interface RunLimits {
  readonly timeoutMs: number;
  readonly cwd?: string;
}

export interface FetchLimits {
  /** From the start of the request to the head of the answer. */
  readonly connectTimeoutMs: number;
  readonly totalTimeoutMs: number;
  readonly bytesMax: number;
}

/** The variables that are read; nothing else of the environment matters here. */
export interface ResolverEnvironment {
  readonly NATS_SERVER_BIN?: string | undefined;
  readonly PATH?: string | undefined;
  readonly MUSTER_CACHE_DIR?: string | undefined;
  readonly XDG_CACHE_HOME?: string | undefined;
}

export interface ResolverHost {
  readonly env: ResolverEnvironment;
  /** As `process.platform`. */
  readonly platform: string;
  /** As `process.arch`. */
  readonly arch: string;
  readonly homeDir: string;
  /** Folder for work that is thrown away. */
  readonly tempDir: string;

  /** Runs a program to its end. Never throws. */
  run(file: string, args: readonly string[], limits: RunLimits): Promise<RunOutcome>;
  /** Fetches over https into memory, following redirects. Never throws. */
  fetch(url: string, limits: FetchLimits): Promise<FetchOutcome>;
  isExecutable(path: string): Promise<boolean>;
  isFile(path: string): Promise<boolean>;
  /** Names in a folder; empty where the folder cannot be read. */
  list(path: string): Promise<readonly string[]>;
  /** Makes a fresh folder `<parent>/<prefix>XXXXXX`, and the parent where it is missing. */
  makeTempDir(parent: string, prefix: string): Promise<string>;
  makeDir(path: string): Promise<void>;
  writeFile(path: string, content: string | Uint8Array): Promise<void>;
  /** Copies a file and makes the copy executable. */
  copyExecutable(from: string, to: string): Promise<void>;
  /** Moves a folder in one step. `occupied`: something non-empty is at `to`, nothing was moved. */
  renameDir(from: string, to: string): Promise<'renamed' | 'occupied'>;
  /** Removes a file or a tree; missing is fine. */
  remove(path: string): Promise<void>;
}
