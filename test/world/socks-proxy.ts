/**
 * A SOCKS5 proxy (RFC 1928, RFC 1929) on the loopback interface: just what a client that connects needs, with a user and a password.
 * It knows names of its own, so that a test sees who resolves them.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';

const VERSION = 5;
const METHOD = { password: 2, none: 0xff } as const;
const ADDRESS = { ipv4: 1, name: 3 } as const;
const REPLY = { done: 0, refused: 5 } as const;

export class SocksProxy {
  /** Where it was asked to go, in order. */
  readonly dialled: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(user: string, password: string, names: ReadonlyMap<string, string>) {
    const credentials = Buffer.concat([field(user), field(password)]);
    this.#server = createServer((client) => {
      this.#keep(client);
      const steps = [
        () => client.write(Buffer.from([VERSION, METHOD.password])),
        (message: Buffer) => {
          const isKnown = message.subarray(1).equals(credentials);
          client.write(Buffer.from([1, isKnown ? 0 : 1]));
          if (!isKnown) client.end();
        },
        (message: Buffer) => this.#dial(client, message, names),
      ];
      client.on('data', (message) => steps.shift()?.(message));
    });
  }

  /** @param names what the proxy resolves to which address; others it takes as they are */
  static async start(user: string, password: string, names: ReadonlyMap<string, string>): Promise<SocksProxy> {
    const proxy = new SocksProxy(user, password, names);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Ends all that goes through it; new connections are taken. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #dial(client: Socket, request: Buffer, names: ReadonlyMap<string, string>): void {
    const host =
      request[3] === ADDRESS.name
        ? request.subarray(5, 5 + (request[4] ?? 0)).toString()
        : [...request.subarray(4, 8)].join('.');
    const port = request.readUInt16BE(request.length - 2);
    this.dialled.push(`${host}:${port}`);
    const target = connect(port, names.get(host) ?? host);
    const answer = (code: number) => client.write(Buffer.from([VERSION, code, 0, ADDRESS.ipv4, 0, 0, 0, 0, 0, 0]));
    this.#keep(target);
    target.once('connect', () => {
      answer(REPLY.done);
      client.pipe(target).pipe(client);
    });
    target.once('error', () => {
      if (client.writable) answer(REPLY.refused);
      client.end();
    });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => this.#sockets.delete(socket));
  }
}

function field(text: string): Buffer {
  return Buffer.from([text.length, ...Buffer.from(text)]);
}
