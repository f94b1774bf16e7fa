const DIGITS = '0123456789abcdef'
/** Character codes of the two digits of each byte. */
const HIGH = Array.from({ length: 256 }, (_, byte) => DIGITS.charCodeAt(byte >> 4))
const LOW = Array.from({ length: 256 }, (_, byte) => DIGITS.charCodeAt(byte & 15))

/**
 * Lower-case hex, as one flat string: put together from pieces it would take a KB as a key of a map, and 1.3 µs instead of 0.3 to look up
 * (32 bytes, Node 24).
 */
export function toHex(bytes: Uint8Array): string {
  // there is none in browsers
  const { Buffer } = globalThis
  if (Buffer != null) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
  const codes = new Uint8Array(2 * bytes.length)
  for (const [i, byte] of bytes.entries()) {
    codes[2 * i] = HIGH[byte] ?? 0
    codes[2 * i + 1] = LOW[byte] ?? 0
  }
  return new TextDecoder().decode(codes)
}

/** Of pieces of `size` bytes that stand one after the other: the same for each. */
export function toHexes(bytes: Uint8Array, size: number): string[] {
  const texts: string[] = []
  const { Buffer } = globalThis
  const whole = Buffer?.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at < bytes.length; at += size) {
    texts.push(whole == null ? toHex(bytes.subarray(at, at + size)) : whole.toString('hex', at, at + size))
  }
  return texts
}

/**
 * Bytes of hex, of either case.
 * @throws RangeError for an odd length or anything but hex digits.
 */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) {
    throw new RangeError(`not hex: ${JSON.stringify(text.slice(0, 80))}`)
  }
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

/** Not in constant time: for hashes and keys that are public. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Order of unsigned bytes; a prefix comes before what it begins. For `Array.sort`. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]!
    if (difference !== 0) return difference
  }
  return a.length - b.length
}
