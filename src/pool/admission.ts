import type { Logger } from '@libp2p/interface'
import { ignore, splitBlock, txIds, type Verdict } from '../chain/index.js'
import type { Clock } from '../clock.js'
import { toHex } from '../hex.js'
import { describe } from './describe.js'
import { type Candidate, Entries, type Entry, type PoolLimits } from './entries.js'
import { Tracker } from './handle.js'
import { Mined } from './mined.js'
import { type BlockAt, Own } from './own.js'
import type { PoolChain, PoolChainEvents, RemoveReason } from './port.js'
import { Queue } from './queue.js'
import type { Recalled } from './recall.js'
import { Returned } from './returned.js'
import { Trials } from './trials.js'

/** What may wait to be tried on the state. */
const MAX_QUEUE = 1_024
/** Blocks older than this are not remembered transaction by transaction, unless something is pooled: a sync would pay for it. */
const FRESH_MS = 120_000

export interface AdmissionInit<Tx> {
  chain: PoolChain<Tx>
  clock: Clock
  log: Logger
  limits: PoolLimits
  /** In percent. */
  feeBump: number
  lifetimeMs: number
  added(entry: Entry<Tx>): void
  removed(entry: Entry<Tx>, why: RemoveReason): void
  /** Something of our own is to be written to the journal. */
  unsaved(): void
}

/** One of our own, as the journal kept it. */
export interface Kept<Tx> {
  candidate: Candidate<Tx>
  /** See `JournalRecord`. */
  number: number
  at: number
  place: BlockAt | undefined
}

/** The door to what is pooled, one at a time: from the app, from peers, from the chain's blocks and reorganisations. */
export class Admission<Tx> {
  readonly entries: Entries<Tx>
  readonly own: Own<Tx>
  readonly tracker = new Tracker()
  readonly #init: AdmissionInit<Tx>
  readonly #chain: PoolChain<Tx>
  readonly #mined = new Mined()
  readonly #returned: Returned<Tx>
  readonly #trials: Trials<Tx>
  readonly #queue: Queue
  #started = false
  #refreshQueued = false

  constructor(init: AdmissionInit<Tx>) {
    this.#init = init
    this.#chain = init.chain
    this.entries = new Entries(init.limits)
    this.own = new Own(init.limits)
    this.#returned = new Returned(init.chain)
    const { entries, own, tracker } = this
    this.#trials = new Trials(init, { entries, own, tracker, mined: this.#mined, returned: this.#returned })
    this.#queue = new Queue(MAX_QUEUE, (err) => {
      this.#trials.forget()
      init.log.error('could not try transactions - %e', err)
    })
  }

  start(): void {
    this.#started = true
    this.#trials.start()
    this.tracker.height = this.#chain.head.height
    this.#chain.addEventListener('block', this.#onBlock)
    this.#chain.addEventListener('reorg', this.#onReorg)
    this.#chain.addEventListener('head', this.#onHead)
  }

  /** Waits for what is being tried; waits for `included` end. */
  async stop(): Promise<void> {
    this.#started = false
    this.#trials.stop()
    this.#chain.removeEventListener('block', this.#onBlock)
    this.#chain.removeEventListener('reorg', this.#onReorg)
    this.#chain.removeEventListener('head', this.#onHead)
    this.tracker.stop()
    await this.#queue.idle
    this.#trials.forget()
  }

  /** Pooled, or in a late block. */
  isKnown(key: string): boolean {
    return this.entries.has(key) || this.#mined.has(key)
  }

  /** The block of the head chain that holds it, where it is a late one. */
  blockOf(key: string): BlockAt | undefined {
    return this.#mined.get(key)
  }

  /** A verdict for each, in their order. What the app's rules throw becomes one. `own`: they are submitted here. */
  async admit(candidates: Candidate<Tx>[], own = false): Promise<Verdict[]> {
    const all = (verdict: Verdict): Verdict[] => candidates.map(() => verdict)
    if (!this.#started) return all(ignore('error', 'the pool is not started'))
    if (this.#queue.full) return all(ignore('full'))
    return (await this.#queue.run(() => this.#trials.admit(candidates, own))) ?? all(ignore('error'))
  }

  /** Takes in what the journal kept, and what the last blocks hold, and tries what is in none. */
  async restore(kept: Kept<Tx>[], recalled: Recalled[]): Promise<void> {
    const found = new Map(kept.map(({ candidate, place }) => [candidate.key, place]))
    for (const { keys, block } of recalled) {
      this.#mined.add(keys, block)
      for (const key of keys) if (found.has(key)) found.set(key, block)
    }
    for (const { candidate, number, at } of kept) {
      const entry = describe(this.#chain.rules.pool, candidate, { own: true, at })
      if (!('key' in entry)) continue
      const place = found.get(entry.key)
      this.own.add(entry, place, number)
      this.tracker.watch(entry.key, entry.id, place)
    }
    await this.#queue.run(async () => {
      this.#trials.forget()
      await this.#trials.refresh()
    })
  }

  /** Takes own ones out again that could not be kept on disk. */
  async withdraw(keys: string[]): Promise<void> {
    await this.#queue.run(async () => {
      for (const key of keys) {
        this.own.delete(key)
        this.#trials.remove(key, 'error')
      }
    })
  }

  /** Forgets what has waited for too long, and what of our own is settled. */
  async sweep(): Promise<void> {
    const { clock, lifetimeMs } = this.#init
    const now = clock.now()
    for (const { key } of this.own.settle(this.#chain.head.height, now, lifetimeMs))
      this.tracker.dropped(key, 'expired')
    const old = [...this.entries.places()].filter(({ kept, entry }) => !kept && now - entry.at >= lifetimeMs)
    if (old.length === 0) return
    await this.#queue.run(async () => {
      for (const { entry } of old) this.#trials.remove(entry.key, 'expired')
    })
  }

  readonly #onBlock = ({ detail }: PoolChainEvents['block']): void => {
    const old = detail.header.time < this.#init.clock.now() - FRESH_MS
    if (old && this.entries.size === 0 && this.tracker.size === 0) return
    const keys = txIds(splitBlock(detail.bytes, this.#chain.limits).txs).map(toHex)
    const { height, hash } = detail
    this.#mined.add(keys, { height, hash })
    for (const key of keys) {
      this.tracker.mined(key, height, hash)
      this.own.mined(key, { height, hash })
      const entry = this.entries.delete(key)
      if (entry != null) this.#init.removed(entry, 'mined')
    }
  }

  readonly #onReorg = ({ detail }: PoolChainEvents['reorg']): void => {
    const dropped = detail.dropped.map(({ hash }) => hash)
    this.#mined.unwind(dropped)
    this.tracker.unwound(dropped)
    this.own.unwound(dropped)
    this.#returned.note(dropped)
  }

  readonly #onHead = ({ detail }: PoolChainEvents['head']): void => {
    this.tracker.moved(detail.height)
    this.#init.unsaved()
    const idle = this.entries.size === 0 && this.#returned.size === 0 && this.own.size === 0
    if (this.#refreshQueued || idle) return
    this.#refreshQueued = true
    void this.#queue.run(async () => {
      this.#refreshQueued = false
      await this.#trials.refresh()
    })
  }
}
