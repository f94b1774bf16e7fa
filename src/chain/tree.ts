import { compareBytes } from '../hex.js'
import { type Entry, forkHeightOf, lightest, makeEntry, subtree, type TreeInit, unlink } from './entry.js'
import { keyOf } from './key.js'
import { Path } from './path.js'
import type { Located } from './rules.js'
import { Trunk } from './trunk.js'

/**
 * The headers near and above the head: which are there, which is head, which is the target, which branch is the better one. Pure:
 * no rules, no bytes, no database. The one owner of what is valid and what is followed.
 */
export class Tree<Header> {
  readonly #init: TreeInit<Header>
  readonly #entries = new Map<string, Entry<Header>>()
  readonly #side = new Set<Entry<Header>>()
  readonly #candidates = new Set<Entry<Header>>()
  #trunk: Trunk<Header>
  readonly #path: Path<Header>
  /** Below this height nothing can be taken back: no undo is stored. */
  floor = 0

  constructor(init: TreeInit<Header>) {
    this.#init = init
    const genesis = makeEntry(init.genesis, undefined)
    this.#trunk = new Trunk(genesis)
    this.#path = new Path(genesis)
    this.restore([init.genesis])
  }

  get head(): Entry<Header> {
    return this.#trunk.head
  }

  get target(): Entry<Header> {
    return this.#path.target
  }

  /** Blocks of the head chain that stay in memory below the head. */
  get keep(): number {
    return this.#init.keep
  }

  /** Heights of the head chain from here up are in memory. */
  get base(): number {
    return this.#trunk.base
  }

  get(hash: Uint8Array): Entry<Header> | undefined {
    return this.#entries.get(keyOf(hash))
  }

  find(key: string): Entry<Header> | undefined {
    return this.#entries.get(key)
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
    let parent: Entry<Header> | undefined
    for (const at of chain) {
      const entry = makeEntry(at, parent)
      if (parent == null) this.#trunk = new Trunk(entry)
      else {
        parent.child = entry
        this.#trunk.push(entry)
      }
      entry.main = entry.body = entry.complete = true
      this.#entries.set(entry.key, entry)
      parent = entry
    }
    this.#path.reset(this.head)
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
    return forkHeight < this.#lowest
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
    this.#entries.set(entry.key, entry)
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
    for (const entry of entries) if (!entry.main && this.#entries.get(entry.key) === entry) this.remove(entry)
  }

  /** Its body is stored now. Branches that are complete by it become candidates; a branch that was parked is revived. */
  fill(entry: Entry<Header>): void {
    entry.body = true
    this.revive(entry)
    if (entry.parent == null || !(entry.parent.main || entry.parent.complete)) return
    const open = [entry]
    for (let at = open.pop(); at != null; at = open.pop()) {
      at.complete = true
      this.nominate(at)
      for (let child = at.child; child != null; child = child.sibling) if (child.body && !child.main) open.push(child)
    }
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
    if (entry.complete && !entry.main && entry.invalid == null && !entry.deep && this.better(entry.at, this.head.at))
      this.#candidates.add(entry)
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
    if (!entry.parked) return
    let root = entry
    for (let at: Entry<Header> | undefined = entry; at != null && !at.main && at.parked; at = at.parent) {
      at.parkedHere = false
      root = at
    }
    const open = [root]
    for (let at = open.pop(); at != null; at = open.pop()) {
      if (at.parkedHere) continue
      at.parked = false
      this.#consider(at)
      for (let child = at.child; child != null; child = child.sibling) open.push(child)
    }
  }

  /**
   * The head moves: blocks above `common` leave the head chain, `added` join it. Answers what is no longer remembered: forks too far
   * below.
   */
  move(common: Entry<Header>, added: Entry<Header>[]): Entry<Header>[] {
    while (this.head !== common) this.#side.add(this.#trunk.pop())
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
      if (entry.main || !this.better(entry.at, this.head.at)) this.#candidates.delete(entry)
    }
    const gone = this.#prune()
    this.#path.follow()
    const target = this.target
    if (target !== this.head && (!this.better(target.at, this.head.at) || this.tooDeep(this.#path.forkHeight)))
      this.#search()
    return gone
  }

  /** Blocks of the target's branch whose bodies are missing, ascending. */
  missing(limit: number): Entry<Header>[] {
    const missing: Entry<Header>[] = []
    for (const entry of this.#path) {
      if (missing.length >= limit) break
      if (!entry.body) missing.push(entry)
    }
    return missing
  }

  /** The target's branch at a height, above the head chain. */
  pathAt(height: number): Entry<Header> | undefined {
    return this.#path.at(height)
  }

  /** Makes room for `room` headers by dropping the lightest branches that are not followed. Answers what went. */
  shed(room: number): Entry<Header>[] {
    if (this.#side.size + room <= this.#init.maxSide) return []
    const enough = Math.max(room, Math.floor(this.#init.maxSide / 10))
    const gone = lightest(this.#side, new Set(this.#path), enough)
    for (const entry of gone) this.remove(entry)
    return gone
  }

  /** Forks from below this height of the head chain are not followed. */
  get #lowest(): number {
    const { height } = this.head.at
    return Math.max(height - this.#init.maxReorg, this.floor, this.#init.pinned?.(height) ?? 0)
  }

  get full(): boolean {
    return this.#side.size >= this.#init.maxSide
  }

  #consider(entry: Entry<Header>): void {
    if (entry.invalid != null || entry.parked || entry.deep || !this.better(entry.at, this.target.at)) return
    if (this.tooDeep(entry.parent === this.target ? this.#path.forkHeight : this.forkHeight(entry))) return
    this.#path.lead(entry)
  }

  /** Finds the target anew. */
  #search(): void {
    let best = this.head
    const open: Entry<Header>[] = []
    const lowest = Math.max(this.#trunk.base, this.#lowest)
    for (let height = lowest; height <= this.head.at.height; height++) open.push(this.mainAt(height)!)
    for (let at = open.pop(); at != null; at = open.pop()) {
      if (this.better(at.at, best.at)) best = at
      for (let child = at.child; child != null; child = child.sibling) {
        if (!child.main && !child.parked && child.invalid == null) open.push(child)
      }
    }
    this.#path.lead(best)
  }

  /** Forgets what lies too far below the head, and the forks from there. */
  #prune(): Entry<Header>[] {
    const gone: Entry<Header>[] = []
    for (const entry of this.#trunk.forget(this.head.at.height - this.#init.keep)) {
      this.#entries.delete(entry.key)
      for (let child = entry.child; child != null; child = child.sibling) {
        if (child.main) child.parent = undefined
        else for (const each of subtree(child)) gone.push(each)
      }
    }
    this.#drop(gone)
    return gone
  }

  #drop(gone: Entry<Header>[]): void {
    for (const entry of gone) {
      this.#entries.delete(entry.key)
      this.#side.delete(entry)
      this.#candidates.delete(entry)
    }
  }
}
