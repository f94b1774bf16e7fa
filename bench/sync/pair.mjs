import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Child } from '../child.mjs'

const READY_MS = 120_000
/** For a download, and more for what is in it: a second for a megabyte, a millisecond for a block. */
const SYNC_MS = 240_000

/**
 * @typedef {{ cpu: number, rss: number }} Spent Seconds of CPU; bytes of memory at most.
 * @typedef {{ seconds: number, head?: string, client: Spent, server: Spent }} Sample
 *
 * @typedef {object} Pair
 * @property {[server: string, client: string]} files
 * @property {Record<string, unknown>} server
 * @property {{ blocks: number, bytes: number, [key: string]: unknown }} client It gets what the server says too, and `dir`, a new directory.
 * @property {string} root For that directory.
 * @property {string} [profiles]
 * @property {string[]} [flags] Of Node. @default those of docs/sync.md for blockwire, none for others
 * @property {string} [head] What the client must end on.
 * @property {(text: string) => void} tell
 */

/**
 * One server, one client; both are gone when it returns.
 *
 * @param {Pair} pair
 * @returns {Promise<Sample>}
 */
export async function run({ files, server, client, root, profiles, flags, head, tell }) {
  const [serverFile, clientFile] = files.map((file) => new URL(file, import.meta.url))
  const serving = new Child(serverFile, 'server', server, profiles, flags ?? flagsOf(serverFile))
  try {
    const told = await serving.hear(READY_MS)
    const { sample, ...spent } = await download(clientFile, { ...client, ...told }, { root, profiles, flags, tell })
    if (head != null && sample.head !== head) throw new Error(`the client's head is ${sample.head}, not ${head}`)
    serving.tell({ stop: true })
    return { ...sample, client: spent, server: await serving.hear(READY_MS) }
  } finally {
    await serving.end()
  }
}

/**
 * A client alone, in a new directory.
 *
 * @param {URL} file @param {Pair['client']} config
 * @param {{ root: string, profiles?: string, flags?: string[] | undefined, tell(text: string): void }} options
 * @returns {Promise<Spent & { sample: { seconds: number, head?: string, charged?: Record<string, string> } }>}
 */
export async function download(file, config, { root, profiles, flags, tell }) {
  const dir = await mkdtemp(join(root, 'client-'))
  try {
    const syncing = new Child(file, 'client', { ...config, dir }, profiles, flags ?? flagsOf(file))
    try {
      const ms = SYNC_MS + config.blocks + (config.blocks * config.bytes) / 1_000
      for (;;) {
        const { progress, cpu, rss, ...sample } = await syncing.hear(ms)
        if (progress == null) return { sample, cpu, rss }
        tell(`  ${progress} of ${config.blocks} blocks`)
      }
    } finally {
      await syncing.end()
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/**
 * Of Node. V8 takes up to 96 MB for young objects where there is much memory, which makes nothing faster here: see docs/sync.md.
 *
 * @param {URL} file
 */
function flagsOf(file) {
  return file.pathname.endsWith('/blockwire.mjs') ? ['--max-semi-space-size=8'] : []
}
