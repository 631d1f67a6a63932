import { describe, expect, it } from 'vitest';
import type { NatsServerBinary } from './resolve.js';
import { checkOptions, chooseBinary } from './start-options.js';

const old: NatsServerBinary = {
  path: '/usr/bin/nats-server',
  version: '2.9.10',
  source: 'PATH',
  clusterSafe: false,
  warning: 'too old',
};

describe('options', () => {
  it.each([
    [{ servers: 0 }],
    [{ servers: 1.5 }],
    [{ servers: 10 }],
    [{ readyTimeoutMs: 0 }],
    [{ stopTimeoutMs: Number.NaN }],
    [{ clusterName: 'two words' }],
    [{ ports: [{ client: 0 }] }],
    [{ ports: [{ client: 70_000 }] }],
    [{ ports: [{ client: 20_001 }, { monitor: 20_001 }] }],
  ])('%j are refused', (options) => {
    expect(() => checkOptions(options)).toThrow(expect.objectContaining({ code: 'bad-option', retriable: false }));
  });

  it('that are ordinary pass', () => {
    expect(() => checkOptions({ servers: 5, ports: [{ client: 4222 }, { client: 4223 }] })).not.toThrow();
  });
});

describe('the choice of a binary', () => {
  it('refuses a cluster on a version that is not safe there', async () => {
    await expect(chooseBinary({ binary: old }, 3)).rejects.toMatchObject({
      code: 'not-cluster-safe',
      message: 'too old',
    });
  });

  it('allows it for a single server, and for a cluster whose owner insists', async () => {
    expect(await chooseBinary({ binary: old }, 1)).toBe(old);
    expect(await chooseBinary({ binary: old, acceptUnsafeVersion: true }, 3)).toBe(old);
  });

  it('refuses a sync interval on a version that does not know it', async () => {
    await expect(chooseBinary({ binary: old, syncInterval: 'always' }, 1)).rejects.toMatchObject({
      code: 'bad-option',
    });
  });

  it('refuses a path that is no server, naming it', async () => {
    await expect(chooseBinary({ binary: '/nowhere/nats-server' }, 1)).rejects.toThrow('/nowhere/nats-server');
  });
});
