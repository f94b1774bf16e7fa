import { Child } from '../child.mjs'
import { bar, line, median, QUICK, remark } from '../report.mjs'
import { interleave } from '../rounds.mjs'

/** How long a process may take until it listens, and peers until all have joined. */
const READY_MS = 60_000
const JOIN_MS = 120_000
/** How long nodes may take to find each other. */
const CONVERGE_MS = 120_000
/** Processes that the peers of the hub are spread over. */
const PROCESSES = 4
/** How long after the last peer has come the hub's memory is looked at: all have been pinged by then. */
const IDLE_MS = 15_000
/** And how long after the last has gone. */
const GONE_MS = 2_000
/** How long a look at the hub's memory may take, all that is waited for not counted. */
const LOOK_MS = 30_000

/** By name of a case. */
const CASES = { 'idle peer': idlePeer, converge }

/** @typedef {{ runs: number, quick: boolean, tell(text: string): void }} Options */

export const cases = Object.keys(CASES)

/** @param {string} name Of a case. @param {Options} options */
export async function measure(name, options) {
  return [await CASES[/** @type {keyof typeof CASES} */ (name)](name, options)]
}

/**
 * What one connected peer that does nothing costs a node: memory of a process with many of them minus its memory before.
 *
 * @param {string} name @param {Options} options
 */
async function idlePeer(name, { runs, quick, tell }) {
  const sizes = quick ? { peers: 8, warm: 1, idleMs: 500 } : { peers: 200, warm: 20, idleMs: IDLE_MS }
  const samples = await interleave(
    { blockwire: () => hub('blockwire', sizes), limit: () => hub('limit', sizes) },
    runs,
    tell
  )
  const rss = Object.fromEntries(Object.entries(samples).map(([who, all]) => [who, all.map((one) => one.rss)]))
  const result = line({ bench: 'peers', case: name, metric: 'RSS', unit: 'KB', better: 'lower' }, rss)
  const heap = Object.entries(samples).map(([who, all]) => `${who} ${median(all.map((one) => one.heap)).toFixed(0)}`)
  remark(result, `${sizes.peers} peers; of it heap and buffers: ${heap.join(', ')} KB`)
  if (quick) remark(result, QUICK)
  else bar(result, 'limit', 1.15)
  return result
}

/**
 * One hub, and its peers in other processes; all are gone when it returns. KB a peer.
 *
 * @param {string} who @param {{ peers: number, warm: number, idleMs: number }} sizes
 */
async function hub(who, { peers, warm, idleMs }) {
  const hub = new Child(new URL('hub.mjs', import.meta.url), who, { maxPeers: peers, joinMs: JOIN_MS }, undefined, [
    '--expose-gc'
  ])
  /** @type {Child[]} */
  const clients = []
  try {
    const { addresses } = await hub.hear(READY_MS)
    /** @param {number} hosts In how many processes, each with so many. @param {number} processes */
    const connect = async (hosts, processes) => {
      const config = { addresses, hosts, joinMs: JOIN_MS }
      for (let i = 0; i < processes; i++) clients.push(new Child(new URL('clients.mjs', import.meta.url), who, config))
      await Promise.all(clients.map((client) => client.hear(READY_MS + JOIN_MS)))
    }
    /** @param {number} count Of peers that are there. @param {number} idleMs @returns {Promise<{ rss: number, heap: number }>} */
    const look = async (count, idleMs) => {
      hub.tell({ peers: count, idleMs })
      return await hub.hear(JOIN_MS + idleMs + LOOK_MS)
    }
    // what is loaded, compiled and grown with the first peers is no peer's
    await connect(warm, 1)
    await look(warm, 0)
    await Promise.all(clients.splice(0).map((client) => client.end()))
    const before = await look(0, Math.min(idleMs, GONE_MS))
    await connect(peers / PROCESSES, PROCESSES)
    const after = await look(peers, idleMs)
    const each = (/** @type {'rss' | 'heap'} */ what) => (after[what] - before[what]) / peers / 1_000
    return { rss: each('rss'), heap: each('heap') }
  } finally {
    await Promise.all([hub, ...clients].map((child) => child.end()))
  }
}

/**
 * How soon nodes that know one seed have the connections they want, in a network that does not need the seed any more.
 *
 * @param {string} name @param {Options} options
 */
async function converge(name, { runs, quick, tell }) {
  const sizes = quick ? { count: 6, target: 2 } : { count: 30, target: 8 }
  const network = async (/** @type {string} */ who) => {
    const config = { ...sizes, convergeMs: CONVERGE_MS }
    const child = new Child(new URL('converge.mjs', import.meta.url), who, config)
    try {
      const { ms } = await child.hear(READY_MS + CONVERGE_MS)
      return ms
    } finally {
      await child.end()
    }
  }
  const measured = await interleave(
    { blockwire: () => network('blockwire'), limit: () => network('limit') },
    runs,
    tell
  )
  const result = line({ bench: 'peers', case: name, metric: 'time', unit: 'ms', better: 'lower' }, measured)
  remark(
    result,
    `${sizes.count} nodes, ${sizes.target} connections each; limit: no discovery, each dials ${sizes.target}`
  )
  if (quick) remark(result, QUICK)
  return result
}
