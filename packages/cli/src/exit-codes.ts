/** Exit codes of every command, one per class of outcome. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, notFound: 3, conflict: 4, unreachable: 5, partly: 6 } as const;

/** One of `exitCodes`. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** What each code means, for help and documentation. */
export const exitCodeMeanings: readonly (readonly [ExitCode, string])[] = [
  [exitCodes.ok, 'done'],
  [exitCodes.failed, 'failed for another reason than those below'],
  [exitCodes.usage, 'the command line or a file it names is wrong'],
  [exitCodes.notFound, 'the cluster, group, topic, member or file does not exist'],
  [exitCodes.conflict, 'it exists already, is in use or is not as it was asked for; or the group is active'],
  [exitCodes.unreachable, 'NATS or the coordinators did not answer'],
  [exitCodes.partly, 'some of the items worked, some did not'],
];

/**
 * @param codes the outcome of each item of one command
 * @returns the code of the whole: `partly` where items differ and some worked
 */
export function exitCodeOfItems(codes: readonly ExitCode[]): ExitCode {
  const [first = exitCodes.ok] = codes;
  if (codes.every((code) => code === first)) return first;
  return codes.includes(exitCodes.ok) ? exitCodes.partly : exitCodes.failed;
}
