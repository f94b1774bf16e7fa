/** A signature to be checked. */
export interface SignedMessage {
  /** 64 bytes; any other length is a wrong signature. */
  signature: Uint8Array
  message: Uint8Array
  /** 32 bytes; any other length is a wrong signature. */
  publicKey: Uint8Array
}

/** Signature, key, length of the message as u32. */
const HEAD_BYTES = 64 + 32 + 4

/** Signatures as one piece of bytes, for a thread. All have keys and signatures of the right length. */
export function packChunk(list: SignedMessage[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(list.reduce((sum, { message }) => sum + HEAD_BYTES + message.length, 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const { signature, publicKey, message } of list) {
    bytes.set(signature, at)
    bytes.set(publicKey, at + 64)
    view.setUint32(at + 96, message.length)
    bytes.set(message, at + HEAD_BYTES)
    at += HEAD_BYTES + message.length
  }
  return bytes
}

/** What was packed, as views. */
export function unpackChunk(bytes: Uint8Array): SignedMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const list: SignedMessage[] = []
  for (let at = 0; at < bytes.length; ) {
    const from = at + HEAD_BYTES
    const to = from + view.getUint32(at + 96)
    list.push({
      signature: bytes.subarray(at, at + 64),
      publicKey: bytes.subarray(at + 64, at + 96),
      message: bytes.subarray(from, to)
    })
    at = to
  }
  return list
}
