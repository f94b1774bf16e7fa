import { MalformedBytesError, Reader, TooLargeBytesError, varintLength, Writer } from '../chain/index.js'

/** A batch of several transactions is at most this long; one alone may be as long as `txBytes` allows. */
export const BATCH_BYTES = 65_536

/** Bytes that a transaction takes in a batch or a block. */
export function entryBytes(tx: Uint8Array): number {
  return varintLength(tx.length) + tx.length
}

/** `1*( varint(length) tx )`, the bytes of one message on the topic `txs`. */
export function encodeBatch(txs: Uint8Array[]): Uint8Array {
  const writer = new Writer(new Uint8Array(txs.reduce((sum, tx) => sum + entryBytes(tx), 0)))
  for (const tx of txs) {
    writer.varint(tx.length)
    writer.put(tx)
  }
  return writer.bytes
}

/**
 * Takes a batch apart into views of `bytes`.
 *
 * @throws MalformedBytesError, TooLargeBytesError
 */
export function splitBatch(bytes: Uint8Array, txBytes: number): Uint8Array[] {
  const reader = new Reader(bytes)
  const txs: Uint8Array[] = []
  do {
    if (txs.length === 1 && bytes.length > BATCH_BYTES) {
      throw new TooLargeBytesError(`a batch of ${bytes.length} bytes, over ${BATCH_BYTES}`)
    }
    const length = reader.varint()
    if (length === 0) throw new MalformedBytesError('a transaction of no bytes')
    if (length > txBytes) throw new TooLargeBytesError(`a transaction of ${length} bytes, over ${txBytes}`)
    txs.push(reader.take(length))
  } while (reader.left > 0)
  return txs
}
