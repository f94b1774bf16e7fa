// Whether bad peers hold up a download: one honest peer among a silent, a slow and a lying one, against the honest one alone.
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Child } from '../child.mjs'
import { bar, line, QUICK, remark } from '../report.mjs'
import { interleave } from '../rounds.mjs'
import { download } from './pair.mjs'
import { chainOf, copyOf } from './store.mjs'

const READY_MS = 120_000
const KIND = '300B'
/** Enough that the first wait for a silent peer, 2 s, is not most of it. */
const BLOCKS = 300_000
const QUICK_BLOCKS = 1_500
/** Times the honest one alone. */
const BAR = 1.5

/** @param {import('./index.mjs').Bench} bench */
export async function fan(bench) {
  const { root, quick, runs, profiles, tell } = bench
  const blocks = quick ? QUICK_BLOCKS : BLOCKS
  const chain = await chainOf(KIND, blocks, bench)
  let round = 0

  /** @param {boolean} alone */
  const one = async (alone) => {
    const home = await mkdtemp(join(root, 'fan-'))
    await copyOf(chain.dir, join(home, 'honest'))
    const honest = new Child(file('blockwire.mjs'), 'server', { kind: KIND, dir: join(home, 'honest') })
    const hostile = alone
      ? undefined
      : new Child(file('hostile.mjs'), 'server', { kind: KIND, root: home, from: chain.dir })
    try {
      const good = await honest.hear(READY_MS)
      const bad = (await hostile?.hear(READY_MS)) ?? { addresses: {}, ids: {} }
      const addresses = turned([good.addresses, ...Object.values(bad.addresses)], alone ? 0 : round++).flat()
      const client = { kind: KIND, blocks, bytes: chain.bytes, addresses }
      const { sample } = await download(file('blockwire.mjs'), client, { root, profiles, tell })
      if (sample.head !== chain.head) throw new Error(`the client's head is ${sample.head}, not ${chain.head}`)
      const names = Object.fromEntries(Object.entries(bad.ids).map(([name, id]) => [id, name]))
      const charged = Object.entries(sample.charged ?? {}).map(([id, why]) => ({ who: names[id] ?? 'honest', why }))
      return { seconds: sample.seconds, charged }
    } finally {
      await honest.end()
      await hostile?.end()
      await rm(home, { recursive: true, force: true })
    }
  }

  const samples = await interleave({ blockwire: () => one(false), limit: () => one(true) }, runs, tell)
  const seconds = Object.fromEntries(
    Object.entries(samples).map(([who, list]) => [who, list.map((sample) => sample.seconds)])
  )
  const result = line({ bench: 'sync', case: 'fan', metric: 'time', unit: 's', better: 'lower' }, seconds)
  remark(
    result,
    `${blocks} blocks of ${chain.bytes} B; 4 peers: honest, silent, slow, liar; limit: the honest one alone`
  )
  remark(result, verdict(Object.values(samples).flat(), samples.blockwire.length))
  if (quick) remark(result, QUICK)
  else bar(result, 'limit', BAR)
  return [result]
}

/**
 * Who was charged with more than slowness, against the liar and nobody else in each of `rounds`.
 *
 * @param {{ charged: { who: string, why: string }[] }[]} samples @param {number} rounds
 */
function verdict(samples, rounds) {
  const all = samples.flatMap(({ charged }) => charged)
  const innocent = all.filter(({ who }) => who !== 'liar')
  const liar = all.length - innocent.length
  if (innocent.length > 0) return `charged MISSED: ${innocent.map(({ who, why }) => `${who} (${why})`).join(', ')}`
  return `charged: the liar in ${liar} of ${rounds} rounds, nobody else`
}

/** @template T @param {T[]} list @param {number} by @returns {T[]} */
function turned(list, by) {
  const at = by % list.length
  return [...list.slice(at), ...list.slice(0, at)]
}

/** @param {string} name */
function file(name) {
  return new URL(name, import.meta.url)
}
