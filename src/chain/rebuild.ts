import { DataUnusableError } from '../errors.js'
import { equalBytes } from '../hex.js'
import { Slice } from '../slice.js'
import { Advance } from './advance.js'
import type { Core } from './core.js'
import type { Entry } from './entry.js'
import type { Outcome } from './execution.js'
import { thaw } from './freezing.js'
import type { Piece } from './inspector.js'
import { blockKey, bytesKey, headRecord, heightKey, TABLE } from './layout.js'
import { readMain } from './reading.js'
import { encodeRebuild, encodeUndoRange, RECORD, type RebuildRecord } from './record.js'
import { forget, keysFrom } from './renewal.js'
import { whereIs } from './repair.js'
import type { BaseHeader } from './rules.js'
import { decodeUndo, isPromise, Overlay } from './state.js'

/** Of what is written at once, about. */
const BATCH_BYTES = 8 * 1_048_576
/** How long to work before others have a turn of the event loop. */
const SLICE_MS = 25
/** How often progress is told. */
const TELL_MS = 500

/** Why and where the blocks that were to be applied again end early. */
interface Stop {
  height: number
  hash: Uint8Array
  why: string
  /** Refused by the rules: for ever, until these change. */
  refused: boolean
}

/**
 * Makes the state anew from the stored blocks, as the record says, which is in the store. In bounded batches; a crash in between is
 * carried on from the record. Blocks that the rules refuse are marked, and the chain ends below them, as it does below one that is
 * missing or damaged. Leaves a tree that holds the head chain only. Answers what was done, for the report; the last batch takes the record
 * out of the store.
 * @throws DataUnusableError when it cannot be written, or a rule throws; the store can be opened again.
 */
export async function rebuild<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  record: RebuildRecord,
  head: { height: number; hash: Uint8Array }
): Promise<string> {
  return new Rebuild(core, record, head).run()
}

class Rebuild<Header extends BaseHeader, Tx> {
  readonly #core: Core<Header, Tx>
  #record: RebuildRecord
  #head: { height: number; hash: Uint8Array }
  readonly #batchBytes: number
  #toldAt = Number.NEGATIVE_INFINITY

  constructor(core: Core<Header, Tx>, record: RebuildRecord, head: { height: number; hash: Uint8Array }) {
    this.#core = core
    this.#record = record
    this.#head = head
    this.#batchBytes = Math.min(BATCH_BYTES, core.stepBytes)
  }

  async run(): Promise<string> {
    this.#tell(this.#head.height)
    // headers are written again where other rules give them other work
    if (this.#record.checkFrom > 0) await this.#thaw(this.#record.checkFrom - 1)
    if (this.#record.phase === 'down' && !(await this.#down())) await this.#enter('emptying')
    const chain =
      this.#record.phase === 'emptying'
        ? undefined
        : await readMain(this.#core, this.#head.height - this.#core.tree.keep, this.#head)
    if (chain == null) await this.#empty()
    else {
      this.#core.tree.restore(chain)
      this.#core.tree.floor = 0
    }
    const stop = await this.#up()
    await this.#end(stop)
    return this.#sentence(stop)
  }

  /** Takes blocks back by their undo records. False where one is missing or damaged. The index of heights stays. */
  async #down(): Promise<boolean> {
    const { store, terms, maxReorg } = this.#core
    const { cut } = this.#record
    while (this.#head.height > cut) {
      const overlay = new Overlay((key) => store.read(bytesKey(TABLE.state, key)))
      const writing = store.write()
      let { height, hash } = this.#head
      while (height > cut && overlay.bytes + writing.bytes < this.#batchBytes) {
        const bytes = await store.db.get(blockKey(TABLE.undo, height, hash))
        const undo = terms.rules.state == null ? [] : bytes && decodeUndo(bytes)
        const below = await store.mainHash(height - 1)
        if (undo == null || below == null) return false
        overlay.revert(undo)
        writing.del(blockKey(TABLE.undo, height, hash))
        height--
        hash = new Uint8Array(below)
      }
      for (const { key, value } of overlay.changes()) {
        if (value == null) writing.del(bytesKey(TABLE.state, key))
        else writing.put(bytesKey(TABLE.state, key), value)
      }
      writing.put(RECORD.undo, encodeUndoRange(this.#core.undoFrom, maxReorg))
      writing.put(RECORD.head, headRecord(height, hash))
      await this.#write(writing.commit(false))
      this.#head = { height, hash }
      this.#tell(height)
      this.#core.checkClosing()
    }
    await this.#enter('up')
    return true
  }

  /** State and undo go; then head and state are those of genesis. */
  async #empty(): Promise<void> {
    const { terms, tree } = this.#core
    const { at } = terms.genesis
    if (this.#record.phase !== 'emptying') await this.#enter('emptying')
    tree.restore([at])
    tree.floor = 0
    this.#core.undoFrom = 1
    const emptied = Promise.withResolvers<void>()
    this.#core.emptied = emptied.promise
    try {
      await this.#clear()
    } finally {
      // what waits for the state reads what is there, should this have failed
      this.#core.emptied = undefined
      emptied.resolve()
    }
    this.#head = { height: 0, hash: at.hash }
  }

  async #clear(): Promise<void> {
    const { store, terms } = this.#core
    const { at, writes } = terms.genesis
    for (const table of [TABLE.state, TABLE.undo])
      await this.#write(store.db.clear({ gte: Uint8Array.of(table), lt: Uint8Array.of(table + 1) }))
    const writing = store.write()
    for (const [key, value] of writes) writing.put(bytesKey(TABLE.state, key), value)
    writing.put(heightKey(TABLE.main, 0), at.hash)
    writing.put(RECORD.head, headRecord(0, at.hash))
    writing.put(RECORD.undo, encodeUndoRange(1, this.#core.maxReorg))
    this.#record = { ...this.#record, phase: 'up' }
    writing.put(RECORD.rebuild, encodeRebuild(this.#record))
    await this.#write(writing.commit(true))
  }

  async #up(): Promise<Stop | undefined> {
    const { store, tree } = this.#core
    const { goal } = this.#record
    let advance = new Advance(this.#core)
    let stop: Stop | undefined
    const slice = new Slice(SLICE_MS)
    pages: for await (const page of store.range(TABLE.main, tree.head.at.height + 1, goal.height)) {
      for (const [key, value] of page) {
        const hash = new Uint8Array(value)
        const height = advance.top.at.height + 1
        const why = equalBytes(key, heightKey(TABLE.main, height))
          ? await this.#apply(advance, height, hash)
          : { why: 'is not in the index of heights', refused: false }
        if (why != null) {
          stop = { height, hash, ...why }
          break pages
        }
        if (advance.bytes >= this.#batchBytes) {
          await this.#commit(advance)
          advance = new Advance(this.#core)
        }
        if (!slice.over) continue
        this.#tell(height)
        this.#core.checkClosing()
        await slice.end()
      }
    }
    if (advance.size > 0) await this.#commit(advance)
    return stop
  }

  /** Applies one block on the top. Undefined when that went well. */
  async #apply(
    advance: Advance<Header, Tx>,
    height: number,
    hash: Uint8Array
  ): Promise<Pick<Stop, 'why' | 'refused'> | undefined> {
    const { store, tree, inspector, terms } = this.#core
    const parent = advance.top
    const bytes = await store.body(height, hash)
    const opened = bytes == null ? undefined : inspector.reopen(bytes)
    if (bytes == null) return { why: 'has no body', refused: false }
    if (
      opened == null ||
      !equalBytes(opened.piece.hash, hash) ||
      !equalBytes(opened.piece.header.parent, parent.at.hash)
    )
      return { why: 'has a damaged body', refused: false }
    const { piece, txs } = opened
    const checks = this.#record.checkFrom > 0 && height >= this.#record.checkFrom
    const checked = checks ? this.#check(piece, parent) : undefined
    if (checked != null && 'why' in checked) return checked
    const work = checked?.work ?? parent.at.work + (terms.rules.work?.(piece.header) ?? 1n)
    const entry = tree.insert({ hash, height, work, header: piece.header }, parent)
    entry.body = true
    const running = advance.apply(entry, piece, txs, checks)
    const outcome: Outcome = isPromise(running) ? await running : running
    if (outcome === true) return undefined
    tree.remove(entry)
    if ('threw' in outcome) throw this.#threw(height, outcome.rule, outcome.threw)
    return 'reject' in outcome
      ? { why: `is refused by the rules: ${outcome.reject}`, refused: true }
      : { why: `is ignored by the rules: ${outcome.ignore}`, refused: false }
  }

  /** What needs no state, by the rules as they are now. */
  #check(piece: Piece<Header, Tx>, parent: Entry<Header>): Pick<Stop, 'why' | 'refused'> | { work: bigint } {
    const { inspector } = this.#core
    const { verdict, work } = inspector.place(piece.header, piece.hash, parent)
    const body = inspector.body(piece).verdict
    for (const each of [verdict, body]) {
      if (each.result === 'accept' || each.reason === 'future') continue
      const said = each.detail ?? each.reason
      if (each.reason === 'error') throw this.#threw(parent.at.height + 1, said, undefined)
      if (each.result === 'reject') return { why: `is refused by the rules: ${said}`, refused: true }
      return { why: `is ignored by the rules: ${said}`, refused: false }
    }
    return { work }
  }

  async #end(stop: Stop | undefined): Promise<void> {
    const { store, tree } = this.#core
    const { height } = tree.head.at
    if (stop?.refused) {
      const reason = new TextEncoder().encode(stop.why.slice(0, 200))
      await this.#write(store.db.batch([{ type: 'put', key: bytesKey(TABLE.invalid, stop.hash), value: reason }]))
    }
    // checked by other rules than ours
    if (stop != null && this.#record.checkFrom > 0)
      await this.#write(forget(this.#core, stop.height + (stop.refused ? 1 : 0)))
    await this.#thaw(height)
    const writing = store.write()
    for await (const key of keysFrom(this.#core, heightKey(TABLE.main, height + 1), Uint8Array.of(TABLE.main + 1)))
      writing.del(new Uint8Array(key))
    // the index of transactions names these blocks: it is made anew
    if (writing.size > 0) writing.del(RECORD.txIndex)
    writing.del(RECORD.rebuild)
    await this.#write(writing.commit(true))
    this.#toldAt = Number.NEGATIVE_INFINITY
    this.#tell(height, true)
  }

  #sentence(stop: Stop | undefined): string {
    const { why, cut } = this.#record
    const from = cut === 0 ? '' : ` from block ${cut + 1}`
    const anew = `${why}: the state was made anew${from} from the stored blocks`
    if (stop == null) return anew
    return `${anew}, up to block ${stop.height - 1}; block ${stop.height} ${stop.why}`
  }

  async #enter(phase: RebuildRecord['phase']): Promise<void> {
    const cut = phase === 'emptying' ? 0 : this.#record.cut
    this.#record = { ...this.#record, phase, cut }
    await this.#write(
      this.#core.store.db.batch([{ type: 'put', key: RECORD.rebuild, value: encodeRebuild(this.#record) }])
    )
  }

  async #commit(advance: Advance<Header, Tx>): Promise<void> {
    // what went wrong is told as an event, too
    if (!(await advance.commit(false, 'quiet')))
      throw new DataUnusableError(whereIs(this.#core), 'the state could not be made anew')
  }

  async #thaw(height: number): Promise<void> {
    if (!(await thaw(this.#core, height)))
      throw new DataUnusableError(whereIs(this.#core), 'the state could not be made anew')
  }

  async #write(written: Promise<void>): Promise<void> {
    try {
      await written
    } catch (cause) {
      throw new DataUnusableError(whereIs(this.#core), 'the state could not be made anew', cause)
    }
  }

  #threw(height: number, rule: string, cause: unknown): DataUnusableError {
    const what = `the state could not be made anew: rules.${rule} threw at block ${height}`
    return new DataUnusableError(
      whereIs(this.#core),
      what,
      cause,
      'mend the rule and start again: it goes on from there'
    )
  }

  #tell(height: number, done = false): void {
    const now = performance.now()
    if (now - this.#toldAt < TELL_MS) return
    this.#toldAt = now
    this.#core.tellRebuild({ height, goal: this.#record.goal.height, why: this.#record.why, done })
  }
}
