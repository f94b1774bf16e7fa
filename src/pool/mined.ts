import { toHex } from '../hex.js'
import type { BlockAt } from './own.js'

/** IDs that are remembered; the oldest go first. */
const MAX_MINED = 20_000

/** Transactions of late blocks of the head chain, so that a late message does not pool them again. Keys are hex. */
export class Mined {
  /** Key of the transaction -> its block, oldest first. */
  readonly #blocks = new Map<string, BlockAt>()

  has(key: string): boolean {
    return this.#blocks.has(key)
  }

  /** The block that holds it. */
  get(key: string): BlockAt | undefined {
    return this.#blocks.get(key)
  }

  add(keys: string[], block: BlockAt): void {
    for (const key of keys) {
      this.#blocks.delete(key)
      this.#blocks.set(key, block)
    }
    for (const key of this.#blocks.keys()) {
      if (this.#blocks.size <= MAX_MINED) break
      this.#blocks.delete(key)
    }
  }

  /** These blocks left the head chain. What stands in another block of it stays known. */
  unwind(blocks: Uint8Array[]): void {
    const gone = new Set(blocks.map(toHex))
    for (const [key, { hash }] of this.#blocks) if (gone.has(toHex(hash))) this.#blocks.delete(key)
  }
}
