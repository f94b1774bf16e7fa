import { Advance } from './advance.js'
import type { Core } from './core.js'
import type { Waiting } from './future.js'
import type { Named, Piece, Place } from './inspector.js'
import { condemn, reorganise, stateVerdict } from './reorg.js'
import type { BaseHeader, Located } from './rules.js'
import { isPromise } from './state.js'
import { blockKey, bytesKey, encodeHeaderRecord, encodeHeight, TABLE } from './store.js'
import type { Entry } from './tree.js'
import { ACCEPT, ignore, reject, type Verdict } from './verdict.js'

/** What came of a list of headers. */
export interface HeadersResult<Header = unknown> {
  /** `accept`, or that of the first header that was not accepted; those after it were not looked at. */
  verdict: Verdict
  /** How many were new. */
  added: number
  /** The last good one, those that were known included. */
  last?: Located<Header>
}

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

/** Where a block stands in the tree. */
export interface Standing<Header> {
  /** Anything but `accept` ends it, except `future`, which may be parked. */
  verdict: Verdict
  /** Its header is here already. */
  entry: Entry<Header> | undefined
  parent: Entry<Header> | undefined
  place: Place | undefined
  /** It forks off deeper than is followed. */
  deep: boolean
}

/** Most of one atomic batch. */
const BATCH_BYTES = 8 * 1_048_576
/** How long to work before others have a turn of the event loop. */
const SLICE_MS = 25

/** The way in: blocks and headers from outside, one call at a time. The caller sees to the order. */
export class Importer<Header extends BaseHeader, Tx> {
  readonly #core: Core<Header, Tx>
  readonly #waiting: Waiting

  constructor(core: Core<Header, Tx>, waiting: Waiting) {
    this.#core = core
    this.#waiting = waiting
  }

  /** Finds where a block or header belongs and checks its header there. `top`: it is known to extend that one. */
  assess({ header, hash, key }: Named<Header>, top?: Entry<Header>): Standing<Header> {
    const { tree, inspector } = this.#core
    const entry = tree.find(key)
    const parent = entry?.parent ?? tree.get(header.parent) ?? this.#core.older(header.parent)
    const standing: Standing<Header> = { verdict: ACCEPT, entry, parent, place: undefined, deep: false }
    if (entry?.invalid != null) standing.verdict = reject('known-invalid', entry.invalid)
    else if (entry?.body) standing.verdict = ignore('known')
    else if (parent == null)
      standing.verdict = this.#core.older(hash) == null ? ignore('unknown-parent') : ignore('known')
    else if (parent.invalid != null) standing.verdict = reject('known-invalid', parent.invalid)
    else {
      standing.deep =
        parent !== top && (parent.deep || tree.tooDeep(parent.main ? parent.at.height : tree.forkHeight(parent)))
      // below what is in memory it may be an old block of the head chain itself
      if (standing.deep && entry == null && this.#core.older(hash) != null) standing.verdict = ignore('known')
      else if (entry != null) standing.place = { verdict: ACCEPT, height: entry.at.height, work: entry.at.work }
      else standing.place = inspector.place(header, hash, parent)
      if (standing.place != null) standing.verdict = standing.place.verdict
    }
    return standing
  }

  async add(bytes: Uint8Array, own: boolean): Promise<Verdict> {
    const core = this.#core
    const piece = core.inspector.open(bytes)
    if (!('hash' in piece)) return piece
    core.inspector.forget(bytes)
    const standing = this.assess(piece, core.tree.head)
    const { verdict, parent, place } = standing
    const future = isFuture(verdict)
    if (parent == null || place == null || (verdict.result !== 'accept' && !future)) return verdict
    if (standing.deep) return this.#addDeep(piece, standing.entry, parent, place)
    const body = core.inspector.body(piece)
    if (future && body.verdict.result === 'accept') {
      this.#waiting.park(piece.key, bytes, piece.header.time)
      return verdict
    }
    // a wrong body says nothing about the header
    if (!body.bound || body.verdict.result === 'ignore') return body.verdict
    if (standing.entry == null && parent !== core.tree.head && !this.#room(1))
      return ignore('full', 'too many headers off the head chain')
    const fresh = standing.entry == null
    const entry = standing.entry ?? core.tree.insert(this.#located(piece, place), parent)
    try {
      if (body.verdict.result === 'reject') {
        const stored = await condemn(
          core,
          entry,
          body.verdict.detail ?? body.verdict.reason,
          fresh ? headerOps(entry, piece) : []
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
        (await condemn(core, entry, verdict.detail ?? '', fresh ? headerOps(entry, piece) : []))
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
    if (fresh) for (const [key, value] of headerOps(entry, piece)) writing.put(key, value)
    writing.put(blockKey(TABLE.body, entry.at.height, entry.at.hash), piece.bytes)
    if (!(await core.commit(writing, `block ${entry.at.height} of a side branch`, own))) {
      if (fresh) core.tree.remove(entry)
      return ignore('error', 'the block could not be written')
    }
    core.tree.fill(entry)
    return this.#verdict(entry, await reorganise(core, own))
  }

  #verdict(entry: Entry<Header>, written: boolean): Verdict {
    if (entry.invalid != null) {
      return entry.parent?.invalid == null
        ? reject('state', entry.invalid)
        : reject('known-invalid', entry.parent.invalid)
    }
    return written ? ACCEPT : ignore('error', 'a better branch could not be written')
  }

  async addBlocks(blocks: Uint8Array[], { own = false, signal }: AddOptions): Promise<ImportResult> {
    const core = this.#core
    let advance = new Advance(core)
    let fresh: Entry<Header>[] = []
    let stored = 0
    let since = performance.now()
    const flush = async (): Promise<boolean> => {
      if (advance.size === 0) return true
      const size = advance.size
      const written = await advance.commit(own)
      if (written) stored += size
      else this.#removeAll(fresh)
      fresh = []
      advance = new Advance(core)
      return written
    }
    const failed = (verdict: Verdict): ImportResult => ({ verdict, added: stored, index: stored })
    const unwritten = (): ImportResult => failed(ignore('error', 'the blocks could not be written'))
    try {
      for (const bytes of blocks) {
        const top = advance.top
        const done = this.#append(advance, bytes, top, fresh)
        if (!(isPromise(done) ? await done : done)) {
          if (!(await flush())) return unwritten()
          const verdict = await this.add(bytes, own)
          if (verdict.result !== 'accept' && !(verdict.result === 'ignore' && verdict.reason === 'known'))
            return failed(verdict)
          stored++
          advance = new Advance(core)
        } else if (advance.bytes >= BATCH_BYTES && !(await flush())) return unwritten()
        if (performance.now() - since > SLICE_MS) {
          await turn()
          since = performance.now()
          if (signal?.aborted) {
            await flush()
            signal.throwIfAborted()
          }
        }
      }
      if (!(await flush())) return unwritten()
    } finally {
      this.#removeAll(fresh)
    }
    return (await reorganise(core, own)) ? { verdict: ACCEPT, added: stored } : { ...unwritten(), added: stored }
  }

  /** Applies a block that extends the batch. False when it does not, or is not good: then it goes the long way, alone. */
  #append(
    advance: Advance<Header, Tx>,
    bytes: Uint8Array,
    top: Entry<Header>,
    fresh: Entry<Header>[]
  ): boolean | Promise<boolean> {
    const core = this.#core
    const piece = core.inspector.open(bytes)
    if (!('hash' in piece)) return false
    const standing = this.assess(piece, top)
    if (standing.parent !== top || standing.place == null || standing.verdict.result !== 'accept') return false
    const body = core.inspector.body(piece)
    if (body.verdict.result !== 'accept') return false
    const isFresh = standing.entry == null
    if (isFresh && core.tree.full) return false
    const entry = standing.entry ?? core.tree.insert(this.#located(piece, standing.place), top)
    if (isFresh) fresh.push(entry)
    const settled = (outcome: unknown): boolean => {
      if (outcome === true) {
        core.inspector.forget(bytes)
        return true
      }
      if (isFresh) {
        fresh.pop()
        core.tree.remove(entry)
      }
      return false
    }
    const outcome = advance.apply(entry, piece, body.txs, isFresh)
    return isPromise(outcome) ? outcome.then(settled) : settled(outcome)
  }

  async addHeaders(list: Uint8Array[]): Promise<HeadersResult<Header>> {
    const core = this.#core
    const writing = core.store.write()
    const fresh: Entry<Header>[] = []
    const result: HeadersResult<Header> = { verdict: ACCEPT, added: 0 }
    let top: Entry<Header> | undefined
    let since = performance.now()
    this.#room(list.length)
    for (const bytes of list) {
      const own = new Uint8Array(bytes)
      const named = core.inspector.header(own)
      if (!('hash' in named)) {
        result.verdict = named
        break
      }
      const here = core.tree.find(named.key)
      if (here != null && here.invalid == null) {
        result.last = here.at
        top = undefined
        continue
      }
      const { parent, place, verdict, deep } = this.assess(named, top)
      if (verdict.result === 'ignore' && verdict.reason === 'known') {
        result.last = core.older(named.hash)!.at
        continue
      }
      result.verdict = verdict
      if (verdict.result !== 'accept' || parent == null || place == null) break
      if (deep) {
        result.verdict = this.#insertDeep(named, parent, place, true)
        const inserted = core.tree.find(named.key)
        if (inserted != null) {
          result.last = inserted.at
          result.added++
        }
        if (result.verdict.result !== 'accept') break
        continue
      }
      if (core.tree.full) {
        result.verdict = ignore('full', 'too many headers off the head chain')
        break
      }
      top = core.tree.insert(this.#located(named, place), parent)
      core.tree.revive(top)
      fresh.push(top)
      result.last = top.at
      result.added++
      for (const [key, value] of headerOps(top, { headerBytes: own })) writing.put(key, value)
      if (performance.now() - since > SLICE_MS) {
        await turn()
        since = performance.now()
      }
    }
    if (writing.size > 0 && !(await core.commit(writing, `${fresh.length} headers`, false))) {
      this.#removeAll(fresh)
      return { verdict: ignore('error', 'the headers could not be written'), added: 0 }
    }
    core.announceTarget()
    return result
  }

  /** A block of a branch that forks off too deep: only its header is remembered, to see whether the branch is heavier than ours. */
  #addDeep(piece: Named<Header>, entry: Entry<Header> | undefined, parent: Entry<Header>, place: Place): Verdict {
    if (entry == null) this.#insertDeep(piece, parent, place, this.#room(1))
    return ignore('too-deep')
  }

  #insertDeep(named: Named<Header>, parent: Entry<Header>, place: Place, room: boolean): Verdict {
    const { tree } = this.#core
    if (!room || tree.full) return ignore('full', 'too many headers off the head chain')
    const entry = tree.insert(this.#located(named, place), parent, true)
    if (!tree.better(entry.at, tree.head.at)) return ACCEPT
    this.#core.warnDeep(tree.branch(entry)[0]!.key, tree.forkHeight(entry), named.hash)
    return ignore('too-deep')
  }

  #room(count: number): boolean {
    const { tree, trash } = this.#core
    trash.push(...tree.shed(count))
    return !tree.full
  }

  #located({ hash, header }: Named<Header>, { height, work }: Place): Located<Header> {
    return { hash, height, work, header }
  }

  #removeAll(entries: Entry<Header>[]): void {
    const { tree } = this.#core
    for (const entry of entries) if (!entry.main && tree.find(entry.key) === entry) tree.remove(entry)
  }
}

export function isFuture(verdict: Verdict): boolean {
  return verdict.result === 'ignore' && verdict.reason === 'future'
}

function headerOps(
  entry: Entry<unknown>,
  { headerBytes }: { headerBytes: Uint8Array }
): Array<[Uint8Array, Uint8Array]> {
  const { hash, height, work } = entry.at
  return [
    [blockKey(TABLE.header, height, hash), encodeHeaderRecord(work, headerBytes)],
    [bytesKey(TABLE.height, hash), encodeHeight(height)]
  ]
}

/** Lets the event loop go round once. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') setImmediate(resolve)
    else setTimeout(resolve, 0)
  })
}
