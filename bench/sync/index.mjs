import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Chain, toHex } from 'blockwire/chain'
import { openDataDir } from '../../dist/src/data-dir.js'
import { Child } from '../child.mjs'
import { bar, line, median, QUICK, remark } from '../report.mjs'
import { interleave } from '../rounds.mjs'
import { KINDS, mined, rulesOf } from './chain.mjs'
import { fill } from './limit.mjs'

const READY_MS = 60_000
const SYNC_MS = 240_000
/** Blocks in one import while the server's chain is built. */
const CHUNK = 1_000

/** What issue 5 asks for. */
const BARS = { '300B': 0.4, '100KB': 0.75 }
/** Of a header. */
const HEADER_BYTES = 84

export const cases = Object.keys(KINDS)

/**
 * Blocks a second that a new process downloads over loopback TCP from another one and writes to its disk.
 *
 * @param {string} name Of a case.
 * @param {{ runs: number, quick: boolean, profiles?: string, tell(text: string): void }} options
 */
export async function measure(name, { runs, quick, profiles, tell }) {
  const kind = KINDS[name]
  const blocks = quick ? kind.quick : kind.blocks
  const root = await mkdtemp(join(tmpdir(), 'blockwire-bench-'))
  try {
    const dirs = { blockwire: join(root, 'blockwire'), limit: join(root, 'limit') }
    tell(`${name}: mining ${blocks} blocks`)
    const built = await build(name, dirs.blockwire, blocks)
    const bytes = name === 'headers' ? HEADER_BYTES : built.bytes
    await fill(dirs.limit, blocks, bytes)

    /** @param {[server: string, client: string]} files @param {object} server @param {object} client @param {string} [profiles] */
    const pair = async (files, server, client, profiles) => {
      const dir = await mkdtemp(join(root, 'client-'))
      try {
        return await run(files, server, { ...client, dir }, profiles)
      } finally {
        await rm(dir, { recursive: true, force: true })
      }
    }
    const naive = { blocks: quick ? kind.naive / 5 : kind.naive, bytes }
    const samples = await interleave(
      {
        blockwire: async () => {
          const client = name === 'headers' ? 'headers.mjs' : 'blockwire.mjs'
          const server = { kind: name, dir: dirs.blockwire }
          const sample = await pair(['blockwire.mjs', client], server, { kind: name, blocks }, profiles)
          if (sample.head !== built.head) throw new Error(`the client's head is ${sample.head}, not ${built.head}`)
          return sample
        },
        limit: () => pair(['limit.mjs', 'limit.mjs'], { dir: dirs.limit }, { blocks, bytes }),
        naive: () => pair(['naive.mjs', 'naive.mjs'], { bytes }, naive)
      },
      runs,
      tell
    )
    const counts = { blockwire: blocks, limit: blocks, naive: naive.blocks }
    const rates = Object.fromEntries(
      Object.entries(counts).map(([who, count]) => [who, samples[who].map(({ seconds }) => count / seconds)])
    )
    const what = {
      bench: 'sync',
      case: name,
      metric: 'download',
      unit: name === 'headers' ? 'headers/s' : 'blocks/s',
      better: /** @type {const} */ ('higher')
    }
    const result = line(what, rates)
    remark(
      result,
      `${blocks} ${name === 'headers' ? 'headers' : 'blocks'} of ${bytes} B; naive: ${naive.blocks}, neither checked nor kept`
    )
    for (const who of ['blockwire', 'limit']) {
      const [client, server] = /** @type {const} */ (['client', 'server']).map((side) => {
        return (median(samples[who].map((sample) => sample[side].cpu)) / blocks) * 1e6
      })
      remark(result, `CPU of ${who} ${client.toFixed(1)} us a block at the client, ${server.toFixed(1)} at the server`)
    }
    const rss = Math.max(...samples.blockwire.map(({ client }) => client.rss))
    remark(result, `client's RSS at most ${Math.round(rss / 1e6)} MB`)
    if (quick) remark(result, QUICK)
    else if (name in BARS) bar(result, 'limit', BARS[/** @type {keyof typeof BARS} */ (name)])
    return [result]
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/**
 * Mines a chain into a node's directory.
 *
 * @param {string} name @param {string} dir @param {number} count
 */
async function build(name, dir, count) {
  const data = await openDataDir(dir)
  try {
    const rules = /** @type {import('blockwire/chain').Rules<any, any>} */ (rulesOf(name))
    const chain = new Chain({ rules, db: data.db })
    await chain.open()
    /** @type {Uint8Array[]} */
    let blocks = []
    let bytes = 0
    for (const block of mined(name, chain.genesis, count)) {
      bytes = block.length
      blocks.push(block)
      if (blocks.length < CHUNK && chain.head.height + blocks.length < count) continue
      const { verdict } = await chain.addBlocks(blocks)
      if (verdict.result !== 'accept') throw new Error(`the chain refuses its own block: ${JSON.stringify(verdict)}`)
      blocks = []
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

/**
 * One server, one client; both are gone when it returns.
 *
 * @param {[server: string, client: string]} files @param {object} server @param {object} client @param {string} [profiles]
 * @returns {Promise<{ seconds: number, head?: string, client: { cpu: number, rss: number }, server: { cpu: number, rss: number } }>}
 */
async function run(files, server, client, profiles) {
  const [serverFile, clientFile] = files.map((file) => new URL(file, import.meta.url))
  const serving = new Child(serverFile, 'server', server, profiles)
  try {
    const { addresses } = await serving.hear(READY_MS)
    const syncing = new Child(clientFile, 'client', { ...client, addresses }, profiles)
    try {
      const { seconds, head, ...spent } = await syncing.hear(SYNC_MS)
      serving.tell({ stop: true })
      return { seconds, head, client: spent, server: await serving.hear(READY_MS) }
    } finally {
      await syncing.end()
    }
  } finally {
    await serving.end()
  }
}
