import type { Logger, Startable } from '@libp2p/interface'
import { TypedEventEmitter } from 'main-event'
import { ACCEPT, type Check, ignore, reject, splitBlock, txId, type Verdict } from '../chain/index.js'
import { type Clock, systemClock } from '../clock.js'
import type { Topic, TopicMessage } from '../gossip/index.js'
import { equalBytes, toHex } from '../hex.js'
import { apart, sha256Many } from '../lanes.js'
import { BATCH_BYTES, entryBytes, splitBatch } from './batch.js'
import { Entries, type Entry, POOL_LIMITS, type PoolLimits } from './entries.js'
import { Tracker } from './handle.js'
import { Mined } from './mined.js'
import { Outbox } from './outbox.js'
import type { Added, Pool, PoolChain, PoolChainEvents, PoolComponents, PoolEvents, PoolScratch } from './port.js'
import { Queue } from './queue.js'
import { Returned } from './returned.js'

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

/** What may wait to be tried on the state. */
const MAX_QUEUE = 1_024
/** Blocks older than this are not remembered transaction by transaction, unless something is pooled: a sync would pay for it. */
const FRESH_MS = 120_000

/** What comes before a leaf when it is hashed: RFC 6962. */
const LEAF = 0

class PoolService<Tx> extends TypedEventEmitter<PoolEvents> implements Pool<Tx>, Startable {
  readonly [Symbol.toStringTag] = '@blockwire/pool'
  readonly #components: PoolComponents<Tx>
  readonly #chain: PoolChain<Tx>
  readonly #clock: Clock
  readonly #log: Logger
  readonly #entries: Entries<Tx>
  readonly #tracker = new Tracker()
  readonly #mined = new Mined()
  readonly #returned: Returned<Tx>
  readonly #outbox: Outbox
  readonly #queue: Queue
  #topic: Topic | undefined
  #scratch: PoolScratch<Tx> | undefined
  #started = false
  #refreshQueued = false

  constructor(components: PoolComponents<Tx>, init: PoolInit) {
    super()
    this.#components = components
    this.#chain = components.chain
    this.#clock = init.clock ?? systemClock
    this.#log = components.logger.forComponent('blockwire:pool')
    const { txs, bytes, txsPerPeer } = { ...POOL_LIMITS, ...init }
    this.#entries = new Entries({ txs, bytes, txsPerPeer })
    this.#returned = new Returned(components.chain)
    this.#queue = new Queue(MAX_QUEUE, (err) => {
      // what is applied to the scratch state is not known any more
      this.#scratch = undefined
      this.#log.error('could not try transactions - %e', err)
    })
    this.#outbox = new Outbox(this.#clock, (batch) => {
      this.#topic?.publish(batch).catch((err) => this.#log.error('could not publish transactions - %e', err))
    })
  }

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#entries.bytes
  }

  has(id: Uint8Array): boolean {
    return this.#entries.has(toHex(id))
  }

  get(id: Uint8Array): Uint8Array | undefined {
    return this.#entries.get(toHex(id))?.bytes
  }

  values(): Iterable<{ readonly id: Uint8Array; readonly bytes: Uint8Array }> {
    return this.#entries.values()
  }

  select(options: { maxBytes: number }): Uint8Array[] {
    const txs: Uint8Array[] = []
    let left = options.maxBytes
    for (const { bytes } of this.#entries.values()) {
      const size = entryBytes(bytes)
      if (size > left) continue
      left -= size
      txs.push(bytes)
    }
    return txs
  }

  start(): void {
    this.#started = true
    this.#tracker.height = this.#chain.head.height
    this.#chain.addEventListener('block', this.#onBlock)
    this.#chain.addEventListener('reorg', this.#onReorg)
    this.#chain.addEventListener('head', this.#onHead)
    // kept over a restart: leaving it would make peers shun us for 10 s
    this.#topic ??= this.#components.gossip.topic('txs', {
      maxBytes: Math.max(BATCH_BYTES, entryBytes(new Uint8Array(this.#chain.limits.txBytes))),
      validate: (message) => this.#validate(message)
    })
  }

  /** Pooled transactions stay in memory for the next start; waits for `included` end. */
  async stop(): Promise<void> {
    this.#started = false
    this.#chain.removeEventListener('block', this.#onBlock)
    this.#chain.removeEventListener('reorg', this.#onReorg)
    this.#chain.removeEventListener('head', this.#onHead)
    this.#outbox.clear()
    this.#tracker.stop()
    await this.#queue.idle
    this.#scratch = undefined
  }

  async add(tx: Tx | Uint8Array): Promise<Added> {
    const bytes = tx instanceof Uint8Array ? tx.slice() : this.#chain.rules.tx.encode(tx)
    const { verdict, id, tx: value } = this.#chain.checkTx(bytes)
    if (verdict.result !== 'accept' || value === undefined) return { verdict, id }
    const entry: Entry<Tx> = { key: toHex(id), id, bytes, tx: value, source: undefined }
    const answer = await this.#enqueue(async () => {
      const [admitted] = await this.#admit([entry])
      return admitted!
    })
    if (answer.result !== 'accept') {
      const pooled = answer.reason === 'known' && this.#entries.has(entry.key)
      return { verdict: answer, id, ...(pooled ? { handle: this.#tracker.watch(entry.key, id) } : {}) }
    }
    if (this.#started) this.#outbox.put(bytes)
    return { verdict: answer, id, handle: this.#tracker.get(entry.key)! }
  }

  /** One verdict for a whole batch, so that it is forwarded as it came. */
  #validate({ data, from }: TopicMessage): Verdict | Promise<Verdict> {
    const source = from.toString()
    const entries: Entry<Tx>[] = []
    let txs: Uint8Array[]
    try {
      txs = splitBatch(data, this.#chain.limits.txBytes)
    } catch (err) {
      return reject((err as Error).name === 'TooLargeBytesError' ? 'too-large' : 'malformed', (err as Error).message)
    }
    for (const view of txs) {
      const known = toHex(txId(view))
      if (this.#isKnown(known)) continue
      // a view would keep the whole message alive as long as it is pooled
      const bytes = view.slice()
      const { verdict, id, tx } = this.#chain.checkTx(bytes)
      if (verdict.result === 'reject') return verdict
      if (verdict.result === 'accept' && tx !== undefined) entries.push({ key: known, id, bytes, tx, source })
    }
    if (entries.length === 0) return ignore('known')
    return this.#enqueue(async () => summary(await this.#admit(entries)))
  }

  #isKnown(key: string): boolean {
    return this.#entries.has(key) || this.#mined.has(key)
  }

  /** Tries them in order on the state at head plus what is pooled. Runs in the queue. */
  async #admit(entries: Entry<Tx>[]): Promise<Verdict[]> {
    const verdicts: Verdict[] = []
    for (const entry of entries) {
      // the head may move between two of them
      for (;;) {
        const scratch = await this.#refresh()
        if (scratch == null) return entries.map(() => ignore('error', 'the pool is not started'))
        const verdict = await this.#tryOne(scratch, entry)
        // a scratch that was left behind admits nothing
        if (verdict.result === 'ignore' && verdict.reason === 'state' && !this.#isCurrent(scratch)) continue
        verdicts.push(verdict)
        break
      }
    }
    return verdicts
  }

  async #tryOne(scratch: PoolScratch<Tx>, entry: Entry<Tx>): Promise<Verdict> {
    if (this.#isKnown(entry.key)) return ignore('known')
    if (!this.#entries.fits(entry.bytes.length, entry.source)) return ignore('full')
    const check = await this.#try(scratch, entry)
    if (check !== true) return ignore('state', 'reject' in check ? check.reject : check.ignore)
    // mined while it was tried: the next refresh makes a new scratch
    if (this.#isKnown(entry.key)) return ignore('known')
    this.#entries.add(entry)
    if (entry.source == null) this.#tracker.watch(entry.key, entry.id)
    this.safeDispatchEvent('add', { detail: { id: entry.id, size: entry.bytes.length } })
    return ACCEPT
  }

  /** One that makes the app's rules throw is that one's failure, not that of all behind it. */
  async #try(scratch: PoolScratch<Tx>, entry: Entry<Tx>): Promise<Check> {
    try {
      return await scratch.admit(entry.tx, entry.bytes)
    } catch (err) {
      this.#log.error('a rule of the app threw on transaction %s - %e', entry.key, err)
      return { ignore: 'the rules threw' }
    }
  }

  #isCurrent(scratch: PoolScratch<Tx>): boolean {
    return equalBytes(scratch.head.hash, this.#chain.head.hash)
  }

  /** A scratch state on the present head with all that is pooled applied. Runs in the queue; undefined when stopped. */
  async #refresh(): Promise<PoolScratch<Tx> | undefined> {
    let returned: Entry<Tx>[] = []
    while (this.#started) {
      const fresh = this.#scratch != null && this.#isCurrent(this.#scratch)
      if (fresh && this.#returned.size === 0) return this.#scratch
      this.#scratch = undefined
      const scratch = await this.#chain.scratch()
      const before = new Set(returned.map(({ key }) => key))
      returned = [...returned, ...(await this.#returned.take((key) => this.#isKnown(key) || before.has(key)))]
      const kept: Entry<Tx>[] = []
      for (const entry of [...returned, ...this.#entries.values()]) {
        if (!this.#started) return undefined
        if ((await this.#try(scratch, entry)) === true) kept.push(entry)
      }
      // a scratch that was left behind admits nothing: all are tried again on the next
      if (!this.#isCurrent(scratch)) continue
      this.#replace(kept, returned)
      returned = []
      this.#scratch = scratch
    }
    return undefined
  }

  /** Those that came back go first, for they came first. */
  #replace(kept: Entry<Tx>[], returned: Entry<Tx>[]): void {
    const admitted = new Set(kept)
    const before = new Map(this.#entries.clear().map((entry) => [entry.key, entry]))
    const back = new Set(returned)
    for (const entry of kept) {
      // mined while the others were tried
      if (this.#mined.has(entry.key)) before.delete(entry.key)
      else if (this.#entries.add(entry) && back.has(entry)) {
        this.safeDispatchEvent('add', { detail: { id: entry.id, size: entry.bytes.length } })
      }
    }
    for (const [key, entry] of before) {
      if (this.#entries.has(key)) continue
      const why = admitted.has(entry) ? 'full' : 'state'
      this.safeDispatchEvent('remove', { detail: { id: entry.id, why } })
      this.#tracker.dropped(key, why)
    }
    // another reorganisation came meanwhile: theirs may still come back
    if (this.#returned.size > 0) return
    for (const key of this.#tracker.pending()) if (!this.#entries.has(key)) this.#tracker.dropped(key, 'state')
  }

  readonly #onBlock = ({ detail }: PoolChainEvents['block']): void => {
    const old = detail.header.time < this.#clock.now() - FRESH_MS
    if (old && this.#entries.size === 0 && this.#tracker.size === 0) return
    const { txs } = splitBlock(detail.bytes, this.#chain.limits)
    const keys = apart(sha256Many(txs, LEAF)).map(toHex)
    this.#mined.add(keys, detail.hash)
    for (const key of keys) {
      this.#tracker.mined(key, detail.height, detail.hash)
      const entry = this.#entries.delete(key)
      if (entry != null) this.safeDispatchEvent('remove', { detail: { id: entry.id, why: 'mined' } })
    }
  }

  readonly #onReorg = ({ detail }: PoolChainEvents['reorg']): void => {
    const dropped = detail.dropped.map(({ hash }) => hash)
    this.#mined.unwind(dropped)
    this.#tracker.unwound(dropped)
    this.#returned.note(dropped)
  }

  readonly #onHead = ({ detail }: PoolChainEvents['head']): void => {
    this.#tracker.moved(detail.height)
    if (this.#refreshQueued || (this.#entries.size === 0 && this.#returned.size === 0)) return
    this.#refreshQueued = true
    void this.#queue.run(async () => {
      this.#refreshQueued = false
      await this.#refresh()
    })
  }

  /** One at a time, in order. What the app's rules throw becomes a verdict. */
  async #enqueue(task: () => Promise<Verdict>): Promise<Verdict> {
    if (!this.#started) return ignore('error', 'the pool is not started')
    if (this.#queue.full) return ignore('full')
    return (await this.#queue.run(task)) ?? ignore('error')
  }
}

/** Some admitted: forwarded as it came. None: why not, known ones aside. */
function summary(verdicts: Verdict[]): Verdict {
  const reasons = verdicts.filter((verdict) => !(verdict.result === 'ignore' && verdict.reason === 'known'))
  return reasons.find(({ result }) => result === 'accept') ?? reasons[0] ?? ignore('known')
}
