import { MemoryLogStore, VirtualClock } from '@muster/testkit/internals';
import { type LogWorld, logStoreContract } from './log-store.js';

async function memoryLogWorld(): Promise<LogWorld> {
  const clock = new VirtualClock();
  const store = new MemoryLogStore({ clock });
  const finish = async <T>(promise: Promise<T>): Promise<T> => {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await clock.advanceUntil(() => isSettled, 600_000);
    return promise;
  };
  return {
    open: async (name) => store.connect(name),
    limit: async (bytes) => store.limit(bytes),
    cut: async (name) => store.cut(name),
    heal: async (name) => store.heal(name),
    clock,
    disturbances: 20,
    // Every third append of the next 30 goes wrong, each time in another way.
    disturb: async (round) => {
      let left = 30;
      store.plan = {
        append: ({ call }) => {
          left -= 1;
          if (left < 0 || call % 3 !== 0) return undefined;
          return call % 2 === 0 ? { kind: 'ack-lost' } : { kind: 'delayed', landsAfterMs: 10 + round * 300 };
        },
      };
    },
    finish,
    close: async () => {},
  };
}

logStoreContract('memory', memoryLogWorld);
