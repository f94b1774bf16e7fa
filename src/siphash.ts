/** Of a short ID. */
export const SHORT_BYTES = 6
/** What the lower four of them hold. */
const UNIT = 0x1_0000_0000

/**
 * SipHash-2-4 (Aumasson and Bernstein, 2012) under one key of 16 bytes, on 32-bit halves: BigInt takes many times as long. Against
 * whoever does not know the key, as collisions of short IDs are found otherwise by trying.
 */
export class SipHash {
  readonly #k: Int32Array
  /** v0 to v3, each low half first. */
  readonly #v = new Int32Array(8)

  constructor(key: Uint8Array) {
    if (key.length !== 16) throw new RangeError(`a key of ${key.length} bytes, not 16`)
    this.#k = Int32Array.of(word(key, 0), word(key, 4), word(key, 8), word(key, 12))
  }

  /** The lowest 48 bits: on the wire they are its first six bytes. */
  short(message: Uint8Array): number {
    this.#run(message)
    const v = this.#v
    const low = (v[0]! ^ v[2]! ^ v[4]! ^ v[6]!) >>> 0
    const high = (v[1]! ^ v[3]! ^ v[5]! ^ v[7]!) & 0xffff
    return high * UNIT + low
  }

  /** All eight bytes, little-endian. */
  digest(message: Uint8Array): Uint8Array {
    this.#run(message)
    const v = this.#v
    const bytes = new Uint8Array(8)
    const view = new DataView(bytes.buffer)
    view.setInt32(0, v[0]! ^ v[2]! ^ v[4]! ^ v[6]!, true)
    view.setInt32(4, v[1]! ^ v[3]! ^ v[5]! ^ v[7]!, true)
    return bytes
  }

  #run(message: Uint8Array): void {
    const v = this.#v
    const k = this.#k
    v[0] = k[0]! ^ 0x70736575
    v[1] = k[1]! ^ 0x736f6d65
    v[2] = k[2]! ^ 0x6e646f6d
    v[3] = k[3]! ^ 0x646f7261
    v[4] = k[0]! ^ 0x6e657261
    v[5] = k[1]! ^ 0x6c796765
    v[6] = k[2]! ^ 0x79746573
    v[7] = k[3]! ^ 0x74656462
    const whole = message.length - (message.length % 8)
    for (let at = 0; at < whole; at += 8) this.#compress(word(message, at), word(message, at + 4))
    let low = 0
    let high = message.length << 24
    for (let at = whole; at < message.length; at++) {
      const shift = (at - whole) * 8
      if (shift < 32) low |= message[at]! << shift
      else high |= message[at]! << (shift - 32)
    }
    this.#compress(low, high)
    v[4]! ^= 0xff
    rounds(v, 4)
  }

  #compress(low: number, high: number): void {
    const v = this.#v
    v[6]! ^= low
    v[7]! ^= high
    rounds(v, 2)
    v[0]! ^= low
    v[1]! ^= high
  }
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

/** Of a sum of low halves: did it run over? */
function carry(sum: number, part: number): number {
  return sum >>> 0 < part >>> 0 ? 1 : 0
}

function rounds(v: Int32Array, count: number): void {
  let l0 = v[0]!
  let h0 = v[1]!
  let l1 = v[2]!
  let h1 = v[3]!
  let l2 = v[4]!
  let h2 = v[5]!
  let l3 = v[6]!
  let h3 = v[7]!
  let t = 0
  for (let round = 0; round < count; round++) {
    // v0 += v1; v1 <<<= 13; v1 ^= v0; v0 <<<= 32
    t = (l0 + l1) | 0
    h0 = (h0 + h1 + carry(t, l0)) | 0
    l0 = t
    t = (l1 << 13) | (h1 >>> 19)
    h1 = ((h1 << 13) | (l1 >>> 19)) ^ h0
    l1 = t ^ l0
    t = l0
    l0 = h0
    h0 = t
    // v2 += v3; v3 <<<= 16; v3 ^= v2
    t = (l2 + l3) | 0
    h2 = (h2 + h3 + carry(t, l2)) | 0
    l2 = t
    t = (l3 << 16) | (h3 >>> 16)
    h3 = ((h3 << 16) | (l3 >>> 16)) ^ h2
    l3 = t ^ l2
    // v0 += v3; v3 <<<= 21; v3 ^= v0
    t = (l0 + l3) | 0
    h0 = (h0 + h3 + carry(t, l0)) | 0
    l0 = t
    t = (l3 << 21) | (h3 >>> 11)
    h3 = ((h3 << 21) | (l3 >>> 11)) ^ h0
    l3 = t ^ l0
    // v2 += v1; v1 <<<= 17; v1 ^= v2; v2 <<<= 32
    t = (l2 + l1) | 0
    h2 = (h2 + h1 + carry(t, l2)) | 0
    l2 = t
    t = (l1 << 17) | (h1 >>> 15)
    h1 = ((h1 << 17) | (l1 >>> 15)) ^ h2
    l1 = t ^ l2
    t = l2
    l2 = h2
    h2 = t
  }
  v[0] = l0
  v[1] = h0
  v[2] = l1
  v[3] = h1
  v[4] = l2
  v[5] = h2
  v[6] = l3
  v[7] = h3
}

/** Each as six bytes, the lowest first. */
export function encodeShorts(shorts: number[]): Uint8Array {
  const bytes = new Uint8Array(SHORT_BYTES * shorts.length)
  const view = new DataView(bytes.buffer)
  for (const [i, short] of shorts.entries()) {
    view.setUint32(SHORT_BYTES * i, short % UNIT, true)
    view.setUint16(SHORT_BYTES * i + 4, Math.floor(short / UNIT), true)
  }
  return bytes
}

/** Of a multiple of six bytes. */
export function decodeShorts(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const shorts: number[] = []
  for (let at = 0; at < bytes.length; at += SHORT_BYTES) {
    shorts.push(view.getUint16(at + 4, true) * UNIT + view.getUint32(at, true))
  }
  return shorts
}
