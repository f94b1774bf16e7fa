import type { AbstractLevel } from 'abstract-level'
import { compareBytes } from '../hex.js'
import { Freezer, type FreezerFiles, type Frozen } from './freezer.js'
import {
  blockKey,
  bytesKey,
  decodeHeaderRecord,
  type HeaderRecord,
  heightKey,
  MAX_HEIGHT,
  readHeight,
  TABLE
} from './layout.js'
import { decodeFrozen, encodeFrozen, type FrozenRecord, type Place, RECORD } from './record.js'

/** An abstract-level database with `keyEncoding: 'view'` and `valueEncoding: 'view'`, e.g. classic-level or memory-level. */
export type Database = AbstractLevel<Buffer | Uint8Array | string, Uint8Array, Uint8Array>

/** Pages of a range read, and bytes that LevelDB reads ahead. Measured: 1.6 to 5 times the default. */
const PAGE = 1_000
const HIGH_WATER_BYTES = 1_048_576

/** Databases answer Buffers, whose `slice` shares memory; the same bytes as what our types say they are. */
function plain<B extends Uint8Array | undefined>(bytes: B): B {
  if (bytes == null || bytes.constructor === Uint8Array) return bytes
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) as unknown as B
}

/** Where a block of the head chain is found in the files: by the table that holds it otherwise. */
const FILES = { [TABLE.header]: 'headers', [TABLE.body]: 'blocks' } as const

/**
 * The chain's tables in a database, and its old blocks in files where there are such. Reads by key and by range, and one atomic batch at a
 * time through `write()`. Knows keys and bytes, nothing of rules. Of a block in the files the tables `h`, `b` and `c` hold nothing: reads
 * here look into both.
 */
export class Store {
  /** Whether single values can be read without waiting. Without it only what is in memory can be asked synchronously. */
  readonly immediate: boolean
  readonly freezer: Freezer | undefined

  constructor(
    readonly db: Database,
    files?: FreezerFiles
  ) {
    // missing from the types of level-supports 6
    this.immediate = (db.supports as { getSync?: boolean }).getSync === true
    this.freezer = files == null ? undefined : new Freezer(files)
  }

  async open(): Promise<void> {
    await this.db.open()
    await this.freezer?.open(decodeFrozen(await this.db.get(RECORD.frozen)))
  }

  /** A value, at once where the database can. */
  read(key: Uint8Array): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    return this.immediate ? plain(this.db.getSync(key)) : this.db.get(key).then(plain)
  }

  /** A value where the database can answer at once, otherwise undefined. */
  peek(key: Uint8Array): Uint8Array | undefined {
    return this.immediate && this.db.status === 'open' ? plain(this.db.getSync(key)) : undefined
  }

  heightOf(hash: Uint8Array): number | undefined {
    const bytes = this.peek(bytesKey(TABLE.height, hash))
    return bytes?.length === 6 ? readHeight(bytes, 0) : undefined
  }

  mainAt(height: number): Uint8Array | undefined {
    return this.#open?.hashAt(height) ?? this.peek(heightKey(TABLE.main, height))
  }

  /** The same where the database cannot answer at once. */
  async mainHash(height: number): Promise<Uint8Array | undefined> {
    const { freezer } = this
    const stored = freezer?.hashAt(height) ?? plain(await this.db.get(heightKey(TABLE.main, height)))
    // it may have moved into the files meanwhile
    return stored ?? freezer?.hashAt(height)
  }

  /** The highest block of the head chain by the index of heights. */
  async mainTop(): Promise<Place | undefined> {
    const range = { gte: heightKey(TABLE.main, 0), lte: heightKey(TABLE.main, MAX_HEIGHT), reverse: true, limit: 1 }
    const [last] = await this.db.iterator(range).all()
    const top = this.freezer?.top ?? 0
    const frozen = this.freezer?.hashAt(top)
    if (frozen != null && (last == null || readHeight(last[0], 1) < top)) return { height: top, hash: frozen }
    return last == null ? undefined : { height: readHeight(last[0], 1), hash: new Uint8Array(last[1]) }
  }

  headerAt(height: number, hash: Uint8Array): HeaderRecord | undefined {
    const bytes = this.#open?.recordAt(height, hash) ?? this.peek(blockKey(TABLE.header, height, hash))
    return bytes == null ? undefined : decodeHeaderRecord(bytes)
  }

  async body(height: number, hash: Uint8Array): Promise<Uint8Array | undefined> {
    const { freezer } = this
    const frozen = await freezer?.body(height, hash)
    const stored = frozen ?? plain(await this.db.get(blockKey(TABLE.body, height, hash)))
    // it may have moved into the files meanwhile
    return stored ?? freezer?.body(height, hash)
  }

  /** The files while single values can be asked for: closed after the database, with which they say nothing more. */
  get #open(): Freezer | undefined {
    return this.db.status === 'open' ? this.freezer : undefined
  }

  write(): Writing {
    return new Writing(this.db, this.freezer)
  }

  /** Keys and values of `h` or `c`, heights `from` to `to`, in pages; each height's parents before it. */
  async *range(table: number, from: number, to: number): AsyncGenerator<Array<[Uint8Array, Uint8Array]>> {
    const top = Math.min(to, this.freezer?.top ?? 0)
    if (from <= top) {
      // of the head chain only genesis is there, and in `h` forks
      yield* this.#rows(table, from, table === TABLE.main ? 0 : top)
      yield* this.#frozen(table, Math.max(1, from), top)
    }
    yield* this.#rows(table, Math.max(from, top + 1), to)
  }

  /**
   * Values of `h` or `b` that lie on the head chain, heights `from` to `to`, ascending, in pages. Ends before its time where the head chain
   * was taken back meanwhile.
   */
  async *main(table: typeof TABLE.header | typeof TABLE.body, from: number, to: number): AsyncGenerator<Uint8Array[]> {
    const { freezer } = this
    let at = from
    if (freezer != null && freezer.top >= from) {
      if (at === 0) {
        yield* this.#mainRows(table, 0, 0)
        at = 1
      }
      const { generation } = freezer
      while (at <= Math.min(to, freezer.top)) {
        const page = await freezer.page(FILES[table], at, to)
        if (page == null || generation !== freezer.generation) return
        yield page.values
        at += page.values.length
      }
      if (generation !== freezer.generation) return
    }
    yield* this.#mainRows(table, at, to)
  }

  async *#mainRows(table: number, from: number, to: number): AsyncGenerator<Uint8Array[]> {
    // where forks lie side by side the height table tells which one counts; a height with one entry needs no look-up
    let group: Array<[Uint8Array, Uint8Array]> = []
    const pick = async (): Promise<Uint8Array | undefined> => {
      if (group.length < 2) return group[0]?.[1]
      const hash = await this.mainHash(readHeight(group[0]![0], 1))
      return group.find(([key]) => hash != null && compareBytes(key.subarray(7), hash) === 0)?.[1]
    }
    for await (const page of this.#rows(table, from, to)) {
      const values: Uint8Array[] = []
      for (const entry of page) {
        const last = group[0]
        if (last != null && readHeight(last[0], 1) !== readHeight(entry[0], 1)) {
          const value = group.length === 1 ? last[1] : await pick()
          if (value != null) values.push(plain(value))
          group = [entry]
        } else group.push(entry)
      }
      if (values.length > 0) yield values
    }
    const value = await pick()
    if (value != null) yield [plain(value)]
  }

  async *#rows(table: number, from: number, to: number): AsyncGenerator<Array<[Uint8Array, Uint8Array]>> {
    if (from > to) return
    const iterator = this.db.iterator({
      gte: heightKey(table, from),
      lt: heightKey(table, to + 1),
      highWaterMarkBytes: HIGH_WATER_BYTES
    } as object)
    try {
      for (;;) {
        const page = await iterator.nextv(PAGE)
        if (page.length === 0) return
        yield page
      }
    } finally {
      await iterator.close()
    }
  }

  /** What the tables would hold of blocks in the files; what is damaged is left out. */
  async *#frozen(table: number, from: number, to: number): AsyncGenerator<Array<[Uint8Array, Uint8Array]>> {
    const freezer = this.freezer!
    for (let at = from; at <= to; ) {
      const page = table === TABLE.main ? { hashes: freezer.hashes(at, to) } : await freezer.page('headers', at, to)
      if (page == null || page.hashes.length === 0) {
        at++
        continue
      }
      const first = at
      at += page.hashes.length
      yield page.hashes.map((hash, i) =>
        'values' in page ? [blockKey(table, first + i, hash), page.values[i]!] : [heightKey(table, first + i), hash]
      )
    }
  }
}

/** Operations that are written all or not at all, in their order. */
export class Writing {
  readonly #db: Database
  readonly #freezer: Freezer | undefined
  readonly #keys: Uint8Array[] = []
  /** Undefined where the key goes. */
  readonly #values: Array<Uint8Array | undefined> = []
  #frozen: Frozen[] = []
  #frozenTop: number | undefined
  #bytes = 0

  constructor(db: Database, freezer: Freezer | undefined) {
    this.#db = db
    this.#freezer = freezer
  }

  /** Size of keys and values, and of what goes into the files. */
  get bytes(): number {
    return this.#bytes
  }

  get size(): number {
    return this.#keys.length
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#keys.push(key)
    this.#values.push(value)
    this.#bytes += key.length + value.length
  }

  del(key: Uint8Array): void {
    this.#keys.push(key)
    this.#values.push(undefined)
    this.#bytes += key.length
  }

  /** The next blocks for the files. */
  freeze(block: Frozen): void {
    this.#frozen.push(block)
    this.#bytes += block.record.length + (block.bytes?.length ?? 0)
  }

  /** The files end at this height. */
  cutFiles(top: number): void {
    this.#frozenTop = top
  }

  /** `sync` waits until the disk has it: it survives a power cut. `first`: other operations, written before these in the same batch. */
  async commit(sync = false, first?: Writing): Promise<void> {
    const files = await this.#files(sync)
    if (files == null && this.size === 0 && (first == null || first.size === 0)) return
    // an array of operations costs three times as much on this thread (classic-level 3)
    const batch = this.#db.batch()
    for (const writing of [first, this]) {
      if (writing == null) continue
      for (let i = 0; i < writing.#keys.length; i++) {
        const value = writing.#values[i]
        if (value == null) batch.del(writing.#keys[i]!)
        else batch.put(writing.#keys[i]!, value)
      }
    }
    if (files != null) batch.put(RECORD.frozen, encodeFrozen(files))
    const lower = files == null ? undefined : this.#freezer!.raise(files.top)
    try {
      await batch.write({ sync } as object)
    } catch (err) {
      lower?.()
      throw err
    }
    if (files != null) this.#freezer!.settle(files)
  }

  async #files(sync: boolean): Promise<FrozenRecord | undefined> {
    const freezer = this.#freezer
    if (freezer == null) return undefined
    if (this.#frozen.length > 0) return freezer.append(this.#frozen, sync)
    if (this.#frozenTop != null) return freezer.upTo(this.#frozenTop)
    return sync && freezer.dirty ? freezer.sync() : undefined
  }
}
