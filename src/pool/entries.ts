/** How much a pool holds. */
export interface PoolLimits {
  txs: number
  bytes: number
  txsPerPeer: number
}

export const POOL_LIMITS: PoolLimits = { txs: 5_000, bytes: 16 * 1_048_576, txsPerPeer: 1_000 }

/** One pending transaction. */
export interface Entry<T> {
  /** Hex of its ID. */
  readonly key: string
  readonly id: Uint8Array
  readonly bytes: Uint8Array
  readonly tx: T
  /** The peer that brought it; undefined: our own, or from a block that was dropped. */
  readonly source: string | undefined
}

/** Pending transactions in order of arrival, bounded in number, bytes and per peer. Pure. */
export class Entries<T> {
  readonly #entries = new Map<string, Entry<T>>()
  readonly #perPeer = new Map<string, number>()
  #bytes = 0

  constructor(private readonly limits: PoolLimits = POOL_LIMITS) {}

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(key: string): Entry<T> | undefined {
    return this.#entries.get(key)
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  /** Oldest first. */
  values(): IterableIterator<Entry<T>> {
    return this.#entries.values()
  }

  /** Is there room for so many bytes of this source? */
  fits(bytes: number, source: string | undefined): boolean {
    const { limits } = this
    if (source != null && (this.#perPeer.get(source) ?? 0) >= limits.txsPerPeer) return false
    return this.#entries.size < limits.txs && this.#bytes + bytes <= limits.bytes
  }

  /** False, and nothing happens, when it is there already or there is no room. */
  add(entry: Entry<T>): boolean {
    if (this.has(entry.key) || !this.fits(entry.bytes.length, entry.source)) return false
    this.#entries.set(entry.key, entry)
    this.#bytes += entry.bytes.length
    if (entry.source != null) this.#perPeer.set(entry.source, (this.#perPeer.get(entry.source) ?? 0) + 1)
    return true
  }

  delete(key: string): Entry<T> | undefined {
    const entry = this.#entries.get(key)
    if (entry == null) return undefined
    this.#entries.delete(key)
    this.#bytes -= entry.bytes.length
    if (entry.source != null) {
      const left = this.#perPeer.get(entry.source)! - 1
      if (left === 0) this.#perPeer.delete(entry.source)
      else this.#perPeer.set(entry.source, left)
    }
    return entry
  }

  /** Takes all out, oldest first. */
  clear(): Entry<T>[] {
    const all = [...this.#entries.values()]
    this.#entries.clear()
    this.#perPeer.clear()
    this.#bytes = 0
    return all
  }
}
