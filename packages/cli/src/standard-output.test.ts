import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { StandardOutput } from './standard-output.js';

function failingWith(code: string): StandardOutput {
  const write = (_chunk: unknown, _encoding: unknown, done: (error?: Error) => void) =>
    done(Object.assign(new Error(`write ${code}`), { code }));
  return new StandardOutput(new Writable({ write }));
}

describe('standard output', () => {
  it('says of each piece that it has left', async () => {
    const pieces: string[] = [];
    const write = (chunk: Buffer, _encoding: unknown, done: () => void) => {
      pieces.push(chunk.toString());
      done();
    };
    const output = new StandardOutput(new Writable({ write }));
    output.write('one');
    expect(await output.written()).toBe(true);
    expect(pieces).toEqual(['one']);
    expect(output.broken).toBeUndefined();
  });
  it('that nobody reads any more ends who streams, and is no failure', async () => {
    const output = failingWith('EPIPE');
    output.write('one');
    expect(await output.written()).toBe(false);
    expect(output.signal.aborted).toBe(true);
    expect(output.broken).toEqual({ kind: 'unread' });
  });
  it('that is full is a failure', async () => {
    const output = failingWith('ENOSPC');
    output.write('one');
    expect(await output.written()).toBe(false);
    expect(output.broken).toEqual({ kind: 'failed', detail: 'write ENOSPC' });
  });
  it('of a closed terminal leaves the end to the signal that comes with it', async () => {
    const output = failingWith('EIO');
    output.write('one');
    expect(await output.written()).toBe(false);
    expect(output.signal.aborted).toBe(false);
  });
});
