import { sha256 } from '../hash.js'

/** Bytes of a message ID. */
export const MESSAGE_ID_BYTES = 20

const encoder = new TextEncoder()

/**
 * First 20 bytes of SHA-256(topic ‖ 0x00 ‖ data). Of all bytes and never of the block hash alone, so that a good header with a
 * spoilt body cannot silence the true block; with the topic, so that equal bytes on two topics are two messages.
 */
export function messageId(topic: string, data: Uint8Array): Uint8Array {
  const name = encoder.encode(topic)
  const bytes = new Uint8Array(name.length + 1 + data.length)
  bytes.set(name)
  bytes.set(data, name.length + 1)
  return sha256(bytes).slice(0, MESSAGE_ID_BYTES)
}
