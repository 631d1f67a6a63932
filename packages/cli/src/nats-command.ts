/**
 * `muster nats`: a nats-server for development, or a cluster of them, on this machine's loopback. No coordinator.
 */

import { startNatsCluster } from '@muster/nats-server';
import type { Command } from 'commander';
import { withSpinner } from './asking.js';
import { examples, notes } from './commands.js';
import { exitCodes } from './exit-codes.js';
import { CliError } from './failure.js';
import { type Cli, type Io, pause } from './io.js';
import { type OutputOptions, outputOption, show } from './output.js';
import { integer } from './values.js';

type NatsFlags = OutputOptions & {
  readonly servers: number;
  readonly port: number;
  readonly storeDir?: string;
  readonly serverVersion?: string;
};

export function addNats(program: Command, cli: Cli): void {
  const nats = program
    .command('nats')
    .description('run a NATS server with JetStream for development, or a cluster; fetched where there is none')
    .option('--servers <count>', 'servers; 3 make a cluster', integer(1, 9), 1)
    .option(
      '--port <number>',
      'client port of the first server, the others follow; 0 takes any that are free',
      integer(0, 65_535),
      4_222,
    )
    .option('--store-dir <folder>', 'keep the streams there (default: gone at the end)')
    .option('--server-version <version>', 'exactly this nats-server, such as 2.10.27')
    .addOption(outputOption());
  examples(nats, 'muster nats', 'muster nats --servers 3', 'muster nats --port 0 --store-dir ./nats-data -o json');
  notes(
    nats,
    'A server that is killed is not started again, and the others go on; when the last one has ended the command ends with exit code 1. To',
    'have it back, end the command with Ctrl-C and start it anew: with --store-dir and the same --servers and --port the streams are still',
    'there. For servers that come back by themselves use deploy/.',
  );
  nats.action(async (flags: NatsFlags) => {
    cli.exitCode = await runNats(flags, cli.io);
  });
}

async function runNats({ servers: count, port, storeDir, serverVersion, output }: NatsFlags, io: Io): Promise<number> {
  const signal = io.interrupted();
  if (port + count - 1 > 65_535) throw new CliError(exitCodes.usage, `there are no ${count} ports from ${port}`);
  const ports = port === 0 ? undefined : Array.from({ length: count }, (_, at) => ({ client: port + at }));
  const handle = await withSpinner(io, `starting ${count === 1 ? 'nats-server' : `${count} nats-servers`}`, () =>
    startNatsCluster({
      servers: count,
      ...(ports === undefined ? {} : { ports }),
      ...(storeDir === undefined ? {} : { storeDir }),
      ...(serverVersion === undefined ? {} : { version: serverVersion }),
    }),
  );
  try {
    const { version } = handle;
    show(io, output, {
      columns: [
        { key: 'name', title: 'SERVER' },
        { key: 'url', title: 'URL' },
        { key: 'monitorUrl', title: 'MONITOR', leaveOut: 2 },
        { key: 'pid', title: 'PID', leaveOut: 1 },
        { key: 'version', title: 'VERSION' },
      ],
      rows: handle.servers.map(({ name, clientUrl, monitorUrl, pid }) => ({
        name,
        url: clientUrl,
        monitorUrl,
        pid: pid ?? null,
        version,
      })),
      name: 'url',
      empty: '',
    });
    io.err(`\nexport NATS_URL=${handle.urls.join(',')}\n${io.startedAs} node\nCtrl-C ends it\n`);
    const isAnyLeft = await untilAborted(signal, handle.servers, (name) => {
      const others = count === 1 ? '' : ': Ctrl-C ends the others, too';
      io.err(`${name} ended, and is not started again by itself${others}\n`);
    });
    if (!isAnyLeft) throw new CliError(exitCodes.failed, 'no server is left', restartAdvice(storeDir));
    io.err('ending\n');
    return exitCodes.ok;
  } finally {
    await handle.stop();
  }
}

function restartAdvice(storeDir: string | undefined): string {
  const left = storeDir === undefined ? 'everything begins anew' : `what is in ${storeDir} is still there`;
  return `start "muster nats" again: ${left}`;
}

const LOOK_INTERVAL_MS = 500;

/** Says once of each server that it has ended: nothing starts it again. @returns false as soon as all have */
async function untilAborted(
  signal: AbortSignal,
  servers: readonly { readonly name: string; readonly pid: number | undefined }[],
  onEnded: (name: string) => void,
): Promise<boolean> {
  const ended = new Set<string>();
  while (!signal.aborted) {
    for (const { name, pid } of servers) {
      if (pid !== undefined || ended.has(name)) continue;
      ended.add(name);
      onEnded(name);
    }
    if (ended.size === servers.length) return false;
    await pause(LOOK_INTERVAL_MS, signal);
  }
  return true;
}
