import { victimsFor } from './evict.js'
import { compareRanks, type Rank, rankAt } from './rank.js'

/** How much a pool holds. */
export interface PoolLimits {
  txs: number
  bytes: number
  /** That one peer brought. */
  txsPerPeer: number
  /** Of one sender (`rules.pool.order`), our own aside. */
  txsPerSender: number
}

/** Sixteen full blocks of the default size. Each new head tries all again: at some 10 µs each that is 0.2 s of work for 20,000. */
export const POOL_LIMITS: PoolLimits = { txs: 20_000, bytes: 16 * 1_048_576, txsPerPeer: 10_000, txsPerSender: 1_000 }

/** A transaction that came and may be pooled. */
export interface Candidate<T> {
  /** Hex of its ID. */
  readonly key: string
  readonly id: Uint8Array
  readonly bytes: Uint8Array
  readonly tx: T
  /** The peer that brought it; undefined: our own, or from a block that was dropped. */
  readonly source: string | undefined
}

/** One pending transaction. */
export interface Entry<T> extends Candidate<T> {
  /** It was submitted here. */
  own: boolean
  /** When it came, ms since 1970. */
  readonly at: number
  readonly fee: bigint
  /** Fee per byte. */
  readonly rate: number
  /** The sender as hex. */
  readonly order: { readonly sender: string; readonly sequence: bigint } | undefined
  /** What it takes up: of those that share one only one is pooled. */
  readonly slots: string[]
}

/** An entry in its place. */
export interface Place<T> extends Rank {
  readonly entry: Entry<T>
}

/** Pending transactions in order of arrival: what each stands in the way of, and which is the worst. Bounded by those who add. Pure. */
export class Entries<T> {
  readonly #places = new Map<string, Place<T>>()
  /** Those that may be evicted, worst first. */
  #ranked: Place<T>[] = []
  /** Of each sender, by sequence. */
  readonly #chains = new Map<string, Place<T>[]>()
  readonly #slots = new Map<string, Place<T>>()
  readonly #perPeer = new Map<string, number>()
  #bytes = 0
  #arrivals = 0

  constructor(readonly limits: PoolLimits = POOL_LIMITS) {}

  get size(): number {
    return this.#places.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(key: string): Entry<T> | undefined {
    return this.#places.get(key)?.entry
  }

  has(key: string): boolean {
    return this.#places.has(key)
  }

  /** In the order in which they were added. */
  *values(): Generator<Entry<T>> {
    for (const { entry } of this.#places.values()) yield entry
  }

  places(): Iterable<Place<T>> {
    return this.#places.values()
  }

  /** Of a sender (hex), in sequence. */
  ofSender(sender: string): Entry<T>[] {
    return (this.#chains.get(sender) ?? []).map(({ entry }) => entry)
  }

  /** Those that stand in its place. */
  rivals(entry: Entry<T>): Entry<T>[] {
    const rivals = new Set<Entry<T>>()
    for (const slot of entry.slots) {
      const taken = this.#slots.get(slot)
      if (taken != null) rivals.add(taken.entry)
    }
    return [...rivals]
  }

  /** What must be evicted for it, once `rivals` are gone; a text: why there is no room. */
  room(entry: Entry<T>, rivals: Entry<T>[] = []): Entry<T>[] | string {
    const { limits } = this
    const { source, order } = entry
    if (source != null) {
      const freed = rivals.filter((rival) => rival.source === source).length
      if ((this.#perPeer.get(source) ?? 0) - freed >= limits.txsPerPeer)
        return `${limits.txsPerPeer} are here of the peer that brought it`
    }
    const chain = order == null ? [] : (this.#chains.get(order.sender) ?? [])
    if (!entry.own && order != null) {
      const freed = rivals.filter((rival) => rival.order?.sender === order.sender).length
      if (chain.length - freed >= limits.txsPerSender) return `${limits.txsPerSender} are here of its sender`
    }
    const freedBytes = rivals.reduce((sum, { bytes }) => sum + bytes.length, 0)
    const excess = {
      txs: this.size - rivals.length + 1 - limits.txs,
      bytes: this.#bytes - freedBytes + entry.bytes.length - limits.bytes
    }
    const before = order == null ? undefined : chain.findLast((place) => place.entry.order!.sequence < order.sequence)
    const effective = Math.min(entry.rate, before?.effective ?? Number.POSITIVE_INFINITY)
    const goes = new Set(rivals)
    const victims = victimsFor(without(this.#ranked, goes), { effective, own: entry.own }, excess)
    return victims ?? 'the pool is full, and nothing in it may go for what this one pays'
  }

  /** The worst, as long as there is too much: to be deleted. Our own are never among them. */
  overflow(): Entry<T>[] {
    const excess = { txs: this.size - this.limits.txs, bytes: this.#bytes - this.limits.bytes }
    const victims: Entry<T>[] = []
    for (const { entry } of this.#ranked) {
      if (excess.txs <= 0 && excess.bytes <= 0) break
      victims.push(entry)
      excess.txs--
      excess.bytes -= entry.bytes.length
    }
    return victims
  }

  /** Limits are the caller's affair. False, and nothing happens, when it is there already or another stands in its place. */
  add(entry: Entry<T>): boolean {
    if (this.has(entry.key) || entry.slots.some((slot) => this.#slots.has(slot))) return false
    const { rate, own } = entry
    const place: Place<T> = { entry, rate, own, arrival: this.#arrivals++, effective: rate, kept: own }
    this.#places.set(entry.key, place)
    for (const slot of entry.slots) this.#slots.set(slot, place)
    this.#bytes += entry.bytes.length
    this.#count(entry.source, 1)
    this.#rank(place)
    if (entry.order != null) this.#link(place, entry.order)
    return true
  }

  /** It was submitted here, too: from now on it stays. */
  adopt(key: string): void {
    const place = this.#places.get(key)
    if (place == null || place.own) return
    place.entry.own = place.own = true
    const chain = place.entry.order == null ? [place] : this.#chains.get(place.entry.order.sender)!
    this.#rerank(chain, chain.indexOf(place))
  }

  delete(key: string): Entry<T> | undefined {
    const place = this.#places.get(key)
    if (place == null) return undefined
    const { entry } = place
    this.#places.delete(key)
    for (const slot of entry.slots) this.#slots.delete(slot)
    this.#bytes -= entry.bytes.length
    this.#count(entry.source, -1)
    this.#unrank(place)
    if (entry.order != null) this.#unlink(place, entry.order.sender)
    return entry
  }

  /** Takes all out, in the order in which they were added. */
  clear(): Entry<T>[] {
    const all = [...this.values()]
    this.#places.clear()
    this.#chains.clear()
    this.#slots.clear()
    this.#perPeer.clear()
    this.#ranked = []
    this.#bytes = 0
    return all
  }

  #count(source: string | undefined, change: 1 | -1): void {
    if (source == null) return
    const count = (this.#perPeer.get(source) ?? 0) + change
    if (count === 0) this.#perPeer.delete(source)
    else this.#perPeer.set(source, count)
  }

  #link(place: Place<T>, { sender, sequence }: { sender: string; sequence: bigint }): void {
    const chain = this.#chains.get(sender) ?? []
    if (chain.length === 0) this.#chains.set(sender, chain)
    const index = chain.findLastIndex(({ entry }) => entry.order!.sequence < sequence) + 1
    chain.splice(index, 0, place)
    this.#rerank(chain, index)
  }

  #unlink(place: Place<T>, sender: string): void {
    const chain = this.#chains.get(sender)!
    const index = chain.indexOf(place)
    chain.splice(index, 1)
    if (chain.length === 0) this.#chains.delete(sender)
    else this.#rerank(chain, index)
  }

  /** After a change at `index`: later ones may be worth more or less, earlier ones may have to stay, as far as that reaches. */
  #rerank(chain: Place<T>[], index: number): void {
    for (let i = index; i < chain.length; i++) if (!this.#settle(chain, i) && i > index) break
    for (let i = Math.min(index, chain.length) - 1; i >= 0; i--) if (!this.#settle(chain, i)) break
  }

  /** True when its rank changed. */
  #settle(chain: Place<T>[], index: number): boolean {
    const place = chain[index]!
    const { effective, kept } = rankAt(chain, index)
    if (effective === place.effective && kept === place.kept) return false
    this.#unrank(place)
    place.effective = effective
    place.kept = kept
    this.#rank(place)
    return true
  }

  #rank(place: Place<T>): void {
    if (!place.kept) this.#ranked.splice(this.#indexOf(place), 0, place)
  }

  #unrank(place: Place<T>): void {
    if (!place.kept) this.#ranked.splice(this.#indexOf(place), 1)
  }

  /** Where it stands among the ranked, or would. */
  #indexOf(place: Place<T>): number {
    let [low, high] = [0, this.#ranked.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (compareRanks(this.#ranked[middle]!, place) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

function* without<T>(places: Place<T>[], gone: Set<Entry<T>>): Generator<Place<T>> {
  for (const place of places) if (!gone.has(place.entry)) yield place
}
