import { describe, expect, it } from 'vitest';
import { type ClusterPlan, type ServerPlan, serverConfig } from './server-config.js';

const plan = (index: number): ServerPlan => ({
  name: `c-${index}`,
  ports: { client: 20_000 + index, monitor: 20_010 + index, cluster: 20_020 + index },
  storeDir: `/tmp/with "quotes"/${index}`,
});
const servers: readonly ServerPlan[] = [plan(1), plan(2), plan(3)];
const cluster: ClusterPlan = { name: 'c', secret: 's3cret', servers };
const plain = { syncInterval: undefined, domain: undefined, extraConfig: undefined };

describe('the configuration file', () => {
  it('of a single server has no cluster and listens on loopback only', () => {
    expect(serverConfig(plan(1), undefined, plain)).toBe(
      [
        'server_name: "c-1"',
        'listen: "127.0.0.1:20001"',
        'http: "127.0.0.1:20011"',
        'jetstream {',
        '  store_dir: "/tmp/with \\"quotes\\"/1"',
        '}',
        '',
      ].join('\n'),
    );
  });

  it('of a cluster member has as many routes as there are servers, its own among them', () => {
    const text = serverConfig(plan(2), cluster, plain);
    expect(text.match(/nats-route:\S+/g)).toEqual([
      'nats-route://muster:s3cret@127.0.0.1:20021"',
      'nats-route://muster:s3cret@127.0.0.1:20022"',
      'nats-route://muster:s3cret@127.0.0.1:20023"',
    ]);
    expect(text).toContain('listen: "127.0.0.1:20022"');
  });

  it('of a cluster member behind proxies dials those, and tells nobody of its own route port', () => {
    const text = serverConfig({ ...plan(2), routePorts: [30_001, 20_022, 30_003] }, cluster, plain);
    expect(text.match(/@127.0.0.1:\d+/g)).toEqual(['@127.0.0.1:30001', '@127.0.0.1:20022', '@127.0.0.1:30003']);
    expect(text).toContain('advertise: "127.0.0.1:1"');
    expect(text).toContain('listen: "127.0.0.1:20022"');
    expect(serverConfig(plan(2), cluster, plain)).not.toContain(' advertise:');
  });

  it('carries the sync interval and ends with the text of the caller', () => {
    const text = serverConfig(plan(1), cluster, {
      syncInterval: 'always',
      domain: 'hub',
      extraConfig: 'max_payload: 2MB',
    });
    expect(text).toContain('  sync_interval: "always"\n');
    expect(text.endsWith('\nmax_payload: 2MB\n')).toBe(true);
  });
});
