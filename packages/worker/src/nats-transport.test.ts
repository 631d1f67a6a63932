import { describe, expect, it } from 'vitest';
import { settle } from '../test/virtual-clock.js';
import { dialNats, NatsTransport } from './nats-transport.js';
import { deferred } from './waiting.js';

describe('a connection that cannot be made', () => {
  it('names every server it tried, without passwords, and what to look at', async () => {
    // Port 1 is nobody's: refused at once.
    const servers = ['nats://ann:secret@127.0.0.1:1', '127.0.0.1:2'];
    const dialing = dialNats({ servers });
    await expect(dialing).rejects.toMatchObject({ code: 'CONNECTION_FAILED', retriable: true });
    const { message } = (await dialing.catch((thrown: Error) => thrown)) as Error;
    expect(message).toBe(
      'there is no connection to NATS: nats://127.0.0.1:1, 127.0.0.1:2: nobody listens there; is nats-server running?',
    );
  });
});

describe("a connection of the application's own", () => {
  it('is not watched any more after the close, however long it lives', async () => {
    const ended = deferred();
    let watching = 0;
    const connection = {
      isClosed: () => false,
      status: () => ({
        stop: () => ended.resolve(),
        async *[Symbol.asyncIterator]() {
          watching += 1;
          yield { type: 'update', data: '' };
          await ended.promise;
          watching -= 1;
        },
      }),
    };
    const transport = new NatsTransport(connection as never, { isOwn: false });
    await settle();
    expect([watching, transport.isConnected()]).toEqual([1, true]);
    await transport.close();
    await settle();
    expect([watching, transport.isConnected()]).toEqual([0, false]);
  });
});
