import { describe, expect, test } from 'vitest';
import { ConfigError, configOptions, configSourceOf, readConfig } from './config.js';

function problemsOf(sources: Partial<Parameters<typeof readConfig>[0]>): readonly string[] {
  try {
    readConfig({ flags: {}, env: {}, file: undefined, ...sources });
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('the configuration of a node', () => {
  test('has defaults for everything', () => {
    const config = readConfig({ flags: {}, env: {}, file: undefined });
    expect(config).toMatchObject({
      cluster: 'default',
      groupMinSessionTimeoutMs: 6_000,
      groupInitialRebalanceDelayMs: 3_000,
      offsetsRetentionMinutes: 10_080,
    });
  });

  test('takes flags over the environment over the file over the defaults', () => {
    const file = { groupMaxSize: 1, logLevel: 'warn', cluster: 'file' };
    const env = { MUSTER_GROUP_MAX_SIZE: '2', MUSTER_CLUSTER: 'env' };
    const flags = { groupMaxSize: '3' };
    expect(readConfig({ flags, env, file })).toMatchObject({ groupMaxSize: 3, cluster: 'env', logLevel: 'warn' });
  });

  test('reads lists and numbers from text', () => {
    const env = { MUSTER_SERVERS: 'nats://a:1, nats://b:2', MUSTER_PARTITIONS: '12' };
    expect(readConfig({ flags: {}, env, file: undefined })).toMatchObject({
      servers: ['nats://a:1', 'nats://b:2'],
      partitions: 12,
    });
  });

  test('takes the servers from NATS_URL where nothing of our own names them', () => {
    const env = { NATS_URL: 'nats://c:3' };
    expect(readConfig({ flags: {}, env, file: undefined }).servers).toEqual(['nats://c:3']);
    const both = { ...env, MUSTER_SERVERS: 'nats://a:1' };
    expect(readConfig({ flags: {}, env: both, file: undefined }).servers).toEqual(['nats://a:1']);
    const file = { servers: ['nats://f:4'] };
    expect(readConfig({ flags: {}, env, file }).servers).toEqual(['nats://f:4']);
    const unset = { NATS_URL: '' };
    expect(readConfig({ flags: {}, env: unset, file: undefined }).servers).toEqual(['nats://127.0.0.1:4222']);
  });

  test('says where a value comes from', () => {
    const sources = { flags: { id: 'x' }, env: { NATS_URL: 'nats://c:3', MUSTER_CLUSTER: 'c' }, file: { user: 'u' } };
    const keys = ['id', 'cluster', 'user', 'servers', 'logLevel'];
    const expected = ['flag', 'environment', 'file', 'NATS_URL', 'default'];
    expect(keys.map((key) => configSourceOf(sources, key))).toEqual(expected);
    expect(configSourceOf({ ...sources, file: { servers: ['nats://f:4'] } }, 'servers')).toBe('file');
    expect(configSourceOf({ ...sources, env: { NATS_URL: '' } }, 'servers')).toBe('default');
  });

  test('has a flag and a variable for every option, and says what it is for', () => {
    for (const { flag, env, what } of configOptions) {
      expect(flag).toMatch(/^--[a-z-]+$/);
      expect(env).toMatch(/^MUSTER_[A-Z_]+$/);
      expect(what).not.toBe('');
    }
  });

  test('marks what must not be printed, and prints it in no problem', () => {
    const secrets = configOptions.filter(({ isSecret }) => isSecret).map(({ key }) => key);
    expect(secrets).toEqual(['password', 'token', 'clusterSecret']);
    const secret = 'x'.repeat(2_000);
    const problems = problemsOf({ env: { MUSTER_CLUSTER_SECRET: secret } }).join();
    expect(problems).toMatch(/^clusterSecret = \(set\): /);
    expect(problems).not.toContain(secret);
  });

  test.each([
    [
      'an unknown key in the file',
      { file: { groupMaxSiez: 3 } },
      /"groupMaxSiez" in the file is no option; options are .*groupMaxSize/,
    ],
    [
      'a misspelt variable',
      { env: { MUSTER_GROUP_MAX_SIEZ: '3' } },
      /MUSTER_GROUP_MAX_SIEZ in the environment is no option/,
    ],
    ['a file that is no object', { file: [1] }, /one JSON object/],
    ['text where a number belongs', { flags: { groupMaxSize: 'many' } }, /groupMaxSize = "many": .*number/],
    ['a number out of range', { flags: { partitions: '0' } }, /partitions = 0: .*1/],
    ['a cluster name that is no subject token', { flags: { cluster: 'a.b' } }, /cluster = "a.b": 1 to 64 of/],
    ['an unknown log level', { flags: { logLevel: 'loud' } }, /logLevel = "loud"/],
    [
      'limits that contradict each other',
      { flags: { groupMinSessionTimeoutMs: '20000', groupMaxSessionTimeoutMs: '10000' } },
      /groupMinSessionTimeoutMs = 20000: must not exceed groupMaxSessionTimeoutMs/,
    ],
    [
      'a session shorter than a failover',
      { flags: { groupMinSessionTimeoutMs: '1000' } },
      /groupMinSessionTimeoutMs = 1000: must be at least 6000/,
    ],
  ] as const)('refuses %s and says what is allowed', (_what, sources, expected) => {
    const problems = problemsOf(sources);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.join('\n')).toMatch(expected);
  });

  test('names all problems at once', () => {
    expect(problemsOf({ flags: { partitions: '0', groupMaxSize: 'x' } })).toHaveLength(2);
  });
});
