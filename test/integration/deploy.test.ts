/**
 * The files of deploy/: that they fit together, and that a real nats-server takes its configuration. What the permissions
 * in it do is deploy-permissions.test.ts.
 */

import { execFile } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { resolveNatsServer } from '@muster/nats-server';
import { describe, expect, it } from 'vitest';
import {
  DEPLOY,
  type Environment,
  filledIn,
  NATS_CONFIG,
  readCompose,
  readExampleEnvironment,
  variablesIn,
} from './deployed-servers.js';

const run = promisify(execFile);
const example = await readExampleEnvironment();
const composed = await readCompose();
const servicesOf = (prefix: string) => Object.entries(composed.services).filter(([name]) => name.startsWith(prefix));

describe('the compose file', () => {
  it('has three NATS servers and three coordinators, each with a name of its own', () => {
    const names = (prefix: string, key: string) => servicesOf(prefix).map(([, { environment }]) => environment[key]);
    expect(names('nats-', 'NATS_SERVER_NAME')).toEqual(['nats-1', 'nats-2', 'nats-3']);
    expect(names('coordinator-', 'MUSTER_ID')).toEqual(['coordinator-1', 'coordinator-2', 'coordinator-3']);
  });

  it('refers only to files, volumes and services that there are', async () => {
    const mounted = Object.values(composed.services).flatMap(({ volumes }) =>
      volumes.map((v) => v.split(':')[0] ?? ''),
    );
    expect(mounted.length).toBeGreaterThan(0);
    for (const source of mounted) {
      if (source.startsWith('.')) await access(join(DEPLOY, source));
      else expect(Object.keys(composed.volumes)).toContain(source);
    }
    for (const { build, depends_on } of Object.values(composed.services)) {
      if (build !== undefined) await access(join(DEPLOY, build.context, build.dockerfile));
      for (const name of Object.keys(depends_on)) expect(Object.keys(composed.services)).toContain(name);
    }
    for (const [, { command }] of servicesOf('nats-')) expect(command).toContain('/etc/nats/nats-server.conf');
  });

  it('takes every secret from variables that .env.example declares, and declares none in vain', async () => {
    const used = new Set(variablesIn(await readFile(join(DEPLOY, 'compose.yaml'), 'utf8')));
    expect([...used].sort()).toEqual(Object.keys(example).sort());
    const literal = Object.values(composed.services).flatMap(({ environment }) =>
      Object.entries(environment).filter(([name, value]) => /PASSWORD|TOKEN|SECRET/.test(name) && !/^\$\{/.test(value)),
    );
    expect(literal).toEqual([]);
  });

  it('publishes no port beyond the loopback interface', () => {
    const ports = Object.values(composed.services).flatMap((service) => service.ports);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
    for (const [, { environment }] of servicesOf('nats-')) {
      expect(environment['NATS_MONITOR_LISTEN']).toMatch(/^127\.0\.0\.1:/);
    }
  });

  it('gives a coordinator longer to stop than it takes to drain', () => {
    for (const [, { stop_grace_period, environment }] of servicesOf('coordinator-')) {
      const graceMs = Number(/^(\d+)s$/.exec(stop_grace_period)?.[1]) * 1_000;
      expect(graceMs).toBeGreaterThan(Number(environment['MUSTER_SHUTDOWN_GRACE_MS']));
    }
  });
});

describe('the image', () => {
  it('is built by the script that also runs without a container engine, and by nothing else', async () => {
    const lines = (await readFile(join(DEPLOY, 'Containerfile'), 'utf8')).split('\n');
    expect(lines.filter((line) => line.startsWith('RUN'))).toEqual([
      'RUN sh deploy/image-steps.sh build',
      'RUN sh deploy/image-steps.sh collect /app',
    ]);
    await run('sh', ['-n', join(DEPLOY, 'image-steps.sh')]);
    const script = await readFile(join(DEPLOY, 'image-steps.sh'), 'utf8');
    expect(script).toMatch(/image-steps\.sh build\n\s+sh deploy\/image-steps\.sh collect/);
  });

  it('runs as a user without privileges', async () => {
    const final = (await readFile(join(DEPLOY, 'Containerfile'), 'utf8')).split(/^FROM /m).at(-1) ?? '';
    expect(final).toMatch(/^USER node$/m);
  });
});

describe('the configuration of the NATS servers', () => {
  const environmentOf = (name: string) => filledIn(composed.services[name]?.environment ?? {}, example);
  const check = async (environment: Environment) => {
    const { path } = await resolveNatsServer();
    return run(path, ['-t', '-c', NATS_CONFIG], { env: { ...environment } }).then(
      ({ stderr }) => ({ ok: true, said: stderr }),
      (error: { stderr?: string }) => ({ ok: false, said: String(error.stderr) }),
    );
  };

  it.each(['nats-1', 'nats-2', 'nats-3'])(
    'is valid for %s with the environment that compose gives it',
    async (name) => {
      const outcome = await check(environmentOf(name));
      expect(outcome.said).toContain('is valid');
      expect(outcome.ok).toBe(true);
    },
  );

  it.each(Object.keys(example))('is refused without %s instead of running without a password', async (name) => {
    const { [name]: _, ...rest } = environmentOf('nats-1');
    const outcome = await check(rest);
    expect(outcome.ok).toBe(false);
    expect(outcome.said).toContain(name);
  });
});
