import type { Logger, PeerId } from '@libp2p/interface'
import { ACCEPT, type BaseHeader, ignore, reject, type Verdict } from '../chain/index.js'
import { equalBytes, toHex } from '../hex.js'
import type { BlocksChain } from './blocks.js'
import { type Compact, decodeCompact, isCompact } from './compact.js'
import { type RebuildInit, Rebuilds } from './rebuild.js'
import { Recent } from './recent.js'

/** A message, and what its header says. */
export interface Candidate {
  readonly bytes: Uint8Array
  readonly verdict: Verdict
  readonly hash?: Uint8Array
  readonly header?: BaseHeader
  /** There when it came without its body. */
  readonly compact?: Compact
}

export interface RelayInit extends RebuildInit {
  log: Logger
  /** This block (hex of its hash) was added, or not, or could not be put together. */
  ended(key: string): void
}

/** A known block is still forwarded this far below head: another way was faster than gossip, but not for those behind us. */
const FRESH_BLOCKS = 6
/** Blocks that are checked and wait for the chain's queue. */
const MAX_ADDING = { blocks: 64, bytes: 64 * 1_048_576 }

/**
 * Passes on each block once, in the form in which it came first: of a compact form anybody can make another with another nonce. What is
 * passed on goes to the chain, and is kept for those who were told of it.
 */
export class Relay {
  readonly recent: Recent
  readonly #init: RelayInit
  readonly #chain: BlocksChain
  readonly #rebuilds: Rebuilds
  /** Hex of the hashes of blocks that wait for the chain's queue. */
  readonly #adding = new Set<string>()
  #addingBytes = 0

  constructor(init: RelayInit) {
    this.#init = init
    this.#chain = init.chain
    this.#rebuilds = new Rebuilds(init)
    this.recent = new Recent(init.clock)
  }

  /** Is this block (hex of its hash) on its way into the chain? Then nobody need be asked for it. */
  coming(key: string): boolean {
    return this.#adding.has(key) || this.#rebuilds.has(key)
  }

  check(bytes: Uint8Array): Candidate {
    if (!isCompact(bytes)) return { bytes, ...this.#chain.check(bytes) }
    try {
      const compact = decodeCompact(bytes, this.#chain.limits)
      return { bytes, compact, ...this.#chain.checkHeader(compact.header) }
    } catch (err) {
      const { name, message } = err as Error
      return { bytes, verdict: reject(name === 'TooLargeBytesError' ? 'too-large' : 'malformed', message) }
    }
  }

  /** What is told of a block whose parent is known. */
  take(candidate: Candidate, from: PeerId, signal: AbortSignal): Verdict | Promise<Verdict> {
    const { bytes, verdict, hash, compact } = candidate
    if (hash == null) return verdict
    const key = toHex(hash)
    if (is(verdict, 'known')) {
      return this.recent.has(key) || !this.#fresh(hash) ? verdict : this.#confirm(candidate, key, hash)
    }
    if (verdict.result !== 'accept' && !is(verdict, 'future')) return verdict
    if (this.recent.has(key) || this.#adding.has(key)) return ignore('known')
    if (compact != null) return this.#rebuild(candidate, from, signal)
    if (this.#adding.size >= MAX_ADDING.blocks || this.#addingBytes + bytes.length > MAX_ADDING.bytes) {
      return ignore('full')
    }
    if (verdict.result === 'accept') this.recent.add(key, bytes)
    // one of the future is parked there until it is due
    void this.#add(bytes, key)
    return verdict
  }

  async #rebuild(candidate: Candidate, from: PeerId, signal: AbortSignal): Promise<Verdict> {
    const hash = candidate.hash!
    try {
      const { compact, header } = candidate
      const rebuilt = await this.#rebuilds.rebuild({ compact: compact!, hash, root: header!.root, from }, signal)
      if (!(rebuilt instanceof Uint8Array)) return rebuilt
      // signatures of what was not pooled, on all cores
      await this.#chain.prepare?.(rebuilt)
      if (signal.aborted) return ignore('missing')
      return await this.take(this.check(rebuilt), from, signal)
    } finally {
      this.#init.ended(toHex(hash))
    }
  }

  /** The header of one that is here says nothing of the body that came with it now. */
  async #confirm({ bytes, compact }: Candidate, key: string, hash: Uint8Array): Promise<Verdict> {
    const block = await this.#chain.block(hash)
    if (block == null || this.recent.has(key)) return ignore('known')
    if (compact != null && !this.#rebuilds.fits(compact, hash, block)) return reject('malformed', 'other transactions')
    if (compact == null && !equalBytes(bytes, block)) return reject('root', 'the block has another body')
    this.recent.add(key, block)
    return ACCEPT
  }

  #fresh(hash: Uint8Array): boolean {
    const known = this.#chain.has(hash)
    const height = this.#chain.locate(hash)?.height ?? -1
    return (known === 'valid' || known === 'body') && height > this.#chain.head.height - FRESH_BLOCKS
  }

  async #add(bytes: Uint8Array, key: string): Promise<void> {
    this.#adding.add(key)
    this.#addingBytes += bytes.length
    try {
      // a state that is bad is never charged to who gossiped it
      const verdict = await this.#chain.add(bytes)
      if (verdict.result !== 'accept') this.#init.log('a gossiped block was not taken: %s', verdict.reason)
    } catch (err) {
      this.#init.log.error('could not add a gossiped block - %e', err)
    } finally {
      this.#adding.delete(key)
      this.#addingBytes -= bytes.length
    }
    this.#init.ended(key)
  }
}

function is(verdict: Verdict, reason: 'known' | 'future'): boolean {
  return verdict.result === 'ignore' && verdict.reason === reason
}
