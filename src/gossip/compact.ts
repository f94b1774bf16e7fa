import {
  encodeBlock,
  MalformedBytesError,
  Reader,
  splitBlock,
  TooLargeBytesError,
  txIds,
  varintLength,
  Writer
} from '../chain/index.js'
import { sha256 } from '../hash.js'
import { equalBytes } from '../hex.js'
import { decodeShorts, encodeShorts, SHORT_BYTES, SipHash } from '../siphash.js'

export const NONCE_BYTES = 8
/** Smaller blocks travel whole: to ask for what is missing would take longer than to send it. */
const SMALL_BYTES = 4_096
/** Where a block has the length of its header: no header is of no bytes. */
const MARK = 0

interface Sizes {
  blockBytes: number
  txBytes: number
  headerBytes: number
  futureMs: number
}

/** A block as its header and the short IDs of its transactions: BIP 152. Views of the message. */
export interface Compact {
  header: Uint8Array
  nonce: Uint8Array
  /** Transactions of the block. */
  count: number
  /** Those that come whole, by their place. */
  prefilled: Map<number, Uint8Array>
  /** Of all others, in order. */
  shorts: number[]
}

export function isCompact(message: Uint8Array): boolean {
  return message[0] === MARK
}

/** What short IDs are keyed with: nobody can find transactions that collide before the block is there. */
export function keyOf(hash: Uint8Array, nonce: Uint8Array): SipHash {
  const seed = new Uint8Array(hash.length + NONCE_BYTES)
  seed.set(hash)
  seed.set(nonce, hash.length)
  return new SipHash(sha256(seed).subarray(0, 16))
}

/** Short IDs of transactions. */
export function shortsOf(sip: SipHash, txs: Uint8Array[]): number[] {
  return txIds(txs).map((id) => sip.short(id))
}

/**
 * The compact form of a block. Undefined where it is to travel whole: it is small, would not be half as long, or two of its transactions
 * have one short ID.
 *
 * @param prefilled How many of its first transactions come whole
 */
export function compactOf(
  block: Uint8Array,
  hash: Uint8Array,
  { limits, prefilled, nonce }: { limits: Sizes; prefilled: number; nonce: Uint8Array }
): Uint8Array | undefined {
  if (block.length <= SMALL_BYTES) return undefined
  const { header, txs } = splitBlock(block, limits)
  const whole = txs.slice(0, prefilled)
  const shorts = shortsOf(keyOf(hash, nonce), txs.slice(prefilled))
  let size = 1 + varintLength(header.length) + header.length + NONCE_BYTES
  size += varintLength(txs.length) + varintLength(whole.length) + SHORT_BYTES * shorts.length
  for (const tx of whole) size += 1 + varintLength(tx.length) + tx.length
  if (2 * size > block.length || new Set(shorts).size < shorts.length) return undefined
  const writer = new Writer(new Uint8Array(size))
  writer.u8(MARK)
  writer.varint(header.length)
  writer.put(header)
  writer.put(nonce)
  writer.varint(txs.length)
  writer.varint(whole.length)
  for (const tx of whole) {
    writer.varint(0)
    writer.varint(tx.length)
    writer.put(tx)
  }
  writer.put(encodeShorts(shorts))
  return writer.bytes
}

/** @throws MalformedBytesError, TooLargeBytesError */
export function decodeCompact(message: Uint8Array, limits: Sizes): Compact {
  const reader = new Reader(message)
  reader.skip(1)
  const header = take(reader, 'header', limits.headerBytes)
  const nonce = reader.take(NONCE_BYTES)
  const count = reader.varint()
  const before = varintLength(header.length) + header.length
  // each takes two bytes of the block or more
  if (count < 1 || before + 2 * count > limits.blockBytes) throw new TooLargeBytesError(`${count} transactions`)
  const whole = reader.varint()
  if (whole > count) throw new MalformedBytesError(`${whole} of ${count} transactions come whole`)
  const prefilled = new Map<number, Uint8Array>()
  let next = 0
  for (let i = 0; i < whole; i++) {
    const index = next + reader.varint()
    if (index >= count) throw new MalformedBytesError(`transaction ${index} of ${count}`)
    prefilled.set(index, take(reader, 'transaction', limits.txBytes))
    next = index + 1
  }
  if (reader.left !== SHORT_BYTES * (count - whole)) throw new MalformedBytesError(`${reader.left} bytes of short IDs`)
  const shorts = decodeShorts(reader.take(reader.left))
  if (new Set(shorts).size < shorts.length) throw new MalformedBytesError('a short ID stands there twice')
  return { header, nonce, count, prefilled, shorts }
}

/** A block that is put together again. Transactions are kept as they are given, views of larger buffers too: it does not live long. */
export class Filling {
  readonly #txs: (Uint8Array | undefined)[]
  /** Of each transaction that did not come whole. */
  readonly #shorts: (number | undefined)[]
  readonly #sip: SipHash

  constructor(
    private readonly compact: Compact,
    hash: Uint8Array
  ) {
    this.#sip = keyOf(hash, compact.nonce)
    this.#txs = Array.from({ length: compact.count }, (_, index) => compact.prefilled.get(index))
    let next = 0
    this.#shorts = this.#txs.map((tx) => (tx == null ? compact.shorts[next++] : undefined))
  }

  /** Places that are open, ascending. */
  get missing(): number[] {
    const missing: number[] = []
    for (const [index, tx] of this.#txs.entries()) if (tx == null) missing.push(index)
    return missing
  }

  /** Fills places from the pool. Where two of its transactions fit, the place stays open: nobody could tell which it is. */
  search(pool: Iterable<{ readonly id: Uint8Array; readonly bytes: Uint8Array }>): void {
    const places = new Map<number, number>()
    for (const [index, short] of this.#shorts.entries()) if (short != null) places.set(short, index)
    const twice = new Set<number>()
    for (const { id, bytes } of pool) {
      const index = places.get(this.#sip.short(id))
      if (index == null) continue
      if (this.#txs[index] != null) twice.add(index)
      this.#txs[index] = bytes
    }
    for (const index of twice) this.#txs[index] = undefined
  }

  /** Fills places with what was asked for. False at the first that does not fit; those before it are kept. */
  put(indexes: number[], txs: Uint8Array[]): boolean {
    for (const [i, short] of shortsOf(this.#sip, txs).entries()) {
      const index = indexes[i]
      if (index == null || short !== this.#shorts[index]) return false
      this.#txs[index] = txs[i]
    }
    return true
  }

  /** The whole block; no place may be open. */
  block(): Uint8Array {
    return encodeBlock(this.compact.header, this.#txs as Uint8Array[])
  }

  /** Was it made of these transactions? */
  matches(txs: Uint8Array[]): boolean {
    const { count, prefilled } = this.compact
    if (txs.length !== count) return false
    const shorts = shortsOf(this.#sip, txs)
    return txs.every((tx, index) => {
      const whole = prefilled.get(index)
      return whole == null ? shorts[index] === this.#shorts[index] : equalBytes(whole, tx)
    })
  }
}

function take(reader: Reader, what: string, limit: number): Uint8Array {
  const length = reader.varint()
  if (length === 0) throw new MalformedBytesError(`a ${what} of no bytes`)
  if (length > limit) throw new TooLargeBytesError(`${what} of ${length} bytes, over ${limit}`)
  return reader.take(length)
}
