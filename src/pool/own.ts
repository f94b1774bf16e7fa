import { toHex } from '../hex.js'
import type { Entry } from './entries.js'
import type { JournalRecord } from './journal.js'

/** A block of the head chain. */
export interface BlockAt {
  height: number
  hash: Uint8Array
}

/** One that was submitted here. */
export interface OwnTx<T> {
  readonly entry: Entry<T>
  /** See `JournalRecord.number`. */
  readonly number: number
  /** The block that holds it. */
  place: BlockAt | undefined
  /** Since when the state at head has refused it, in ms. */
  asideAt: number | undefined
  /** When it was last told to others, in ms. */
  announcedAt: number
}

export interface OwnLimits {
  txs: number
  bytes: number
}

/** Mined ones are kept until their block is so deep: a reorganisation may give them back, after a restart too. */
export const OWN_DEPTH = 1_000
/** Pending ones are told again after this long, in ms (go-ethereum's local tracker rechecks once a minute). */
export const ANNOUNCE_MS = 60_000
/** At most so many bytes at once. */
export const ANNOUNCE_BYTES = 1_048_576

/**
 * What was submitted here, until it is mined and buried, or cannot be mined any more. Those that are in a block are kept in case it is
 * dropped; those that the state refuses in case it changes its mind. Pure; knows what has to be written to the journal.
 */
export class Own<T> {
  readonly #txs = new Map<string, OwnTx<T>>()
  /** Whose record on disk is another one, or missing, or to be deleted. */
  readonly #changed = new Map<string, Uint8Array>()
  #bytes = 0
  #next = 0

  constructor(private readonly limits: OwnLimits) {}

  get size(): number {
    return this.#txs.size
  }

  has(key: string): boolean {
    return this.#txs.has(key)
  }

  get(key: string): OwnTx<T> | undefined {
    return this.#txs.get(key)
  }

  /** Makes room by forgetting the deepest of those that are mined. */
  fits(bytes: number): boolean {
    const { limits } = this
    const full = (): boolean => this.size >= limits.txs || this.#bytes + bytes > limits.bytes
    if (!full()) return true
    const mined = [...this.#txs.values()].filter(({ place }) => place != null)
    mined.sort((a, b) => a.place!.height - b.place!.height)
    for (const { entry } of mined) {
      this.delete(entry.key)
      if (!full()) return true
    }
    return false
  }

  /** `place`: it is in a block already; `number`: as the journal says. */
  add(entry: Entry<T>, place?: BlockAt, number = this.#next): void {
    if (this.has(entry.key)) return
    this.#next = Math.max(this.#next, number + 1)
    this.#txs.set(entry.key, { entry, number, place, asideAt: undefined, announcedAt: Number.NEGATIVE_INFINITY })
    this.#bytes += entry.bytes.length
    this.#changed.set(entry.key, entry.id)
  }

  delete(key: string): void {
    const own = this.#txs.get(key)
    if (own == null) return
    this.#txs.delete(key)
    this.#bytes -= own.entry.bytes.length
    this.#changed.set(key, own.entry.id)
  }

  mined(key: string, place: BlockAt): void {
    const own = this.#txs.get(key)
    if (own == null) return
    own.place = place
    own.asideAt = undefined
    this.#changed.set(key, own.entry.id)
  }

  /** These blocks left the head chain: what they held is to be told again. */
  unwound(blocks: Uint8Array[]): void {
    const gone = new Set(blocks.map(toHex))
    for (const [key, own] of this.#txs) {
      if (own.place == null || !gone.has(toHex(own.place.hash))) continue
      own.place = undefined
      own.announcedAt = Number.NEGATIVE_INFINITY
      this.#changed.set(key, own.entry.id)
    }
  }

  /** Those in no block that are not pooled, in the order in which they came. */
  missing(isPooled: (key: string) => boolean): Entry<T>[] {
    const missing: Entry<T>[] = []
    for (const { entry, place } of this.#txs.values()) if (place == null && !isPooled(entry.key)) missing.push(entry)
    return missing
  }

  /** All were tried on a new head: remembers since when it has refused those that are not pooled. */
  look(now: number, isPooled: (key: string) => boolean): void {
    for (const own of this.#txs.values()) {
      if (own.place != null || isPooled(own.entry.key)) own.asideAt = undefined
      else own.asideAt ??= now
    }
  }

  /** Forgets what is buried, and what the state has refused for `lifetimeMs`. Gives the latter. */
  settle(height: number, now: number, lifetimeMs: number): Entry<T>[] {
    const expired: Entry<T>[] = []
    for (const [key, { entry, place, asideAt }] of this.#txs) {
      if (asideAt != null && now - asideAt >= lifetimeMs) expired.push(entry)
      else if (place == null || height - place.height < OWN_DEPTH) continue
      this.delete(key)
    }
    return expired
  }

  /** Those in no block that nobody was told of for a minute, longest first, at most 1 MiB; they count as told now. */
  due(now: number, isPooled: (key: string) => boolean): Entry<T>[] {
    const due = [...this.#txs.values()].filter(
      ({ entry, place, announcedAt }) => place == null && now - announcedAt >= ANNOUNCE_MS && isPooled(entry.key)
    )
    // stable: in the order in which they came, which is the order in which they can be applied
    due.sort((a, b) => (a.announcedAt < b.announcedAt ? -1 : a.announcedAt > b.announcedAt ? 1 : 0))
    let left = ANNOUNCE_BYTES
    const taken: Entry<T>[] = []
    for (const own of due) {
      left -= own.entry.bytes.length
      if (left < 0) break
      own.announcedAt = now
      taken.push(own.entry)
    }
    return taken
  }

  /** Told to others just now. */
  announced(key: string, now: number): void {
    const own = this.#txs.get(key)
    if (own != null) own.announcedAt = now
  }

  /** What has to be written since the last call. */
  changes(): { put: JournalRecord[]; del: Uint8Array[] } {
    const changes: { put: JournalRecord[]; del: Uint8Array[] } = { put: [], del: [] }
    for (const [key, id] of this.#changed) {
      const own = this.#txs.get(key)
      if (own == null) changes.del.push(id)
      else changes.put.push(recordOf(own))
    }
    this.#changed.clear()
    return changes
  }

  /** They could not be written: the next call gives them again. */
  again({ put, del }: { put: JournalRecord[]; del: Uint8Array[] }): void {
    for (const id of [...put.map(({ id }) => id), ...del]) this.#changed.set(toHex(id), id)
  }
}

function recordOf<T>({ entry: { id, at, bytes }, number, place }: OwnTx<T>): JournalRecord {
  return { id, number, at, place, bytes }
}
