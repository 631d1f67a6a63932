import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { settle } from '../test/virtual-clock.js';
import { closeOnSignals } from './shutdown.js';
import { deferred } from './waiting.js';

class Host extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): never {
    this.exits.push(code);
    return undefined as never;
  }
}

describe('closing on signals', () => {
  it('closes in good order on the first signal, then exits with 0', async () => {
    const host = new Host();
    const closed = deferred();
    const asked: unknown[] = [];
    const what = {
      close: (options: object = {}) => {
        asked.push(options);
        return closed.promise;
      },
    };
    closeOnSignals(what, { process: host as never, timeoutMs: 9_000, leave: false });
    host.emit('SIGTERM', 'SIGTERM');
    await settle();
    expect(asked).toEqual([{ timeoutMs: 9_000, leave: false }]);
    expect(host.exits).toEqual([]);
    closed.resolve();
    await settle();
    expect(host.exits).toEqual([0]);
  });

  it('exits at once on the second, and listens no more when told so', () => {
    const host = new Host();
    const stop = closeOnSignals({ close: () => new Promise(() => {}) }, { process: host as never });
    host.emit('SIGINT', 'SIGINT');
    host.emit('SIGTERM', 'SIGTERM');
    expect(host.exits).toEqual([130]);
    stop();
    expect(host.listenerCount('SIGINT') + host.listenerCount('SIGTERM')).toBe(0);
  });
});
