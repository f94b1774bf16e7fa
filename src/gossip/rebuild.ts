import type { PeerId } from '@libp2p/interface'
import { ignore, reject, splitBlock, type Verdict } from '../chain/index.js'
import type { Clock } from '../clock.js'
import type { Fault } from '../errors.js'
import { toHex } from '../hex.js'
import type { BlocksChain } from './blocks.js'
import { type Compact, Filling } from './compact.js'

/** Who can ask single peers for what of a block is missing. Nothing here throws for what peers do. */
export interface BodiesSync {
  /** Peers that may have this block, likeliest first. */
  holders(hash: Uint8Array): PeerId[]
  /** Transactions of a block by their places, ascending, at most 8,192, in order as they come; fewer when it has not all. */
  fetchTxs(
    hash: Uint8Array,
    indexes: number[],
    from: PeerId,
    options: { signal: AbortSignal }
  ): AsyncIterable<Uint8Array[]>
  /** A block whose header has this hash and this root, with a body to match. Who sends another one is charged. */
  fetchBlock(
    block: { hash: Uint8Array; root: Uint8Array },
    from: PeerId,
    options: { signal: AbortSignal }
  ): Promise<Uint8Array | undefined>
}

/** Whom a block gossip charges by itself. */
export interface BlocksPeers {
  fault(peer: PeerId, fault: Fault, reason: string): void
}

export interface RebuildInit {
  chain: BlocksChain
  clock: Clock
  /** Pending transactions. */
  pooled(): Iterable<{ readonly id: Uint8Array; readonly bytes: Uint8Array }>
  sync: BodiesSync | undefined
  peers: BlocksPeers | undefined
}

/** A block whose compact form came, its header checked. */
export interface Wanted {
  compact: Compact
  hash: Uint8Array
  root: Uint8Array
  from: PeerId
}

/** More are missing: then the whole block is asked for. What one request may name. */
const MAX_BY_INDEX = 8_192
/** How long a peer that is asked may send nothing, and how long it may take in all. Three of them fit into the 25 s of a verdict. */
const SILENCE_MS = 2_000
const TOTAL_MS = 8_000
/** Peers that are asked for the whole block. */
const MAX_WHOLE = 3
/** Messages that wait for what they lack at once; for one block, each of another peer, and of one peer. */
const MAX_FETCHES = 16
const MAX_BYTES = 64 * 1_048_576
const MAX_PER_BLOCK = 3
const MAX_PER_PEER = 4

/**
 * Puts blocks together again from the pool. What is missing is asked by its place from who sent the message, then from another peer, then
 * the whole block is. That two transactions have one short ID is nobody's fault: the whole block tells who was wrong.
 */
export class Rebuilds {
  readonly #fetches = new Set<{ key: string; peer: string }>()
  readonly #max: number

  constructor(private readonly init: RebuildInit) {
    this.#max = Math.max(2, Math.min(MAX_FETCHES, Math.floor(MAX_BYTES / init.chain.limits.blockBytes)))
  }

  /** Is this block (hex of its hash) being fetched? */
  has(key: string): boolean {
    return this.#count(({ key: other }) => other === key) > 0
  }

  /** The block's bytes, whose root is checked; or what is to be said of the message. */
  async rebuild(wanted: Wanted, signal: AbortSignal): Promise<Uint8Array | Verdict> {
    const fetch = { key: toHex(wanted.hash), peer: wanted.from.toString() }
    // to look through the pool costs more than to make up another nonce
    if (this.#count(({ key, peer }) => key === fetch.key && peer === fetch.peer) > 0) return ignore('full')
    const filling = new Filling(wanted.compact, wanted.hash)
    filling.search(this.init.pooled())
    const block = this.#whole(filling)
    if (block != null) return block
    const { sync } = this.init
    if (sync == null) return ignore('missing')
    const full =
      this.#fetches.size >= this.#max ||
      this.#count(({ key }) => key === fetch.key) >= MAX_PER_BLOCK ||
      this.#count(({ peer }) => peer === fetch.peer) >= MAX_PER_PEER
    if (full) return ignore('full')
    this.#fetches.add(fetch)
    try {
      return await this.#fetch(wanted, filling, sync, signal)
    } finally {
      this.#fetches.delete(fetch)
    }
  }

  /** Is the message the compact form of this block? */
  fits(compact: Compact, hash: Uint8Array, block: Uint8Array): boolean {
    return this.#matches(new Filling(compact, hash), block)
  }

  async #fetch(wanted: Wanted, filling: Filling, sync: BodiesSync, signal: AbortSignal): Promise<Uint8Array | Verdict> {
    const { hash, from } = wanted
    const liars: PeerId[] = []
    let block: Uint8Array | undefined
    const peers = function* (): Generator<PeerId> {
      yield from
      // who has it now, not who had it in the beginning
      for (const peer of sync.holders(hash)) if (!peer.equals(from)) yield peer
    }
    let asked = 0
    const open = filling.missing.length
    if (open > 0 && open <= MAX_BY_INDEX) {
      for (const peer of peers()) {
        if (signal.aborted || this.#here(hash) || ++asked > 2) break
        if (!(await this.#ask(sync, hash, filling, peer, signal))) liars.push(peer)
        if (filling.missing.length === 0) break
      }
      block = this.#whole(filling)
    }
    const fits = block != null
    asked = 0
    for (const peer of fits ? [] : peers()) {
      if (signal.aborted || this.#here(hash) || ++asked > MAX_WHOLE) break
      const deadline = new Deadline(this.init.clock, signal, TOTAL_MS)
      block = await sync.fetchBlock(wanted, peer, deadline)
      deadline.end()
      if (block != null) break
    }
    // it came another way
    block ??= this.#here(hash) ? await this.init.chain.block(hash) : undefined
    const { peers: judges } = this.init
    if (block == null) {
      if (!signal.aborted) judges?.fault(from, 'quality', 'it did not give what a block that it sent lacks')
      return ignore('missing')
    }
    if (!fits && !this.#matches(filling, block)) return UNLIKE
    for (const peer of liars) judges?.fault(peer, 'protocol', 'transactions that the block does not hold')
    return block
  }

  /** False when something came that does not fit the message: who was wrong, the whole block will tell. */
  async #ask(
    sync: BodiesSync,
    hash: Uint8Array,
    filling: Filling,
    peer: PeerId,
    signal: AbortSignal
  ): Promise<boolean> {
    const deadline = new Deadline(this.init.clock, signal, SILENCE_MS)
    const cancel = this.init.clock.after(TOTAL_MS, () => deadline.abort())
    try {
      for (let more = true; more && !deadline.signal.aborted; ) {
        const { missing } = filling
        let got = 0
        for await (const txs of sync.fetchTxs(hash, missing, peer, deadline)) {
          deadline.touch()
          if (!filling.put(missing.slice(got, got + txs.length), txs)) return false
          got += txs.length
        }
        // an answer is cut at so many bytes
        more = got > 0 && got < missing.length
      }
      return true
    } finally {
      cancel()
      deadline.end()
    }
  }

  /** The block if it is whole and its root is right. */
  #whole(filling: Filling): Uint8Array | undefined {
    if (filling.missing.length > 0) return undefined
    const block = filling.block()
    const { verdict } = this.init.chain.check(block)
    return verdict.result !== 'accept' && UNTOLD.has(verdict.reason) ? undefined : block
  }

  #matches(filling: Filling, block: Uint8Array): boolean {
    return filling.matches(splitBlock(block, this.init.chain.limits).txs)
  }

  #here(hash: Uint8Array): boolean {
    const here = this.init.chain.has(hash)
    return here === 'body' || here === 'valid'
  }

  #count(like: (fetch: { key: string; peer: string }) => boolean): number {
    let count = 0
    for (const fetch of this.#fetches) if (like(fetch)) count++
    return count
  }
}

/** Whoever passed it on had the block, and could have known. */
const UNLIKE = reject('malformed', 'short IDs of other transactions')
/** What the wrong transactions lead to, and where nobody has looked at them. */
const UNTOLD = new Set<string>(['root', 'too-large', 'known'])

/** A signal that aborts with another one, and when nothing came for so long. */
class Deadline {
  readonly #abort = new AbortController()
  #cancelTimer: () => void = () => {}

  constructor(
    private readonly clock: Clock,
    private readonly outer: AbortSignal,
    private readonly ms: number
  ) {
    outer.addEventListener('abort', this.abort)
    if (outer.aborted) this.abort()
    else this.touch()
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  readonly abort = (): void => {
    this.end()
    this.#abort.abort()
  }

  touch(): void {
    this.#cancelTimer()
    if (!this.signal.aborted) this.#cancelTimer = this.clock.after(this.ms, this.abort)
  }

  end(): void {
    this.#cancelTimer()
    this.outer.removeEventListener('abort', this.abort)
  }
}
