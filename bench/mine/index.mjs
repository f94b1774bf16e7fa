import { availableParallelism } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { Chain } from 'blockwire/chain'
import { coin, miner } from 'blockwire/pow'
import { bar, line, QUICK, remark } from '../report.mjs'
import { interleave } from '../rounds.mjs'

/** The target 1: no hash meets it, so the search goes on. */
const HARDEST = 0x0101_0000

export const cases = ['threads']

/**
 * Hashes a second on all cores: the miner as a chain drives it, the bare loop that it runs, and Node's createHash.
 *
 * @param {string} name
 * @param {{ runs: number, quick: boolean, tell(text: string): void }} options
 */
export async function measure(name, { runs, quick, tell }) {
  const threads = availableParallelism()
  const times = quick ? { warmMs: 300, ms: 500 } : { warmMs: 1_000, ms: 3_000 }
  const measured = await interleave(
    {
      blockwire: () => ours(threads, times),
      limit: () => bare('limit', threads, times),
      createHash: () => bare('createHash', threads, times)
    },
    runs,
    tell
  )
  const result = line({ bench: 'mine', case: name, metric: 'hash rate', unit: 'MH/s', better: 'higher' }, measured)
  remark(result, `${threads} threads`)
  if (quick) remark(result, QUICK)
  else {
    bar(result, 'limit', 0.9)
    bar(result, 'createHash', 4)
  }
  return [result]
}

/**
 * The miner's threads at a block that cannot be found.
 *
 * @param {number} threads @param {{ warmMs: number, ms: number }} times
 */
async function ours(threads, { warmMs, ms }) {
  const rules = coin({ network: 'bench', powLimit: HARDEST })
  const chain = new Chain({ rules })
  await chain.open()
  const { prefix, seal, hashrate, stop } = miner({ rules, to: new Uint8Array(32), threads })
  const born = performance.now()
  // over less than 10 s, `hashrate` is the mean since the miner was made
  const hashes = () => (hashrate() * (performance.now() - born)) / 1_000
  const abort = new AbortController()
  const proposed = chain.propose({ prefix, seal, signal: abort.signal })
  try {
    return await rate(hashes, warmMs, ms)
  } finally {
    abort.abort()
    await proposed.catch(() => undefined)
    await stop()
    await chain.close()
  }
}

/** @param {string} how @param {number} threads @param {{ warmMs: number, ms: number }} times */
async function bare(how, threads, { warmMs, ms }) {
  const memory = new SharedArrayBuffer(8 * threads)
  const counts = new BigUint64Array(memory)
  const workers = Array.from(
    { length: threads },
    (_, thread) => new Worker(new URL('./thread.mjs', import.meta.url), { workerData: { how, thread, memory } })
  )
  const failed = new Promise((_, reject) => {
    for (const worker of workers) worker.on('error', reject)
  })
  try {
    const hashes = () => counts.reduce((sum, _, i) => sum + Number(Atomics.load(counts, i)), 0)
    return await Promise.race([rate(hashes, warmMs, ms), failed])
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

/** MH/s after the threads have started and warmed up. @param {() => number} hashes @param {number} warmMs @param {number} ms */
async function rate(hashes, warmMs, ms) {
  await pause(warmMs)
  const from = performance.now()
  const before = hashes()
  await pause(ms)
  const after = hashes()
  return (after - before) / (performance.now() - from) / 1_000
}
