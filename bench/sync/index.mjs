import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bar, excuse, goal, line, median, QUICK, remark } from '../report.mjs'
import { interleave } from '../rounds.mjs'
import { KINDS } from './chain.mjs'
import { fan } from './fan.mjs'
import { linear, long } from './growth.mjs'
import { missing, VERSIONS } from './install.mjs'
import { fill } from './limit.mjs'
import { others } from './others.mjs'
import { run } from './pair.mjs'
import { chainOf, copyOf } from './store.mjs'

/** What issue 5 asks for: ratios, and of headers a rate. @type {Record<string, Record<string, number>>} */
const BARS = { '300B': { limit: 0.4, hypercore: 6 }, '100KB': { limit: 0.75, hypercore: 0.75 } }
const HEADERS_BAR = 150_000
/** Of a header. */
const HEADER_BYTES = 84

export const cases = Object.keys(KINDS)

/** Cases that run only when they are named, and how many rounds they have by default. */
export const named = { linear: 1, long: 1, fan: 3 }

/**
 * What the cases have in common.
 *
 * @typedef {object} Bench
 * @property {string} root A directory for the time of the case.
 * @property {string} [home] Where the chains are made; with --quick they are not worth keeping.
 * @property {number} runs
 * @property {boolean} quick
 * @property {string} [profiles]
 * @property {(text: string) => void} tell
 * @property {(text: string) => void} say
 */

/**
 * How a new process downloads blocks over loopback TCP from others and writes them to its disk.
 *
 * @param {string} name Of a case.
 * @param {Omit<Bench, 'root' | 'home'>} options
 */
export async function measure(name, options) {
  const root = await mkdtemp(join(tmpdir(), 'blockwire-bench-'))
  try {
    const bench = { ...options, root, ...(options.quick ? { home: root } : {}) }
    if (name === 'linear') return await linear(bench)
    if (name === 'long') return await long(bench)
    if (name === 'fan') return await fan(bench)
    return [await rate(name, bench)]
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/**
 * Blocks a second.
 *
 * @param {string} name Of a kind of blocks.
 * @param {Bench} bench
 */
async function rate(name, bench) {
  const { root, quick, runs, profiles, tell } = bench
  const kind = KINDS[name]
  const blocks = quick ? kind.quick : kind.blocks
  const peers = Object.fromEntries(
    Object.entries(kind.peers).map(([who, count]) => [who, Math.ceil(quick ? count / 10 : count)])
  )
  const lost = await missing(
    Object.keys(peers).filter((who) => who in VERSIONS),
    bench
  )
  const chain = await chainOf(name, blocks, bench)
  const bytes = name === 'headers' ? HEADER_BYTES : chain.bytes
  const dirs = { blockwire: join(root, 'server'), limit: join(root, 'limit') }
  await copyOf(chain.dir, dirs.blockwire)
  await fill(dirs.limit, blocks, bytes)

  const samples = await interleave(
    {
      blockwire: () =>
        run({
          files: ['blockwire.mjs', 'blockwire.mjs'],
          server: { kind: name, dir: dirs.blockwire },
          client: { kind: name, blocks, bytes, ...(name === 'headers' ? { role: 'light' } : {}) },
          head: chain.head,
          ...{ root, profiles, tell }
        }),
      limit: () =>
        run({ files: ['limit.mjs', 'limit.mjs'], server: { dir: dirs.limit }, client: { blocks, bytes }, root, tell }),
      ...others(peers, bytes, bench)
    },
    runs,
    tell,
    lost
  )
  /** @type {Record<string, number>} */
  const counts = { blockwire: blocks, limit: blocks, ...peers }
  const what = name === 'headers' ? 'headers' : 'blocks'
  const result = line(
    { bench: 'sync', case: name, metric: 'download', unit: `${what}/s`, better: 'higher' },
    Object.fromEntries(
      Object.entries(counts).map(([who, count]) => [who, samples[who].map(({ seconds }) => count / seconds)])
    )
  )
  const fewer = Object.entries(peers).map(
    ([who, count]) => `${[who, VERSIONS[who]].filter(Boolean).join(' ')} ${count}`
  )
  remark(result, `${blocks} ${what} of ${bytes} B; ${fewer.join(', ')}; naive neither checks nor keeps them`)
  for (const who of Object.keys(counts)) {
    if (who === 'naive' || samples[who].length === 0) continue
    const [client, server] = /** @type {const} */ (['client', 'server']).map((side) => {
      return (median(samples[who].map((sample) => sample[side].cpu)) / counts[who]) * 1e6
    })
    remark(result, `CPU of ${who} ${client.toFixed(1)} us a block at the client, ${server.toFixed(1)} at the server`)
  }
  const rss = Math.max(...samples.blockwire.map(({ client }) => client.rss))
  remark(result, `client's RSS at most ${Math.round(rss / 1e6)} MB`)
  excuse(result, lost)
  if (quick) remark(result, QUICK)
  else {
    for (const [who, wanted] of Object.entries(BARS[name] ?? {})) bar(result, who, wanted)
    if (name === 'headers') goal(result, HEADERS_BAR)
  }
  return result
}
