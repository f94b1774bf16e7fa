import { DataUnusableError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import type { Core } from './core.js'
import { thaw } from './freezing.js'
import { keyOf } from './key.js'
import {
  blockKey,
  bytesKey,
  decodeHeaderRecord,
  encodeHeaderRecord,
  encodeHeight,
  headRecord,
  heightKey,
  MAX_HEIGHT,
  readHeight,
  TABLE
} from './layout.js'
import { encodeUndoRange, RECORD } from './record.js'
import type { BaseHeader, Located } from './rules.js'
import { decodeUndo, Overlay } from './state.js'
import type { Writing } from './store.js'

/** What `open` found. */
export interface OpenReport {
  /** Of the head. */
  height: number
  /** The store was empty. */
  created: boolean
  /** What was wrong and is right now, one sentence each. Empty when nothing was. */
  repaired: string[]
}

/** Blocks below head whose bodies and undo records are looked at; more where `lookback` is larger. */
const CHECKED_BLOCKS = 64

/** The record of what a block changed is missing or damaged: the state can be taken back no further than to this block. */
export class StateLost extends Error {
  constructor(readonly height: number) {
    super(`the record of what block ${height} changed is missing or damaged`)
  }
}

/** What the store holds of the heights that stay in memory. */
export interface Holdings {
  /** By hash, every header record. */
  headers: Map<string, { height: number; hash: Uint8Array; record: Uint8Array }>
  /** The head chain by height, as the index has it. */
  main: Map<number, Uint8Array>
  /** Highest height of that index. */
  top: number
}

export async function readHoldings<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  from: number
): Promise<Holdings> {
  const holdings: Holdings = { headers: new Map(), main: new Map(), top: -1 }
  for await (const page of core.store.range(TABLE.main, from, MAX_HEIGHT)) {
    for (const [key, hash] of page) {
      holdings.top = readHeight(key, 1)
      holdings.main.set(holdings.top, new Uint8Array(hash))
    }
  }
  for await (const page of core.store.range(TABLE.header, from, MAX_HEIGHT)) {
    for (const [key, record] of page) {
      const hash = new Uint8Array(key.subarray(7))
      holdings.headers.set(keyOf(hash), { height: readHeight(key, 1), hash, record })
    }
  }
  return holdings
}

/**
 * Checks the head chain from `from` up: links, hashes, index, and of the last blocks bodies and undo. What is damaged is mended from
 * what is not, or the chain is cut back to below it. Answers the head chain, ascending.
 * @throws StateLost when the state cannot be taken back to the last good block. DataUnusableError.
 */
export async function repair<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  holdings: Holdings,
  head: { height: number; hash: Uint8Array },
  from: number,
  report: OpenReport
): Promise<Located<Header>[]> {
  return new Repair(core, holdings, from, report).run(head)
}

interface Found<Header> {
  height: number
  hash: Uint8Array
  header?: Header
  headerBytes?: Uint8Array
  work?: bigint
}

class Repair<Header extends BaseHeader, Tx> {
  readonly #core: Core<Header, Tx>
  readonly #holdings: Holdings
  readonly #from: number
  readonly #report: OpenReport
  readonly #writing: Writing
  readonly #where: string
  /** Lowest height of which something is written. */
  #lowest = Number.POSITIVE_INFINITY

  constructor(core: Core<Header, Tx>, holdings: Holdings, from: number, report: OpenReport) {
    this.#core = core
    this.#holdings = holdings
    this.#from = from
    this.#report = report
    this.#writing = core.store.write()
    this.#where = whereIs(core)
  }

  async run(head: { height: number; hash: Uint8Array }): Promise<Located<Header>[]> {
    const found: Found<Header>[] = []
    const { freezer } = this.#core.store
    const last = head.height - Math.max(CHECKED_BLOCKS, this.#core.terms.lookback)
    const checked = freezer?.dirty ? Math.min(last, freezer.synced) : last
    let cut = head.height
    let hash: Uint8Array | undefined = head.hash
    for (let height = head.height; height >= this.#from; height--) {
      if (hash == null) throw this.#lost(height, 'its hash is not known')
      const block: Found<Header> = { height, hash }
      const why = await this.#examine(block, height > checked)
      if (why != null) {
        cut = height - 1
        this.#say(height, `block ${height} ${why}`)
      }
      found.push(block)
      const indexed = this.#holdings.main.get(height)
      if (indexed == null || !equalBytes(indexed, hash)) {
        this.#writing.put(heightKey(TABLE.main, height), hash)
        this.#say(height, `the index of heights was wrong at ${height}`)
      }
      hash = block.header?.parent ?? this.#holdings.main.get(height - 1)
    }
    if (cut < this.#from) throw this.#lost(cut + 1, 'too much is damaged')
    await this.#cut(found, head.height, cut)
    const chain = this.#located(found.filter(({ height }) => height <= cut).reverse())
    if (this.#writing.size > 0) await this.#write()
    return chain
  }

  /** Why a block is no good; undefined when it is. */
  async #examine(block: Found<Header>, withBody: boolean): Promise<string | undefined> {
    const { terms, store, inspector } = this.#core
    const { height, hash } = block
    const genesis = height === 0
    const held = this.#holdings.headers.get(keyOf(hash))
    const record = held?.height === height ? decodeHeaderRecord(held.record) : undefined
    this.#take(block, record?.header)
    block.work = record?.work
    const intact = block.header != null
    let body: Uint8Array | undefined
    if (!this.#core.bodies) {
      if (!intact && genesis) this.#take(block, terms.genesis.header)
    } else if (withBody || !intact) {
      body = await store.body(height, hash)
      const opened = body == null ? undefined : inspector.reopen(body)
      const same = opened != null && equalBytes(opened.piece.hash, hash)
      if (!intact && same) this.#take(block, opened.piece.headerBytes)
      if (!same && genesis && equalBytes(hash, terms.genesis.at.hash)) {
        this.#take(block, terms.genesis.header)
        this.#writing.put(blockKey(TABLE.body, 0, hash), terms.genesis.block)
        this.#say(0, 'the body of genesis was damaged')
      } else if (!same) return body == null ? 'has no body' : 'has a damaged body'
    }
    if (block.header == null) return 'has a damaged header'
    if (!intact) block.work = undefined
    const indexed = store.immediate ? store.heightOf(hash) : height
    if (indexed !== height) {
      this.#writing.put(bytesKey(TABLE.height, hash), encodeHeight(height))
      this.#say(height, `the index of hashes was wrong for block ${height}`)
    }
    if (withBody && !genesis && this.#core.stateful && height >= this.#core.undoFrom) {
      const undo = await store.read(blockKey(TABLE.undo, height, hash))
      if (undo == null || decodeUndo(undo) == null) throw new StateLost(height)
    }
    return undefined
  }

  /** Takes header bytes for a block's when they hash to its hash. */
  #take(block: Found<Header>, bytes: Uint8Array | undefined): void {
    if (bytes == null) return
    const named = this.#core.inspector.header(bytes)
    if (!('hash' in named) || !equalBytes(named.hash, block.hash)) return
    block.header = named.header
    block.headerBytes = bytes
  }

  /**
   * Takes back every block above `cut`: those that are no good, those on them, and whatever the index has above the head. `found`: from the
   * head down.
   */
  async #cut(found: Found<Header>[], head: number, cut: number): Promise<void> {
    const { store, undoFrom } = this.#core
    const top = Math.max(head, this.#holdings.top)
    if (top === cut) return
    const overlay = new Overlay((key) => store.read(bytesKey(TABLE.state, key)))
    for (let height = top; height > cut; height--) {
      const hash = found[head - height]?.hash ?? this.#holdings.main.get(height)
      if (hash == null) continue
      if (this.#core.stateful) {
        const bytes = height < undoFrom ? undefined : await store.read(blockKey(TABLE.undo, height, hash))
        const record = bytes == null ? undefined : decodeUndo(bytes)
        if (record == null) throw new StateLost(height)
        overlay.revert(record)
      }
      await this.#core.txIndex?.del(this.#writing, { height, hash })
      this.#writing.del(heightKey(TABLE.main, height))
      this.#holdings.headers.delete(keyOf(hash))
      for (const table of [TABLE.undo, TABLE.header, TABLE.body]) this.#writing.del(blockKey(table, height, hash))
      this.#writing.del(bytesKey(TABLE.height, hash))
      this.#writing.del(bytesKey(TABLE.invalid, hash))
    }
    for (const { key, value } of overlay.changes()) {
      if (value == null) this.#writing.del(bytesKey(TABLE.state, key))
      else this.#writing.put(bytesKey(TABLE.state, key), value)
    }
    const { hash } = found[head - cut]!
    this.#writing.put(RECORD.head, headRecord(cut, hash))
    // below what the higher head had there is none
    if (this.#core.stateful) this.#writing.put(RECORD.undo, encodeUndoRange(undoFrom, this.#core.maxReorg))
    this.#say(cut + 1, `cut back from ${top} to block ${cut} (${toHex(hash)}); what is missing is fetched again`)
  }

  /** Total work is summed anew; records that say otherwise are written again. */
  #located(found: Found<Header>[]): Located<Header>[] {
    const { rules, genesis } = this.#core.terms
    const chain: Located<Header>[] = []
    for (const { height, hash, header, headerBytes, work: stored } of found) {
      const before = chain.at(-1)
      const own = header == null ? 0n : (rules.work?.(header) ?? 1n)
      const work = height === 0 ? genesis.at.work : before == null ? stored : before.work + own
      if (header == null || headerBytes == null || work == null) throw this.#lost(height, 'its total work is not known')
      if (work !== stored) {
        this.#writing.put(blockKey(TABLE.header, height, hash), encodeHeaderRecord(work, headerBytes))
        this.#say(height, `the header record of block ${height} was damaged`)
      }
      chain.push({ hash, height, work, header })
    }
    return chain
  }

  async #write(): Promise<void> {
    if (!(await thaw(this.#core, this.#lowest - 1)))
      throw new DataUnusableError(this.#where, 'a repair could not be written')
    try {
      await this.#writing.commit(true)
    } catch (cause) {
      throw new DataUnusableError(this.#where, 'a repair could not be written', cause)
    }
  }

  #say(height: number, what: string): void {
    this.#lowest = Math.min(this.#lowest, height)
    this.#report.repaired.push(what)
  }

  #lost(height: number, why: string): DataUnusableError {
    const fix = `remove ${this.#where} and sync again; keys lie beside it and stay`
    return new DataUnusableError(this.#where, `block ${height} cannot be repaired: ${why}`, undefined, fix)
  }
}

/** Where the store is, for people. */
export function whereIs<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): string {
  const { location } = core.store.db as { location?: unknown }
  return typeof location === 'string' ? location : 'the store'
}
