/**
 * The coordinator node under load, in a process of its own. Ends with its parent.
 */

import type { NodeConfig } from '@muster/coordinator';
import { startNode } from '@muster/coordinator';
import { pino } from 'pino';

const config: NodeConfig = JSON.parse(process.argv[2] ?? '{}');
const node = await startNode(config, pino({ level: 'warn' }, pino.destination(2)));
const owned = setInterval(() => {
  if ((node.counts()['owned'] ?? 0) < (config.partitions ?? 50)) return;
  clearInterval(owned);
  process.send?.('ready');
}, 50);
process.once('disconnect', () => void node.stop());
