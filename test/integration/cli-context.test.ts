/**
 * NATS contexts of every kind against a server that knows only operators, accounts and users: who has the right key gets in, nobody
 * else does.
 */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type NatsServerHandle, startNatsCluster } from '@muster/nats-server';
import { nkeys } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FakeIo, type Ran, run } from '../../packages/cli/test/fake-io.js';

type KeyPair = ReturnType<typeof nkeys.createUser>;

/** A JWT as `nsc` makes them: signed with the key of whoever vouches for the subject. */
function jwtOf(subject: KeyPair, issuer: KeyPair, nats: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const [sub, iss] = [subject.getPublicKey(), issuer.getPublicKey()];
  const claims = { jti: sub, iat: 1_700_000_000, iss, sub, name: sub, nats: { version: 2, ...nats } };
  const signed = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part(claims)}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString('base64url')}`;
}
const seedOf = (keys: KeyPair) => Buffer.from(keys.getSeed()).toString('utf8');

const [operator, system, account] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createAccount()];
const [user, stranger, bearer] = [nkeys.createUser(), nkeys.createUser(), nkeys.createUser()];
const unlimited = { subs: -1, data: -1, payload: -1 };
const accountClaims = {
  type: 'account',
  limits: { ...unlimited, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 },
};
const userJwt = jwtOf(user, account, { type: 'user', ...unlimited });
const bearerJwt = jwtOf(bearer, account, { type: 'user', ...unlimited, bearer_token: true });

let home: string;
let server: NatsServerHandle;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'muster-cli-'));
  await mkdir(join(home, '.config/nats/context'), { recursive: true });
  await mkdir(join(home, 'bin'));
  const extraConfig = `
operator: ${jwtOf(operator, operator, { type: 'operator' })}
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload: {
  ${system.getPublicKey()}: ${jwtOf(system, operator, accountClaims)}
  ${account.getPublicKey()}: ${jwtOf(account, operator, accountClaims)}
}
`;
  server = await startNatsCluster({ servers: 1, extraConfig });
});
afterAll(async () => {
  await server?.stop();
  await rm(home, { recursive: true, force: true });
});

/** Asks as the context says. */
async function asked(context: object): Promise<Ran> {
  await writeFile(join(home, '.config/nats/context/it.json'), JSON.stringify({ url: server.urls[0], ...context }));
  const io = new FakeIo({ home, env: { PATH: `${join(home, 'bin')}:${process.env['PATH']}` } });
  return await run(['groups', 'list', '--context', 'it', '--timeout', '300ms'], io);
}
/** In, where nobody answers: there is no coordinator. */
const isIn = { code: 5, stderr: expect.stringContaining('no coordinator node answers') };
const isOut = { code: 1, stderr: expect.stringContaining('refused the credentials') };
const credentials = (jwt: string, seed: string) => `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;

it('a user JWT gets in with the seed of its user, and with no other', async () => {
  expect(await asked({ user_jwt: userJwt, user_seed: seedOf(user) })).toMatchObject(isIn);
  expect(await asked({ user_jwt: userJwt, user_seed: seedOf(stranger) })).toMatchObject(isOut);
  expect(await asked({ user_jwt: userJwt })).toMatchObject(isOut);
});

it('a user JWT is signed for with the file of an nkey', async () => {
  await writeFile(join(home, 'user.nk'), `${seedOf(user)}\n`);
  expect(await asked({ user_jwt: userJwt, nkey: '~/user.nk' })).toMatchObject(isIn);
});

it("a bearer's JWT needs no seed", async () => {
  expect(await asked({ user_jwt: bearerJwt })).toMatchObject(isIn);
});

it('credentials get in from a file, and through nsc', async () => {
  await writeFile(join(home, 'user.creds'), credentials(userJwt, seedOf(user)));
  await writeFile(join(home, 'other.creds'), credentials(userJwt, seedOf(stranger)));
  expect(await asked({ creds: '~/user.creds' })).toMatchObject(isIn);
  expect(await asked({ creds: '~/other.creds' })).toMatchObject(isOut);
  const profile = JSON.stringify({ user_creds: join(home, 'user.creds'), operator: { service: server.urls } });
  await writeFile(join(home, 'bin/nsc'), `#!/bin/sh\necho '${profile}'\n`, { mode: 0o755 });
  expect(await asked({ url: '', nsc: 'nsc://operator/account/user' })).toMatchObject(isIn);
});
