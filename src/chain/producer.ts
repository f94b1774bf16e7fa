import type { ComponentLogger, Logger, Startable } from '@libp2p/interface'
import { TypedEventEmitter, type TypedEventTarget } from 'main-event'
import { type Clock, systemClock } from '../clock.js'
import { equalBytes } from '../hex.js'
import type { Chain } from './chain.js'
import type { Draft, Proposed, Sealed } from './propose.js'
import type { Ancestors, BaseHeader, BlockContext, Located } from './rules.js'

export interface ProducerInit<Header extends BaseHeader = BaseHeader, Tx = unknown> {
  /** The first transactions of a block, e.g. a reward. */
  prefix?(ctx: BlockContext<Header>): Tx[]
  /**
   * Fills in what makes a header valid: time, nonce, signature. May take as long as it likes; `signal` aborts when the head moves
   * or the producer stops. Undefined gives up on this parent.
   */
  seal(
    draft: Draft<Header, Tx>,
    options: { signal: AbortSignal }
  ): Promise<Sealed<Header, Tx> | undefined> | Sealed<Header, Tx> | undefined
  /**
   * When to start on a block after `parent`, in milliseconds since 1970; undefined or Infinity: not on this parent. Asked for each head, and again
   * when that time has come. `ancestors` are the blocks before the one to produce.
   * @default at once
   */
  when?(parent: Located<Header>, ancestors: Ancestors<Header>): number | undefined
  /** How long to look for peers before producing alone, in ms. @default 3_000; in a node without seeds 0 */
  aloneMs?: number
  /** Begin with the node. @default true */
  autoStart?: boolean
  clock?: Clock
}

export interface ProducerEvents<Header extends BaseHeader = BaseHeader> {
  /** A block of ours is stored, synced to disk, and about to be announced. */
  produced: CustomEvent<Proposed<Header>>
  /** `prefix`, `seal` or our own rules failed; tried again after a second. */
  error: CustomEvent<Error>
}

/** What a producer needs of its siblings. `sync`, `pool` and `blocks` may be missing: then it works alone. */
export interface ProducerComponents<Header extends BaseHeader, Tx> {
  chain: Chain<Header, Tx>
  logger: ComponentLogger
}

interface Siblings {
  sync?: { readonly state: string } & TypedEventTarget<{ state: CustomEvent }>
  pool?: { select(options: { maxBytes: number }): Uint8Array[] }
  blocks?: { publish(block: Uint8Array, options: { prefilled: number }): Promise<unknown> }
}

export interface Producer<Header extends BaseHeader = BaseHeader> extends TypedEventTarget<ProducerEvents<Header>> {
  /** True between `run` and `halt`, also while waiting for sync. */
  readonly running: boolean
  /** Begins to produce, as soon as sync allows. */
  run(): void
  /** Gives up the block at hand and produces no more, until `run`. The node goes on. */
  halt(): void
}

/**
 * Produces blocks on the head, one after another, while sync is `live`, or while no peer can be found and the chain is no less than
 * `minimumWork` and the checkpoints demand. Abandons a block when the head moves. Waits for nothing but `when`, `seal` and the chain's
 * queue. Stops with the node.
 */
export function producer<Header extends BaseHeader, Tx>(
  init: ProducerInit<Header, Tx>
): (components: ProducerComponents<Header, Tx>) => Producer<Header> {
  return (components) => new ProducerService(components, init)
}

const ALONE_MS = 3_000
/** After a failure of the app's own code. */
const RETRY_MS = 1_000
/** Timers hold no more than 2^31 ms: further off, `when` is asked again on the way. */
const MAX_WAIT_MS = 3_600_000

class ProducerService<Header extends BaseHeader, Tx>
  extends TypedEventEmitter<ProducerEvents<Header>>
  implements Producer<Header>, Startable
{
  readonly [Symbol.toStringTag] = '@blockwire/producer'
  readonly #chain: Chain<Header, Tx>
  readonly #components: ProducerComponents<Header, Tx>
  readonly #init: ProducerInit<Header, Tx>
  readonly #clock: Clock
  readonly #log: Logger
  #siblings: Siblings = {}
  #wanted: boolean
  #started = false
  #aloneAt = 0
  #cancelTimer: () => void = () => {}
  #job: AbortController | undefined
  /** What the job at hand builds on. */
  #parent: Located<Header> | undefined

  constructor(components: ProducerComponents<Header, Tx>, init: ProducerInit<Header, Tx>) {
    super()
    this.#components = components
    this.#chain = components.chain
    this.#init = init
    this.#clock = init.clock ?? systemClock
    this.#log = components.logger.forComponent('blockwire:producer')
    this.#wanted = init.autoStart ?? true
  }

  get running(): boolean {
    return this.#wanted && this.#started
  }

  run(): void {
    this.#wanted = true
    this.#next()
  }

  halt(): void {
    this.#wanted = false
    this.#abandon()
  }

  start(): void {
    this.#siblings = {
      sync: sibling(this.#components, 'sync'),
      pool: sibling(this.#components, 'pool'),
      blocks: sibling(this.#components, 'blocks')
    }
  }

  afterStart(): void {
    this.#started = true
    this.#aloneAt = this.#clock.now() + (this.#init.aloneMs ?? ALONE_MS)
    this.#chain.addEventListener('head', this.#onChange)
    this.#siblings.sync?.addEventListener('state', this.#onChange)
    this.#next()
  }

  beforeStop(): void {
    this.#started = false
    this.#chain.removeEventListener('head', this.#onChange)
    this.#siblings.sync?.removeEventListener('state', this.#onChange)
    this.#abandon()
  }

  stop(): void {
    this.#siblings = {}
  }

  readonly #onChange = (): void => {
    const stillOnHead = this.#parent != null && equalBytes(this.#parent.hash, this.#chain.head.hash)
    if (this.#job != null && this.#ready() && stillOnHead) return
    this.#abandon()
    this.#next()
  }

  #abandon(): void {
    this.#cancelTimer()
    this.#job?.abort()
    this.#job = undefined
  }

  /** May a block be produced now? Undefined: ask again later. */
  #ready(): boolean {
    const state = this.#siblings.sync?.state
    if (state == null || state === 'live') return true
    const { head, minimum } = this.#chain
    // alone on a chain that nobody would follow
    if (head.work < minimum.work || head.height < minimum.height) return false
    return state === 'no-peers' && this.#clock.now() >= this.#aloneAt
  }

  /** Decides what to do now: produce, wait for a time, or wait for an event. */
  #next(): void {
    if (!this.running || this.#job != null) return
    this.#cancelTimer()
    const now = this.#clock.now()
    if (!this.#ready()) {
      // an event of sync wakes us; only the end of the search for peers has no event
      if (now < this.#aloneAt) this.#wakeAt(this.#aloneAt)
      return
    }
    const parent = this.#chain.head
    try {
      const due = this.#init.when == null ? now : this.#init.when(parent, this.#chain.ancestors)
      if (due == null || due === Number.POSITIVE_INFINITY) return
      if (due > now) {
        this.#wakeAt(due)
        return
      }
    } catch (err) {
      this.#failed(err)
      return
    }
    void this.#produce(parent)
  }

  #wakeAt(time: number): void {
    const wait = Math.min(Math.max(1, time - this.#clock.now()), MAX_WAIT_MS)
    this.#cancelTimer = this.#clock.after(wait, () => this.#next())
  }

  async #produce(parent: Located<Header>): Promise<void> {
    const job = new AbortController()
    this.#job = job
    this.#parent = parent
    const { limits } = this.#chain
    // a seal that answers at once must not keep timers and sockets from their turn
    await new Promise((resolve) => setTimeout(resolve, 0))
    if (job.signal.aborted) return
    try {
      const proposed = await this.#chain.propose({
        ...(this.#init.prefix == null ? {} : { prefix: (ctx) => this.#init.prefix!(ctx) }),
        txs: this.#siblings.pool?.select({ maxBytes: limits.blockBytes }) ?? [],
        seal: (draft, options) => this.#init.seal(draft, options),
        signal: job.signal
      })
      if (this.#job === job) this.#job = undefined
      // the seal gave up on this parent: the next head or the next change of sync wakes us
      if (proposed == null) return
      this.safeDispatchEvent('produced', { detail: proposed })
      await this.#siblings.blocks?.publish(proposed.bytes, { prefilled: proposed.prefix })
    } catch (err) {
      if (this.#job === job) this.#job = undefined
      if (!job.signal.aborted) {
        this.#failed(err)
        return
      }
    }
    this.#next()
  }

  #failed(err: unknown): void {
    const error = err instanceof Error ? err : new Error(String(err))
    this.#log.error('could not produce a block - %e', error)
    this.safeDispatchEvent('error', { detail: error })
    if (this.running) this.#wakeAt(this.#clock.now() + RETRY_MS)
  }
}

/** A sibling service, or undefined where the node has none (reading it throws then). */
function sibling<K extends keyof Siblings>(components: object, name: K): Siblings[K] {
  try {
    return (components as Siblings)[name]
  } catch {
    return undefined
  }
}
