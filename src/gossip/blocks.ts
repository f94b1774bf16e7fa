import type { ComponentLogger, Logger, PeerId, Startable } from '@libp2p/interface'
import type { BaseHeader, Limits, Located } from '../chain/index.js'
import { ignore, reject, type Verdict } from '../chain/index.js'
import { type Clock, systemClock } from '../clock.js'
import { fromHex, toHex } from '../hex.js'
import { compactOf, NONCE_BYTES } from './compact.js'
import type { Gossip } from './gossip.js'
import { type Orphan, Orphans } from './orphans.js'
import type { BlocksPeers, BodiesSync } from './rebuild.js'
import { type Candidate, Relay } from './relay.js'
import { type BlocksSync, Searches } from './search.js'
import type { Topic, TopicMessage } from './topic.js'

export interface BlocksInit {
  clock?: Clock
}

/**
 * What block gossip needs of its siblings. Without `sync` a parent must come by itself, and so must all transactions of a block; without
 * `pool` they are all asked for.
 */
export interface BlocksComponents {
  chain: BlocksChain
  gossip: Gossip
  logger: ComponentLogger
  sync?: BlocksSync & BodiesSync
  pool?: BlocksPool
  peers?: BlocksPeers
}

/** Where a block's transactions are looked for. */
export interface BlocksPool {
  /** All that are pending. */
  entries(): Iterable<{ readonly id: Uint8Array; readonly bytes: Uint8Array }>
}

/** What block gossip needs of a chain. */
export interface BlocksChain {
  readonly limits: Required<Limits>
  readonly head: Located<BaseHeader>
  check(bytes: Uint8Array): { verdict: Verdict; hash?: Uint8Array; header?: BaseHeader }
  /** Checks its transactions on all cores, so that `check` need not. Undefined when there is nothing to wait for. */
  prepare?(bytes: Uint8Array): Promise<unknown> | undefined
  /** The same of a block whose body is still to come. */
  checkHeader(bytes: Uint8Array): { verdict: Verdict; hash?: Uint8Array; header?: BaseHeader }
  add(bytes: Uint8Array): Promise<Verdict>
  has(hash: Uint8Array): 'header' | 'body' | 'valid' | 'invalid' | undefined
  locate(hash: Uint8Array): Located<BaseHeader> | undefined
  block(hash: Uint8Array): Promise<Uint8Array | undefined>
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
   * Spreads a block of our own, which the chain has already: by the short IDs of its transactions, unless it is small or that would not be
   * half as long. Never fails for lack of peers.
   *
   * @param options.prefilled How many of its first transactions nobody else can have, e.g. the reward: they travel whole. @default 0
   * @throws RefusedError `too-large`, `full`; see `Topic.publish`
   */
  publish(block: Uint8Array, options?: { prefilled?: number }): Promise<{ recipients: number }>
  /** A block that was passed on in the last 2 minutes, of the newest 64 MiB, whether it is applied by now or not. */
  recent(hash: Uint8Array): Uint8Array | undefined
}

/**
 * Blocks on the topic `blocks`. A block is forwarded once its header, work and Merkle root are checked, before its state is applied. One
 * that came by short IDs is put together from the pool before that; what is missing is fetched while gossipsub waits for the verdict.
 * One whose parent is unknown is held up to 25 s while the parent is fetched from its sender, and only then reported: gossipsub
 * never shows a message again that was ignored, so those behind us would not hear of it.
 */
export function blocks(init: BlocksInit = {}): (components: BlocksComponents) => Blocks {
  return (components) => new BlocksService(components, init)
}

const HOPELESS = new Set<string>(['header', 'height', 'time-too-old', 'tx', 'known-invalid'])

interface HeldBlock extends Orphan {
  readonly from: PeerId
  readonly signal: AbortSignal
  settle(verdict: Verdict | Promise<Verdict>): void
}

class BlocksService implements Blocks, Startable {
  readonly [Symbol.toStringTag] = '@blockwire/blocks'
  readonly #components: BlocksComponents
  readonly #chain: BlocksChain
  readonly #clock: Clock
  readonly #log: Logger
  readonly #orphans = new Orphans<HeldBlock>()
  #relay: Relay | undefined
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
    const sync = sibling(this.#components, 'sync')
    const pool = sibling(this.#components, 'pool')
    this.#relay = new Relay({
      ...{ chain: this.#chain, clock: this.#clock, log: this.#log, ended: (key) => this.#ended(key) },
      pooled: () => pool?.entries() ?? [],
      sync,
      peers: sibling(this.#components, 'peers')
    })
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
    this.#relay?.recent.clear()
    for (const orphan of this.#orphans.expire(Number.POSITIVE_INFINITY)) orphan.settle(ignore('unknown-parent'))
  }

  async publish(block: Uint8Array, { prefilled = 0 }: { prefilled?: number } = {}): Promise<{ recipients: number }> {
    const { hash, verdict } = this.#chain.check(block)
    if (hash != null && verdict.result !== 'reject' && this.#started) this.#relay?.recent.add(toHex(hash), block)
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
    const { limits } = this.#chain
    const compact = hash == null ? undefined : compactOf(block, hash, { limits, prefilled, nonce })
    return (await this.#topic?.publish(compact ?? block)) ?? { recipients: 0 }
  }

  recent(hash: Uint8Array): Uint8Array | undefined {
    return this.#relay?.recent.get(toHex(hash))
  }

  /** A block of signed transactions that are not pooled would hold up the event loop for as long as it takes to check them all. */
  #prepare(message: TopicMessage, signal: AbortSignal): Verdict | Promise<Verdict> {
    const preparing = this.#chain.prepare?.(message.data)
    return preparing == null ? this.#validate(message, signal) : preparing.then(() => this.#validate(message, signal))
  }

  #validate(message: TopicMessage, signal: AbortSignal): Verdict | Promise<Verdict> {
    if (!this.#started || this.#relay == null) return ignore('error', 'the node is not started')
    // what came is a view of a larger buffer, which would live as long as the block is held, parked or queued
    const bytes = message.data.slice()
    const candidate = this.#relay.check(bytes)
    const { verdict, hash, header } = candidate
    if (!lacksParent(verdict)) return this.#take(candidate, message.from, signal)
    if (hash == null || header == null) return verdict
    return new Promise((resolve) => {
      const block: HeldBlock = {
        hash: toHex(hash),
        parent: toHex(header.parent),
        peer: message.from.toString(),
        bytes,
        from: message.from,
        signal,
        settle: resolve
      }
      signal.addEventListener('abort', () => this.#forget(block), { once: true })
      this.#hold(block)
    })
  }

  /** What is told of a block whose parent is known; the rest goes on behind it. */
  #take(candidate: Candidate, from: PeerId, signal: AbortSignal): Verdict | Promise<Verdict> {
    const told = (verdict: Verdict): Verdict => {
      if (candidate.hash != null && isHopeless(verdict)) this.#refuse(toHex(candidate.hash))
      return verdict
    }
    const verdict = this.#relay?.take(candidate, from, signal) ?? ignore('error', 'the node is not started')
    return 'result' in verdict ? told(verdict) : verdict.then(told)
  }

  /** A block is in the chain, or does not come: those that wait for it go on, or have it looked for. */
  #ended(key: string): void {
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
    if (this.#started && !this.#relay?.coming(missing)) this.#searches?.ask(missing, from)
  }

  /** Takes up what waited for this block, if it is here now. */
  #connect(parent: string): void {
    const relay = this.#relay
    if (!this.#started || relay == null || !this.#orphans.awaited(parent)) return
    if (this.#chain.has(fromHex(parent)) == null) return
    for (const block of this.#orphans.take(parent)) {
      const candidate = relay.check(block.bytes)
      block.settle(this.#take(candidate, block.from, block.signal))
      // one that is being added connects its children when it is there
      if (candidate.verdict.result !== 'accept') this.#connect(block.hash)
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

/** A sibling service, or undefined where the node has none (reading it throws then). */
function sibling<K extends 'sync' | 'pool' | 'peers'>(components: BlocksComponents, key: K): BlocksComponents[K] {
  try {
    return components[key]
  } catch {
    return undefined
  }
}
