import type { Logger, Startable } from '@libp2p/interface'
import { TypedEventEmitter } from 'main-event'
import { type Database, ignore, txIds, type Verdict } from '../chain/index.js'
import { type Clock, systemClock } from '../clock.js'
import { ConfigError } from '../errors.js'
import type { Topic } from '../gossip/index.js'
import { toHex } from '../hex.js'
import { Admission } from './admission.js'
import { BATCH_BYTES, entryBytes } from './batch.js'
import { type Candidate, POOL_LIMITS, type PoolLimits } from './entries.js'
import type { TxHandle, TxStatus } from './handle.js'
import { INBOX_LIMITS, Inbox } from './inbox.js'
import { type Journal, journalIn, NO_JOURNAL } from './journal.js'
import { Outbox } from './outbox.js'
import type { Added, AddTxOptions, Pool, PoolChain, PoolComponents, PoolEvents, Pooled } from './port.js'
import { FEE_BUMP } from './replace.js'
import { restore } from './restore.js'
import { Saving } from './saving.js'
import { selectFor } from './select.js'
import { Slab } from './slab.js'

/** 3 h (go-ethereum's `lifetime`). */
const LIFETIME_MS = 10_800_000
/** How often it is looked for what is to be announced again, or has waited for too long. */
const TICK_MS = 5_000

export interface PoolInit extends Partial<PoolLimits> {
  /**
   * How much more a transaction must pay than all pooled ones whose place it takes together, in percent.
   * @default 10
   */
  feeBump?: number
  /** Those of others are forgotten after this long, and our own once the state has refused them so long; in ms. @default 3 hours */
  lifetimeMs?: number
  /** Where our own outlive the process: under `j` of the node's database. @default nowhere */
  journal?: Database
  clock?: Clock
}

/**
 * Pending transactions, behind the topic `txs`. At most 20,000 and 16 MiB, 10,000 of one peer and 1,000 of one sender. When it is full, what
 * pays least goes, but never what was submitted here: that is kept, on disk too, until it is mined, and told to others again each minute. What a
 * block of the head chain holds leaves the pool, what a dropped block held comes back, and every new head tries all again.
 *
 * @throws ConfigError naming the option
 */
export function pool<Tx = unknown>(init: PoolInit = {}): (components: PoolComponents<Tx>) => Pool<Tx> {
  const { txs, bytes, txsPerPeer, txsPerSender } = { ...POOL_LIMITS, ...init }
  const { feeBump = FEE_BUMP, lifetimeMs = LIFETIME_MS } = init
  for (const [option, value] of Object.entries({ txs, bytes, txsPerPeer, txsPerSender, feeBump, lifetimeMs })) {
    const min = option === 'feeBump' ? 0 : 1
    if (!Number.isSafeInteger(value) || value < min)
      throw new ConfigError(`pool.${option}`, `${String(value)} is not an integer of at least ${min}`)
  }
  const limits = { txs, bytes, txsPerPeer, txsPerSender }
  return (components) => new PoolService(components, { ...init, feeBump, lifetimeMs, limits })
}

class PoolService<Tx> extends TypedEventEmitter<PoolEvents> implements Pool<Tx>, Startable {
  readonly [Symbol.toStringTag] = '@blockwire/pool'
  readonly #components: PoolComponents<Tx>
  readonly #chain: PoolChain<Tx>
  readonly #clock: Clock
  readonly #log: Logger
  readonly #admission: Admission<Tx>
  readonly #journal: Journal
  readonly #saving: Saving
  readonly #inbox: Inbox<Tx>
  readonly #outbox: Outbox
  readonly #slab = new Slab()
  #topic: Topic | undefined
  #started = false
  #restored = false
  #cancelTick: () => void = () => {}

  constructor(
    components: PoolComponents<Tx>,
    init: PoolInit & { feeBump: number; lifetimeMs: number; limits: PoolLimits }
  ) {
    super()
    this.#components = components
    this.#chain = components.chain
    this.#clock = init.clock ?? systemClock
    this.#log = components.logger.forComponent('blockwire:pool')
    this.#admission = new Admission({
      chain: components.chain,
      clock: this.#clock,
      log: this.#log,
      limits: init.limits,
      feeBump: init.feeBump,
      lifetimeMs: init.lifetimeMs,
      added: ({ id, bytes }) => {
        // they come by the hundred thousand
        if (this.listenerCount('add') > 0) this.safeDispatchEvent('add', { detail: { id, size: bytes.length } })
      },
      removed: ({ id }, why) => this.safeDispatchEvent('remove', { detail: { id, why } }),
      unsaved: () => this.#saveSoon()
    })
    this.#journal = init.journal == null ? NO_JOURNAL : journalIn(init.journal)
    this.#saving = new Saving(this.#journal, this.#admission.own)
    this.#outbox = new Outbox(this.#clock, (batch) => {
      this.#topic?.publish(batch).catch((err) => this.#log.error('could not publish transactions - %e', err))
    })
    this.#inbox = new Inbox({
      txBytes: this.#chain.limits.txBytes,
      isKnown: (key) => this.#admission.isKnown(key),
      get: (key) => this.#admission.entries.get(key)?.bytes,
      check: (list, ids) => this.#chain.checkTxs(list, ids),
      admit: (candidates) => this.#admission.admit(candidates),
      pass: (batch) => {
        this.#topic
          ?.publish(batch, { relayed: true })
          .catch((err) => this.#log('a part of a batch was not sent on - %e', err))
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

  entries(): Iterable<Pooled> {
    return this.#admission.entries.values()
  }

  ofSender(sender: Uint8Array): Pooled[] {
    return this.#admission.entries.ofSender(toHex(sender))
  }

  handle(id: Uint8Array): TxHandle | undefined {
    return this.#admission.tracker.get(toHex(id))
  }

  status(id: Uint8Array): TxStatus | undefined {
    const { tracker, entries } = this.#admission
    const key = toHex(id)
    const watched = tracker.get(key)
    if (watched != null) return watched.status()
    const block = this.#admission.blockOf(key)
    if (block != null) return { state: 'included', ...block, depth: this.#chain.head.height - block.height + 1 }
    return entries.has(key) ? { state: 'pending' } : undefined
  }

  select(options: { maxBytes: number }): Uint8Array[] {
    const places = [...this.#admission.entries.places()]
    const candidates = places.map(({ entry: { bytes, order }, rate, arrival }) => {
      return { bytes, size: entryBytes(bytes), rate, arrival, order }
    })
    return selectFor(candidates, options.maxBytes).map(({ bytes }) => bytes)
  }

  async start(): Promise<void> {
    this.#started = true
    this.#admission.start()
    // kept over a restart: leaving it would make peers shun us for 10 s
    this.#topic ??= this.#components.gossip.topic('txs', {
      maxBytes: Math.max(BATCH_BYTES, entryBytes(new Uint8Array(this.#chain.limits.txBytes))),
      validate: (message) => this.#inbox.judge(message),
      pending: INBOX_LIMITS,
      expected: 10
    })
    if (!this.#restored) await restore(this.#journal, this.#chain, this.#admission)
    this.#restored = true
    if (this.#started) this.#tick()
  }

  /** Pooled transactions stay in memory for the next start; waits for `included` end. */
  async stop(): Promise<void> {
    this.#started = false
    this.#cancelTick()
    this.#outbox.clear()
    this.#inbox.clear()
    await this.#admission.stop()
    await this.#saving.save().catch((err) => this.#log.error('could not write the journal - %e', err))
  }

  add(tx: Tx | Uint8Array, options?: AddTxOptions): Promise<Added>
  add(txs: (Tx | Uint8Array)[], options?: AddTxOptions): Promise<Added[]>
  async add(given: Tx | Uint8Array | (Tx | Uint8Array)[], options: AddTxOptions = {}): Promise<Added | Added[]> {
    const added = await this.#addAll(Array.isArray(given) ? given : [given], options)
    return Array.isArray(given) ? added : added[0]!
  }

  async #addAll(txs: (Tx | Uint8Array)[], { source, quiet = false, ...options }: AddTxOptions): Promise<Added[]> {
    const { rules } = this.#chain
    const list = txs.map((given) => (given instanceof Uint8Array ? this.#slab.copy(given) : rules.tx.encode(given)))
    const ids = txIds(list).map((id) => new Uint8Array(id))
    const checking = this.#chain.checkTxs(list, ids, options)
    const checked = Array.isArray(checking) ? checking : await checking
    const added: Added[] = checked.map(({ verdict }, index) => ({ verdict, id: ids[index]! }))
    const candidates = new Map<number, Candidate<Tx>>()
    for (const [index, { verdict, tx }] of checked.entries()) {
      if (verdict.result !== 'accept') continue
      const id = ids[index]!
      candidates.set(index, { key: toHex(id), id, bytes: list[index]!, tx: tx as Tx, source: source?.toString() })
    }
    if (candidates.size === 0) return added
    const own = source == null
    const tried = [...candidates.values()]
    const verdicts = await this.#admission.admit(tried, own)
    const failure = own ? await this.#saved(tried, verdicts) : undefined
    const told = own && this.#hasPeers()
    let n = 0
    for (const [index, candidate] of candidates) {
      const verdict = verdicts[n++]!
      const answer = failure != null && verdict.result === 'accept' ? failure : verdict
      added[index] = this.#answer(candidate, answer, own, quiet && !own, told)
    }
    return added
  }

  /** Waits until what was accepted is on disk; where that fails, it is not accepted. */
  async #saved(candidates: Candidate<Tx>[], verdicts: Verdict[]): Promise<Verdict | undefined> {
    try {
      await this.#saving.save()
      return undefined
    } catch (err) {
      this.#log.error('could not write the journal - %e', err)
      const accepted = candidates.filter((_, n) => verdicts[n]!.result === 'accept')
      await this.#admission.withdraw(accepted.map(({ key }) => key))
      return ignore('error', `it could not be kept on disk: ${String(err)}`)
    }
  }

  /** `told`: somebody will hear of it now. */
  #answer({ key, id, bytes }: Candidate<Tx>, verdict: Verdict, own: boolean, quiet: boolean, told: boolean): Added {
    const { tracker, entries } = this.#admission
    if (verdict.result === 'accept' && this.#started && !quiet) {
      this.#outbox.put(bytes)
      if (told) this.#admission.own.announced(key, this.#clock.now())
    }
    const pooled = verdict.result === 'accept' || (verdict.reason === 'known' && entries.has(key))
    const handle = own && pooled ? tracker.get(key) : undefined
    return handle == null ? { verdict, id } : { verdict, id, handle }
  }

  #hasPeers(): boolean {
    return (this.#topic?.peers.length ?? 0) > 0
  }

  /** Announces our own again, and sweeps. */
  #tick(): void {
    const { own, entries } = this.#admission
    if (this.#hasPeers()) {
      for (const { bytes } of own.due(this.#clock.now(), (key) => entries.has(key))) this.#outbox.put(bytes)
    }
    void this.#admission.sweep()
    this.#saveSoon()
    this.#cancelTick = this.#clock.after(TICK_MS, () => this.#tick())
  }

  #saveSoon(): void {
    this.#saving.save().catch((err) => this.#log.error('could not write the journal - %e', err))
  }
}
