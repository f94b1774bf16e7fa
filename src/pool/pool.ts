import type { Startable } from '@libp2p/interface'
import { TypedEventEmitter } from 'main-event'
import { txIds, type Verdict } from '../chain/index.js'
import { type Clock, systemClock } from '../clock.js'
import type { Topic } from '../gossip/index.js'
import { toHex } from '../hex.js'
import { Admission } from './admission.js'
import { BATCH_BYTES, entryBytes } from './batch.js'
import { type Entry, POOL_LIMITS, type PoolLimits } from './entries.js'
import { INBOX_LIMITS, Inbox } from './inbox.js'
import { Outbox } from './outbox.js'
import type { Added, AddTxOptions, Pool, PoolChain, PoolComponents, PoolEvents, Pooled } from './port.js'
import { Slab } from './slab.js'

export interface PoolInit extends Partial<PoolLimits> {
  clock?: Clock
}

/**
 * Pending transactions, behind the topic `txs`. At most 5,000 and 16 MiB, 1,000 of one peer; when it is full, new ones are ignored.
 * What a block of the head chain holds leaves it, what a dropped block held comes back, and every new head checks all again.
 */
export function pool<Tx = unknown>(init: PoolInit = {}): (components: PoolComponents<Tx>) => Pool<Tx> {
  return (components) => new PoolService(components, init)
}

class PoolService<Tx> extends TypedEventEmitter<PoolEvents> implements Pool<Tx>, Startable {
  readonly [Symbol.toStringTag] = '@blockwire/pool'
  readonly #components: PoolComponents<Tx>
  readonly #chain: PoolChain<Tx>
  readonly #admission: Admission<Tx>
  readonly #inbox: Inbox<Tx>
  readonly #outbox: Outbox
  readonly #slab = new Slab()
  #topic: Topic | undefined
  #started = false

  constructor(components: PoolComponents<Tx>, init: PoolInit) {
    super()
    const clock = init.clock ?? systemClock
    const log = components.logger.forComponent('blockwire:pool')
    const { txs, bytes, txsPerPeer } = { ...POOL_LIMITS, ...init }
    this.#components = components
    this.#chain = components.chain
    this.#admission = new Admission({
      chain: components.chain,
      clock,
      log,
      limits: { txs, bytes, txsPerPeer },
      added: ({ id, bytes }) => {
        // they come by the hundred thousand
        if (this.listenerCount('add') > 0) this.safeDispatchEvent('add', { detail: { id, size: bytes.length } })
      },
      removed: ({ id }, why) => this.safeDispatchEvent('remove', { detail: { id, why } })
    })
    this.#outbox = new Outbox(clock, (batch) => {
      this.#topic?.publish(batch).catch((err) => log.error('could not publish transactions - %e', err))
    })
    this.#inbox = new Inbox({
      txBytes: this.#chain.limits.txBytes,
      isKnown: (key) => this.#admission.isKnown(key),
      get: (key) => this.#admission.entries.get(key)?.bytes,
      check: (list, ids) => this.#chain.checkTxs(list, ids),
      admit: (entries) => this.#admission.admit(entries),
      pass: (batch) => {
        this.#topic
          ?.publish(batch, { relayed: true })
          .catch((err) => log('a part of a batch was not sent on - %e', err))
      }
    })
  }

  get size(): number {
    return this.#admission.entries.size
  }

  get bytes(): number {
    return this.#admission.entries.bytes
  }

  has(id: Uint8Array): boolean {
    return this.#admission.entries.has(toHex(id))
  }

  get(id: Uint8Array): Uint8Array | undefined {
    return this.#admission.entries.get(toHex(id))?.bytes
  }

  *ids(): Generator<Uint8Array> {
    for (const { id } of this.#admission.entries.values()) yield id
  }

  entries(): IterableIterator<Pooled> {
    return this.#admission.entries.values()
  }

  select(options: { maxBytes: number }): Uint8Array[] {
    const txs: Uint8Array[] = []
    let left = options.maxBytes
    for (const { bytes } of this.entries()) {
      const size = entryBytes(bytes)
      if (size > left) continue
      left -= size
      txs.push(bytes)
    }
    return txs
  }

  start(): void {
    this.#started = true
    this.#admission.start()
    // kept over a restart: leaving it would make peers shun us for 10 s
    this.#topic ??= this.#components.gossip.topic('txs', {
      maxBytes: Math.max(BATCH_BYTES, entryBytes(new Uint8Array(this.#chain.limits.txBytes))),
      validate: (message) => this.#inbox.judge(message),
      pending: INBOX_LIMITS,
      expected: 10
    })
  }

  /** Pooled transactions stay in memory for the next start; waits for `included` end. */
  async stop(): Promise<void> {
    this.#started = false
    this.#outbox.clear()
    this.#inbox.clear()
    await this.#admission.stop()
  }

  add(tx: Tx | Uint8Array, options?: AddTxOptions): Promise<Added>
  add(txs: (Tx | Uint8Array)[], options?: AddTxOptions): Promise<Added[]>
  async add(given: Tx | Uint8Array | (Tx | Uint8Array)[], options: AddTxOptions = {}): Promise<Added | Added[]> {
    const added = await this.#addAll(Array.isArray(given) ? given : [given], options)
    return Array.isArray(given) ? added : added[0]!
  }

  async #addAll(txs: (Tx | Uint8Array)[], options: AddTxOptions): Promise<Added[]> {
    const { rules } = this.#chain
    const list = txs.map((given) => (given instanceof Uint8Array ? this.#slab.copy(given) : rules.tx.encode(given)))
    const ids = txIds(list).map((id) => new Uint8Array(id))
    const checking = this.#chain.checkTxs(list, ids, options)
    const checked = Array.isArray(checking) ? checking : await checking
    const entries: Entry<Tx>[] = []
    for (const [i, { verdict, tx }] of checked.entries()) {
      if (verdict.result !== 'accept') continue
      const id = ids[i]!
      entries.push({ key: toHex(id), id, bytes: list[i]!, tx: tx as Tx, source: undefined })
    }
    const verdicts = entries.length === 0 ? [] : await this.#admission.admit(entries)
    let n = 0
    return checked.map(({ verdict }, i) => {
      if (verdict.result !== 'accept') return { verdict, id: ids[i]! }
      return this.#answer(entries[n]!, verdicts[n++]!)
    })
  }

  #answer({ key, id, bytes }: Entry<Tx>, verdict: Verdict): Added {
    const { tracker, entries } = this.#admission
    if (verdict.result === 'accept') {
      if (this.#started) this.#outbox.put(bytes)
      return { verdict, id, handle: tracker.get(key)! }
    }
    const pooled = verdict.reason === 'known' && entries.has(key)
    return { verdict, id, ...(pooled ? { handle: tracker.watch(key, id) } : {}) }
  }
}
