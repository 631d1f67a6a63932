import { describe, expect, it } from 'vitest';
import { startedAs } from './io.js';

describe('the command line that a person is told to type', () => {
  it('begins as this one did', () => {
    expect(startedAs('/usr/bin/muster', {}, '/work')).toBe('muster');
    expect(startedAs('/work/packages/cli/bin/muster.mjs', {}, '/work')).toBe('node packages/cli/bin/muster.mjs');
    expect(startedAs('/elsewhere/dist/main.js', {}, '/work')).toBe('node /elsewhere/dist/main.js');
    expect(startedAs('/work/node_modules/.bin/muster', { npm_command: 'exec' }, '/work')).toBe('npx muster');
    expect(startedAs('/work/x/main.js', { npm_command: 'run-script' }, '/work')).toBe('node x/main.js');
  });
});
