/**
 * What a configuration can be wrong about although each value is allowed: files that are not there, servers that are none, two ways
 * to say who we are. Looks at files, asks no server.
 */

import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import type { NodeConfig } from '@muster/coordinator';

const fileKeys = ['credsFile', 'tlsCaFile', 'tlsCertFile', 'tlsKeyFile'] as const;

/** @returns one line for each thing that is wrong; none is fine */
export async function problemsOutside(config: NodeConfig): Promise<string[]> {
  const problems = config.servers.flatMap((server) => {
    const why = wrongServer(server);
    // A password may stand in it.
    return why === undefined ? [] : [`servers: ${JSON.stringify(server.replace(/\/\/[^@/]*@/, '//(set)@'))} ${why}`];
  });
  const ways = [
    ...(config.user === undefined ? [] : ['user']),
    ...(config.token === undefined ? [] : ['token']),
    ...(config.credsFile === undefined ? [] : ['credsFile']),
  ];
  if (ways.length > 1) problems.push(`${ways.join(' and ')} exclude each other: give one`);
  if (config.password !== undefined && config.user === undefined) problems.push('password without user says nothing');
  if ((config.tlsCertFile === undefined) !== (config.tlsKeyFile === undefined)) {
    problems.push('a client certificate needs both tlsCertFile and tlsKeyFile');
  }
  for (const key of fileKeys) {
    const path = config[key];
    const why = path === undefined ? undefined : await unreadable(path);
    if (why !== undefined) problems.push(`${key}: the file ${path} ${why}`);
  }
  return problems;
}

function wrongServer(server: string): string | undefined {
  const advice = 'write host, host:port or nats://host:port';
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(server) ? server : `nats://${server}`;
  if (!URL.canParse(withScheme) || /\s/.test(server)) return `is no server: ${advice}`;
  const { protocol, hostname } = new URL(withScheme);
  if (protocol !== 'nats:' && protocol !== 'tls:') return `has a scheme that is not supported: ${advice}`;
  return hostname === '' ? `has no host: ${advice}` : undefined;
}

async function unreadable(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.R_OK);
    return (await stat(path)).isFile() ? undefined : 'is no file';
  } catch (cause) {
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    return isMissing ? 'does not exist' : 'cannot be read';
  }
}
