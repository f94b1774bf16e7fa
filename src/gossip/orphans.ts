/** How many blocks without a parent are held, and for how long. */
export interface OrphanLimits {
  blocks: number
  bytes: number
  blocksPerPeer: number
  bytesPerPeer: number
  holdMs: number
}

export const ORPHAN_LIMITS: OrphanLimits = {
  blocks: 64,
  bytes: 64 * 1_048_576,
  blocksPerPeer: 8,
  bytesPerPeer: 16 * 1_048_576,
  holdMs: 25_000
}

/** A block that waits for its parent. Hashes are hex. */
export interface Orphan {
  readonly hash: string
  readonly parent: string
  /** Who handed it to us. */
  readonly peer: string
  readonly bytes: Uint8Array
}

interface Held<T> {
  orphan: T
  until: number
}

interface Share {
  blocks: number
  bytes: number
}

/**
 * Blocks that wait for their parent, in the order in which they came. Bounded in total and per peer; when it is full, the oldest
 * block of the peer that takes up most goes, so that one peer cannot push out the others' blocks. Two bodies under one header are
 * two blocks here: the wrong one must not push out the right one. Pure: the time is passed in.
 */
export class Orphans<T extends Orphan = Orphan> {
  readonly #held = new Set<Held<T>>()
  readonly #byParent = new Map<string, Set<Held<T>>>()
  readonly #byHash = new Map<string, Set<Held<T>>>()
  readonly #peers = new Map<string, Share>()
  #bytes = 0

  constructor(private readonly limits: OrphanLimits = ORPHAN_LIMITS) {}

  get size(): number {
    return this.#held.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** When the oldest is due to go, in the time of `add`; undefined when none is held. */
  get nextDue(): number | undefined {
    for (const held of this.#held) return held.until
    return undefined
  }

  /** Holds it, and answers what had to go for it: perhaps itself, when it alone is over its peer's share. */
  add(orphan: T, now: number): T[] {
    const { limits } = this
    if (orphan.bytes.length > Math.min(limits.bytesPerPeer, limits.bytes)) return [orphan]
    const held: Held<T> = { orphan, until: now + limits.holdMs }
    this.#held.add(held)
    put(this.#byParent, orphan.parent, held)
    put(this.#byHash, orphan.hash, held)
    const share = this.#peers.get(orphan.peer) ?? { blocks: 0, bytes: 0 }
    this.#peers.set(orphan.peer, share)
    share.blocks++
    share.bytes += orphan.bytes.length
    this.#bytes += orphan.bytes.length

    const gone: T[] = []
    while (share.blocks > limits.blocksPerPeer || share.bytes > limits.bytesPerPeer) gone.push(this.#evict(orphan.peer))
    while (this.#held.size > limits.blocks || this.#bytes > limits.bytes) gone.push(this.#evict(this.#heaviest()))
    return gone
  }

  /** Takes out all that wait for this block, oldest first. */
  take(parent: string): T[] {
    const children = [...(this.#byParent.get(parent) ?? [])]
    for (const held of children) this.#remove(held)
    return children.map((held) => held.orphan)
  }

  /** Takes one out. False when it is not held (any more). */
  delete(orphan: T): boolean {
    for (const held of this.#byHash.get(orphan.hash) ?? []) {
      if (held.orphan !== orphan) continue
      this.#remove(held)
      return true
    }
    return false
  }

  /** Takes out those whose time is over. */
  expire(now: number): T[] {
    const due: Held<T>[] = []
    for (const held of this.#held) {
      if (held.until > now) break
      due.push(held)
    }
    for (const held of due) this.#remove(held)
    return due.map((held) => held.orphan)
  }

  /** Does anything wait for this block? */
  awaited(parent: string): boolean {
    return this.#byParent.has(parent)
  }

  /** What is waited for, each once, oldest first. */
  parents(): string[] {
    return [...this.#byParent.keys()]
  }

  /** Those that wait for this block, oldest first; they stay held. */
  children(parent: string): T[] {
    return [...(this.#byParent.get(parent) ?? [])].map((held) => held.orphan)
  }

  /** The lowest block that is missing under this one: its parent, or that one's parent where the parent itself is held. */
  missing(parent: string): string {
    let lowest = parent
    for (let held = first(this.#byHash.get(lowest)); held != null; held = first(this.#byHash.get(lowest))) {
      lowest = held.orphan.parent
    }
    return lowest
  }

  #heaviest(): string {
    let heaviest = ''
    let most = -1
    for (const [peer, share] of this.#peers) {
      const weight = Math.max(share.blocks / this.limits.blocksPerPeer, share.bytes / this.limits.bytesPerPeer)
      if (weight > most) [heaviest, most] = [peer, weight]
    }
    return heaviest
  }

  #evict(peer: string): T {
    for (const held of this.#held) {
      if (held.orphan.peer !== peer) continue
      this.#remove(held)
      return held.orphan
    }
    throw new Error(`no block of ${peer} is held`)
  }

  #remove(held: Held<T>): void {
    const { orphan } = held
    this.#held.delete(held)
    drop(this.#byParent, orphan.parent, held)
    drop(this.#byHash, orphan.hash, held)
    this.#bytes -= orphan.bytes.length
    const share = this.#peers.get(orphan.peer)!
    share.blocks--
    share.bytes -= orphan.bytes.length
    if (share.blocks === 0) this.#peers.delete(orphan.peer)
  }
}

function put<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const set = map.get(key)
  if (set == null) map.set(key, new Set([value]))
  else set.add(value)
}

function drop<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const set = map.get(key)
  set?.delete(value)
  if (set?.size === 0) map.delete(key)
}

function first<T>(set: Set<T> | undefined): T | undefined {
  for (const value of set ?? []) return value
  return undefined
}
