import { describe, expect, it } from 'vitest';
import { FakeIo } from '../test/fake-io.js';
import { progressText, requireConsent, startProgress } from './asking.js';

describe('without a terminal', () => {
  it('what needs consent is refused at once and says which flag gives it', async () => {
    await expect(requireConsent(new FakeIo(), 'Delete all?', false)).rejects.toMatchObject({
      exitCode: 2,
      advice: expect.stringContaining('--force'),
    });
  });
  it('and with --force nobody is asked', async () => {
    await expect(requireConsent(new FakeIo(), 'Delete all?', true)).resolves.toBeUndefined();
  });
  it('progress is silent', () => {
    const io = new FakeIo();
    const progress = startProgress(io, 'producing', 10);
    progress.at(5);
    progress.end('done');
    expect(io.stderr + io.stdout).toBe('');
  });
});

describe('progress', () => {
  it('is a bar where the end is known, a count where it is not', () => {
    expect(progressText(60, 240, 2_000)).toBe(`[${'#'.repeat(6)}${'-'.repeat(18)}] 25 % 60/240, 30/s`);
    expect(progressText(300, 240, 1_000)).toContain('100 %');
    expect(progressText(5, undefined, 1_000)).toBe('5, 5/s');
  });
});
