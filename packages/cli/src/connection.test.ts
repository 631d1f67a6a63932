import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { readConnection, requireFiles } from './connection.js';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'muster-cli-'));
  await mkdir(join(home, '.config/nats/context'), { recursive: true });
});
afterEach(() => rm(home, { recursive: true, force: true }));

const saveContext = (name: string, content: unknown) =>
  writeFile(
    join(home, `.config/nats/context/${name}.json`),
    typeof content === 'string' ? content : JSON.stringify(content),
  );

async function read(flags: Record<string, unknown> = {}, env: Record<string, string> = {}) {
  return await readConnection({ timeout: 1_000, ...flags }, { home, env });
}

describe('where to connect', () => {
  it('is the local server where nothing says otherwise', async () => {
    expect(await read()).toEqual({
      cluster: 'default',
      timeoutMs: 1_000,
      context: undefined,
      jetStream: { apiPrefix: '$JS.API' },
      nats: { servers: ['nats://127.0.0.1:4222'], jetStream: { apiPrefix: '$JS.API' }, name: 'muster-cli' },
    });
  });
  it('is what the flag says, else the environment, else the context', async () => {
    await saveContext('prod', { url: 'nats://context:1' });
    const [flag, variable] = [{ server: 'flag:2', context: 'prod' }, { NATS_URL: 'nats://env' }];
    expect((await read(flag, variable)).nats.servers).toEqual(['nats://flag:2']);
    expect((await read({ context: 'prod' }, variable)).nats.servers).toEqual(['nats://env:4222']);
    expect((await read({ context: 'prod' })).nats.servers).toEqual(['nats://context:1']);
  });
  it('takes several servers, and IPv6', async () => {
    const { nats } = await read({ server: 'a:1, nats://b ,[::1]:3' });
    expect(nats.servers).toEqual(['nats://a:1', 'nats://b:4222', 'nats://[::1]:3']);
  });
  it('means TLS where the URL says tls', async () => {
    expect((await read({ server: 'tls://a' })).nats.tls).toEqual({});
  });
  test.each(['ws://a', 'http://a', '::', ' , '])('is not %j', async (server) => {
    await expect(read({ server })).rejects.toMatchObject({ exitCode: 2 });
  });
  it('takes the cluster from flag or environment', async () => {
    expect((await read({ cluster: 'a' }, { MUSTER_CLUSTER: 'b' })).cluster).toBe('a');
    expect((await read({}, { MUSTER_CLUSTER: 'b' })).cluster).toBe('b');
  });
});

describe('a NATS context', () => {
  it('is the selected one where none is named', async () => {
    await saveContext('prod', {
      url: 'nats://prod:1',
      inbox_prefix: '_INBOX_me',
      description: 'ours',
      color_scheme: '',
    });
    await writeFile(join(home, '.config/nats/context.txt'), 'prod\n');
    expect(await read()).toMatchObject({
      context: 'prod',
      nats: { servers: ['nats://prod:1'], inboxPrefix: '_INBOX_me' },
    });
  });
  it('can be named by NATS_CONTEXT, and the flag goes before it', async () => {
    await saveContext('a', { url: 'nats://a' });
    await saveContext('b', { url: 'nats://b' });
    expect((await read({}, { NATS_CONTEXT: 'a' })).context).toBe('a');
    expect((await read({ context: 'b' }, { NATS_CONTEXT: 'a' })).context).toBe('b');
  });
  it('is looked for under XDG_CONFIG_HOME where that is set', async () => {
    await mkdir(join(home, 'xdg/nats/context'), { recursive: true });
    await writeFile(join(home, 'xdg/nats/context/x.json'), '{"url":"nats://x"}');
    expect((await read({ context: 'x' }, { XDG_CONFIG_HOME: join(home, 'xdg') })).nats.servers).toEqual([
      'nats://x:4222',
    ]);
  });
  it('that does not exist is refused with the names of those that do', async () => {
    await saveContext('prod', {});
    await expect(read({ context: 'prot' })).rejects.toMatchObject({
      exitCode: 3,
      message: expect.stringContaining('there are: prod'),
    });
  });
  test.each([
    ['no JSON', '{', /is no JSON/],
    ['a wrong type', { url: 7 }, /url: /],
    ['a JetStream domain of two tokens', { jetstream_domain: 'a.b' }, /"a.b" is no JetStream domain/],
    ['a JetStream prefix that is none', { jetstream_api_prefix: 'hub.>' }, /no prefix of the JetStream API/],
    ['both of them', { jetstream_domain: 'hub', jetstream_api_prefix: 'x' }, /exclude each other/],
    ['credentials in another store', { creds: 'op://vault/item' }, /refers to op:, which muster does not read/],
  ])('with %s is refused', async (_, content, message) => {
    await saveContext('bad', content);
    await expect(read({ context: 'bad' })).rejects.toThrow(message);
  });
  test.each(['{', { url: 7 }])('that is damaged says how it is mended: %j', async (content) => {
    await saveContext('bad', content);
    await expect(read({ context: 'bad' })).rejects.toMatchObject({
      exitCode: 2,
      advice: 'mend it with "nats context edit bad", or choose another with --context',
    });
  });
  test.each(['../secret', 'a/b', '..'])('cannot be %j', async (context) => {
    await expect(read({ context })).rejects.toMatchObject({ exitCode: 2 });
  });
  it('may name its files with file://', async () => {
    await saveContext('f', { creds: 'file:///a.creds' });
    expect((await read({ context: 'f' })).nats.credsFile).toBe('/a.creds');
  });
  it('with a JWT signs with the seed beside it, else with that of the nkey file, else not at all', async () => {
    const [own, other] = [`SU${'A'.repeat(56)}`, `SU${'B'.repeat(56)}`];
    await writeFile(join(home, 'my.nk'), other);
    await saveContext('both', { user_jwt: 'a.b.c', user_seed: own, nkey: '~/my.nk' });
    await saveContext('file', { user_jwt: 'a.b.c', nkey: '~/my.nk' });
    await saveContext('bearer', { user_jwt: 'a.b.c' });
    expect((await read({ context: 'both' })).nats).toMatchObject({ userJwt: 'a.b.c', nkeySeed: own });
    expect((await read({ context: 'file' })).nats).toMatchObject({ userJwt: 'a.b.c', nkeySeed: other });
    const { nats } = await read({ context: 'bearer' });
    expect(nats).toMatchObject({ userJwt: 'a.b.c' });
    expect(nats).not.toHaveProperty('nkeySeed');
  });
  describe('that refers to nsc', () => {
    const saveNsc = async (script: string) => {
      await mkdir(join(home, 'bin'), { recursive: true });
      await writeFile(join(home, 'bin/nsc'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    };
    beforeEach(() => saveContext('nsc', { nsc: 'nsc://op/account/user' }));
    const ask = () => read({ context: 'nsc' }, { PATH: `${join(home, 'bin')}:/usr/bin:/bin` });

    it('gets credentials and servers from that tool', async () => {
      await saveNsc(
        `test "$*" = "generate profile nsc://op/account/user" && echo '{"user_creds":"/u.creds","operator":{"service":["nats://a:1","nats://b:2"]}}'`,
      );
      expect((await ask()).nats).toMatchObject({ credsFile: '/u.creds', servers: ['nats://a:1', 'nats://b:2'] });
    });
    it('says so where the tool is missing', async () => {
      const asking = read({ context: 'nsc' }, { PATH: home });
      await expect(asking).rejects.toMatchObject({ exitCode: 3, message: expect.stringContaining('no "nsc" on PATH') });
    });
    test.each([
      ['echo "no such user" >&2; exit 1', /failed: no such user/],
      ['echo nonsense', /its answer is no JSON/],
      ["echo '{}'", /names no credentials file/],
    ])('says why it did not work: %s', async (script, message) => {
      await saveNsc(script);
      await expect(ask()).rejects.toThrow(message);
    });
  });
  it('brings its certificates, with the tilde of natscli', async () => {
    await saveContext('tls', { ca: '~/ca.pem', cert: '/c.pem', key: '/k.pem', tls_first: true });
    const tls = { caFile: join(home, 'ca.pem'), certFile: '/c.pem', keyFile: '/k.pem', handshakeFirst: true };
    expect((await read({ context: 'tls' })).nats.tls).toEqual(tls);
  });
});

test('the name of a cluster that can be none is refused, with what is allowed', async () => {
  const reading = read({ cluster: 'a b' });
  await expect(reading).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining('1 to 64 of A-Z') });
});

describe('the JetStream and the way to it', () => {
  test.each([
    [{ jetstream_domain: 'hub' }, '$JS.hub.API'],
    [{ jetstream_api_prefix: 'from.hub.API' }, 'from.hub.API'],
    [{ jetstream_api_prefix: '$JS.hub.API.' }, '$JS.hub.API'],
  ])('are what the context %j says', async (context, apiPrefix) => {
    await saveContext('edge', { ...context, socks_proxy: 'socks5://h' });
    expect(await read({ context: 'edge' })).toMatchObject({
      jetStream: { apiPrefix },
      nats: { jetStream: { apiPrefix }, socksProxy: 'socks5://h' },
    });
  });
  it('come from one place: a domain of the environment goes before the prefix of a context, a flag before both', async () => {
    await saveContext('edge', { jetstream_api_prefix: 'from.hub.API' });
    const env = { MUSTER_JETSTREAM_DOMAIN: 'env' };
    expect((await read({ context: 'edge' }, env)).jetStream.apiPrefix).toBe('$JS.env.API');
    expect((await read({ context: 'edge', jsApiPrefix: 'flag.API' }, env)).jetStream.apiPrefix).toBe('flag.API');
  });
});

describe('who we are', () => {
  const seed = `SU${'A'.repeat(56)}`;
  test.each([
    [
      { user: 'u', password: 'p' },
      { user: 'u', pass: 'p' },
    ],
    [{ user: 'u' }, { token: 'u' }],
    [{ token: 't' }, { token: 't' }],
    [{ creds: '/a.creds' }, { credsFile: '/a.creds' }],
    [{ server: 'nats://u:p%40@h' }, { user: 'u', pass: 'p@' }],
    [{ server: 'nats://secret@h' }, { token: 'secret' }],
  ])('%j', async (flags, expected) => {
    const { servers: _, name: __, jetStream: ___, ...auth } = (await read(flags)).nats;
    expect(auth).toEqual(expected);
  });
  it('is never in the address that error messages show', async () => {
    expect((await read({ server: 'nats://u:p@h' })).nats.servers).toEqual(['nats://h:4222']);
  });
  it('is read from the file of an nkey', async () => {
    await writeFile(join(home, 'my.nk'), `# mine\n${seed}\n`);
    expect((await read({ nkey: '~/my.nk' })).nats.nkeySeed).toBe(seed);
    await writeFile(join(home, 'my.nk'), 'nothing');
    await expect(read({ nkey: '~/my.nk' })).rejects.toMatchObject({ exitCode: 2 });
  });
  it('is looked for in the file of credentials before anybody is asked', async () => {
    const part = (what: string) => `-----BEGIN ${what}-----\nabc\n------END ${what}------\n\n`;
    const credsFile = join(home, 'my.creds');
    await writeFile(credsFile, part('NATS USER JWT') + part('USER NKEY SEED'));
    await requireFiles({ servers: [], credsFile });
    await writeFile(credsFile, part('NATS USER JWT'));
    await expect(requireFiles({ servers: [], credsFile })).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('is no credentials file: it needs a JWT and the seed'),
    });
  });
  it('comes from one place: a flag drops what the context says', async () => {
    await saveContext('prod', { url: 'nats://a', creds: '/c.creds' });
    expect((await read({ context: 'prod' })).nats).toMatchObject({ credsFile: '/c.creds' });
    const { nats } = await read({ context: 'prod', user: 'u', password: 'p' }, { NATS_TOKEN: 't' });
    expect(nats).toMatchObject({ user: 'u', pass: 'p' });
    expect(nats).not.toHaveProperty('credsFile');
    expect(nats).not.toHaveProperty('token');
  });
  it('is looked for in the environment, then in the URL, then in the context', async () => {
    await saveContext('prod', { url: 'nats://a', creds: '/c.creds' });
    const inUrl = { context: 'prod', server: 'nats://u:p@h' };
    expect((await read(inUrl, { NATS_TOKEN: 't' })).nats).toMatchObject({ token: 't' });
    const { nats } = await read(inUrl);
    expect(nats).toMatchObject({ user: 'u', pass: 'p' });
    expect(nats).not.toHaveProperty('credsFile');
  });
  test.each([
    [{ user: 'u', token: 't' }, /exclude each other/],
    [{ creds: 'c', nkey: 'n' }, /exclude each other/],
    [{ password: 'p' }, /without --user/],
    [{ tlscert: 'c' }, /both --tlscert and --tlskey/],
  ])('is not %j', async (flags, message) => {
    await expect(read(flags)).rejects.toThrow(message);
  });
});
