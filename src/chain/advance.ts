import { equalBytes } from '../hex.js'
import type { Core } from './core.js'
import type { Entry } from './entry.js'
import { execute, type Outcome } from './execution.js'
import type { Piece } from './inspector.js'
import { blockKey, bytesKey, encodeHeaderRecord, encodeHeight, headRecord, heightKey, TABLE } from './layout.js'
import { encodeUndoRange, RECORD } from './record.js'
import type { BaseHeader } from './rules.js'
import { overCap } from './split.js'
import { putHeader } from './standing.js'
import { type Before, decodeUndo, encodeUndo, isPromise, Overlay } from './state.js'
import type { Writing } from './store.js'
import { announceWay, wayBetween } from './way.js'

/** A block about to join the head chain. */
interface Joining<Header> {
  entry: Entry<Header>
  bytes: Uint8Array
  /** Of its header, where that is not stored yet, or is to be stored again. */
  fresh: boolean
  headerBytes: Uint8Array
  txs: number
  undo: Uint8Array | undefined
}

/**
 * A move of the head, prepared in memory: blocks taken back, blocks applied, all in one atomic batch. Until `commit` nothing else
 * knows of it, and if it fails nothing has happened.
 */
export class Advance<Header extends BaseHeader, Tx> {
  readonly #core: Core<Header, Tx>
  readonly #overlay: Overlay
  readonly #writing: Writing
  readonly #joining: Joining<Header>[] = []
  readonly #dropped: Entry<Header>[] = []
  /** What blocks hold in memory. */
  #held = 0
  #common: Entry<Header>
  #top: Entry<Header>
  /** It is being written: what it changed is not in the store yet. */
  #after: Advance<Header, Tx> | undefined

  /** `after`: goes on from there. That one must be committed before this one is, and this one dropped if it is not. */
  constructor(core: Core<Header, Tx>, after?: Advance<Header, Tx>) {
    this.#core = core
    this.#after = after
    this.#overlay = new Overlay((key) => {
      return this.#after == null ? core.store.read(bytesKey(TABLE.state, key)) : this.#after.#overlay.get(key)
    })
    this.#writing = core.store.write()
    this.#common = this.#top = after?.top ?? core.tree.head
  }

  /** Where the head would be. */
  get top(): Entry<Header> {
    return this.#top
  }

  /** Blocks that would join. */
  get size(): number {
    return this.#joining.length
  }

  /** Of what would be written and of what is held until then, about. */
  get bytes(): number {
    return this.#writing.bytes + this.#overlay.bytes + this.#held
  }

  /** Takes the topmost block of the head chain back. False where its undo record is missing or damaged. */
  async drop(): Promise<boolean> {
    const entry = this.#common
    const { store, terms } = this.#core
    if (terms.rules.state != null) {
      const bytes = await store.read(blockKey(TABLE.undo, entry.at.height, entry.at.hash))
      const record = bytes == null ? undefined : decodeUndo(bytes)
      if (record == null) return false
      this.#overlay.revert(record)
    }
    await this.#core.txIndex?.del(this.#writing, entry.at)
    this.#dropped.push(entry)
    this.#common = this.#top = entry.parent!
    return true
  }

  /**
   * Applies a block on the top. `fresh`: its header is not stored yet, either. Anything but `true` leaves everything as it was before
   * this block.
   */
  apply(entry: Entry<Header>, piece: Piece<Header, Tx>, txs: Tx[], fresh: boolean): Outcome | Promise<Outcome> {
    const { state } = this.#core.terms.rules
    if (state == null) return this.#join(entry, piece, fresh, undefined)
    this.#overlay.begin()
    const ctx = { height: entry.at.height, parent: this.#top.at, header: entry.at.header }
    if (state.reads != null && !this.#core.store.immediate) {
      return this.#prefetch(txs).then(() => this.#settle(execute(state, txs, ctx, this.#overlay), entry, piece, fresh))
    }
    return this.#settle(execute(state, txs, ctx, this.#overlay), entry, piece, fresh)
  }

  /**
   * Writes all of it. False when that failed: then the head stands where it stood. `step`: nothing is announced. With a record it is one
   * step of a longer way, and nothing is forgotten that the way back needs; `quiet` is a state that is made anew.
   */
  async commit(sync: boolean, step?: Uint8Array | 'quiet'): Promise<boolean> {
    const { tree } = this.#core
    this.#after = undefined
    const before = tree.head
    const head = this.#top
    const onTheWay = step instanceof Uint8Array
    const undoFrom = Math.max(this.#core.undoFrom, onTheWay ? 0 : head.at.height - this.#core.maxReorg + 1)
    const frozen = this.#frozen
    this.#encode(before, head, undoFrom, frozen, step === 'quiet')
    if (onTheWay) this.#writing.put(RECORD.reorg, step)
    else if (tree.leaving != null) this.#writing.del(RECORD.reorg)
    const synced = sync || (frozen && this.#moves)
    if (!(await this.#core.commit(this.#writing, `blocks up to ${head.at.height}`, synced, frozen))) return false
    this.#core.stored(this.#joining.map(({ entry }) => entry))
    const target = tree.target
    const dropped = this.#dropped.toReversed()
    const way = step == null && tree.leaving != null ? wayBetween(tree.leaving, head) : undefined
    tree.leaving = onTheWay ? (tree.leaving ?? before) : undefined
    this.#core.undoFrom = undoFrom
    if (this.#core.terms.rules.state != null) tree.floor = undoFrom - 1
    const gone = tree.move(
      this.#common,
      this.#joining.map(({ entry }) => entry)
    )
    this.#core.discard(gone)
    if (synced) this.#core.durable = Math.max(this.#core.durable, head.at.height)
    if (step != null) return true
    await this.#leave(target)
    if (way == null) this.#announce(before, dropped)
    else await announceWay(this.#core, way)
    return true
  }

  async #prefetch(txs: Tx[]): Promise<void> {
    const reads = this.#core.terms.rules.state?.reads
    if (reads == null) return
    try {
      await this.#overlay.prefetch(txs.flatMap((tx) => reads.call(this.#core.terms.rules.state, tx)))
    } catch {
      // only a hint: what is wrong with a key shows when it is read
    }
  }

  #settle(
    outcome: Outcome | Promise<Outcome>,
    entry: Entry<Header>,
    piece: Piece<Header, Tx>,
    fresh: boolean
  ): Outcome | Promise<Outcome> {
    if (isPromise(outcome)) return outcome.then((settled) => this.#settle(settled, entry, piece, fresh))
    if (outcome !== true) {
      this.#overlay.rollback(0)
      return outcome
    }
    const undo = this.#overlay.undo()
    return isPromise(undo)
      ? undo.then((record) => this.#join(entry, piece, fresh, record))
      : this.#join(entry, piece, fresh, undo)
  }

  #join(entry: Entry<Header>, piece: Piece<Header, Tx>, fresh: boolean, undo: Before[] | undefined): true {
    const record = undo == null ? undefined : encodeUndo(undo)
    const { bytes, headerBytes } = piece
    this.#held += bytes.length + headerBytes.length + (record?.length ?? 0)
    this.#core.txIndex?.put(this.#writing, entry.at.height, piece.raw)
    this.#joining.push({ entry, bytes, fresh, headerBytes, txs: piece.count, undo: record })
    this.#top = entry
    return true
  }

  /** Many blocks that follow on the files go there. */
  get #frozen(): boolean {
    const follows = this.#dropped.length === 0 && this.#common.at.height === this.#core.store.freezer?.top
    return follows && this.#core.isBulk(this.#joining.length, this.#held)
  }

  /** Bodies would leave the tables, where they may be on disk by now. */
  get #moves(): boolean {
    return this.#joining.some(({ entry }) => entry.body)
  }

  /** `again`: it is on the head chain of the tables already. */
  #freeze({ entry, fresh, bytes, headerBytes }: Joining<Header>, again: boolean): void {
    const { height, hash, work } = entry.at
    this.#writing.freeze({ height, hash, record: encodeHeaderRecord(work, headerBytes), bytes })
    const stored = !fresh && !this.#core.pends(entry)
    if (!stored) this.#writing.put(bytesKey(TABLE.height, hash), encodeHeight(height))
    if (stored || again) this.#writing.del(blockKey(TABLE.header, height, hash))
    if (again) this.#writing.del(heightKey(TABLE.main, height))
    if (entry.body) this.#writing.del(blockKey(TABLE.body, height, hash))
  }

  #put({ entry, fresh, bytes, headerBytes }: Joining<Header>): void {
    const { height, hash } = entry.at
    // where the state is made anew the blocks are there
    if (this.#core.store.freezer?.holds(height)) return
    if (fresh) putHeader(this.#writing, entry.at, headerBytes)
    if (!entry.body) this.#writing.put(blockKey(TABLE.body, height, hash), bytes)
    this.#writing.put(heightKey(TABLE.main, height), hash)
  }

  #encode(before: Entry<Header>, head: Entry<Header>, undoFrom: number, frozen: boolean, again: boolean): void {
    const writing = this.#writing
    for (const { at } of this.#dropped) writing.del(blockKey(TABLE.undo, at.height, at.hash))
    for (let height = before.at.height; height > head.at.height; height--) writing.del(heightKey(TABLE.main, height))
    for (const joining of this.#joining) {
      const { entry, undo } = joining
      if (frozen) this.#freeze(joining, again)
      else this.#put(joining)
      if (undo != null && entry.at.height >= undoFrom)
        writing.put(blockKey(TABLE.undo, entry.at.height, entry.at.hash), undo)
    }
    if (this.#core.terms.rules.state != null) {
      const last = Math.min(undoFrom - 1, this.#common.at.height)
      for (let height = this.#core.undoFrom; height <= last; height++) {
        const entry = this.#core.tree.mainAt(height)
        if (entry != null) writing.del(blockKey(TABLE.undo, height, entry.at.hash))
      }
      for (const { key, value } of this.#overlay.changes()) {
        if (value == null) writing.del(bytesKey(TABLE.state, key))
        else writing.put(bytesKey(TABLE.state, key), value)
      }
    }
    // a heavier branch may be shorter: below where undo was pushed out there is none
    if (this.#core.terms.rules.state != null && undoFrom > Math.max(1, head.at.height - this.#core.maxReorg + 1))
      writing.put(RECORD.undo, encodeUndoRange(undoFrom, this.#core.maxReorg))
    writing.put(RECORD.head, headRecord(head.at.height, head.at.hash))
  }

  /** A target was given up: because its branch forks off too deep by now? */
  async #leave(target: Entry<Header>): Promise<void> {
    const { tree } = this.#core
    if (target === tree.target || target.invalid != null || target.parked || !tree.better(target.at, tree.head.at))
      return
    if (tree.tooDeep(tree.forkHeight(target))) await overCap(this.#core, target)
  }

  #announce(before: Entry<Header>, dropped: Entry<Header>[]): void {
    const core = this.#core
    const head = core.tree.head
    core.announceTarget()
    if (dropped.length > 0) {
      core.emit('reorg', {
        from: before.at,
        to: head.at,
        common: this.#common.at,
        dropped: dropped.map(({ at }) => at),
        added: this.#joining.map(({ entry }) => entry.at)
      })
    }
    if (core.listens('block')) {
      for (const { entry, bytes, txs } of this.#joining) {
        const { hash, height, header } = entry.at
        core.emit('block', { hash, height, header, bytes, txs })
      }
    }
    if (!equalBytes(before.at.hash, head.at.hash)) core.emit('head', head.at)
  }
}
