import type { Logger } from '@libp2p/interface'
import { ACCEPT, type Check, ignore, splitBlock, txId, type Verdict } from '../chain/index.js'
import { type Clock, turn } from '../clock.js'
import { equalBytes, toHex } from '../hex.js'
import { Entries, type Entry, type PoolLimits } from './entries.js'
import { Tracker } from './handle.js'
import { Mined } from './mined.js'
import type { PoolChain, PoolChainEvents, PoolScratch, RemoveReason } from './port.js'
import { Queue } from './queue.js'
import { Returned } from './returned.js'

/** What may wait to be tried on the state. */
const MAX_QUEUE = 1_024
/** Blocks older than this are not remembered transaction by transaction, unless something is pooled: a sync would pay for it. */
const FRESH_MS = 120_000
/** How long to try transactions before others have a turn of the event loop. */
const SLICE_MS = 4

export interface AdmissionInit<Tx> {
  chain: PoolChain<Tx>
  clock: Clock
  log: Logger
  limits: PoolLimits
  added(entry: Entry<Tx>): void
  removed(entry: Entry<Tx>, why: RemoveReason): void
}

/** Owns what is pooled: tries it on the state at head, one after another, and follows the chain's blocks and reorganisations. */
export class Admission<Tx> {
  readonly entries: Entries<Tx>
  readonly tracker = new Tracker()
  readonly #init: AdmissionInit<Tx>
  readonly #chain: PoolChain<Tx>
  readonly #mined = new Mined()
  readonly #returned: Returned<Tx>
  readonly #queue: Queue
  #scratch: PoolScratch<Tx> | undefined
  #started = false
  #refreshQueued = false

  constructor(init: AdmissionInit<Tx>) {
    this.#init = init
    this.#chain = init.chain
    this.entries = new Entries(init.limits)
    this.#returned = new Returned(init.chain)
    this.#queue = new Queue(MAX_QUEUE, (err) => {
      // what is applied to the scratch state is not known any more
      this.#scratch = undefined
      init.log.error('could not try transactions - %e', err)
    })
  }

  start(): void {
    this.#started = true
    this.tracker.height = this.#chain.head.height
    this.#chain.addEventListener('block', this.#onBlock)
    this.#chain.addEventListener('reorg', this.#onReorg)
    this.#chain.addEventListener('head', this.#onHead)
  }

  /** Waits for what is being tried; waits for `included` end. */
  async stop(): Promise<void> {
    this.#started = false
    this.#chain.removeEventListener('block', this.#onBlock)
    this.#chain.removeEventListener('reorg', this.#onReorg)
    this.#chain.removeEventListener('head', this.#onHead)
    this.tracker.stop()
    await this.#queue.idle
    this.#scratch = undefined
  }

  /** Pooled, or in a late block. */
  isKnown(key: string): boolean {
    return this.entries.has(key) || this.#mined.has(key)
  }

  /** A verdict for each, in their order. What the app's rules throw becomes one. */
  async admit(entries: Entry<Tx>[]): Promise<Verdict[]> {
    const all = (verdict: Verdict): Verdict[] => entries.map(() => verdict)
    if (!this.#started) return all(ignore('error', 'the pool is not started'))
    if (this.#queue.full) return all(ignore('full'))
    return (await this.#queue.run(() => this.#admit(entries))) ?? all(ignore('error'))
  }

  /** Tries them in order on the state at head plus what is pooled. Runs in the queue. */
  async #admit(entries: Entry<Tx>[]): Promise<Verdict[]> {
    const verdicts: Verdict[] = []
    let since = performance.now()
    for (const entry of entries) {
      if (performance.now() - since > SLICE_MS) {
        await turn()
        since = performance.now()
      }
      // the head may move between two of them
      for (;;) {
        const scratch = this.#fresh() ?? (await this.#refresh())
        if (scratch == null) return entries.map(() => ignore('error', 'the pool is not started'))
        const trying = this.#tryOne(scratch, entry)
        const verdict = 'then' in trying ? await trying : trying
        // a scratch that was left behind admits nothing
        if (verdict.result === 'ignore' && verdict.reason === 'state' && !this.#isCurrent(scratch)) continue
        verdicts.push(verdict)
        break
      }
    }
    return verdicts
  }

  /** A promise only where the rules wait. */
  #tryOne(scratch: PoolScratch<Tx>, entry: Entry<Tx>): Verdict | Promise<Verdict> {
    if (this.isKnown(entry.key)) return ignore('known')
    if (!this.entries.fits(entry.bytes.length, entry.source)) return ignore('full')
    const check = this.#try(scratch, entry)
    if (!isPromise(check)) return this.#settle(entry, check)
    // mined while it was tried: the next refresh makes a new scratch
    return check.then((settled) => (this.isKnown(entry.key) ? ignore('known') : this.#settle(entry, settled)))
  }

  #settle(entry: Entry<Tx>, check: Check): Verdict {
    if (check !== true) return ignore('state', 'reject' in check ? check.reject : check.ignore)
    this.entries.add(entry)
    if (entry.source == null) this.tracker.watch(entry.key, entry.id)
    this.#init.added(entry)
    return ACCEPT
  }

  /** One that makes the app's rules throw is that one's failure, not that of all behind it. */
  #try(scratch: PoolScratch<Tx>, entry: Entry<Tx>): Check | Promise<Check> {
    const failed = (err: unknown): Check => {
      this.#init.log.error('a rule of the app threw on transaction %s - %e', entry.key, err)
      return { ignore: 'the rules threw' }
    }
    try {
      const check = scratch.admit(entry.tx, entry.bytes)
      return isPromise(check) ? check.catch(failed) : check
    } catch (err) {
      return failed(err)
    }
  }

  #isCurrent(scratch: PoolScratch<Tx>): boolean {
    return equalBytes(scratch.head.hash, this.#chain.head.hash)
  }

  /** The scratch at hand, if nothing has come between. */
  #fresh(): PoolScratch<Tx> | undefined {
    const usable = this.#started && this.#scratch != null && this.#returned.size === 0 && this.#isCurrent(this.#scratch)
    return usable ? this.#scratch : undefined
  }

  /** A scratch state on the present head with all that is pooled applied. Runs in the queue; undefined when stopped. */
  async #refresh(): Promise<PoolScratch<Tx> | undefined> {
    let returned: Entry<Tx>[] = []
    while (this.#started) {
      const fresh = this.#fresh()
      if (fresh != null) return fresh
      this.#scratch = undefined
      const scratch = await this.#chain.scratch()
      const before = new Set(returned.map(({ key }) => key))
      returned = [...returned, ...(await this.#returned.take((key) => this.isKnown(key) || before.has(key)))]
      const kept: Entry<Tx>[] = []
      for (const entry of [...returned, ...this.entries.values()]) {
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
    const before = new Map(this.entries.clear().map((entry) => [entry.key, entry]))
    const back = new Set(returned)
    for (const entry of kept) {
      // mined while the others were tried
      if (this.#mined.has(entry.key)) before.delete(entry.key)
      else if (this.entries.add(entry) && back.has(entry)) {
        this.#init.added(entry)
      }
    }
    for (const [key, entry] of before) {
      if (this.entries.has(key)) continue
      const why = admitted.has(entry) ? 'full' : 'state'
      this.#init.removed(entry, why)
      this.tracker.dropped(key, why)
    }
    // another reorganisation came meanwhile: theirs may still come back
    if (this.#returned.size > 0) return
    for (const key of this.tracker.pending()) if (!this.entries.has(key)) this.tracker.dropped(key, 'state')
  }

  readonly #onBlock = ({ detail }: PoolChainEvents['block']): void => {
    const old = detail.header.time < this.#init.clock.now() - FRESH_MS
    if (old && this.entries.size === 0 && this.tracker.size === 0) return
    const keys = splitBlock(detail.bytes, this.#chain.limits).txs.map((tx) => toHex(txId(tx)))
    this.#mined.add(keys, detail.hash)
    for (const key of keys) {
      this.tracker.mined(key, detail.height, detail.hash)
      const entry = this.entries.delete(key)
      if (entry != null) this.#init.removed(entry, 'mined')
    }
  }

  readonly #onReorg = ({ detail }: PoolChainEvents['reorg']): void => {
    const dropped = detail.dropped.map(({ hash }) => hash)
    this.#mined.unwind(dropped)
    this.tracker.unwound(dropped)
    this.#returned.note(dropped)
  }

  readonly #onHead = ({ detail }: PoolChainEvents['head']): void => {
    this.tracker.moved(detail.height)
    if (this.#refreshQueued || (this.entries.size === 0 && this.#returned.size === 0)) return
    this.#refreshQueued = true
    void this.#queue.run(async () => {
      this.#refreshQueued = false
      await this.#refresh()
    })
  }
}

function isPromise(check: Check | Promise<Check>): check is Promise<Check> {
  return typeof check === 'object' && 'then' in check
}
