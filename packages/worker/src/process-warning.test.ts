import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { warnProcessOnce } from './process-warning.js';

describe('the warning of the process', () => {
  it('has a code to look for and comes once, whatever follows', async () => {
    const warnings: (Error & { code?: string })[] = [];
    const listener = (warning: Error) => void warnings.push(warning);
    process.on('warning', listener);
    const first = once(process, 'warning');
    warnProcessOnce('group billing: nobody answers');
    warnProcessOnce('group shipping: nobody answers');
    await first;
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', listener);
    expect(warnings.map(({ name, code }) => [name, code])).toEqual([['MusterWarning', 'MUSTER_NO_COORDINATOR']]);
    expect(warnings[0]?.message).toMatch(/^group billing: nobody answers \(said once; give connect\(\) a logger/);
  });
});
