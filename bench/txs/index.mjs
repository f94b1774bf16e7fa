import { Child } from '../child.mjs'
import { bar, excuse, line, median, QUICK, remark } from '../report.mjs'
import { interleave } from '../rounds.mjs'

const READY_MS = 120_000
const RUN_MS = 300_000

/** What issue 6 asks for. @type {Record<string, Record<string, number>>} */
const BARS = { unsigned: { limit: 0.4, gossipsub: 6 }, signed: { limit: 0.85 } }

/**
 * Transactions that count, before which a fifth as many are sent; on their way at once; handed over at once. A batch of the limit is as
 * large as a pool's.
 *
 * @type {Record<string, Record<string, { file: string, count: number, window: number, step: number, [key: string]: unknown }>>}
 */
const SUBJECTS = {
  unsigned: {
    blockwire: { file: 'blockwire.mjs', count: 120_000, window: 16_384, step: 2_048 },
    limit: { file: 'plain.mjs', batched: true, count: 300_000, window: 16_384, step: 324 },
    gossipsub: { file: 'plain.mjs', count: 40_000, window: 1_024, step: 64 }
  },
  signed: {
    blockwire: { file: 'blockwire.mjs', count: 40_000, window: 8_192, step: 2_048 },
    limit: { file: 'verify.mjs', count: 60_000, window: 0, step: 0 },
    gossipsub: { file: 'plain.mjs', sign: true, count: 10_000, window: 1_024, step: 64 }
  }
}

export const cases = Object.keys(BARS)

/**
 * Transactions a second from one process into the pool of another.
 *
 * @param {string} name Of a case.
 * @param {{ runs: number, quick: boolean, profiles?: string, tell(text: string): void }} options
 */
export async function measure(name, { runs, quick, profiles, tell }) {
  const subjects = Object.entries(SUBJECTS[name]).map(([who, { file, ...config }]) => {
    const count = quick ? Math.ceil(config.count / 50) : config.count
    return [who, { file, config: { ...config, case: name, count, warm: Math.ceil(count / 5) } }]
  })
  const lost = new Map()
  const samples = await interleave(
    Object.fromEntries(
      subjects.map(([who, { file, config }]) => [
        who,
        () => (file === 'verify.mjs' ? loop(config) : pair(file, config, who === 'blockwire' ? profiles : undefined))
      ])
    ),
    runs,
    tell,
    lost
  )
  const counts = Object.fromEntries(subjects.map(([who, { config }]) => [who, config.count]))
  const result = line(
    { bench: 'txs', case: name, metric: 'tx/s', unit: 'tx/s', better: 'higher' },
    Object.fromEntries(
      Object.keys(counts).map((who) => [who, samples[who].map(({ seconds }) => counts[who] / seconds)])
    )
  )
  remark(result, 'transactions of 200 B')
  for (const who of Object.keys(counts)) {
    if (samples[who].length === 0) continue
    const of = (/** @type {'sender' | 'receiver'} */ side) =>
      ((median(samples[who].map((sample) => sample[side]?.cpu ?? 0)) / counts[who]) * 1e6).toFixed(1)
    remark(result, `CPU of ${who} ${of('sender')} us a transaction at the sender, ${of('receiver')} at the receiver`)
  }
  const rss = Math.max(...samples.blockwire.map(({ receiver }) => receiver.rss))
  remark(result, `the receiver's RSS at most ${Math.round(rss / 1e6)} MB`)
  excuse(result, lost)
  if (quick) remark(result, QUICK)
  else for (const [who, wanted] of Object.entries(BARS[name])) bar(result, who, wanted)
  return [result]
}

/**
 * @typedef {{ cpu: number, rss: number }} Spent
 * @typedef {{ seconds: number, sender?: Spent, receiver: Spent }} Sample
 */

/**
 * One sender, one receiver; both are gone when it returns.
 *
 * @param {string} file @param {object} config @param {string} [profiles]
 * @returns {Promise<Sample>}
 */
async function pair(file, config, profiles) {
  const url = new URL(file, import.meta.url)
  const receiver = new Child(url, 'receiver', config, profiles)
  try {
    const { addresses } = await receiver.hear(READY_MS)
    const sender = new Child(url, 'sender', { ...config, addresses }, profiles)
    try {
      // whichever of them dies ends it
      const [told, { seconds, ...spent }] = await Promise.all([
        finished(sender, () => {}),
        finished(receiver, (message) => sender.tell(message))
      ])
      return { seconds, sender: told, receiver: spent }
    } finally {
      await sender.end()
    }
  } finally {
    await receiver.end()
  }
}

/**
 * The message with which a child says what it has cost; those before go to `pass`.
 *
 * @param {Child} child @param {(message: any) => void} pass
 * @returns {Promise<any>}
 */
async function finished(child, pass) {
  for (;;) {
    const message = await child.hear(RUN_MS)
    if (message.cpu != null) return message
    pass(message)
  }
}

/** @param {object} config @returns {Promise<Sample>} */
async function loop(config) {
  const child = new Child(new URL('verify.mjs', import.meta.url), 'loop', config)
  try {
    const { seconds, ...receiver } = await child.hear(RUN_MS)
    return { seconds, receiver }
  } finally {
    await child.end()
  }
}
