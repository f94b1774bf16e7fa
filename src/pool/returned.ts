import type { Limits, Verdict } from '../chain/index.js'
import { splitBlock, txId } from '../chain/index.js'
import { toHex } from '../hex.js'
import type { Candidate } from './entries.js'

/** Of a deeper reorganisation only the last blocks' transactions come back. */
const MAX_BLOCKS = 100

interface ReturnedChain<Tx> {
  readonly limits: Required<Limits>
  checkTx(bytes: Uint8Array): { verdict: Verdict; id: Uint8Array; tx?: Tx }
  block(hash: Uint8Array): Promise<Uint8Array | undefined>
}

/** Blocks that left the head chain, and the transactions that come back from them. */
export class Returned<Tx> {
  #blocks: Uint8Array[] = []

  constructor(private readonly chain: ReturnedChain<Tx>) {}

  /** Blocks whose transactions were not taken yet. */
  get size(): number {
    return this.#blocks.length
  }

  /** These blocks left the head chain, lowest first. */
  note(blocks: Uint8Array[]): void {
    this.#blocks = [...this.#blocks, ...blocks].slice(-MAX_BLOCKS)
  }

  /** Their transactions, each once, in their order, without those that `isKnown` knows; no more than `limits` allow. */
  async take(isKnown: (key: string) => boolean, limits: { txs: number; bytes: number }): Promise<Candidate<Tx>[]> {
    const entries = new Map<string, Candidate<Tx>>()
    let left = limits.bytes
    for (const hash of this.#blocks.splice(0)) {
      const block = await this.chain.block(hash)
      if (block == null) continue
      for (const view of splitBlock(block, this.chain.limits).txs) {
        const key = toHex(txId(view))
        if (isKnown(key) || entries.has(key)) continue
        left -= view.length
        if (left < 0 || entries.size >= limits.txs) return [...entries.values()]
        const bytes = view.slice()
        const { verdict, id, tx } = this.chain.checkTx(bytes)
        if (verdict.result === 'accept' && tx !== undefined) entries.set(key, { key, id, bytes, tx, source: undefined })
      }
    }
    return [...entries.values()]
  }
}
