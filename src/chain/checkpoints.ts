import { ConfigError } from '../errors.js'
import { equalBytes, fromHex, toHex } from '../hex.js'

const MAX_CHECKPOINTS = 1_024

/** Blocks that are known to be on the chain, by height. */
export class Checkpoints {
  readonly #hashes: ReadonlyMap<number, Uint8Array>
  /** Highest first. */
  readonly #heights: readonly number[]
  #askedOf = 0
  #passed = 0

  constructor(hashes: ReadonlyMap<number, Uint8Array> = new Map()) {
    this.#hashes = hashes
    this.#heights = [...hashes.keys()].sort((a, b) => b - a)
  }

  /** Height of the highest one; 0 without any. */
  get last(): number {
    return this.#heights[0] ?? 0
  }

  /** Height of the highest one that a head chain of this height has passed; 0 without any. */
  passed(height: number): number {
    // asked for every header, and mostly of the same height
    if (height !== this.#askedOf) {
      this.#askedOf = height
      this.#passed = this.#heights.find((checkpoint) => checkpoint <= height) ?? 0
    }
    return this.#passed
  }

  /** The hash that a block at this height must have, where it has another. */
  objection(height: number, hash: Uint8Array): Uint8Array | undefined {
    const wanted = this.#hashes.get(height)
    return wanted == null || equalBytes(wanted, hash) ? undefined : wanted
  }

  /** Ascending, up to a height. */
  upTo(height: number): { height: number; hash: Uint8Array }[] {
    const passed = this.#heights.filter((checkpoint) => checkpoint <= height)
    return passed.reverse().map((checkpoint) => ({ height: checkpoint, hash: this.#hashes.get(checkpoint)! }))
  }
}

/**
 * Reads `Rules.checkpoints`.
 * @throws ConfigError naming the entry
 */
export function readCheckpoints(list: Record<number, string>, genesis: Uint8Array): Checkpoints {
  if (typeof list !== 'object' || list == null) throw new ConfigError('checkpoints', 'is not an object of height: hash')
  const entries = Object.entries(list)
  if (entries.length > MAX_CHECKPOINTS)
    throw new ConfigError('checkpoints', `has ${entries.length} entries, over ${MAX_CHECKPOINTS}`)
  const hashes = new Map<number, Uint8Array>()
  for (const [key, hash] of entries) {
    const option = `checkpoints[${/^\d{1,16}$/.test(key) ? key : JSON.stringify(key)}]`
    const height = Number(key)
    if (String(height) !== key || !Number.isSafeInteger(height) || height < 0)
      throw new ConfigError(option, `${JSON.stringify(key)} is not a height`)
    if (typeof hash !== 'string' || !/^[0-9a-fA-F]{64}$/.test(hash))
      throw new ConfigError(option, `${JSON.stringify(hash)} is not a hash in 64 hex digits`)
    hashes.set(height, fromHex(hash))
  }
  const first = hashes.get(0)
  if (first != null && !equalBytes(first, genesis))
    throw new ConfigError('checkpoints[0]', `is ${toHex(first)}, but genesis is ${toHex(genesis)} by these rules`)
  hashes.delete(0)
  return new Checkpoints(hashes)
}
