/**
 * `muster nats`: a nats-server for development, or a cluster of them, on this machine's loopback. No coordinator.
 */

import { startNatsCluster } from '@muster/nats-server';
import type { Command } from 'commander';
import { withSpinner } from './asking.js';
import { examples } from './commands.js';
import { exitCodes } from './exit-codes.js';
import { CliError } from './failure.js';
import { aborted, type Cli, type Io } from './io.js';
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
    io.err(`\nexport NATS_URL=${handle.urls.join(',')}\nCtrl-C ends it\n`);
    await aborted(signal);
    io.err('ending\n');
    return exitCodes.ok;
  } finally {
    await handle.stop();
  }
}
