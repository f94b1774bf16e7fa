// Other ways to download blocks of the same size, as subjects of `interleave`.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Child } from '../child.mjs'
import { run } from './pair.mjs'
import { copyOf, stored } from './store.mjs'

const MAKE_MS = 600_000

/**
 * @param {Record<string, number>} counts By name, how many blocks it fetches.
 * @param {number} bytes Of a block.
 * @param {import('./index.mjs').Bench} bench
 */
export function others(counts, bytes, bench) {
  const { root, tell } = bench
  /** @type {Record<string, (blocks: number) => Promise<import('./pair.mjs').Sample>>} */
  const all = {
    // filled by the first server that finds it empty; its files may not be moved
    hypercore: (blocks) => {
      const server = { dir: join(root, 'hypercore'), blocks, bytes }
      const file = 'others/hypercore.mjs'
      return run({ files: [file, file], server, client: { blocks, bytes }, root, tell })
    },
    bcoin: async (blocks) => {
      const dir = join(root, 'bcoin')
      const file = 'others/bcoin.mjs'
      const made = await bcoinOf(blocks, bytes, bench)
      await copyOf(made.dir, dir)
      try {
        return await run({
          files: [file, file],
          server: { dir },
          client: { blocks, bytes },
          head: made.head,
          root,
          tell
        })
      } finally {
        await rm(dir, { recursive: true })
      }
    },
    naive: (blocks) =>
      run({
        files: ['naive.mjs', 'naive.mjs'],
        server: { bytes },
        client: { blocks, bytes },
        root,
        tell
      })
  }
  return Object.fromEntries(Object.entries(counts).map(([who, count]) => [who, () => all[who](count)]))
}

/**
 * A chain of bcoin's.
 *
 * @param {number} blocks @param {number} bytes @param {import('./index.mjs').Bench} bench
 */
function bcoinOf(blocks, bytes, { home, tell }) {
  return stored(`bcoin-${bytes}-${blocks}`, ['others/bcoin.mjs', 'others/package.json'], home, async (dir) => {
    tell(`mining ${blocks} blocks of bcoin`)
    const child = new Child(new URL('others/bcoin.mjs', import.meta.url), 'make', { dir, blocks, bytes })
    try {
      return await child.hear(MAKE_MS)
    } finally {
      await child.end()
    }
  })
}
