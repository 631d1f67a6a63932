/**
 * The files of deploy/: that they fit together, and that a real nats-server takes its configuration. What the permissions
 * in it do is deploy-permissions.test.ts.
 */

import { execFile } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { configOptions, readConfig } from '@muster/coordinator';
import { resolveNatsServer } from '@muster/nats-server';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import {
  DEPLOY,
  type Environment,
  filledIn,
  NATS_CONFIG,
  readCompose,
  readExampleEnvironment,
  variablesIn,
} from './deployed-servers.js';

const configMap = z.object({ data: z.record(z.string(), z.string()) });
const probe = z.object({ httpGet: z.object({ path: z.string(), port: z.string() }) });
const workload = z.object({
  spec: z.object({
    replicas: z.int(),
    template: z.object({
      metadata: z.object({ annotations: z.record(z.string(), z.string()) }),
      spec: z.object({
        terminationGracePeriodSeconds: z.int(),
        containers: z.array(
          z.object({
            env: z.array(z.object({ name: z.string(), valueFrom: z.unknown() })),
            ports: z.array(z.object({ name: z.string(), containerPort: z.int() })),
            livenessProbe: probe,
            readinessProbe: probe,
            volumeMounts: z.array(z.object({ mountPath: z.string() })),
          }),
        ),
      }),
    }),
  }),
});

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

describe('the manifests for Kubernetes', async () => {
  const documents = parseAllDocuments(await readFile(join(DEPLOY, 'kubernetes.yaml'), 'utf8')).map((each) =>
    each.toJS(),
  );
  const byKind = new Map(documents.map((each: { readonly kind: string }) => [each.kind, each]));
  const environment = configMap.parse(byKind.get('ConfigMap')).data;
  const { replicas, template } = workload.parse(byKind.get('StatefulSet')).spec;
  const [container] = template.spec.containers;

  it('configure a node with options that there are, and that go together', () => {
    const known = configOptions.map(({ env }) => env);
    expect(Object.keys(environment).filter((name) => !known.includes(name))).toEqual([]);
    expect(() => readConfig({ flags: {}, env: environment, file: undefined })).not.toThrow();
  });
  it('give every node an id that it has again when it comes back', () => {
    expect(container?.env).toEqual([{ name: 'MUSTER_ID', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }]);
  });
  it('probe what a node answers, where it answers: liveness does not ask for NATS', () => {
    expect(container?.livenessProbe.httpGet).toEqual({ path: '/livez', port: 'http' });
    expect(container?.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'http' });
    const port = Number(environment['MUSTER_HTTP_PORT']);
    expect(container?.ports).toEqual([{ name: 'http', containerPort: port }]);
    expect(template.metadata.annotations['prometheus.io/port']).toBe(String(port));
  });
  it('give a node longer to stop than it takes to drain, and mount what it is told to read', () => {
    expect(template.spec.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(
      Number(environment['MUSTER_SHUTDOWN_GRACE_MS']),
    );
    expect(container?.volumeMounts.map(({ mountPath }) => mountPath)).toContain(
      dirname(environment['MUSTER_CREDS_FILE'] ?? ''),
    );
    expect(replicas).toBeGreaterThanOrEqual(3);
  });
});

describe('the unit for systemd', async () => {
  const unit = await readFile(join(DEPLOY, 'muster.service'), 'utf8');
  const settingOf = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1] ?? '';

  it('starts what the script for images collects, and gives it longer to stop than it takes to drain', async () => {
    const { code, command } =
      /^(?<code>\S+) \S+?(?<command>packages\S+ .*)$/.exec(settingOf('ExecStart'))?.groups ?? {};
    expect([code, command]).toEqual(['/usr/bin/node', 'packages/cli/dist/main.js node']);
    const { shutdownGraceMs } = readConfig({ flags: {}, env: {}, file: undefined });
    expect(Number(settingOf('TimeoutStopSec')) * 1_000).toBeGreaterThan(shutdownGraceMs);
  });
  it('starts a node again however it ended', () => {
    expect([settingOf('Restart'), settingOf('StartLimitIntervalSec')]).toEqual(['always', '0']);
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
