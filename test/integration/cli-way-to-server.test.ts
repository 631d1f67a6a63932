/**
 * How commands get to a server: over TLS, with a certificate of their own, through a SOCKS5 proxy, and all of it together. By the
 * keys of a NATS context and by flags.
 */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectNats } from '@muster/nats';
import { type NatsServerHandle, startNatsServer } from '@muster/nats-server';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FakeIo, type Ran, run } from '../../packages/cli/test/fake-io.js';
import { newestVersion } from '../contract/versions.js';
import { Authority, type CertificateFiles } from '../world/certificates.js';
import { until, WAIT_MS } from '../world/processes.js';
import { SocksProxy } from '../world/socks-proxy.js';

/** Only the proxy knows this name. */
const HIDDEN = 'nats.behind.test';

let home: string;
let plain: NatsServerHandle;
let secure: NatsServerHandle;
let first: NatsServerHandle;
let proxy: SocksProxy;
let authority: Authority;
let ours: CertificateFiles;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'muster-cli-'));
  await mkdir(join(home, '.config/nats/context'), { recursive: true });
  authority = await Authority.found(join(home, 'tls'), 'authority');
  ours = await authority.certify('client', ['client.test']);
  const { certFile, keyFile } = await authority.certify('server', ['127.0.0.1', HIDDEN]);
  const files = `cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${authority.caFile}"`;
  const start = (extraConfig: string) => startNatsServer({ version: newestVersion, extraConfig });
  plain = await start('');
  secure = await start(`tls { ${files}, verify: true }`);
  first = await start(`tls { ${files}, handshake_first: true }`);
  proxy = await SocksProxy.start('me', 'p@ss', new Map([[HIDDEN, '127.0.0.1']]));
});
afterEach(() => proxy.dialled.splice(0));
afterAll(async () => {
  await proxy?.close();
  await Promise.all([plain, secure, first].map((server) => server?.stop()));
  await rm(home, { recursive: true, force: true });
});

/** Asks as the context says. */
async function asked(context: object, ...flags: readonly string[]): Promise<Ran> {
  await writeFile(join(home, '.config/nats/context/it.json'), JSON.stringify(context));
  return await run(['groups', 'list', '--context', 'it', '--timeout', '300ms', ...flags], new FakeIo({ home }));
}
const portOf = (server: NatsServerHandle) => Number(new URL(server.url).port);
const throughProxy = () => ({ socks_proxy: `socks5://me:p%40ss@127.0.0.1:${proxy.port}` });
/** In, where JetStream says that there is no such cluster. */
const isIn = { code: 3, stderr: expect.stringContaining('there is no Muster cluster') };

describe('over TLS', () => {
  it('with the certificates that a context names', async () => {
    const { certFile: cert, keyFile: key } = ours;
    expect(await asked({ url: secure.url, ca: authority.caFile, cert, key })).toMatchObject(isIn);
  });
  it('not without a certificate of its own where the server wants one, nor where the authority is not known', async () => {
    expect(await asked({ url: secure.url, ca: authority.caFile })).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('does the server want a client certificate?'),
    });
    const { certFile: cert, keyFile: key } = ours;
    const unknown = await asked({ url: secure.url, cert, key });
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('unable to verify') });
  });
  it('with the handshake first where the context or a flag says so', async () => {
    const { caFile: ca } = authority;
    expect(await asked({ url: first.url, ca, tls_first: true })).toMatchObject(isIn);
    expect(await asked({ url: first.url, ca }, '--tlsfirst')).toMatchObject(isIn);
  });
});

describe('through a SOCKS5 proxy', () => {
  it('that a context or a flag names, which resolves the name', async () => {
    const url = `nats://${HIDDEN}:${portOf(plain)}`;
    expect(await asked({ url, ...throughProxy() })).toMatchObject(isIn);
    expect(await asked({ url }, '--socks-proxy', throughProxy().socks_proxy)).toMatchObject(isIn);
    expect(proxy.dialled).toEqual([`${HIDDEN}:${portOf(plain)}`, `${HIDDEN}:${portOf(plain)}`]);
  });
  it('over TLS, for the name behind it', async () => {
    const { caFile: ca } = authority;
    const { certFile: cert, keyFile: key } = ours;
    expect(await asked({ url: `tls://${HIDDEN}:${portOf(secure)}`, ca, cert, key, ...throughProxy() })).toMatchObject(
      isIn,
    );
    const early = { url: `tls://${HIDDEN}:${portOf(first)}`, ca, tls_first: true, ...throughProxy() };
    expect(await asked(early)).toMatchObject(isIn);
    expect(proxy.dialled).toEqual([`${HIDDEN}:${portOf(secure)}`, `${HIDDEN}:${portOf(first)}`]);
  });
  it('not with a wrong password, nor where nobody listens behind it: the answer names the proxy and no password', async () => {
    const wrong = await asked({ url: plain.url, socks_proxy: `socks5://me:wrong@127.0.0.1:${proxy.port}` });
    expect(wrong).toMatchObject({ code: 5, stderr: expect.stringContaining(`the proxy at 127.0.0.1:${proxy.port}`) });
    expect(wrong.stderr).not.toContain('wrong@');
    const nobody = await asked({ url: `nats://${HIDDEN}:1`, ...throughProxy() });
    expect(nobody).toMatchObject({ code: 5, stderr: expect.stringContaining(`does not lead to ${HIDDEN}:1`) });
  });
  it('not where it is none: usage, and what it looks like', async () => {
    for (const socks_proxy of ['http://h:1', 'socks5://', 'me:secret@h']) {
      const ran = await asked({ url: plain.url, socks_proxy });
      expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('socks5://[user:password@]host:port') });
      expect(ran.stderr).not.toContain('secret');
    }
  });
  it('again, when the way was cut', async () => {
    const nats = await connectNats({ servers: [plain.url], socksProxy: throughProxy().socks_proxy });
    proxy.cut();
    await until('it dials again', () => proxy.dialled.length === 2, WAIT_MS);
    await until('it is back', async () => (await nats.rtt().catch(() => undefined)) !== undefined, WAIT_MS);
    await nats.close();
  });
});
