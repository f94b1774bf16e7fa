import { multiaddr } from '@multiformats/multiaddr'
import { isUsable } from './addresses.js'
import { Buckets, Placing } from './buckets.js'
import { groupOf } from './group.js'

const HOUR = 3_600_000
/** Not seen for this long: forgotten. Bitcoin Core's horizon. */
export const HORIZON_MS = 30 * 24 * HOUR
/** A tried peer that proved itself within this time does not make room for another. Bitcoin Core's number. */
export const REPLACEABLE_MS = 4 * HOUR
const MAX_ADDRESSES = 8

/** One peer that could be dialled. The book owns who and where, the planner the fields from `failures` on. */
export interface Entry {
  readonly id: string
  readonly seed: boolean
  /** Multiaddrs with `/p2p/<id>`, best first. */
  addresses: string[]
  /** Of the best address. */
  group: string
  /** The address at which it answered us last. */
  worked: string | undefined
  /** Sequence number of the signed record that the addresses come from; newer records replace them. */
  seq: bigint | undefined
  /** Who told us of it first, as a group of addresses. */
  source: string
  /** When it was last learned of or heard from. */
  seenAt: number
  /** When it last was the peer that it claims to be. */
  provenAt: number | undefined
  /** Failed attempts since the last good connection. */
  failures: number
  /** When the last attempt ended or connection was lost. */
  endedAt: number
  /** How long to leave it alone after `endedAt`. */
  waitMs: number
  /** Not dialled before this, whatever else happens. */
  heldUntil: number
  error: string | undefined
}

/** Who told us, and whether it is the peer's own signed word. */
export interface Hint {
  source: string
  seq?: bigint | undefined
}

export interface AddressBookInit {
  /** Keeps others from telling in which bucket a peer goes. @default random */
  secret?: Uint8Array
  /** Peers that are not evicted, e.g. because they are connected. */
  keeps?(id: string): boolean
}

/**
 * Who could be dialled, and where: Bitcoin Core's address manager (src/addrman.cpp), with peers for addresses and sets of 64 for its
 * places. Peers that we have only heard of are `new`, in a bucket that depends on who told us; those that answered a dial of ours are
 * `tried`. Whoever tells a million addresses fills his share of `new` and nothing else. Seeds stand outside, for ever.
 */
export class AddressBook {
  readonly #entries = new Map<string, Entry>()
  readonly #pinned = new Map<string, string[]>()
  readonly #fresh = new Buckets()
  readonly #tried = new Buckets()
  readonly #changed = new Set<string>()
  readonly #keeps: (id: string) => boolean
  #placing: Placing

  constructor(init: AddressBookInit = {}) {
    this.#placing = new Placing(init.secret ?? crypto.getRandomValues(new Uint8Array(32)))
    this.#keeps = init.keeps ?? (() => false)
  }

  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries
  }

  /** How many are in each table. */
  get sizes(): { new: number; tried: number } {
    return { new: this.#fresh.size, tried: this.#tried.size }
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id)
  }

  get seeds(): Entry[] {
    return [...this.#pinned.keys()].flatMap((id) => this.#entries.get(id) ?? [])
  }

  isTried(id: string): boolean {
    return this.#tried.has(id)
  }

  /** Takes a seed's address; it is kept whatever else is learned of that peer. */
  pin(id: string, address: string, now: number): void {
    const pinned = this.#pinned.get(id) ?? []
    if (!pinned.includes(address)) pinned.push(address)
    this.#pinned.set(id, pinned)
    const known = this.#entries.get(id)
    if (known == null) this.#entries.set(id, unknown(id, true, [...pinned], now))
    else moved(known, [...new Set([...pinned, ...known.addresses])])
  }

  /**
   * Takes addresses of a peer. With `seq` they are the peer's own signed word: it replaces what is known unless that is newer. Without
   * it addresses are only added where none is signed. Answers the entry, or undefined when nothing usable is known or its bucket is
   * full of peers that are worth keeping.
   */
  learn(id: string, given: readonly string[], now: number, { source, seq }: Hint): Entry | undefined {
    const addresses = [...new Set(given)].slice(0, 4 * MAX_ADDRESSES).filter(isUsable)
    const entry = this.#entries.get(id)
    if (entry == null) {
      if (addresses.length === 0) return undefined
      const made = { ...unknown(id, false, addresses.slice(0, MAX_ADDRESSES), now), seq, source }
      return this.#place(made, now) ? made : undefined
    }
    entry.seenAt = Math.max(entry.seenAt, now)
    this.touch(id)
    if (addresses.length === 0) return entry
    const pinned = this.#pinned.get(id) ?? []
    if (seq != null) {
      if (entry.seq != null && seq <= entry.seq) return entry
      entry.seq = seq
      // what it says of itself in the first place may be a lie, where it answered is not
      const proven = addresses.filter((address) => address === entry.worked)
      moved(entry, bounded([...proven, ...pinned], addresses))
    } else if (entry.seq == null) {
      moved(entry, bounded(pinned, [...entry.addresses, ...addresses]))
    }
    return entry
  }

  /** Takes an entry as it was written down. Answers whether there was room. */
  restore(entry: Entry, tried: boolean, now: number): boolean {
    if (this.#entries.has(entry.id)) return true
    // the clock may have been set back
    entry.endedAt = Math.min(entry.endedAt, now)
    if (!this.#place(entry, now)) return false
    if (tried) {
      entry.worked = entry.addresses[0]
      this.#promote(entry, entry.group, now)
    }
    return true
  }

  /** The secret that was kept, for a book that is about to be restored; one that is in use already keeps its own. */
  rekey(secret: Uint8Array): void {
    if (this.#fresh.size + this.#tried.size === 0) this.#placing = new Placing(secret)
  }

  /** It proved to be the peer that it claims to be. `group`: of the address at which it answered a dial of ours, if it did. */
  proved(id: string, now: number, group?: string): void {
    const entry = this.#entries.get(id)
    if (entry == null) return
    entry.provenAt = now
    entry.seenAt = Math.max(entry.seenAt, now)
    entry.error = undefined
    this.touch(id)
    if (group != null && this.#fresh.has(id)) this.#promote(entry, group, now)
  }

  /** An address that has just worked goes first. */
  worked(id: string, address: string): void {
    const entry = this.#entries.get(id)
    if (entry == null) return
    entry.worked = address
    moved(entry, bounded([address, ...(this.#pinned.get(id) ?? [])], entry.addresses))
    this.touch(id)
  }

  /** Where it is dialled: at the addresses of one group, the best, so that what counts for variety is what is dialled. A seed: everywhere. */
  targets(id: string): string[] {
    const entry = this.#entries.get(id)
    if (entry == null) return []
    return entry.seed
      ? entry.addresses
      : entry.addresses.filter((address) => groupOf(multiaddr(address)) === entry.group)
  }

  /** It was not there: the addresses of another group have their turn. */
  missed(id: string): void {
    const entry = this.#entries.get(id)
    if (entry == null || entry.seed) return
    const tried = new Set(this.targets(id))
    moved(entry, [...entry.addresses.filter((address) => !tried.has(address)), ...tried])
  }

  /** Something of it was changed that is to be remembered. */
  touch(id: string): void {
    if (!this.#pinned.has(id)) this.#changed.add(id)
  }

  /** Whose entries were made, changed or dropped since this was last asked. */
  takeChanges(): string[] {
    const ids = [...this.#changed]
    this.#changed.clear()
    return ids
  }

  /**
   * A peer at random among those of weight: from `tried` or `new` with even odds, and there as `Buckets.draw` says. What is said by many
   * mouths of one source weighs no more than what is said once by each of a few.
   */
  draw(random: () => number, weigh: (entry: Entry) => number): Entry | undefined {
    const weight = (id: string): number => {
      const entry = this.#entries.get(id)
      return entry == null ? 0 : weigh(entry)
    }
    const tables = random() < 0.5 ? [this.#tried, this.#fresh] : [this.#fresh, this.#tried]
    for (const table of tables) {
      const id = table.draw(random, weight)
      if (id != null) return this.#entries.get(id)
    }
    return undefined
  }

  /**
   * Forgets who was not seen within the horizon, counted from when anybody was: we may have been away for longer, or the clock may have
   * been wrong.
   */
  sweep(wall: number): void {
    let newest = Number.NEGATIVE_INFINITY
    for (const { seenAt } of this.#entries.values()) newest = Math.max(newest, seenAt)
    const now = Math.min(wall, newest)
    for (const { id, seenAt } of this.#entries.values()) {
      if (seenAt < now - HORIZON_MS && !this.#keeps(id)) this.remove(id)
    }
  }

  /** Drops a peer; a seed stays. */
  remove(id: string): void {
    if (this.#entries.get(id)?.seed !== false) return
    this.#entries.delete(id)
    this.#fresh.remove(id)
    this.#tried.remove(id)
    this.#changed.add(id)
  }

  #place(entry: Entry, now: number): boolean {
    const bucket = this.#placing.fresh(entry.group, entry.source)
    if (this.#fresh.isFull(bucket) && !this.#makeRoom(bucket, now)) return false
    this.#fresh.add(bucket, entry.id)
    this.#entries.set(entry.id, entry)
    this.#changed.add(entry.id)
    return true
  }

  /** Of a full bucket the worst goes, if it is bad: failed since it last worked, most first, or unseen past the horizon. */
  #makeRoom(bucket: number, now: number): boolean {
    let worst: Entry | undefined
    for (const id of this.#fresh.of(bucket)) {
      const entry = this.#entries.get(id)
      if (entry == null || this.#keeps(id) || (entry.failures === 0 && entry.seenAt >= now - HORIZON_MS)) continue
      if (worst == null || entry.failures > worst.failures) worst = entry
    }
    if (worst != null) this.remove(worst.id)
    return worst != null
  }

  /** From `new` to `tried`, unless its place there is held by one that is known to be good. */
  #promote(entry: Entry, group: string, now: number): void {
    const bucket = this.#placing.tried(entry.id, group)
    const rivalId = this.#tried.isFull(bucket) ? this.#tried.of(bucket)[this.#placing.rival(entry.id)] : undefined
    const rival = this.#entries.get(rivalId ?? '')
    if (rival != null && (this.#keeps(rival.id) || now - (rival.provenAt ?? 0) < REPLACEABLE_MS)) return
    this.#fresh.remove(entry.id)
    if (rivalId != null) this.#tried.remove(rivalId)
    this.#tried.add(bucket, entry.id)
    this.#changed.add(entry.id)
    if (rival != null && !this.#place(rival, now)) this.remove(rival.id)
  }
}

/** It is to be found elsewhere. */
function moved(entry: Entry, addresses: string[]): void {
  entry.addresses = addresses
  entry.group = groupOf(multiaddr(addresses[0]))
}

function bounded(first: readonly string[], rest: readonly string[]): string[] {
  return [...new Set([...first, ...rest])].slice(0, Math.max(MAX_ADDRESSES, first.length))
}

/** A peer of which nothing is known but where it may be. */
export function unknown(id: string, seed: boolean, addresses: string[], now: number): Entry {
  return {
    ...{
      id,
      seed,
      addresses,
      group: groupOf(multiaddr(addresses[0])),
      seq: undefined,
      source: 'seed',
      seenAt: now,
      provenAt: undefined
    },
    worked: undefined,
    ...{ failures: 0, endedAt: 0, waitMs: 0, heldUntil: 0, error: undefined }
  }
}
