import { cut } from './slab.js'

/** Written under `m` ‖ `format`. A store with another one is refused. See docs/store.md. */
export const FORMAT = '1'
/** The same where old blocks lie in files. */
export const FORMAT_FILES = '2'
/** Behind the format of a store that holds headers only, which older programs refuse as they should. */
export const HEADERS_ONLY = '-headers'
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

/** 6 bytes, big-endian. */
export function writeHeight(key: Uint8Array, at: number, height: number): void {
  const high = Math.floor(height / 0x1_0000_0000)
  key[at] = high >>> 8
  key[at + 1] = high
  key[at + 2] = height >>> 24
  key[at + 3] = height >>> 16
  key[at + 4] = height >>> 8
  key[at + 5] = height
}

/** Higher than any block. */
export const MAX_HEIGHT = 0xffff_ffff_fffe

export function readHeight(bytes: Uint8Array, at: number): number {
  const high = (bytes[at]! << 8) | bytes[at + 1]!
  const low = ((bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!) >>> 0
  return high * 0x1_0000_0000 + low
}

/** table ‖ height ‖ hash: `h`, `b` and `u`. */
export function blockKey(table: number, height: number, hash: Uint8Array): Uint8Array {
  const key = cut(39)
  key[0] = table
  writeHeight(key, 1, height)
  key.set(hash, 7)
  return key
}

/** table ‖ height: `c`, and the bounds of a range by height. */
export function heightKey(table: number, height: number): Uint8Array {
  const key = cut(7)
  key[0] = table
  writeHeight(key, 1, height)
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
  writeHeight(bytes, 0, height)
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

/** Undefined for what `encodeHeaderRecord` would not have written. */
export function decodeHeaderRecord(record: Uint8Array): HeaderRecord | undefined {
  const header = headerOf(record)
  return header && { work: decodeWork(record.subarray(1, 1 + record[0]!)), header: new Uint8Array(header) }
}

/** The header of a record, as a view of it; undefined as above. */
export function headerOf(record: Uint8Array): Uint8Array | undefined {
  const length = record[0]
  if (length == null || length > 32 || record.length <= 1 + length) return undefined
  if (length > 0 && record[1] === 0) return undefined
  return record.subarray(1 + length)
}

/** The value of `head`: hash, then height. */
export function headRecord(height: number, hash: Uint8Array): Uint8Array {
  const record = new Uint8Array(38)
  record.set(hash)
  record.set(encodeHeight(height), 32)
  return record
}
