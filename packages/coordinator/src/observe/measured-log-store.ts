/**
 * A log store that tells the meter what becomes of each append. Everything else passes as it is.
 */

import type { Clock } from '@muster/cluster';
import type { LogStore } from '@muster/log';
import type { NodeMeter } from './meter.js';

/** @returns a store that behaves as the given one */
export function measuredLogStore(store: LogStore, meter: NodeMeter, clock: Clock): LogStore {
  return {
    // Asked for each time: it is that of the server connected to now.
    get frameBytesMax() {
      return store.frameBytesMax;
    },
    append: async (partition, bytes, expectedSeq) => {
      const sentAt = clock.now();
      const outcome = await store.append(partition, bytes, expectedSeq);
      meter.appended(outcome.kind, bytes.byteLength, clock.now() - sentAt);
      return outcome;
    },
    last: (partition) => store.last(partition),
    read: (partition, fromSeq, throughSeq, onFrame) => store.read(partition, fromSeq, throughSeq, onFrame),
    purgeBelow: (partition, seq) => store.purgeBelow(partition, seq),
  };
}
