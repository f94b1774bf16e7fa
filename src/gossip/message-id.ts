import { sha256 } from '../hash.js'

/** Bytes of a message ID. */
export const MESSAGE_ID_BYTES = 20

/** Topics are few: what there is room for is what a node takes part in. */
const MAX_NAMES = 64
const encoder = new TextEncoder()
const names = new Map<string, Uint8Array>()
/** Of what is not larger no copy is made anew. */
const scratch = new Uint8Array(69_632)

/**
 * First 20 bytes of SHA-256(topic ‖ 0x00 ‖ data). Of all bytes and never of the block hash alone, so that a good header with a
 * spoilt body cannot silence the true block; with the topic, so that equal bytes on two topics are two messages.
 */
export function messageId(topic: string, data: Uint8Array): Uint8Array {
  const name = prefixOf(topic)
  const length = name.length + data.length
  const bytes = length <= scratch.length ? scratch.subarray(0, length) : new Uint8Array(length)
  bytes.set(name)
  bytes.set(data, name.length)
  return sha256(bytes).slice(0, MESSAGE_ID_BYTES)
}

/** topic ‖ 0x00 */
function prefixOf(topic: string): Uint8Array {
  let name = names.get(topic)
  if (name == null) {
    name = encoder.encode(`${topic}\0`)
    if (names.size < MAX_NAMES) names.set(topic, name)
  }
  return name
}
