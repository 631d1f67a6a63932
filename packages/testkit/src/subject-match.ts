/** Subjects and their wildcards, as nats-server reads them: `*` is one token, a last `>` is one or more. */

/** @returns whether a published subject reaches a subscription */
export function subjectMatches(pattern: string, subject: string): boolean {
  const want = pattern.split('.');
  const have = subject.split('.');
  for (const [at, token] of want.entries()) {
    if (token === '>' && at === want.length - 1) return have.length > at;
    const found = have[at];
    if (found === undefined || (token !== '*' && token !== found)) return false;
  }
  return have.length === want.length;
}

/** @throws RangeError where a real connection would refuse the subject */
export function checkSubject(subject: string): void {
  if (!/^[^\s\0]+$/.test(subject)) throw new RangeError(`${JSON.stringify(subject)} is no subject`);
}
