import { defineConfig } from 'vitest/config'

// Tests run against the build: what is tested is what is published, and worker threads start from real files.
const shared = { environment: 'node' as const, server: { deps: { external: [/\/dist\//] } } }

export default defineConfig({
  test: {
    reporters: ['default', './scripts/plain-reporter.mjs'],
    projects: [
      {
        test: {
          ...shared,
          name: 'fast',
          include: ['test/**/*.spec.ts'],
          exclude: ['test/slow/**', 'test/interop/**'],
          // most of them wait for the network more than they compute: three keep two cores busy
          maxWorkers: 3,
          testTimeout: 30_000,
          hookTimeout: 30_000
        }
      },
      {
        test: {
          ...shared,
          name: 'slow',
          include: ['test/slow/**/*.spec.ts'],
          fileParallelism: false,
          testTimeout: 240_000,
          hookTimeout: 60_000
        }
      },
      {
        test: {
          ...shared,
          name: 'interop',
          include: ['test/interop/**/*.spec.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          // the first build fetches go-libp2p and compiles it
          hookTimeout: 900_000
        }
      }
    ]
  }
})
