/** Exit codes of every command, one per class of outcome. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, notFound: 3, conflict: 4, unreachable: 5, partly: 6 } as const;
