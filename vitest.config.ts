import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

// Tests run against the build: what is tested is what is published, and worker threads start from real files.
const shared = { environment: 'node' as const, server: { deps: { external: [/\/dist\//] } } }

// libp2p is some 500 modules, which hundreds of test processes load: they compile them once
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('node_modules/.cache/blockwire-tests', import.meta.url))

/** Few tests that last long, in small files: begun at the end, one of them would leave the other workers nothing to do. */
const LONG = [
  'slow/churn',
  'slow/mining',
  'cli/chat',
  'cli/seeds',
  'node/lossy',
  'cli/light',
  'node/topology',
  'cli/repair'
]

/** What lasts longest begins first, in a new clone too, where Vitest knows no more than the files' sizes. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => LONG.some((name) => moduleId.endsWith(`test/${name}.spec.ts`))
    return (await super.sort(files)).sort((a, b) => Number(isLong(b)) - Number(isLong(a)))
  }
}

export default defineConfig({
  test: {
    reporters: ['default', './scripts/plain-reporter.mjs'],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...shared,
          name: 'fast',
          include: ['test/**/*.spec.ts'],
          exclude: ['test/slow/**', 'test/interop/**'],
          // most of them wait for the network more than they compute: four keep two cores busy
          maxWorkers: 4,
          // a process for each file would spend a third of the time on loading and compiling the same modules
          isolate: false,
          setupFiles: ['./test/helpers/each-file.ts'],
          // for a machine that does other things too: none of them takes long by itself
          testTimeout: 60_000,
          hookTimeout: 60_000
        }
      },
      {
        test: {
          ...shared,
          name: 'slow',
          include: ['test/slow/**/*.spec.ts'],
          // two: what they measure is memory, CPU time of one process, or has seconds to spare
          maxWorkers: 2,
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
