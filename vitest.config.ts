import { defineConfig } from 'vitest/config';

// Workspace packages resolve to their sources, so that a test never mixes a built copy of a module with its source.
// Unit tests run first; then what starts real nats-server processes, which waits more than it works: two files at a time.
const resolve = { conditions: ['muster-source'] };
const ssr = { resolve: { conditions: ['muster-source', 'node', 'import', 'default'] } };

export default defineConfig({
  resolve,
  ssr,
  test: {
    projects: [
      {
        resolve,
        ssr,
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'test/unit/**/*.test.ts'],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/contract/**/*.test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 90_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
