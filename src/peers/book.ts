import { CODE_P2P, type Multiaddr } from '@multiformats/multiaddr'

/** Where an address was learned. Signed sources are the peer's own word (identify, introductions), discovery is hearsay. */
export type Source = 'seed' | 'identify' | 'introduction' | 'discovery'

/** One peer that could be dialled. The book owns who and where, the planner the fields from `failures` on. */
export interface Entry {
  readonly id: string
  readonly seed: boolean
  /** Multiaddrs with `/p2p/<id>`, best first. */
  addresses: string[]
  /** Sequence number of the signed record that the addresses come from; newer records replace them. */
  seq: bigint | undefined
  /** When it was last learned of or heard from. */
  seenAt: number
  /** Failed attempts since the last good connection. */
  failures: number
  /** When the last attempt ended or connection was lost. */
  endedAt: number
  /** How long to leave it alone after `endedAt`. */
  waitMs: number
  /** Not dialled before this, whatever else happens. */
  heldUntil: number
  /** Whether it once was the peer that it claims to be. */
  proven: boolean
  error: string | undefined
}

export interface AddressBookInit {
  /** Most peers, seeds not counted. @default 1_000 */
  limit?: number
  /** Most addresses of one peer. @default 8 */
  perPeer?: number
  /** Peers that are not evicted, e.g. because they are connected. */
  keeps?(id: string): boolean
}

/**
 * Who could be dialled, and where. Bounded: when it is full, the entry that is worth least makes room, one that never was a peer
 * before one that was, most failures first, then the longest unseen. Seeds stay for ever.
 */
export class AddressBook {
  readonly #entries = new Map<string, Entry>()
  readonly #pinned = new Map<string, string[]>()
  readonly #limit: number
  readonly #perPeer: number
  readonly #keeps: (id: string) => boolean

  constructor(init: AddressBookInit = {}) {
    this.#limit = init.limit ?? 1000
    this.#perPeer = init.perPeer ?? 8
    this.#keeps = init.keeps ?? (() => false)
  }

  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id)
  }

  /** Takes a seed's address; it is kept whatever else is learned of that peer. */
  pin(id: string, address: string, now: number): void {
    const pinned = this.#pinned.get(id) ?? []
    if (!pinned.includes(address)) pinned.push(address)
    this.#pinned.set(id, pinned)
    const known = this.#entries.get(id)
    if (known == null) this.#entries.set(id, fresh(id, true, [...pinned], now))
    else known.addresses = [...new Set([...pinned, ...known.addresses])]
  }

  /**
   * Takes addresses of a peer. `seq` is given with the peer's own signed word: it replaces what is known unless that is newer.
   * Without it addresses are only added where none is signed. Answers the entry, or undefined when nothing usable is known.
   */
  learn(id: string, addresses: readonly string[], now: number, seq?: bigint): Entry | undefined {
    const entry = this.#entries.get(id)
    if (entry == null) {
      if (addresses.length === 0 || !this.#makeRoom()) return undefined
      const made = fresh(id, false, [...new Set(addresses)].slice(0, this.#perPeer), now)
      made.seq = seq
      this.#entries.set(id, made)
      return made
    }
    entry.seenAt = Math.max(entry.seenAt, now)
    if (addresses.length === 0) return entry
    const pinned = this.#pinned.get(id) ?? []
    if (seq != null) {
      if (entry.seq != null && seq < entry.seq) return entry
      entry.seq = seq
      entry.addresses = this.#bound(pinned, addresses)
    } else if (entry.seq == null) {
      entry.addresses = this.#bound(pinned, [...entry.addresses, ...addresses])
    }
    return entry
  }

  /** An address that has just worked goes first. */
  worked(id: string, address: string): void {
    const entry = this.#entries.get(id)
    if (entry == null) return
    entry.addresses = this.#bound([address, ...(this.#pinned.get(id) ?? [])], entry.addresses)
  }

  /** Drops a peer; a seed stays. */
  remove(id: string): void {
    if (this.#entries.get(id)?.seed === false) this.#entries.delete(id)
  }

  #bound(first: readonly string[], rest: readonly string[]): string[] {
    return [...new Set([...first, ...rest])].slice(0, Math.max(this.#perPeer, first.length))
  }

  #makeRoom(): boolean {
    if (this.#entries.size - this.#pinned.size < this.#limit) return true
    let worst: Entry | undefined
    for (const entry of this.#entries.values()) {
      if (entry.seed || this.#keeps(entry.id)) continue
      if (worst == null || worth(entry, worst) < 0) worst = entry
    }
    if (worst != null) this.#entries.delete(worst.id)
    return worst != null
  }
}

function worth(a: Entry, b: Entry): number {
  if (a.proven !== b.proven) return a.proven ? 1 : -1
  if (a.failures !== b.failures) return b.failures - a.failures
  return a.seenAt - b.seenAt
}

function fresh(id: string, seed: boolean, addresses: string[], now: number): Entry {
  return {
    id,
    seed,
    addresses,
    seq: undefined,
    seenAt: now,
    failures: 0,
    endedAt: 0,
    waitMs: 0,
    heldUntil: 0,
    proven: false,
    error: undefined
  }
}

/** Addresses as the book keeps them, each with the peer's ID. */
export function named(addresses: readonly Multiaddr[], id: string): string[] {
  return addresses.map((address) =>
    address.getComponents().at(-1)?.code === CODE_P2P ? address.toString() : `${address.toString()}/p2p/${id}`
  )
}
