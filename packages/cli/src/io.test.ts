import { describe, expect, it } from 'vitest';
import { startedAs } from './io.js';

describe('the command line that a person is told to type', () => {
  it('begins as this one did', () => {
    expect(startedAs('/usr/bin/muster', {}, '/srv/app')).toBe('muster');
    expect(startedAs('/srv/app/packages/cli/bin/muster.mjs', {}, '/srv/app')).toBe('node packages/cli/bin/muster.mjs');
    expect(startedAs('/elsewhere/dist/main.js', {}, '/srv/app')).toBe('node /elsewhere/dist/main.js');
    expect(startedAs('/srv/app/node_modules/.bin/muster', { npm_command: 'exec' }, '/srv/app')).toBe('npx muster');
    expect(startedAs('/srv/app/x/main.js', { npm_command: 'run-script' }, '/srv/app')).toBe('node x/main.js');
  });
});
