import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { DEBIAN_KEYRING } from './debian.js';
import { NatsServerError } from './errors.js';
import type { FetchOutcome, ResolverEnvironment, ResolverHost, RunOutcome } from './host.js';
import { resolveNatsServer } from './resolve.js';

const CACHE = '/home/u/.cache/muster/nats-server';

/** A machine of the imagination: files are texts, a binary's text is what it answers to `--version`. */
class FakeMachine implements ResolverHost {
  env: ResolverEnvironment = { PATH: '/usr/bin:/opt/bin' };
  platform = 'linux';
  arch = 'x64';
  homeDir = '/home/u';
  tempDir = '/tmp';
  readonly files = new Map<string, string>();
  readonly urls = new Map<string, FetchOutcome>();
  /** Debian version to what its binary answers; undefined: apt is not there. */
  debian: ReadonlyMap<string, string> | undefined;
  readonly asked: string[] = [];
  /** Runs in place of the next rename into this folder. */
  beforeRename: ((to: string) => void) | undefined;
  #temps = 0;

  server(path: string, version: string): this {
    this.files.set(path, `nats-server: v${version}`);
    return this;
  }

  carry(packages: Record<string, string>): this {
    this.files.set(DEBIAN_KEYRING, 'keys');
    this.debian = new Map(Object.entries(packages));
    return this;
  }

  run(file: string, args: readonly string[], limits: { readonly cwd?: string }): Promise<RunOutcome> {
    this.asked.push([file, ...args].join(' '));
    return Promise.resolve(this.#run(file, args, limits.cwd ?? '/'));
  }

  #run(file: string, args: readonly string[], cwd: string): RunOutcome {
    const exited = (stdout: string, code = 0, stderr = ''): RunOutcome => ({ kind: 'exited', code, stdout, stderr });
    if (args[0] === '--version') {
      const answer = this.files.get(file) ?? '';
      return answer === 'hangs' ? { kind: 'failed', reason: 'did not end within 10000 ms' } : exited(answer);
    }
    if (file === 'tar') {
      this.server(`${cwd}/${args[2]}`, '2.12.4');
      return exited('');
    }
    if (file === 'dpkg-deb') {
      const answer = this.files.get(`${cwd}/${args[1]}`) ?? '';
      this.files.set(`${cwd}/usr/sbin/nats-server`, answer);
      return exited('');
    }
    if (this.debian === undefined) return { kind: 'failed', reason: `spawn ${file} ENOENT` };
    if (args.includes('indextargets')) {
      const aware = !args.includes('--no-release-info');
      return exited(aware ? 'mirror://site/debian|bookworm|Debian|Debian|main\n' : '');
    }
    if (args.includes('update')) return exited('', 100, 'E: one suite is missing');
    if (args.includes('madison')) {
      return exited([...this.debian.keys()].map((name) => `nats-server | ${name} | site sid/main\n`).join(''));
    }
    const wanted = args.at(-1)?.split('=')[1] ?? '';
    this.files.set(`${cwd}/nats-server_${wanted}_amd64.deb`, this.debian.get(wanted) ?? '');
    return exited('');
  }

  fetch(url: string): Promise<FetchOutcome> {
    this.asked.push(url);
    return Promise.resolve(this.urls.get(url) ?? { kind: 'failed', reason: 'getaddrinfo ENOTFOUND' });
  }

  isExecutable = (path: string) => Promise.resolve(this.files.has(path) && this.files.get(path) !== 'not executable');
  isFile = (path: string) => Promise.resolve(this.files.has(path));
  list = (path: string) => {
    const below = [...this.files.keys()].filter((file) => file.startsWith(`${path}/`));
    return Promise.resolve([...new Set(below.map((file) => file.slice(path.length + 1).split('/')[0]!))]);
  };
  makeTempDir = (parent: string, prefix: string) => {
    this.#temps += 1;
    return Promise.resolve(`${parent}/${prefix}${this.#temps}`);
  };
  makeDir = () => Promise.resolve();
  writeFile = (path: string, content: string | Uint8Array) => {
    this.files.set(path, String(content));
    return Promise.resolve();
  };
  copyExecutable = (from: string, to: string) => this.writeFile(to, this.files.get(from) ?? '');
  renameDir = async (from: string, to: string) => {
    this.beforeRename?.(to);
    this.beforeRename = undefined;
    if ((await this.list(to)).length > 0) return 'occupied' as const;
    for (const [path, content] of [...this.files]) {
      if (!path.startsWith(`${from}/`)) continue;
      this.files.delete(path);
      this.files.set(to + path.slice(from.length), content);
    }
    return 'renamed' as const;
  };
  remove = (path: string) => {
    for (const file of [...this.files.keys()])
      if (file === path || file.startsWith(`${path}/`)) this.files.delete(file);
    return Promise.resolve();
  };
}

async function failure(machine: FakeMachine, version?: string): Promise<NatsServerError> {
  const outcome = await resolveNatsServer(version === undefined ? {} : { version }, machine).catch((error) => error);
  expect(outcome).toBeInstanceOf(NatsServerError);
  return outcome;
}

describe('the order of the search', () => {
  /** Every source has one; each step takes away the source that answered. */
  function fullMachine(): FakeMachine {
    const machine = new FakeMachine()
      .server('/my/server', '2.11.1')
      .server('/opt/bin/nats-server', '2.11.2')
      .server(`${CACHE}/2.11.3/nats-server`, '2.11.3')
      .server(`${CACHE}/2.11.4-RC.1/nats-server`, '2.11.4-RC.1')
      .carry({ '2.15.1-1': 'nats-server: v2.15.1', '2.10.27-1+b2': 'nats-server: v2.10.27' });
    machine.env = { ...machine.env, NATS_SERVER_BIN: '/my/server' };
    return machine;
  }

  it('is NATS_SERVER_BIN, PATH, cache with the newest release first, Debian with the newest first', async () => {
    const machine = fullMachine();
    const found = async () => (({ source, version }) => `${source} ${version}`)(await resolveNatsServer({}, machine));
    expect(await found()).toBe('NATS_SERVER_BIN 2.11.1');
    machine.env = { PATH: machine.env.PATH };
    expect(await found()).toBe('PATH 2.11.2');
    machine.files.delete('/opt/bin/nats-server');
    expect(await found()).toBe('cache 2.11.3');
    machine.files.delete(`${CACHE}/2.11.3/nats-server`);
    expect(await found()).toBe('cache 2.11.4-RC.1');
    machine.files.delete(`${CACHE}/2.11.4-RC.1/nats-server`);
    expect(await found()).toBe('debian 2.15.1');
    expect(await found()).toBe('cache 2.15.1');
  });

  it('asks neither the network nor apt while something local fits', async () => {
    const machine = new FakeMachine().server(`${CACHE}/2.11.3/nats-server`, '2.11.3').carry({ '2.15.1-1': '' });
    await resolveNatsServer({}, machine);
    expect(machine.asked).toEqual([`${CACHE}/2.11.3/nats-server --version`]);
  });

  it('passes over every other version when one is asked for', async () => {
    const binary = await resolveNatsServer({ version: '2.10.27' }, fullMachine());
    expect(binary).toEqual({
      path: `${CACHE}/2.10.27/nats-server`,
      version: '2.10.27',
      source: 'debian',
      clusterSafe: true,
    });
  });

  it.each([
    [{ MUSTER_CACHE_DIR: '/c' }, '/c/nats-server/2.15.1/nats-server'],
    [{ XDG_CACHE_HOME: '/x' }, '/x/muster/nats-server/2.15.1/nats-server'],
    [{ MUSTER_CACHE_DIR: '', XDG_CACHE_HOME: '' }, `${CACHE}/2.15.1/nats-server`],
  ])('keeps what it fetched where the environment %j says', async (env, expected) => {
    const machine = new FakeMachine().carry({ '2.15.1-1': 'nats-server: v2.15.1' });
    machine.env = { ...machine.env, ...env };
    expect((await resolveNatsServer({}, machine)).path).toBe(expected);
  });

  it('takes an older package where the newest does not run here', async () => {
    const machine = new FakeMachine().carry({ '2.15.1-1': 'hangs', '2.10.27-1': 'nats-server: v2.10.27' });
    expect((await resolveNatsServer({}, machine)).version).toBe('2.10.27');
  });

  it('leaves no folder behind, neither after success nor after failure', async () => {
    const machine = new FakeMachine().carry({ '2.15.1-1': 'hangs', '2.10.27-1': 'nats-server: v2.10.27' });
    await resolveNatsServer({}, machine);
    await failure(machine, '2.15.1');
    expect([...machine.files.keys()]).toEqual([DEBIAN_KEYRING, `${CACHE}/2.10.27/nats-server`]);
  });
});

describe('the release download', () => {
  const root = 'https://github.com/nats-io/nats-server/releases/download';
  const archive = Buffer.from('archive');
  const sum = createHash('sha256').update(archive).digest('hex');

  it('uses an archive that matches the checksum file of its release', async () => {
    const machine = new FakeMachine();
    machine.platform = 'darwin';
    machine.urls.set(`${root}/v2.12.4/nats-server-v2.12.4-darwin-amd64.tar.gz`, { kind: 'fetched', bytes: archive });
    const sums = Buffer.from(`${'0'.repeat(64)}  other.zip\n${sum}  nats-server-v2.12.4-darwin-amd64.tar.gz\n`);
    machine.urls.set(`${root}/v2.12.4/SHA256SUMS`, { kind: 'fetched', bytes: sums });
    expect(await resolveNatsServer({}, machine)).toMatchObject({ source: 'release', version: '2.12.4' });
  });

  it('refuses an archive that does not match its pinned checksum, whatever the release page says', async () => {
    const machine = new FakeMachine();
    machine.urls.set(`${root}/v2.12.4/nats-server-v2.12.4-linux-amd64.tar.gz`, { kind: 'fetched', bytes: archive });
    const sums = Buffer.from(`${sum}  nats-server-v2.12.4-linux-amd64.tar.gz\n`);
    machine.urls.set(`${root}/v2.12.4/SHA256SUMS`, { kind: 'fetched', bytes: sums });
    expect((await failure(machine)).message).toContain('the archive was not used');
  });
});

describe('a server that is too old for a cluster', () => {
  it('on PATH is the last resort, with a warning, after everything else was tried', async () => {
    const machine = new FakeMachine().server('/usr/bin/nats-server', '2.9.10');
    const binary = await resolveNatsServer({}, machine);
    expect(binary).toMatchObject({ path: '/usr/bin/nats-server', source: 'PATH', clusterSafe: false });
    expect(!binary.clusterSafe && binary.warning).toMatch(/2\.9\.10.*older than 2\.10\.27.*single server only/);
    expect(machine.asked.some((call) => call.startsWith('https:'))).toBe(true);
  });

  it('on PATH gives way to a fitting package', async () => {
    const machine = new FakeMachine()
      .server('/usr/bin/nats-server', '2.9.10')
      .carry({ '2.15.1-1': 'nats-server: v2.15.1' });
    expect(await resolveNatsServer({}, machine)).toMatchObject({ version: '2.15.1', clusterSafe: true });
  });

  it('is fetched where Debian has nothing newer', async () => {
    const machine = new FakeMachine().carry({ '2.9.10-1+b3': 'nats-server: v2.9.10' });
    expect(await resolveNatsServer({}, machine)).toMatchObject({ source: 'debian', clusterSafe: false });
    expect(await resolveNatsServer({}, machine)).toMatchObject({ version: '2.9.10', clusterSafe: false });
  });

  it('in NATS_SERVER_BIN is used, because it was named, with the warning', async () => {
    const machine = new FakeMachine().server('/my/server', '2.9.10').server('/usr/bin/nats-server', '2.15.1');
    machine.env = { ...machine.env, NATS_SERVER_BIN: '/my/server' };
    expect(await resolveNatsServer({}, machine)).toMatchObject({ path: '/my/server', clusterSafe: false });
  });
});

describe('messages', () => {
  it.each([
    ['is missing', undefined, 'is not an executable file'],
    ['is not executable', 'not executable', 'is not an executable file'],
    ['hangs', 'hangs', 'did not end within'],
    ['is another program', 'GNU tar 1.34.2', 'did not answer like a nats-server'],
  ])('NATS_SERVER_BIN that %s is an error that names the path', async (_, content, expected) => {
    const machine = new FakeMachine().server('/opt/bin/nats-server', '2.15.1');
    if (content !== undefined) machine.files.set('/my/server', content);
    machine.env = { ...machine.env, NATS_SERVER_BIN: '/my/server' };
    const error = await failure(machine);
    expect(error.code).toBe('bad-binary');
    expect(error.message).toContain('/my/server');
    expect(error.message).toContain(expected);
  });

  it('tells everything that was tried, why it failed, and what to do', async () => {
    const machine = new FakeMachine().server(`${CACHE}/2.15.1/nats-server`, '2.15.1');
    machine.files.set(DEBIAN_KEYRING, 'keys');
    machine.files.set('/usr/bin/nats-server', 'hangs');
    const error = await failure(machine, '2.10.27');
    expect(error.code).toBe('not-found');
    expect(error.message.split('\n')).toEqual([
      'nats-server 2.10.27 was not found and could not be fetched. Tried:',
      '  1. NATS_SERVER_BIN: not set',
      '  2. PATH: /usr/bin/nats-server --version: did not end within 10000 ms',
      `  3. cache ${CACHE}: has 2.15.1`,
      '  4. release download: https://github.com/nats-io/nats-server/releases/download/v2.10.27/SHA256SUMS: getaddrinfo ENOTFOUND',
      '  5. Debian package: apt-get indextargets: spawn apt-get ENOENT',
      'What to do: install nats-server 2.10.27 so that it is on PATH, or set NATS_SERVER_BIN to the path of its binary,',
      'or put the binary into the cache folder above as <version>/nats-server.',
    ]);
  });

  it('names what Debian carries where that is not what was asked for', async () => {
    const machine = new FakeMachine().carry({ '2.15.1-1': '', '2.10.27-1': '' });
    expect((await failure(machine, '2.11.3')).message).toContain('Debian package: its suites carry 2.15.1, 2.10.27');
  });
});

describe('two processes that install at once', () => {
  it('share the folder of the one that was first', async () => {
    const machine = new FakeMachine().carry({ '2.15.1-1': 'nats-server: v2.15.1' });
    machine.beforeRename = (to) => machine.server(`${to}/nats-server`, '2.15.1');
    const binary = await resolveNatsServer({}, machine);
    expect(binary.path).toBe(`${CACHE}/2.15.1/nats-server`);
    expect([...machine.files.keys()]).toEqual([DEBIAN_KEYRING, binary.path]);
  });

  it('replace a cached binary that does not run', async () => {
    const machine = new FakeMachine().carry({ '2.15.1-1': 'nats-server: v2.15.1' });
    machine.files.set(`${CACHE}/2.15.1/nats-server`, 'hangs');
    expect(await resolveNatsServer({}, machine)).toMatchObject({ source: 'debian' });
    expect(await resolveNatsServer({}, machine)).toMatchObject({ source: 'cache' });
  });
});
