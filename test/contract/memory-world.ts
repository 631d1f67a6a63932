/** The memory doubles as a world of the contract suites: time passes when a test waits. */

import { MemoryLeaseStore, MemoryNats, SeededRandom, VirtualClock } from '@muster/testkit/internals';
import type { BusWorld } from './bus.js';
import type { LeaseWorld } from './lease-store.js';

const STEP_MS = 5;
/** Most virtual time that a test waits. */
const PATIENCE_MS = 120_000;

async function passUntil(clock: VirtualClock, condition: () => boolean): Promise<void> {
  for (let waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
    if (condition()) return;
    await clock.advance(STEP_MS);
  }
  throw new Error('the condition did not come true in virtual time');
}

async function finish<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const settle = () => {
    isSettled = true;
  };
  promise.then(settle, settle);
  await passUntil(clock, () => isSettled);
  return promise;
}

export async function memoryBusWorld(latencyMs = 0): Promise<BusWorld> {
  const clock = new VirtualClock();
  const nats = new MemoryNats({ clock, random: new SeededRandom(1), latencyMs });
  return {
    connect: async (name) => nats.connect(name),
    cut: async (name) => nats.cut(name),
    heal: async (name) => nats.heal(name),
    settled: async () => undefined,
    finish: (promise) => finish(clock, promise),
    until: (condition) => passUntil(clock, condition),
    close: async () => undefined,
  };
}

export async function memoryLeaseWorld(): Promise<LeaseWorld> {
  const clock = new VirtualClock();
  const nats = new MemoryNats({ clock });
  const leases = new MemoryLeaseStore({ nats });
  return {
    open: async (name) => {
      nats.connect(name);
      return leases.storeOf(name);
    },
    remove: async (key) => leases.remove(key),
    cut: async (name) => nats.cut(name),
    heal: async (name) => nats.heal(name),
    finish: (promise) => finish(clock, promise),
    until: (condition) => passUntil(clock, condition),
    close: async () => undefined,
  };
}
