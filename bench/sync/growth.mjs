// What a long chain costs: whether a block of it costs more than one of a short chain, and how much memory the client takes.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { goal, line, median, QUICK, remark } from '../report.mjs'
import { interleave } from '../rounds.mjs'
import { fill } from './limit.mjs'
import { run } from './pair.mjs'
import { chainOf, copyOf } from './store.mjs'

/** Blocks of 300 B, and with --quick. */
const LENGTHS = [10_000, 100_000, 1_000_000]
const QUICK_LENGTHS = [200, 600, 2_000]
/** Fetched by the same process before it is measured, by the shortest of them as many as it is long. */
const WARM = 10_000
/** Of Node: what a process is given whose memory is to stay small. V8 then collects sooner, which costs a quarter of the speed. */
const SMALL = ['--max-semi-space-size=8', '--max-old-space-size=256']
/** Blocks of 100 KB: 2 GB. */
const LONG = 20_000
const QUICK_LONG = 50
/** The dearest by the cheapest. */
const SPREAD_BAR = 1.15
const RSS_BAR_MB = 300

const WHO = /** @type {const} */ (['blockwire', 'limit'])

/** Time of a block in chains of several lengths. @param {import('./index.mjs').Bench} bench */
export async function linear(bench) {
  const lengths = bench.quick ? QUICK_LENGTHS : LENGTHS
  const { samples, bytes } = await measured('300B', lengths, Math.min(WARM, lengths[0]), bench)
  /** @type {Record<string, number[]>} */
  const times = Object.fromEntries(WHO.map((who) => [who, []]))
  const lines = lengths.map((length) => {
    const us = Object.fromEntries(
      WHO.map((who) => [who, samples[`${who} ${length}`].map(({ seconds }) => (seconds / length) * 1e6)])
    )
    for (const who of WHO) times[who].push(median(us[who]))
    return line({ ...LINEAR, metric: `time of ${length} blocks`, unit: 'us/block' }, us)
  })
  const spread = line(
    { ...LINEAR, metric: 'dearest length by cheapest', unit: 'x' },
    Object.fromEntries(WHO.map((who) => [who, [Math.max(...times[who]) / Math.min(...times[who])]]))
  )
  // on a machine that does other things too, CPU time tells more
  const cpus = lengths.map(
    (length) => (median(samples[`blockwire ${length}`].map(({ client }) => client.cpu)) / length) * 1e6
  )
  remark(spread, `us a block of ${lengths.join(', ')}: ${fixed(times.blockwire)}; CPU of the client: ${fixed(cpus)}`)
  const longest = /** @type {number} */ (lengths.at(-1))
  const memory = rss({ ...LINEAR, metric: `RSS of the client, ${longest} blocks` }, samples, longest)
  for (const one of [...lines, spread, memory]) remark(one, `blocks of ${bytes} B`)
  if (bench.quick) for (const one of [...lines, spread, memory]) remark(one, QUICK)
  else {
    goal(spread, SPREAD_BAR)
    goal(memory, RSS_BAR_MB)
  }
  return [...lines, spread, memory]
}

const LINEAR = { bench: 'sync', case: 'linear', better: /** @type {const} */ ('lower') }

/** 2 GB of large blocks. @param {import('./index.mjs').Bench} bench */
export async function long(bench) {
  const count = bench.quick ? QUICK_LONG : LONG
  const { samples, bytes } = await measured('100KB', [count], 0, bench)
  const rate = line(
    { bench: 'sync', case: 'long', metric: 'download', unit: 'blocks/s', better: 'higher' },
    Object.fromEntries(WHO.map((who) => [who, samples[`${who} ${count}`].map(({ seconds }) => count / seconds)]))
  )
  const memory = rss({ bench: 'sync', case: 'long', metric: 'RSS of the client' }, samples, count)
  for (const one of [rate, memory])
    remark(one, `${count} blocks of ${bytes} B, ${((count * bytes) / 1e9).toFixed(2)} GB`)
  if (bench.quick) for (const one of [rate, memory]) remark(one, QUICK)
  else goal(memory, RSS_BAR_MB)
  return [rate, memory]
}

/**
 * By `blockwire` or `limit` and the length.
 *
 * @param {string} kind Of blocks.
 * @param {number[]} lengths
 * @param {number} warm
 * @param {import('./index.mjs').Bench} bench
 */
async function measured(kind, lengths, warm, bench) {
  const { root, profiles, runs, tell } = bench
  let bytes = 0
  /** @type {Record<string, () => Promise<import('./pair.mjs').Sample>>} */
  const subjects = {}
  for (const blocks of lengths) {
    const chain = await chainOf(kind, blocks, bench)
    bytes = chain.bytes
    const client = { kind, blocks, bytes, warm }
    subjects[`blockwire ${blocks}`] = async () => {
      const dir = join(root, `server-${blocks}`)
      await copyOf(chain.dir, dir)
      const files = /** @type {[string, string]} */ (['blockwire.mjs', 'blockwire.mjs'])
      const sample = await run({
        files,
        server: { kind, dir },
        client,
        flags: SMALL,
        head: chain.head,
        ...{ root, profiles, tell }
      })
      await rm(dir, { recursive: true })
      return sample
    }
    subjects[`limit ${blocks}`] = async () => {
      const dir = join(root, `limit-${blocks}`)
      await fill(dir, blocks, bytes)
      const sample = await run({ files: ['limit.mjs', 'limit.mjs'], server: { dir }, client, root, tell })
      await rm(dir, { recursive: true })
      return sample
    }
  }
  return { samples: await interleave(subjects, runs, tell), bytes }
}

/**
 * The most memory that the client's process took, its beginning and end included.
 *
 * @param {{ bench: string, case: string, metric: string }} what
 * @param {Record<string, import('./pair.mjs').Sample[]>} samples
 * @param {number} length
 */
function rss(what, samples, length) {
  return line(
    { ...what, unit: 'MB', better: 'lower' },
    Object.fromEntries(WHO.map((who) => [who, samples[`${who} ${length}`].map(({ client }) => client.rss / 1e6)]))
  )
}

/** @param {number[]} values */
function fixed(values) {
  return values.map((value) => value.toFixed(1)).join(', ')
}
