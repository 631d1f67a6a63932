/**
 * What a commit says besides its offset: the messages left behind it and the age of the oldest of them, in the commit's
 * metadata text. So lag travels with every commit and needs no exporter.
 */

export interface CommitNote {
  /** Messages at or after the committed offset. */
  readonly behind: number;
  /** Age of the oldest of them, in milliseconds; 0 where there is none. */
  readonly ageMs: number;
}

const pattern = /^muster:1:(\d{1,15}):(\d{1,15})$/;

/** @returns the metadata text of a commit */
export function encodeCommitNote(note: CommitNote): string {
  return `muster:1:${Math.max(0, Math.round(note.behind))}:${Math.max(0, Math.round(note.ageMs))}`;
}

/** @returns what the metadata says; undefined for metadata of somebody else */
export function parseCommitNote(metadata: string): CommitNote | undefined {
  const found = pattern.exec(metadata);
  return found === null ? undefined : { behind: Number(found[1]), ageMs: Number(found[2]) };
}
