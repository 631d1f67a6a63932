/**
 * One figure: a distribution with its target; and the plain NATS round trip that is measured beside every one.
 */

import { connectNats } from '@muster/nats';
import { pause } from './fleet.js';
import { quantile, round } from './report.js';
import { roundTrip } from './round-trip.js';

export type Figure = {
  readonly name: string;
  readonly unit: string;
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** What `p99` must stay below, or be equal to where it is 0; undefined = reported only. */
  readonly target: number | undefined;
};

export type FigureContext = {
  readonly folder: string;
  readonly rounds: number;
  readonly groups: number;
  readonly loadedGroups: number;
  readonly say: (line: string) => void;
};

/** @returns a figure from its values */
export function figure(name: string, unit: string, values: readonly number[], target?: number): Figure {
  const [p50, p99, max] = [quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1)].map(round);
  return { name, unit, count: values.length, p50: p50 ?? 0, p99: p99 ?? 0, max: max ?? 0, target };
}

/** Round trips between two plain connections on two servers, while a figure is being measured. */
export async function startRoundTrips(urls: readonly string[]): Promise<{ stop(): Promise<Figure> }> {
  const echo = await connectNats({ servers: urls.slice(1), name: 'figures-echo' });
  const asker = await connectNats({ servers: urls.slice(0, 1), name: 'figures-round-trip' });
  echo.subscribe('figures.echo', { callback: (_error, message) => void message.respond(message.data) });
  await echo.flush();
  const values: number[] = [];
  let isOver = false;
  const loop = (async () => {
    while (!isOver) {
      const ms = await roundTrip(asker, 'figures.echo');
      if (ms !== undefined) values.push(ms);
      await pause(20);
    }
  })();
  return {
    stop: async () => {
      isOver = true;
      await loop;
      await Promise.all([echo.close(), asker.close()]);
      return figure('plain NATS round trip meanwhile', 'ms', values);
    },
  };
}
