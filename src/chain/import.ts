import { Slice } from '../slice.js'
import { Advance } from './advance.js'
import type { Core } from './core.js'
import type { Entry } from './entry.js'
import type { Outcome } from './execution.js'
import { freezeAll } from './freezing.js'
import type { Waiting } from './future.js'
import type { Piece } from './inspector.js'
import { keyOf } from './key.js'
import { blockKey, TABLE } from './layout.js'
import { condemn, reorganise, stateVerdict } from './reorg.js'
import type { BaseHeader } from './rules.js'
import { admitDeep } from './split.js'
import { assess, isFuture, located, makeRoom, putHeader, TOO_MANY } from './standing.js'
import { isPromise } from './state.js'
import { ACCEPT, ignore, reject, type Verdict } from './verdict.js'

/** What came of a list of blocks. */
export interface ImportResult {
  /** `accept`, or that of the first block that was not accepted; those after it were not looked at. */
  verdict: Verdict
  /** How many are stored now, those that were known included. */
  added: number
  /** Which one failed. When a write failed: the first that is not stored. */
  index?: number
}

export interface AddOptions {
  /** It is our own: synced to disk before the promise resolves. @default false */
  own?: boolean
  /** Gives up while waiting for its turn, and between batches of a bulk import; rejects with the signal's reason. */
  signal?: AbortSignal
}

/** Most of one atomic batch: one is written while the next is checked. */
const BATCH_BYTES = 4 * 1_048_576
const BATCH_BLOCKS = 512
/** Blocks taken apart together, about: what a liar put into them is looked at only then. */
const OPEN_BLOCKS = 64
const OPEN_BYTES = 1_048_576
/** How long to work before others have a turn of the event loop. */
const SLICE_MS = 2

/** The way in: blocks and headers from outside, one call at a time. The caller sees to the order. */
export class Importer<Header extends BaseHeader, Tx> {
  readonly #core: Core<Header, Tx>
  readonly #waiting: Waiting

  constructor(core: Core<Header, Tx>, waiting: Waiting) {
    this.#core = core
    this.#waiting = waiting
  }

  async add(bytes: Uint8Array, own: boolean): Promise<Verdict> {
    const core = this.#core
    const piece = core.inspector.open(bytes)
    if (!('hash' in piece)) return piece
    core.inspector.forget(bytes)
    const standing = assess(core, piece, core.tree.head)
    const { verdict, parent, place } = standing
    const future = isFuture(verdict)
    if (parent == null || place == null || (verdict.result !== 'accept' && !future)) return verdict
    if (standing.deep) {
      if (standing.entry != null || !makeRoom(core, 1)) return ignore('too-deep')
      await admitDeep(core, piece, parent, place)
      // where it is followed after all it is an ordinary one now
      return core.tree.get(piece.hash)?.deep === false ? this.add(bytes, own) : ignore('too-deep')
    }
    const preparing = core.inspector.prepare([piece])
    if (preparing != null) await preparing
    const body = core.inspector.body(piece)
    if (future && body.verdict.result === 'accept') {
      this.#waiting.park(keyOf(piece.hash), bytes, piece.header.time)
      return verdict
    }
    // a wrong body says nothing about the header
    if (!body.bound || body.verdict.result === 'ignore') return body.verdict
    if (standing.entry == null && parent !== core.tree.head && !makeRoom(core, 1)) return ignore('full', TOO_MANY)
    const fresh = standing.entry == null
    const entry = standing.entry ?? core.tree.insert(located(piece, place), parent)
    try {
      if (body.verdict.result === 'reject') {
        const stored = await condemn(
          core,
          entry,
          body.verdict.detail ?? body.verdict.reason,
          fresh ? piece.headerBytes : undefined
        )
        if (!stored && fresh) core.tree.remove(entry)
        core.announceTarget()
        return body.verdict
      }
      return parent === core.tree.head
        ? await this.#extend(entry, piece, body.txs, fresh, own)
        : await this.#branch(entry, piece, fresh, own)
    } catch (err) {
      if (fresh && !entry.body && entry.invalid == null) core.tree.remove(entry)
      throw err
    }
  }

  /** A block on the head: one atomic batch. */
  async #extend(
    entry: Entry<Header>,
    piece: Piece<Header, Tx>,
    txs: Tx[],
    fresh: boolean,
    own: boolean
  ): Promise<Verdict> {
    const core = this.#core
    const advance = new Advance(core)
    const running = advance.apply(entry, piece, txs, fresh)
    const outcome = isPromise(running) ? await running : running
    if (outcome !== true) {
      const verdict = stateVerdict(core, outcome)
      const stored =
        verdict.result === 'reject' &&
        (await condemn(core, entry, verdict.detail ?? '', fresh ? piece.headerBytes : undefined))
      if (!stored && fresh) core.tree.remove(entry)
      core.announceTarget()
      return verdict
    }
    if (!(await advance.commit(own))) {
      if (fresh) core.tree.remove(entry)
      return ignore('error', 'the block could not be written')
    }
    return this.#verdict(entry, await reorganise(core, own))
  }

  /** A block elsewhere: stored, and perhaps the last one that a better branch lacked. */
  async #branch(entry: Entry<Header>, piece: Piece<Header, Tx>, fresh: boolean, own: boolean): Promise<Verdict> {
    const core = this.#core
    const writing = core.store.write()
    if (fresh) putHeader(writing, entry.at, piece.headerBytes)
    writing.put(blockKey(TABLE.body, entry.at.height, entry.at.hash), piece.bytes)
    if (!(await core.commit(writing, `block ${entry.at.height} of a side branch`, own))) {
      if (fresh) core.tree.remove(entry)
      return ignore('error', 'the block could not be written')
    }
    core.tree.fill(entry)
    return this.#verdict(entry, await reorganise(core, own))
  }

  #verdict(added: Entry<Header>, written: boolean): Verdict {
    // a reorganisation may have filled the tree anew
    const entry = this.#core.tree.get(added.at.hash) ?? added
    if (entry.invalid != null) {
      return entry.parent?.invalid == null
        ? reject('state', entry.invalid)
        : reject('known-invalid', entry.parent.invalid)
    }
    return written ? ACCEPT : ignore('error', 'a better branch could not be written')
  }

  async addBlocks(blocks: Uint8Array[], { own = false, signal }: AddOptions): Promise<ImportResult> {
    const core = this.#core
    const bytes = blocks.reduce((size, block) => size + block.length, 0)
    if (core.isBulk(blocks.length, bytes)) await freezeAll(core)
    let advance = new Advance(core)
    const fresh: Entry<Header>[] = []
    let stored = 0
    const slice = new Slice(SLICE_MS)
    let writing: Promise<boolean> = Promise.resolve(true)
    /** Begins to write, as soon as what was written before is. */
    const flush = async (): Promise<boolean> => {
      if (!(await writing)) return false
      if (advance.size === 0) return true
      const { size } = advance
      writing = advance.commit(own).then((written) => {
        if (written) stored += size
        return written
      })
      // whoever awaits it hears of it, perhaps only after a turn of the event loop
      writing.catch(() => {})
      advance = new Advance(core, advance)
      return true
    }
    const settled = async (): Promise<boolean> => {
      if (!((await flush()) && (await writing))) return false
      // what comes now may make side branches of them, which stay
      fresh.length = 0
      return true
    }
    const failed = (verdict: Verdict): ImportResult => ({ verdict, added: stored, index: stored })
    const unwritten = (): ImportResult => failed(ignore('error', 'the blocks could not be written'))
    try {
      let opened: Array<Piece<Header, Tx> | Verdict> = []
      let from = 0
      for (let n = 0; n < blocks.length; n++) {
        const bytes = blocks[n]!
        const top = advance.top
        if (n === from + opened.length) {
          from = n
          opened = this.#open(blocks, n, top)
          const known = opened.filter((piece) => 'hash' in piece && core.tree.get(piece.hash) != null)
          const preparing = core.inspector.prepare(known as Piece<Header, Tx>[])
          if (preparing != null) await preparing
        }
        const done = this.#append(advance, opened[n - from]!, top, fresh)
        if (!(isPromise(done) ? await done : done)) {
          if (!(await settled())) return unwritten()
          const verdict = await this.add(bytes, own)
          if (verdict.result !== 'accept' && !(verdict.result === 'ignore' && verdict.reason === 'known'))
            return failed(verdict)
          stored++
          advance = new Advance(core)
        } else if ((advance.size >= BATCH_BLOCKS || advance.bytes >= BATCH_BYTES) && !(await flush())) {
          return unwritten()
        }
        if (slice.over) {
          await slice.end()
          if (signal?.aborted) {
            await settled()
            signal.throwIfAborted()
          }
        }
      }
      if (!(await settled())) return unwritten()
    } finally {
      await writing.catch(() => false)
      core.tree.removeAll(fresh)
    }
    return (await reorganise(core, own)) ? { verdict: ACCEPT, added: stored } : { ...unwritten(), added: stored }
  }

  /** Takes the next blocks apart, most of which are those whose headers are here already. */
  #open(blocks: Uint8Array[], from: number, top: Entry<Header>): Array<Piece<Header, Tx> | Verdict> {
    const { tree, inspector } = this.#core
    let to = from
    for (let bytes = 0; to < blocks.length && to - from < OPEN_BLOCKS; to++) {
      bytes += blocks[to]!.length
      if (bytes > OPEN_BYTES && to > from) break
    }
    return inspector.openAll(blocks.slice(from, to), (n) => tree.pathAt(top.at.height + 1 + n)?.at)
  }

  /** Applies a block that extends the batch. False when it does not, or is not good: then it goes the long way, alone. */
  #append(
    advance: Advance<Header, Tx>,
    piece: Piece<Header, Tx> | Verdict,
    top: Entry<Header>,
    fresh: Entry<Header>[]
  ): boolean | Promise<boolean> {
    const core = this.#core
    if (!('hash' in piece)) return false
    const standing = assess(core, piece, top)
    if (standing.parent !== top || standing.place == null || standing.verdict.result !== 'accept') return false
    const body = core.inspector.body(piece)
    if (body.verdict.result !== 'accept') return false
    const isFresh = standing.entry == null
    if (isFresh && core.tree.full) return false
    const entry = standing.entry ?? core.tree.insert(located(piece, standing.place), top)
    if (isFresh) fresh.push(entry)
    const outcome = advance.apply(entry, piece, body.txs, isFresh)
    return isPromise(outcome)
      ? outcome.then((settled) => this.#appended(settled, entry, piece, isFresh ? fresh : undefined))
      : this.#appended(outcome, entry, piece, isFresh ? fresh : undefined)
  }

  #appended(
    outcome: Outcome,
    entry: Entry<Header>,
    piece: Piece<Header, Tx>,
    fresh: Entry<Header>[] | undefined
  ): boolean {
    if (outcome === true) {
      this.#core.inspector.forget(piece.bytes)
      return true
    }
    if (fresh != null) {
      fresh.pop()
      this.#core.tree.remove(entry)
    }
    return false
  }
}
