import { Reader, varintLength, Writer } from '../chain/index.js'
import { MalformedError } from '../errors.js'
import { MAX_TXS } from './limit.js'

/** Places of transactions in a block as they travel: the first, then how many lie between each and the one before. Ascending. */
export function encodeIndexes(indexes: number[]): Uint8Array<ArrayBuffer> {
  const gaps = indexes.map((index, i) => (i === 0 ? index : index - indexes[i - 1]! - 1))
  const size = gaps.reduce((sum, gap) => sum + varintLength(gap), 0)
  const writer = new Writer(new Uint8Array(size))
  for (const gap of gaps) writer.varint(gap)
  return writer.bytes as Uint8Array<ArrayBuffer>
}

/** @throws MalformedError for what is none, or are too many */
export function decodeIndexes(bytes: Uint8Array): number[] {
  const count = countIndexes(bytes)
  if (count < 1 || count > MAX_TXS) throw new MalformedError(`${count} indexes, not 1 to ${MAX_TXS}`)
  const indexes: number[] = []
  try {
    const reader = new Reader(bytes)
    let next = 0
    while (reader.left > 0) {
      const index = next + reader.varint()
      indexes.push(index)
      next = index + 1
    }
    if (next > MAX_INDEX + 1) throw new RangeError(`an index of ${next - 1}`)
  } catch (err) {
    throw new MalformedError(`indexes: ${(err as Error).message}`, err)
  }
  return indexes
}

const MAX_INDEX = 0xffff_ffff

/** How many they are at most: every varint ends in a byte below 128. */
export function countIndexes(bytes: Uint8Array): number {
  let count = 0
  for (const byte of bytes) if (byte < 128) count++
  return count
}
