import { apart, viewsOf } from '../lanes.js'
import { MalformedBytesError, Reader, TooLargeBytesError, varintLength, Writer } from './cursor.js'
import { leafHash, leafHashes } from './merkle.js'
import type { Limits } from './rules.js'

/** `varint(length) header *( varint(length) tx )`, the bytes in which a block is stored, sent and counted. */
export function encodeBlock(header: Uint8Array, txs: Uint8Array[]): Uint8Array {
  let size = varintLength(header.length) + header.length
  for (const tx of txs) size += varintLength(tx.length) + tx.length
  const writer = new Writer(new Uint8Array(size))
  writer.varint(header.length)
  writer.put(header)
  for (const tx of txs) {
    writer.varint(tx.length)
    writer.put(tx)
  }
  return writer.bytes
}

/**
 * Takes a block apart into views of `bytes`: nothing is copied, so what is kept longer than the block should be.
 * A transaction has at least one byte.
 * @throws MalformedBytesError, TooLargeBytesError (the block, its header or a transaction is over `limits`).
 */
export function splitBlock(bytes: Uint8Array, limits: Required<Limits>): { header: Uint8Array; txs: Uint8Array[] } {
  const spans = spansOf(bytes, limits)
  return { header: bytes.subarray(spans[0], spans[1]), txs: viewsOf({ bytes, spans }) }
}

/**
 * Where the parts of a block lie: begin and end of the header, of the first transaction, and so on, one after the other. A part's last
 * byte of length stands right before it.
 * @throws as `splitBlock` does.
 */
export function spansOf(bytes: Uint8Array, limits: Required<Limits>): number[] {
  bound('block', bytes.length, limits.blockBytes)
  const reader = new Reader(bytes)
  const spans: number[] = []
  skip(reader, 'header', limits.headerBytes, spans)
  while (reader.left > 0) skip(reader, 'transaction', limits.txBytes, spans)
  return spans
}

/** Is this the block's header? Looks at no more than that. */
export function beginsWith(block: Uint8Array, header: Uint8Array): boolean {
  const from = varintLength(header.length)
  if (block.length < from + header.length) return false
  let rest = header.length
  for (let i = 0; i < from; i++) {
    if (block[i] !== (rest % 0x80) + (i < from - 1 ? 0x80 : 0)) return false
    rest = Math.floor(rest / 0x80)
  }
  for (let i = 0; i < header.length; i++) if (block[from + i] !== header[i]) return false
  return true
}

/** ID of a transaction: its Merkle leaf. */
export function txId(tx: Uint8Array): Uint8Array {
  return leafHash(tx)
}

/** IDs of many transactions, hashed side by side: views of one buffer, so copy those that are kept alone. */
export function txIds(txs: Uint8Array[]): Uint8Array[] {
  return apart(leafHashes(txs))
}

function skip(reader: Reader, what: string, limit: number, spans: number[]): void {
  const length = reader.varint()
  if (length === 0) throw new MalformedBytesError(`a ${what} of no bytes`)
  bound(what, length, limit)
  const from = reader.skip(length)
  spans.push(from, from + length)
}

function bound(what: string, length: number, limit: number): void {
  if (length > limit) throw new TooLargeBytesError(`${what} of ${length} bytes, over ${limit}`)
}
