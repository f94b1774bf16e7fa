import type { Clock } from '../clock.js'
import { type BlockwireError, ReorgTooDeepError, RuleError, StoreWriteError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import { type Entry, makeEntry } from './entry.js'
import type { ChainEvents } from './events.js'
import type { Terms } from './genesis.js'
import { Inspector, MEDIAN } from './inspector.js'
import type { BaseHeader } from './rules.js'
import { blockKey, bytesKey, type Store, TABLE, type Writing } from './store.js'
import { Tree } from './tree.js'

export interface CoreInit<Header extends BaseHeader, Tx> {
  terms: Terms<Header, Tx>
  store: Store
  clock: Clock
  maxReorg: number
  maxSide: number
  emit<K extends keyof ChainEvents<Header>>(type: K, detail: ChainEvents<Header>[K]['detail']): void
  listens(type: keyof ChainEvents<Header>): boolean
}

/** Branches whose depth was reported, at most. */
const MAX_WARNED = 1_000

/** What the parts of the engine share: the tree, the store, the rules, and how to say what happened. */
export class Core<Header extends BaseHeader, Tx> {
  readonly terms: Terms<Header, Tx>
  readonly store: Store
  readonly clock: Clock
  readonly maxReorg: number
  readonly tree: Tree<Header>
  readonly inspector: Inspector<Header, Tx>
  /** Headers no longer remembered, to be deleted with the next batch. */
  readonly #trash: Entry<Header>[] = []
  /** Undo is stored from this height up. */
  undoFrom = 1
  readonly #init: CoreInit<Header, Tx>
  readonly #warned = new Set<string>()
  #target: Entry<Header>

  constructor(init: CoreInit<Header, Tx>) {
    this.#init = init
    this.terms = init.terms
    this.store = init.store
    this.clock = init.clock
    this.maxReorg = init.maxReorg
    this.tree = new Tree({
      genesis: init.terms.genesis.at,
      tie: init.terms.tie,
      maxReorg: init.maxReorg,
      pinned: (height) => init.terms.checkpoints.passed(height),
      keep: init.maxReorg + Math.max(init.terms.lookback, MEDIAN) + 1,
      maxSide: init.maxSide
    })
    this.#target = this.tree.target
    this.inspector = new Inspector({
      terms: init.terms,
      clock: init.clock,
      before: (entry) => this.before(entry),
      threw: (rule, cause) => this.error(new RuleError(rule, cause))
    })
  }

  emit<K extends keyof ChainEvents<Header>>(type: K, detail: ChainEvents<Header>[K]['detail']): void {
    this.#init.emit(type, detail)
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
    for (const entry of entries) if (!entry.deep) this.#trash.push(entry)
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

  /** Says once per branch that it is heavier but forks off too deep. `first` is its first block off the head chain. */
  warnDeep(first: string, forkHeight: number, tip: Uint8Array): void {
    if (this.#warned.has(first)) return
    if (this.#warned.size >= MAX_WARNED) this.#warned.clear()
    this.#warned.add(first)
    const depth = this.tree.head.at.height - forkHeight
    this.error(new ReorgTooDeepError(depth, this.maxReorg, toHex(tip)))
  }

  /** Says that the target moved, if it did. */
  announceTarget(): void {
    if (this.tree.target === this.#target) return
    this.#target = this.tree.target
    this.emit('target', this.#target.at)
  }

  /** Writes; a failure is said as an event and answered with false. */
  async commit(writing: Writing, what: string, sync: boolean): Promise<boolean> {
    const trash = this.#trash.splice(0)
    for (const entry of trash) this.#delete(writing, entry)
    try {
      await writing.commit(sync)
      return true
    } catch (cause) {
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
