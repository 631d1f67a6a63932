/**
 * The flows in `test/transcripts` against the group as it is now. `UPDATE_TRANSCRIPTS=1` writes the outputs instead of comparing.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { playTranscript } from '../transcripts/transcript.js';

const folder = fileURLToPath(new URL('../transcripts', import.meta.url));
const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));
const isUpdating = process.env['UPDATE_TRANSCRIPTS'] === '1';

describe('the group', () => {
  it.each(files)('decides as %s says', (file) => {
    const where = path.join(folder, file);
    const written = readFileSync(where, 'utf8');
    const played = playTranscript(written);
    if (isUpdating) writeFileSync(where, played);
    else expect(played).toBe(written);
  });

  it('has a transcript of every flow that a person would draw', () => {
    expect(files.length).toBeGreaterThanOrEqual(12);
  });
});

describe('a transcript', () => {
  it('is not the same when one output is missing', () => {
    const written = readFileSync(path.join(folder, 'first-join.txt'), 'utf8');
    const [missing = ''] = written.split('\n').filter((line) => line.startsWith('  reply'));
    expect(playTranscript(written.replace(`${missing}\n`, ''))).toBe(written);
  });

  it.each(['> A: fly g', 'advance soon', 'landslide', '> A: join g colour=red'])(
    'with the line "%s" is refused',
    (line) => {
      expect(() => playTranscript(`${line}\n`)).toThrow('cannot play the line');
    },
  );
});
