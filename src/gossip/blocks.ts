import type { ComponentLogger, Logger, PeerId, Startable } from '@libp2p/interface'
import type { BaseHeader, Limits, Located } from '../chain/index.js'
import { ACCEPT, ignore, reject, type Verdict } from '../chain/index.js'
import { type Clock, systemClock } from '../clock.js'
import { fromHex, toHex } from '../hex.js'
import type { Gossip } from './gossip.js'
import { type Orphan, Orphans } from './orphans.js'
import { type BlocksSync, Searches } from './search.js'
import type { Topic, TopicMessage } from './topic.js'

export interface BlocksInit {
  clock?: Clock
}

/** What block gossip needs of its siblings. `sync` may be missing: then a parent must come by itself. */
export interface BlocksComponents {
  chain: BlocksChain
  gossip: Gossip
  logger: ComponentLogger
  sync?: BlocksSync
}

/** What block gossip needs of a chain. */
export interface BlocksChain {
  readonly limits: Required<Limits>
  readonly head: Located<BaseHeader>
  check(bytes: Uint8Array): { verdict: Verdict; hash?: Uint8Array; header?: BaseHeader }
  /** Checks its transactions on all cores, so that `check` need not. Undefined when there is nothing to wait for. */
  prepare?(bytes: Uint8Array): Promise<unknown> | undefined
  add(bytes: Uint8Array): Promise<Verdict>
  has(hash: Uint8Array): 'header' | 'body' | 'valid' | 'invalid' | undefined
  locate(hash: Uint8Array): Located<BaseHeader> | undefined
  addEventListener(
    type: 'block' | 'head' | 'target',
    listener: (event: CustomEvent<{ hash: Uint8Array }>) => void
  ): void
  removeEventListener(
    type: 'block' | 'head' | 'target',
    listener: (event: CustomEvent<{ hash: Uint8Array }>) => void
  ): void
}

export interface Blocks {
  /** Blocks that wait for their parent, and their bytes. */
  readonly held: { readonly blocks: number; readonly bytes: number }
  /**
   * Spreads a block of our own, which the chain has already. Never fails for lack of peers.
   *
   * @throws RefusedError `too-large`, `full`; see `Topic.publish`
   */
  publish(block: Uint8Array): Promise<{ recipients: number }>
}

/**
 * Blocks on the topic `blocks`. A block is forwarded once its header, work and Merkle root are checked, before its state is applied.
 * One whose parent is unknown is held up to 25 s while the parent is fetched from its sender, and only then reported: gossipsub
 * never shows a message again that was ignored, so those behind us would not hear of it.
 */
export function blocks(init: BlocksInit = {}): (components: BlocksComponents) => Blocks {
  return (components) => new BlocksService(components, init)
}

/** A known block is still forwarded this far below head: another way was faster than gossip, but not for those behind us. */
const FRESH_BLOCKS = 6
/** Blocks that are checked and wait for the chain's queue. */
const MAX_ADDING = { blocks: 64, bytes: 64 * 1_048_576 }

const HOPELESS = new Set<string>(['header', 'height', 'time-too-old', 'tx', 'known-invalid'])

interface HeldBlock extends Orphan {
  readonly from: PeerId
  settle(verdict: Verdict): void
}

class BlocksService implements Blocks, Startable {
  readonly [Symbol.toStringTag] = '@blockwire/blocks'
  readonly #components: BlocksComponents
  readonly #chain: BlocksChain
  readonly #clock: Clock
  readonly #log: Logger
  readonly #orphans = new Orphans<HeldBlock>()
  /** Hex of the hashes of blocks that wait for the chain's queue: nobody need be asked for them. */
  readonly #adding = new Set<string>()
  #addingBytes = 0
  #topic: Topic | undefined
  #searches: Searches | undefined
  #started = false
  #cancelTimer: () => void = () => {}

  constructor(components: BlocksComponents, init: BlocksInit) {
    this.#components = components
    this.#chain = components.chain
    this.#clock = init.clock ?? systemClock
    this.#log = components.logger.forComponent('blockwire:blocks')
  }

  get held(): { blocks: number; bytes: number } {
    return { blocks: this.#orphans.size, bytes: this.#orphans.bytes }
  }

  start(): void {
    const sync = sibling(this.#components)
    if (sync != null) this.#searches = new Searches(sync, (missing) => this.#connect(missing), this.#log)
    this.#started = true
    this.#chain.addEventListener('head', this.#onChange)
    this.#chain.addEventListener('target', this.#onChange)
    // kept over a restart: leaving it would make peers shun us for 10 s
    this.#topic ??= this.#components.gossip.topic('blocks', {
      maxBytes: this.#chain.limits.blockBytes,
      validate: (message, options) => this.#prepare(message, options.signal),
      priority: 10,
      // one in ten seconds
      expected: 0.1
    })
  }

  stop(): void {
    this.#started = false
    this.#chain.removeEventListener('head', this.#onChange)
    this.#chain.removeEventListener('target', this.#onChange)
    this.#cancelTimer()
    this.#searches?.stop()
    for (const orphan of this.#orphans.expire(Number.POSITIVE_INFINITY)) orphan.settle(ignore('unknown-parent'))
  }

  async publish(block: Uint8Array): Promise<{ recipients: number }> {
    return (await this.#topic?.publish(block)) ?? { recipients: 0 }
  }

  /** A block of signed transactions that are not pooled would hold up the event loop for as long as it takes to check them all. */
  #prepare(message: TopicMessage, signal: AbortSignal): Verdict | Promise<Verdict> {
    const preparing = this.#chain.prepare?.(message.data)
    return preparing == null ? this.#validate(message, signal) : preparing.then(() => this.#validate(message, signal))
  }

  #validate(message: TopicMessage, signal: AbortSignal): Verdict | Promise<Verdict> {
    if (!this.#started) return ignore('error', 'the node is not started')
    // what came is a view of a larger buffer, which would live as long as the block is held, parked or queued
    const bytes = message.data.slice()
    const checked = this.#chain.check(bytes)
    if (!lacksParent(checked.verdict)) return this.#take(bytes, checked)
    const { hash, header } = checked
    if (hash == null || header == null) return checked.verdict
    return new Promise((resolve) => {
      const block: HeldBlock = {
        hash: toHex(hash),
        parent: toHex(header.parent),
        peer: message.from.toString(),
        bytes,
        from: message.from,
        settle: resolve
      }
      signal.addEventListener('abort', () => this.#forget(block), { once: true })
      this.#hold(block)
    })
  }

  /** What is told of a block whose parent is known; the rest goes on behind it. */
  #take(bytes: Uint8Array, { verdict, hash }: { verdict: Verdict; hash?: Uint8Array }): Verdict {
    if (hash == null) return verdict
    if (isHopeless(verdict)) this.#refuse(toHex(hash))
    else if (verdict.result === 'accept') {
      if (this.#adding.size >= MAX_ADDING.blocks || this.#addingBytes + bytes.length > MAX_ADDING.bytes) {
        return ignore('full')
      }
      void this.#add(bytes, hash)
    } else if (verdict.result === 'ignore' && verdict.reason === 'known') {
      return this.#fresh(hash) ? ACCEPT : verdict
    } else if (verdict.result === 'ignore' && verdict.reason === 'future') {
      // the chain parks it until it is due
      void this.#add(bytes, hash)
    }
    return verdict
  }

  #fresh(hash: Uint8Array): boolean {
    const known = this.#chain.has(hash)
    const height = this.#chain.locate(hash)?.height ?? -1
    return (known === 'valid' || known === 'body') && height > this.#chain.head.height - FRESH_BLOCKS
  }

  async #add(bytes: Uint8Array, hash: Uint8Array): Promise<void> {
    const key = toHex(hash)
    this.#adding.add(key)
    this.#addingBytes += bytes.length
    try {
      // a state that is bad is never charged to who gossiped it
      const verdict = await this.#chain.add(bytes)
      if (verdict.result !== 'accept') this.#log('a gossiped block was not taken: %s', verdict.reason)
    } catch (err) {
      this.#log.error('could not add a gossiped block - %e', err)
    } finally {
      this.#adding.delete(key)
      this.#addingBytes -= bytes.length
    }
    this.#connect(key)
    for (const child of this.#orphans.children(key)) this.#seek(key, child.from)
  }

  #hold(block: HeldBlock): void {
    const gone = this.#orphans.add(block, this.#clock.now())
    for (const other of gone) {
      other.settle(ignore('full'))
      this.#abandoned(other)
    }
    if (!gone.includes(block)) this.#seek(block.parent, block.from)
    this.#schedule()
  }

  /** Its verdict is not waited for any more. */
  #forget(block: HeldBlock): void {
    if (this.#orphans.delete(block)) this.#abandoned(block)
  }

  /** Ends the search for its parent when nothing else waits for that, and begins one for itself when something waits for it. */
  #abandoned(block: HeldBlock): void {
    this.#tidy(block.parent)
    for (const child of this.#orphans.children(block.hash)) this.#seek(block.hash, child.from)
  }

  /** Nothing that stands on this block can ever be good: what of it is held need not wait for its time. */
  #refuse(parent: string): void {
    for (const block of this.#orphans.take(parent)) {
      block.settle(reject('known-invalid', 'a block before it is invalid'))
      this.#refuse(block.hash)
    }
    this.#tidy(parent)
  }

  #tidy(parent: string): void {
    if (!this.#orphans.awaited(parent)) this.#searches?.end(parent)
  }

  #schedule(): void {
    this.#cancelTimer()
    const due = this.#orphans.nextDue
    if (due == null || !this.#started) return
    this.#cancelTimer = this.#clock.after(Math.max(0, due - this.#clock.now()), () => {
      for (const orphan of this.#orphans.expire(this.#clock.now())) {
        orphan.settle(ignore('unknown-parent'))
        this.#abandoned(orphan)
      }
      this.#schedule()
    })
  }

  /** Asks this peer for what is missing below, once per missing block and peer. */
  #seek(parent: string, from: PeerId): void {
    const missing = this.#orphans.missing(parent)
    if (this.#started && !this.#adding.has(missing)) this.#searches?.ask(missing, from)
  }

  /** Takes up what waited for this block, if it is here now. */
  #connect(parent: string): void {
    if (!this.#started || !this.#orphans.awaited(parent) || this.#chain.has(fromHex(parent)) == null) return
    for (const block of this.#orphans.take(parent)) {
      const checked = this.#chain.check(block.bytes)
      block.settle(this.#take(block.bytes, checked))
      // one that is being added connects its children when it is there
      if (checked.verdict.result !== 'accept') this.#connect(block.hash)
    }
    this.#tidy(parent)
    this.#schedule()
  }

  /** The head moved over blocks that are waited for, or a header came; side branches have no event of their own. */
  readonly #onChange = (): void => {
    for (const parent of this.#orphans.parents()) this.#connect(parent)
  }
}

/** Is the header itself bad, or one before it, whatever the body? */
function isHopeless(verdict: Verdict): boolean {
  return verdict.result === 'reject' && HOPELESS.has(verdict.reason)
}

function lacksParent(verdict: Verdict): boolean {
  return verdict.result === 'ignore' && verdict.reason === 'unknown-parent'
}

/** The sync service, or undefined where the node has none (reading it throws then). */
function sibling(components: BlocksComponents): BlocksSync | undefined {
  try {
    return components.sync
  } catch {
    return undefined
  }
}
