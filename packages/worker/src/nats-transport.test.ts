import { describe, expect, it } from 'vitest';
import { dialNats } from './nats-transport.js';

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
