// The chains that are served: made once for a case and a count, and kept under the system's temporary directory.
import { createHash } from 'node:crypto'
import { copyFile, link, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Chain, toHex } from 'blockwire/chain'
import { openDataDir } from '../../dist/src/data-dir.js'
import { mined, rulesOf } from './chain.mjs'

/** Blocks, and bytes of them, in one import while a chain is built. */
const CHUNK = 5_000
const CHUNK_BYTES = 32e6
const TELL_MS = 10_000
/** What a chain on disk depends on: the blocks, and how they are stored. */
const SOURCES = ['chain.mjs', '../../dist/src/chain', '../../dist/src/pow', '../../dist/src/data-dir.js']

/** A folder for each copy of this project: they may differ in how a chain is stored, and be measured at the same time. */
const HERE = createHash('sha256')
  .update(import.meta.url)
  .digest('hex')
  .slice(0, 8)
const CACHE = join(tmpdir(), `blockwire-bench-${HERE}`)

/**
 * @typedef {object} Stored
 * @property {string} dir
 * @property {string} head Hash of the last block.
 * @property {number} bytes Of a block.
 */

/**
 * What `make` leaves in a directory, made only when it is not there yet or was made from other sources. Serve a copy of it.
 *
 * @param {string} key Of the cache.
 * @param {string[]} sources Files and folders, relative to this file.
 * @param {string | undefined} cache @default a folder under the system's temporary directory
 * @param {(dir: string) => Promise<{ head: string, bytes: number }>} make
 * @returns {Promise<Stored>}
 */
export async function stored(key, sources, cache = CACHE, make) {
  const place = join(cache, key)
  const print = await fingerprint(sources)
  const there = await readFile(join(place, 'made.json'), 'utf8').then(JSON.parse, () => undefined)
  if (there?.print === print) return { dir: join(place, 'chain'), head: there.head, bytes: there.bytes }

  await mkdir(cache, { recursive: true })
  // beside its place until it is whole: neither a kill nor a second benchmark leaves half a chain there
  const aside = await mkdtemp(join(cache, 'making-'))
  try {
    const made = await make(join(aside, 'chain'))
    await writeFile(join(aside, 'made.json'), JSON.stringify({ print, ...made }))
    await rm(place, { recursive: true, force: true })
    await rename(aside, place)
    return { dir: join(place, 'chain'), ...made }
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
}

/**
 * A chain of a case, in a node's directory.
 *
 * @param {string} name Of a kind of blocks.
 * @param {number} count
 * @param {{ home?: string, tell(text: string): void }} options
 */
export function chainOf(name, count, { home, tell }) {
  return stored(`${name}-${count}`, SOURCES, home, (dir) => build(name, dir, count, tell))
}

/**
 * A copy of a directory of LevelDB, for a process of its own. Its tables are never written again, so they are the same files.
 *
 * @param {string} from @param {string} to
 */
export async function copyOf(from, to) {
  await mkdir(to, { recursive: true })
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    // each node is somebody else
    if (entry.name === 'identity.key') continue
    if (entry.isDirectory()) await copyOf(source, target)
    else if (/\.(ldb|sst)$/.test(entry.name)) await link(source, target).catch(() => copyFile(source, target))
    else await copyFile(source, target)
  }
}

/**
 * Mines a chain into a node's directory.
 *
 * @param {string} name @param {string} dir @param {number} count @param {(text: string) => void} tell
 */
async function build(name, dir, count, tell) {
  tell(`mining ${count} blocks of ${name}`)
  const data = await openDataDir(dir)
  try {
    const rules = /** @type {import('blockwire/chain').Rules<any, any>} */ (rulesOf(name))
    const chain = new Chain({ rules, db: data.db, files: data.files })
    await chain.open()
    /** @type {Uint8Array[]} */
    let blocks = []
    let bytes = 0
    let told = performance.now()
    for (const block of mined(name, chain.genesis, count)) {
      bytes = block.length
      blocks.push(block)
      const height = chain.head.height + blocks.length
      if (blocks.length < Math.min(CHUNK, CHUNK_BYTES / bytes) && height < count) continue
      const { verdict } = await chain.addBlocks(blocks)
      if (verdict.result !== 'accept') throw new Error(`the chain refuses its own block: ${JSON.stringify(verdict)}`)
      blocks = []
      if (performance.now() - told > TELL_MS) {
        told = performance.now()
        tell(`  ${height} of ${count} blocks`)
      }
    }
    const head = toHex(chain.head.hash)
    if (chain.head.height !== count) throw new Error(`head is ${chain.head.height}, not ${count}`)
    await chain.close()
    // as the limit's: what is served is what a node finds that has run for a while
    await /** @type {any} */ (data.db).compactRange(new Uint8Array([0]), new Uint8Array([255]))
    return { head, bytes }
  } finally {
    await data.close()
  }
}

/** @param {string[]} sources */
async function fingerprint(sources) {
  const hash = createHash('sha256')
  for (const source of sources) {
    const path = fileURLToPath(new URL(source, import.meta.url))
    const files = await readdir(path, { recursive: true }).then(
      (names) => names.filter((file) => file.endsWith('.js')).map((file) => join(path, file)),
      () => [path]
    )
    for (const file of files.sort()) hash.update(basename(file)).update(await readFile(file))
  }
  return hash.digest('hex')
}
