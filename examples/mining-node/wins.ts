/** Who won the last blocks of the head chain. */
import { splitBlock, toHex } from 'blockwire/chain'
import type { CoinRules, Reward } from 'blockwire/pow'
import { clean } from './clean.js'

export interface Win {
  /** As it stands in the blocks. */
  name: string
  /** The rewards are ours. */
  own: boolean
  blocks: number
}

/** Blocks that count. */
export const WINS_OF = 40

/** Of the chain, what is read. */
export interface WinsChain {
  readonly head: { readonly height: number }
  readonly limits: Parameters<typeof splitBlock>[1]
  hashAt(height: number): Uint8Array | undefined
  block(hash: Uint8Array): Promise<Uint8Array | undefined>
}

/** Remembers who won a block by its hash, so that a reorganisation needs no care and only new blocks are read. */
export class WinsWatch {
  #known = new Map<string, { name: string; own: boolean }>()

  constructor(
    private readonly chain: WinsChain,
    private readonly rules: CoinRules,
    /** Where our own rewards go. */
    private readonly address: Uint8Array
  ) {}

  /** Most wins first, of the last `WINS_OF` blocks. Blocks that cannot be read do not count. */
  async count(): Promise<Win[]> {
    const top = this.chain.head.height
    const known = new Map<string, { name: string; own: boolean }>()
    for (let height = Math.max(1, top - WINS_OF + 1); height <= top; height++) {
      const hash = this.chain.hashAt(height)
      if (hash == null) continue
      const key = toHex(hash)
      const winner = this.#known.get(key) ?? (await this.#winner(hash))
      if (winner != null) known.set(key, winner)
    }
    this.#known = known
    return tally([...known.values()])
  }

  async #winner(hash: Uint8Array): Promise<{ name: string; own: boolean } | undefined> {
    const block = await this.chain.block(hash)
    const reward = block == null ? undefined : rewardOf(block, this.chain.limits, this.rules)
    return reward == null ? undefined : { name: reward.name, own: toHex(reward.to) === toHex(this.address) }
  }
}

/** The reward, which is a block's first transaction. */
export function rewardOf(
  block: Uint8Array,
  limits: Parameters<typeof splitBlock>[1],
  rules: Pick<CoinRules, 'tx'>
): Reward | undefined {
  const first = splitBlock(block, limits).txs[0]
  if (first == null) return undefined
  const tx = rules.tx.decode(first)
  return tx.kind === 'reward' ? tx : undefined
}

/** Counts them; most wins first, among equals ours, then by name. */
export function tally(winners: { name: string; own: boolean }[]): Win[] {
  const wins = new Map<string, Win>()
  for (const { name, own } of winners) {
    const key = own ? 'own' : `name ${name}`
    const win = wins.get(key) ?? { name, own, blocks: 0 }
    win.blocks++
    wins.set(key, win)
  }
  return [...wins.values()].sort(
    (a, b) => b.blocks - a.blocks || Number(b.own) - Number(a.own) || (a.name < b.name ? -1 : 1)
  )
}

/** Miners that are named; the others are one number. */
const NAMED = 5

/** `you 21, ana 15, 3 others 4   of the last 40`; undefined where nobody has won anything. */
export function winsText(wins: Win[]): string | undefined {
  const all = sum(wins)
  if (all === 0) return undefined
  // one that is left over is named, too
  const named = wins.length > NAMED + 1 ? wins.slice(0, NAMED) : wins
  const others = wins.slice(named.length)
  const parts = named.map(({ name, own, blocks }) => `${own ? 'you' : nameText(name)} ${blocks}`)
  if (others.length > 0) parts.push(`${others.length} others ${sum(others)}`)
  return `${parts.join(', ')}   of the last ${all}`
}

/** A miner's name for a terminal. */
export function nameText(name: string): string {
  return name === '' ? 'unnamed' : clean(name, 32)
}

function sum(wins: Win[]): number {
  return wins.reduce((all, { blocks }) => all + blocks, 0)
}
