import { type Clock, systemClock } from '../clock.js'
import { type BlockwireError, ConfigError, ReorgTooDeepError, RuleError, StoreWriteError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import type { FreezeOptions } from './chain-init.js'
import { branchOf, type Entry, makeEntry } from './entry.js'
import type { ChainEvents, RebuildDetail } from './events.js'
import { integer, type Terms } from './genesis.js'
import { Inspector, MEDIAN } from './inspector.js'
import { blockKey, bytesKey, TABLE } from './layout.js'
import type { BaseHeader, Located } from './rules.js'
import { splitOf } from './split.js'
import { putHeader } from './standing.js'
import type { Store, Writing } from './store.js'
import { Tree } from './tree.js'
import { TxIndex } from './tx-index.js'

export interface CoreInit<Header extends BaseHeader, Tx> {
  terms: Terms<Header, Tx>
  store: Store
  clock?: Clock | undefined
  /** @default 10_000 */
  maxReorg?: number | undefined
  /** @default 250_000 */
  maxSide?: number | undefined
  /** A reorganisation that holds more than this in memory is written in steps. @default 32 MiB */
  stepBytes?: number | undefined
  /** @default true */
  bodies?: boolean | undefined
  /** @default false */
  txIndex?: boolean | undefined
  freeze?: FreezeOptions | undefined
  emit<K extends keyof ChainEvents<Header>>(type: K, detail: ChainEvents<Header>[K]['detail']): void
  listens(type: keyof ChainEvents<Header>): boolean
  onRebuild?: ((progress: RebuildDetail) => void) | undefined
}

const STEP_BYTES = 32 * 1_048_576
const BULK = 64
const BULK_BYTES = 1_048_576
const HOT = 1_024
/** Branches whose depth was reported, at most. */
const MAX_WARNED = 1_000

/** What the parts of the engine share: the tree, the store, the rules, and how to say what happened. */
export class Core<Header extends BaseHeader, Tx> {
  readonly terms: Terms<Header, Tx>
  readonly store: Store
  readonly clock: Clock
  readonly maxReorg: number
  /** Blocks are kept, not headers only. */
  readonly bodies: boolean
  /** There is a state, made from blocks. */
  readonly stateful: boolean
  readonly txIndex: TxIndex | undefined
  readonly maxSide: number
  /** Blocks below the lowest fork that rules may look at. */
  readonly margin: number
  readonly stepBytes: number
  /** So many blocks in one batch go straight into the files. */
  readonly bulk: number
  /** So many blocks of the head chain may lie in the database before the oldest go into the files. */
  readonly hot: number
  readonly tree: Tree<Header>
  readonly inspector: Inspector<Header, Tx>
  /** Headers no longer remembered, to be deleted with the next batch. */
  readonly #trash: Entry<Header>[] = []
  /** Headers that are in memory only, parents first. */
  #pending = new Set<Entry<Header>>()
  /** Undo is stored from this height up. */
  undoFrom = 1
  /** Blocks of the head chain up to this height are on disk: they were there at the start, or have been synced with something. */
  durable = 0
  /** The node was live once: from then on nothing is taken back that lies deeper than `maxReorg`. */
  live = false
  /** The heaviest branch that forks off too deep. */
  split: { at: Located<Header>; forkHeight: number } | undefined
  /** The block by which a branch was named that is followed although it forks off too deep. */
  accepted: Uint8Array | undefined
  /** The state is made anew, or that did not come to its end. */
  remaking = false
  /** While the state belongs to no block: when it is that of genesis. */
  emptied: Promise<void> | undefined
  /** The chain is about to be closed. */
  closing = false
  readonly #init: CoreInit<Header, Tx>
  readonly #warned = new Set<string>()
  #target: Entry<Header>

  constructor(init: CoreInit<Header, Tx>) {
    this.#init = init
    this.terms = init.terms
    this.store = init.store
    this.clock = init.clock ?? systemClock
    this.maxReorg = integer('maxReorg', init.maxReorg ?? 10_000, 1, 1_000_000)
    this.maxSide = integer('maxSide', init.maxSide ?? 250_000, 1, 10_000_000)
    this.margin = Math.max(init.terms.lookback, MEDIAN) + 1
    this.stepBytes = integer('stepBytes', init.stepBytes ?? STEP_BYTES, 1, Number.MAX_SAFE_INTEGER)
    this.bulk = integer('freeze.bulk', init.freeze?.bulk ?? BULK, 1, 1_000_000)
    this.hot = integer('freeze.hot', init.freeze?.hot ?? HOT, 1, 1_000_000)
    this.bodies = init.bodies ?? true
    this.stateful = this.bodies && init.terms.rules.state != null
    if (init.txIndex && !this.bodies)
      throw new ConfigError('txIndex', 'needs blocks, and this chain keeps headers only')
    this.txIndex = init.txIndex ? new TxIndex(init.store, init.terms.limits) : undefined
    this.tree = new Tree({
      genesis: init.terms.genesis.at,
      tie: init.terms.tie,
      maxReorg: this.maxReorg,
      pinned: (height) => init.terms.checkpoints.passed(height),
      keep: this.maxReorg + this.margin,
      maxSide: this.maxSide,
      bodies: this.bodies
    })
    this.#target = this.tree.target
    this.inspector = new Inspector({
      terms: init.terms,
      clock: this.clock,
      before: (entry) => this.before(entry),
      threw: (rule, cause) => this.error(new RuleError(rule, cause))
    })
  }

  /** So many blocks go straight into the files: fewer where they are large. */
  isBulk(blocks: number, bytes: number): boolean {
    return blocks >= this.bulk || (blocks > 1 && bytes >= BULK_BYTES)
  }

  /** @throws AbortError once the chain is being closed: for what takes long and can be carried on later. */
  checkClosing(): void {
    if (this.closing) throw new DOMException('the chain is being closed', 'AbortError')
  }

  emit<K extends keyof ChainEvents<Header>>(type: K, detail: ChainEvents<Header>[K]['detail']): void {
    this.#init.emit(type, detail)
  }

  tellRebuild(progress: RebuildDetail): void {
    this.#init.emit('rebuild', progress)
    this.#init.onRebuild?.(progress)
  }

  listens(type: keyof ChainEvents<Header>): boolean {
    return this.#init.listens(type)
  }

  error(error: BlockwireError): void {
    this.#init.emit('error', error)
  }

  /** The block before, also where it is no longer in memory. */
  before(entry: Entry<Header>): Entry<Header> | undefined {
    if (entry.parent != null || entry.at.height === 0) return entry.parent
    return this.older(entry.at.header.parent)
  }

  /** A block of the head chain that is no longer in memory. */
  older(hash: Uint8Array): Entry<Header> | undefined {
    const height = this.store.heightOf(hash)
    if (height == null || height >= this.tree.base) return undefined
    const main = this.store.mainAt(height)
    const record = this.store.headerAt(height, hash)
    if (main == null || record == null || !equalBytes(main, hash)) return undefined
    try {
      const header = this.terms.rules.header.decode(record.header)
      const entry = makeEntry({ hash: new Uint8Array(hash), height, work: record.work, header }, undefined)
      entry.main = entry.body = entry.complete = true
      return entry
    } catch {
      return undefined
    }
  }

  /** A block by hash, in memory or on the head chain below. */
  entry(hash: Uint8Array): Entry<Header> | undefined {
    return this.tree.get(hash) ?? this.older(hash)
  }

  /** Headers that the tree forgot: their records go with the next batch. */
  discard(entries: Entry<Header>[]): void {
    // one by one: a branch may be longer than a call has room for arguments
    for (const entry of entries) if (!entry.deep && !this.#pending.delete(entry)) this.#trash.push(entry)
  }

  park(hash: Uint8Array): void {
    const entry = this.tree.get(hash)
    if (entry != null) this.tree.park(entry)
    this.announceTarget()
  }

  unpark(hash: Uint8Array): void {
    const entry = this.tree.get(hash)
    if (entry != null) this.tree.revive(entry)
    this.announceTarget()
  }

  /** A branch is heavier but forks off too deep: remembers the heaviest, and says it once per branch. */
  warnDeep(tip: Entry<Header>): void {
    const forkHeight = this.tree.forkHeight(tip)
    const known = splitOf(this)
    // nothing could be decided about one that contradicts a checkpoint
    const open = forkHeight >= this.tree.pinned
    if (open && (known == null || tip.at.work > known.work)) this.split = { at: tip.at, forkHeight }
    const first = toHex((branchOf(tip)[0] ?? tip).at.hash)
    if (this.#warned.has(first)) return
    if (this.#warned.size >= MAX_WARNED) this.#warned.clear()
    this.#warned.add(first)
    const depth = this.tree.head.at.height - forkHeight
    const split = splitOf(this)
    if (open && split != null) this.emit('split', split)
    this.error(new ReorgTooDeepError(depth, this.maxReorg, toHex(tip.at.hash)))
  }

  /** Says that the target moved, if it did. */
  announceTarget(): void {
    if (this.tree.target === this.#target) return
    this.#target = this.tree.target
    this.emit('target', this.#target.at)
  }

  /** Headers that are not stored yet. */
  get pending(): number {
    return this.#pending.size
  }

  /** Headers that need not be on disk before whatever is written next. */
  later(headers: Entry<Header>[]): void {
    for (const entry of headers) this.#pending.add(entry)
  }

  /** Whether nothing is stored of a header that is here. */
  pends(entry: Entry<Header>): boolean {
    return this.#pending.has(entry)
  }

  /** Blocks are stored whose headers were not. */
  stored(entries: Entry<Header>[]): void {
    if (this.#pending.size > 0) for (const entry of entries) this.#pending.delete(entry)
  }

  /**
   * Writes, with the headers that wait; a failure is said as an event and answered with false. `hold`: the headers may wait on, because
   * nothing that is written stands on them.
   */
  async commit(writing: Writing, what: string, sync: boolean, hold = false): Promise<boolean> {
    const trash = this.#trash.splice(0)
    for (const entry of trash) this.#delete(writing, entry)
    const pending = this.#pending
    let first: Writing | undefined
    if (!hold && pending.size > 0) {
      first = this.store.write()
      for (const { at } of pending) putHeader(first, at, at.bytes!)
      this.#pending = new Set()
    }
    try {
      await writing.commit(sync, first)
      if (sync) this.durable = Math.max(this.durable, this.tree.head.at.height)
      return true
    } catch (cause) {
      if (first != null) this.#pending = new Set([...pending, ...this.#pending])
      this.discard(trash)
      this.error(new StoreWriteError(what, cause))
      return false
    }
  }

  #delete(writing: Writing, { at }: Entry<Header>): void {
    // what was dropped may be back by now
    if (this.tree.get(at.hash) != null) return
    writing.del(blockKey(TABLE.header, at.height, at.hash))
    writing.del(blockKey(TABLE.body, at.height, at.hash))
    writing.del(bytesKey(TABLE.height, at.hash))
    writing.del(bytesKey(TABLE.invalid, at.hash))
  }
}
