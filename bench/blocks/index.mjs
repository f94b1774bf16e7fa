import { Child } from '../child.mjs'
import { bar, line, QUICK, remark } from '../report.mjs'
import { interleave } from '../rounds.mjs'

/** By name of a case: are the transactions in the pools? And the bars: bytes and time, of what gossipsub takes. */
const CASES = {
  'full pools': { pooled: true, bars: { bytes: 0.15, time: 0.5 } },
  'empty pools': { pooled: false, bars: { bytes: 1.2, time: 1.2 } }
}
/** How long a network may take to come together and to pass on its blocks. */
const RUN_MS = 240_000
const FILE = new URL('./network.mjs', import.meta.url)

/** @typedef {{ runs: number, quick: boolean, profiles?: string, tell(text: string): void }} Options */

export const cases = Object.keys(CASES)

/** @param {string} name Of a case. @param {Options} options */
export async function measure(name, { runs, quick, profiles, tell }) {
  const { pooled, bars } = CASES[/** @type {keyof typeof CASES} */ (name)]
  const config = {
    pooled,
    ...(quick ? { nodes: 3, blocks: 1, txs: 40, txBytes: 250 } : { nodes: 10, blocks: 5, txs: 4_000, txBytes: 250 })
  }
  const subject = (/** @type {string} */ role) => async () => {
    const child = new Child(FILE, role, config, role === 'blockwire' ? profiles : undefined)
    try {
      return /** @type {{ bytes: number, time: number, block: number }} */ (await child.hear(RUN_MS))
    } finally {
      await child.end()
    }
  }
  const names = ['blockwire', 'limit', 'gossipsub']
  const samples = await interleave(Object.fromEntries(names.map((role) => [role, subject(role)])), runs, tell)
  return /** @type {const} */ (['bytes', 'time']).map((metric) => {
    const unit = metric === 'bytes' ? 'B' : 'ms'
    const figures = Object.fromEntries(
      Object.entries(samples).map(([who, all]) => [who, all.map((one) => one[metric])])
    )
    const made = line({ bench: 'blocks', case: name, metric, unit, better: 'lower' }, figures)
    remark(
      made,
      quick
        ? QUICK
        : `${config.nodes} nodes, ${config.blocks} blocks of ${samples.blockwire[0].block} B; ${ABOUT[metric]}`
    )
    if (!quick) bar(made, 'gossipsub', bars[metric])
    return made
  })
}

const ABOUT = {
  bytes: 'sent by a node for a block, all that its connections write',
  time: 'from publishing to the last node'
}
