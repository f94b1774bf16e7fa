import { compareBytes } from '../hex.js'
import { attach, completed, forksOf, heaviest, lightest, revived, unlink } from './branch.js'
import { type Entry, forkHeightOf, makeEntry, subtree, type TreeInit } from './entry.js'
import { HashIndex } from './hash-index.js'
import { Path } from './path.js'
import type { Located } from './rules.js'
import { Trunk } from './trunk.js'

/**
 * The headers near and above the head: which are there, which is head, which is the target, which branch is the better one. Pure:
 * no rules, no bytes, no database. The one owner of what is valid and what is followed.
 */
export class Tree<Header> {
  readonly #init: TreeInit<Header>
  readonly #entries = new HashIndex<Header>()
  readonly #side = new Set<Entry<Header>>()
  readonly #candidates = new Set<Entry<Header>>()
  #trunk: Trunk<Header>
  readonly #path: Path<Header>
  /** Below this height nothing can be taken back: no undo is stored. */
  floor = 0
  /** While the head moves in steps: where it came from, and goes back to when the way ahead turns out bad. Nothing of it is forgotten. */
  leaving: Entry<Header> | undefined
  /** Height of the fork from which a branch is followed although it is too deep; among the steps it leaves the head chain ever higher. */
  accepted: number | undefined

  constructor(init: TreeInit<Header>) {
    this.#init = init
    this.#trunk = new Trunk([init.genesis])
    this.#path = new Path(this.#trunk.head)
    this.restore([init.genesis])
  }

  get head(): Entry<Header> {
    return this.#trunk.head
  }

  get target(): Entry<Header> {
    return this.#path.target
  }

  /** What a branch has to beat. */
  get standard(): Entry<Header> {
    return this.leaving ?? this.head
  }

  /** Blocks of the head chain that stay in memory below the head. */
  get keep(): number {
    return this.#init.keep
  }

  /** No branch that forks off below this height of the head chain is ever followed. */
  get pinned(): number {
    return this.#init.pinned?.(this.standard.at.height) ?? 0
  }

  /** Heights of the head chain from here up are in memory. */
  get base(): number {
    return this.#trunk.base
  }

  get(hash: Uint8Array): Entry<Header> | undefined {
    return this.#entries.get(hash)
  }

  /** The head chain's block at a height, while it is in memory. */
  mainAt(height: number): Entry<Header> | undefined {
    return this.#trunk.at(height)
  }

  /** Begins anew with a head chain, ascending, of at least one block. */
  restore(chain: Located<Header>[]): void {
    this.#entries.clear()
    this.#side.clear()
    this.#candidates.clear()
    this.leaving = undefined
    this.#trunk = new Trunk(chain)
    for (const entry of this.#trunk.from(0)) this.#entries.set(entry)
    this.#path.reset(this.head)
  }

  /** Takes blocks of the head chain into memory again, ascending, up to the lowest that is there. */
  deepen(chain: Located<Header>[]): void {
    for (const entry of this.#trunk.deepen(chain)) this.#entries.set(entry)
  }

  /** Does `a` win over `b`? */
  better(a: Located<Header>, b: Located<Header>): boolean {
    if (a.work !== b.work) return a.work > b.work
    return this.#init.tie === 'lowest-hash' && compareBytes(a.hash, b.hash) < 0
  }

  /** Height at which a branch leaves the head chain. */
  forkHeight(entry: Entry<Header>): number {
    if (entry === this.#path.target) return this.#path.forkHeight
    return forkHeightOf(entry)
  }

  tooDeep(forkHeight: number): boolean {
    return forkHeight < this.pinned || (forkHeight < this.#lowest && forkHeight !== this.accepted)
  }

  /**
   * A new header. It is followed as target when it is the best. Undo with `remove` before anything stands on it.
   * `parent` may be one of the head chain that is no longer in memory: then the header is `deep`.
   */
  insert(at: Located<Header>, parent: Entry<Header>, deep = parent.deep): Entry<Header> {
    const entry = makeEntry(at, parent)
    entry.deep = deep
    entry.parked = parent.parked
    if (parent.invalid != null) entry.invalid = 'a block before it is invalid'
    entry.sibling = parent.child
    parent.child = entry
    this.#entries.set(entry)
    this.#side.add(entry)
    this.#consider(entry)
    return entry
  }

  /** Takes a header and all that stand on it out again. Answers what went. */
  remove(entry: Entry<Header>): Entry<Header>[] {
    const gone = subtree(entry)
    unlink(entry)
    this.#drop(gone)
    if (gone.includes(this.target)) this.#search()
    return gone
  }

  /** Takes out what was only just inserted. */
  removeAll(entries: Entry<Header>[]): void {
    for (const entry of entries) if (!entry.main && this.#entries.get(entry.at.hash) === entry) this.remove(entry)
  }

  /** Its body is stored now. Branches that are complete by it become candidates; a branch that was parked is revived. */
  fill(entry: Entry<Header>): void {
    entry.body = true
    this.revive(entry)
    if (entry.parent == null || !(entry.parent.main || entry.parent.complete)) return
    for (const each of completed(entry)) this.nominate(each)
  }

  /** A body that was thought to be stored cannot be read. */
  empty(entry: Entry<Header>): void {
    entry.body = false
    for (const each of subtree(entry)) {
      each.complete = false
      this.#candidates.delete(each)
    }
  }

  /** Considers a complete entry as next head. */
  nominate(entry: Entry<Header>): void {
    if (!entry.complete || entry.main || entry.invalid != null || entry.deep) return
    if (this.better(entry.at, this.standard.at)) this.#candidates.add(entry)
  }

  /** The best branch that could replace the head now, all bodies of it stored. */
  candidate(): Entry<Header> | undefined {
    let best: Entry<Header> | undefined
    for (const entry of this.#candidates) if (best == null || this.better(entry.at, best.at)) best = entry
    return best
  }

  /** Not as next head, for now. */
  dismiss(entry: Entry<Header>): void {
    this.#candidates.delete(entry)
  }

  /** For ever, and all that stand on it. */
  invalidate(entry: Entry<Header>, reason: string): void {
    for (const each of subtree(entry)) {
      each.invalid ??= each === entry ? reason : 'a block before it is invalid'
      this.#candidates.delete(each)
    }
    if (this.target.invalid != null) this.#search()
  }

  /** Its branch no longer counts for the target. */
  park(entry: Entry<Header>): void {
    if (entry.main || entry.body) return
    entry.parkedHere = true
    for (const each of subtree(entry)) each.parked = true
    if (this.target.parked) this.#search()
  }

  /** Its branch counts again, from its first block on. */
  revive(entry: Entry<Header>): void {
    for (const each of revived(entry)) this.#consider(each)
  }

  /**
   * The head moves: blocks above `common` leave the head chain, `added` join it. Answers what is no longer remembered: forks too far
   * below.
   */
  move(common: Entry<Header>, added: Entry<Header>[]): Entry<Header>[] {
    for (const entry of this.#trunk.popTo(common)) {
      // where there are no bodies, only the place on the head chain said that it is complete
      if (this.#init.bodies === false) entry.body = entry.complete = false
      this.#side.add(entry)
      this.nominate(entry)
    }
    for (const entry of added) {
      this.revive(entry)
      this.#side.delete(entry)
      this.#trunk.push(entry)
    }
    for (const entry of added) {
      for (let child = entry.child; child != null; child = child.sibling) {
        if (child.body && !child.complete) this.fill(child)
      }
    }
    for (const entry of this.#candidates) {
      if (entry.main || !this.better(entry.at, this.standard.at)) this.#candidates.delete(entry)
    }
    const gone = this.#prune()
    this.#path.follow()
    const target = this.target
    if (target !== this.standard && (!this.better(target.at, this.standard.at) || this.tooDeep(this.#path.forkHeight)))
      this.#search()
    return gone
  }

  /** Blocks of the target's branch whose bodies are missing, ascending, from a height on. */
  missing(limit: number, from?: number): Entry<Header>[] {
    return this.#path.missing(limit, from)
  }

  /** The target's branch at a height, above the head chain. */
  pathAt(height: number): Entry<Header> | undefined {
    return this.#path.at(height)
  }

  /** Follows a branch although it forks off too deep, at a block of the head chain. */
  accept(root: Entry<Header>, fork: Entry<Header>): void {
    attach(root, fork)
    this.accepted = fork.at.height
    for (const each of subtree(root)) {
      each.deep = false
      this.nominate(each)
      this.#consider(each)
    }
  }

  /** Makes room for `room` headers by dropping the lightest branches that are not followed. Answers what went. */
  shed(room: number): Entry<Header>[] {
    if (this.#side.size + room <= this.#init.maxSide) return []
    const enough = Math.max(room, Math.floor(this.#init.maxSide / 10))
    const gone = lightest(this.#side, new Set(this.#path), enough)
    for (const entry of gone) this.remove(entry)
    return gone
  }

  get sideSize(): number {
    return this.#side.size
  }

  get full(): boolean {
    return this.#side.size >= this.#init.maxSide
  }

  /** No branch is followed that forks off below. */
  get #lowest(): number {
    const lowest = Math.max(this.standard.at.height - this.#init.maxReorg, this.floor)
    const open = this.leaving == null ? lowest : Math.min(lowest, this.accepted ?? lowest)
    return Math.max(open, this.pinned)
  }

  #consider(entry: Entry<Header>): void {
    if (entry.invalid != null || entry.parked || entry.deep || !this.better(entry.at, this.target.at)) return
    if (this.tooDeep(entry.parent === this.target ? this.#path.forkHeight : this.forkHeight(entry))) return
    this.#path.lead(entry)
  }

  /** Finds the target anew. */
  #search(): void {
    const open = this.#trunk.from(this.#lowest)
    const accepted = this.accepted == null ? undefined : this.mainAt(this.accepted)
    if (accepted != null && accepted.at.height < this.#lowest && accepted.at.height >= this.pinned) open.push(accepted)
    this.#path.lead(heaviest(open, this.standard, (a, b) => this.better(a.at, b.at)))
  }

  /** Forgets what lies too far below the head, and the forks from there. */
  #prune(): Entry<Header>[] {
    const top = Math.min(
      this.head.at.height,
      this.standard.at.height,
      (this.accepted ?? Infinity) + this.#init.maxReorg
    )
    const below = this.#trunk.forget(top - this.#init.keep)
    const gone = forksOf(below)
    this.#drop(below)
    this.#drop(gone)
    return gone
  }

  #drop(gone: Entry<Header>[]): void {
    for (const entry of gone) {
      this.#entries.delete(entry)
      this.#side.delete(entry)
      this.#candidates.delete(entry)
    }
  }
}
