import { toHex } from '../hex.js'

/** IDs that are remembered; the oldest go first. */
const MAX_MINED = 20_000

/** Transactions of late blocks of the head chain, so that a late message does not pool them again. Keys are hex. */
export class Mined {
  /** Key of the transaction -> hex of the hash of its block, oldest first. */
  readonly #blocks = new Map<string, string>()

  has(key: string): boolean {
    return this.#blocks.has(key)
  }

  add(keys: string[], block: Uint8Array): void {
    const hash = toHex(block)
    for (const key of keys) {
      this.#blocks.delete(key)
      this.#blocks.set(key, hash)
    }
    for (const key of this.#blocks.keys()) {
      if (this.#blocks.size <= MAX_MINED) break
      this.#blocks.delete(key)
    }
  }

  /** These blocks left the head chain. What stands in another block of it stays known. */
  unwind(blocks: Uint8Array[]): void {
    const gone = new Set(blocks.map(toHex))
    for (const [key, block] of this.#blocks) if (gone.has(block)) this.#blocks.delete(key)
  }
}
