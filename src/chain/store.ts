import type { AbstractLevel } from 'abstract-level'
import { compareBytes } from '../hex.js'
import { cut } from './slab.js'

/** An abstract-level database with `keyEncoding: 'view'` and `valueEncoding: 'view'`, e.g. classic-level or memory-level. */
export type Database = AbstractLevel<Buffer | Uint8Array | string, Uint8Array, Uint8Array>

/** Written under `m` ‖ `format`. A store with another one is refused. See docs/store.md. */
export const FORMAT = '1'
/** The same of a store that holds headers only, which older programs refuse as they should. */
export const FORMAT_HEADERS = '1-headers'
/** Pages of a range read, and bytes that LevelDB reads ahead. Measured: 1.6 to 5 times the default. */
const PAGE = 1_000
const HIGH_WATER_BYTES = 1_048_576

/** First bytes of keys: one table each. docs/store.md holds them all. */
export const TABLE = {
  meta: 0x6d, // m
  header: 0x68, // h
  body: 0x62, // b
  height: 0x69, // i
  main: 0x63, // c
  invalid: 0x78, // x
  undo: 0x75, // u
  state: 0x73, // s
  tx: 0x74 // t
} as const

/** What the `h` table holds of a block. */
export interface HeaderRecord {
  work: bigint
  header: Uint8Array
}

const u48 = (key: Uint8Array, at: number, height: number): void => {
  const high = Math.floor(height / 0x1_0000_0000)
  key[at] = high >>> 8
  key[at + 1] = high
  key[at + 2] = height >>> 24
  key[at + 3] = height >>> 16
  key[at + 4] = height >>> 8
  key[at + 5] = height
}

export function readHeight(bytes: Uint8Array, at: number): number {
  const high = (bytes[at]! << 8) | bytes[at + 1]!
  const low = ((bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!) >>> 0
  return high * 0x1_0000_0000 + low
}

/** table ‖ height ‖ hash: `h`, `b` and `u`. */
export function blockKey(table: number, height: number, hash: Uint8Array): Uint8Array {
  const key = cut(39)
  key[0] = table
  u48(key, 1, height)
  key.set(hash, 7)
  return key
}

/** table ‖ height: `c`, and the bounds of a range by height. */
export function heightKey(table: number, height: number): Uint8Array {
  const key = cut(7)
  key[0] = table
  u48(key, 1, height)
  return key
}

/** table ‖ bytes: `i`, `x` and `s`. */
export function bytesKey(table: number, bytes: Uint8Array): Uint8Array {
  const key = cut(1 + bytes.length)
  key[0] = table
  key.set(bytes, 1)
  return key
}

/** m ‖ name. */
export function metaKey(name: string): Uint8Array {
  return bytesKey(TABLE.meta, new TextEncoder().encode(name))
}

export function encodeHeight(height: number): Uint8Array {
  const bytes = cut(6)
  u48(bytes, 0, height)
  return bytes
}

/** Big-endian without leading zeros; zero is the empty string. */
export function encodeWork(work: bigint): Uint8Array {
  const bytes = new Uint8Array(workLength(work))
  writeWork(work, bytes, 0, bytes.length)
  return bytes
}

/** Bytes without leading zeros. */
function workLength(work: bigint): number {
  if (work > MAX_SAFE) return (work.toString(16).length + 1) >> 1
  let length = 0
  for (let rest = Number(work); rest >= 1; rest /= 256) length++
  return length
}

function writeWork(work: bigint, bytes: Uint8Array, at: number, length: number): void {
  let rest = work
  let end = at + length
  for (; rest > MAX_SAFE; rest >>= 8n) bytes[--end] = Number(rest & 0xffn)
  let small = Number(rest)
  while (end > at) {
    bytes[--end] = small % 256
    small = Math.floor(small / 256)
  }
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER)

export function decodeWork(bytes: Uint8Array): bigint {
  let work = 0n
  for (const byte of bytes) work = (work << 8n) | BigInt(byte)
  return work
}

export function encodeHeaderRecord(work: bigint, header: Uint8Array): Uint8Array {
  const length = workLength(work)
  const record = cut(1 + length + header.length)
  record[0] = length
  writeWork(work, record, 1, length)
  record.set(header, 1 + length)
  return record
}

/** Databases answer Buffers, whose `slice` shares memory; the same bytes as what our types say they are. */
function plain<B extends Uint8Array | undefined>(bytes: B): B {
  if (bytes == null || bytes.constructor === Uint8Array) return bytes
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) as unknown as B
}

/** Undefined for what `encodeHeaderRecord` would not have written. */
export function decodeHeaderRecord(record: Uint8Array): HeaderRecord | undefined {
  const length = record[0]
  if (length == null || length > 32 || record.length <= 1 + length) return undefined
  if (length > 0 && record[1] === 0) return undefined
  return { work: decodeWork(record.subarray(1, 1 + length)), header: new Uint8Array(record.subarray(1 + length)) }
}

/**
 * The chain's tables in a database. Reads by key and by range, and one atomic batch at a time through `write()`. Knows keys and
 * bytes, nothing of rules.
 */
export class Store {
  /** Whether single values can be read without waiting. Without it only what is in memory can be asked synchronously. */
  readonly immediate: boolean

  constructor(readonly db: Database) {
    // missing from the types of level-supports 6
    this.immediate = (db.supports as { getSync?: boolean }).getSync === true
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
    return this.peek(heightKey(TABLE.main, height))
  }

  headerAt(height: number, hash: Uint8Array): HeaderRecord | undefined {
    const bytes = this.peek(blockKey(TABLE.header, height, hash))
    return bytes == null ? undefined : decodeHeaderRecord(bytes)
  }

  body(height: number, hash: Uint8Array): Promise<Uint8Array | undefined> {
    return this.db.get(blockKey(TABLE.body, height, hash)).then(plain)
  }

  write(): Writing {
    return new Writing(this.db)
  }

  /** Keys and values of a table, heights `from` to `to`, ascending, in pages. */
  async *range(table: number, from: number, to: number): AsyncGenerator<Array<[Uint8Array, Uint8Array]>> {
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

  /** Values of `h` or `b` that lie on the head chain, heights `from` to `to`, ascending, in pages. */
  async *main(table: number, from: number, to: number): AsyncGenerator<Uint8Array[]> {
    // where forks lie side by side the height table tells which one counts; a height with one entry needs no look-up
    let group: Array<[Uint8Array, Uint8Array]> = []
    const pick = async (): Promise<Uint8Array | undefined> => {
      if (group.length < 2) return group[0]?.[1]
      const hash = await this.read(heightKey(TABLE.main, readHeight(group[0]![0], 1)))
      return group.find(([key]) => hash != null && compareBytes(key.subarray(7), hash) === 0)?.[1]
    }
    for await (const page of this.range(table, from, to)) {
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
}

/** Operations that are written all or not at all, in their order. */
export class Writing {
  readonly #db: Database
  readonly #keys: Uint8Array[] = []
  /** Undefined where the key goes. */
  readonly #values: Array<Uint8Array | undefined> = []
  #bytes = 0

  constructor(db: Database) {
    this.#db = db
  }

  /** Size of keys and values. */
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

  append(other: Writing): void {
    for (let i = 0; i < other.#keys.length; i++) {
      this.#keys.push(other.#keys[i]!)
      this.#values.push(other.#values[i])
    }
    this.#bytes += other.#bytes
  }

  del(key: Uint8Array): void {
    this.#keys.push(key)
    this.#values.push(undefined)
    this.#bytes += key.length
  }

  /** `sync` waits until the disk has it: it survives a power cut. `first`: other operations, written before these in the same batch. */
  async commit(sync = false, first?: Writing): Promise<void> {
    if (this.size === 0 && (first == null || first.size === 0)) return
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
    await batch.write({ sync } as object)
  }
}

/** The value of `head`: hash, then height. */
export function headRecord(height: number, hash: Uint8Array): Uint8Array {
  const record = new Uint8Array(38)
  record.set(hash)
  record.set(encodeHeight(height), 32)
  return record
}
