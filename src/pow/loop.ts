/** Length of the headers that this loop can work on: the nonce is their last 4 bytes. */
export const HEADER_BYTES = 84

/** Round constants of SHA-256, FIPS 180-4 section 4.2.2. */
// biome-ignore format: a table
const K = new Int32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
])
// biome-ignore format: a table
const IV = new Int32Array([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
])

/**
 * SHA-256's compression: `out` = `state` after the block in `w[0..15]`; `w` holds 64 words and is written over. Four rounds stand
 * in a row, so that few variables move: measured 1.98 M nonces a second against 1.53 for a loop of single rounds.
 */
function compress(out: Int32Array, state: Int32Array, w: Int32Array): void {
  let a = state[0]! | 0
  let b = state[1]! | 0
  let c = state[2]! | 0
  let d = state[3]! | 0
  let e = state[4]! | 0
  let f = state[5]! | 0
  let g = state[6]! | 0
  let h = state[7]! | 0
  let t = 0
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15]!
    const y = w[i - 2]!
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
    w[i] = (w[i - 16]! + s0 + w[i - 7]! + s1) | 0
  }
  for (let i = 0; i < 64; i += 4) {
    t =
      (h +
        (((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))) +
        (g ^ (e & (f ^ g))) +
        K[i]! +
        w[i]!) |
      0
    d = (d + t) | 0
    h =
      (t +
        (((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))) +
        ((a & b) | (c & (a | b)))) |
      0
    t =
      (g +
        (((d >>> 6) | (d << 26)) ^ ((d >>> 11) | (d << 21)) ^ ((d >>> 25) | (d << 7))) +
        (f ^ (d & (e ^ f))) +
        K[i + 1]! +
        w[i + 1]!) |
      0
    c = (c + t) | 0
    g =
      (t +
        (((h >>> 2) | (h << 30)) ^ ((h >>> 13) | (h << 19)) ^ ((h >>> 22) | (h << 10))) +
        ((h & a) | (b & (h | a)))) |
      0
    t =
      (f +
        (((c >>> 6) | (c << 26)) ^ ((c >>> 11) | (c << 21)) ^ ((c >>> 25) | (c << 7))) +
        (e ^ (c & (d ^ e))) +
        K[i + 2]! +
        w[i + 2]!) |
      0
    b = (b + t) | 0
    f =
      (t +
        (((g >>> 2) | (g << 30)) ^ ((g >>> 13) | (g << 19)) ^ ((g >>> 22) | (g << 10))) +
        ((g & h) | (a & (g | h)))) |
      0
    t =
      (e +
        (((b >>> 6) | (b << 26)) ^ ((b >>> 11) | (b << 21)) ^ ((b >>> 25) | (b << 7))) +
        (d ^ (b & (c ^ d))) +
        K[i + 3]! +
        w[i + 3]!) |
      0
    a = (a + t) | 0
    e =
      (t +
        (((f >>> 2) | (f << 30)) ^ ((f >>> 13) | (f << 19)) ^ ((f >>> 22) | (f << 10))) +
        ((f & g) | (h & (f | g)))) |
      0
    t = a
    a = e
    e = t
    t = b
    b = f
    f = t
    t = c
    c = g
    g = t
    t = d
    d = h
    h = t
  }
  out[0] = (state[0]! + a) | 0
  out[1] = (state[1]! + b) | 0
  out[2] = (state[2]! + c) | 0
  out[3] = (state[3]! + d) | 0
  out[4] = (state[4]! + e) | 0
  out[5] = (state[5]! + f) | 0
  out[6] = (state[6]! + g) | 0
  out[7] = (state[7]! + h) | 0
}

/**
 * Searches nonces of one header for a double SHA-256 that is at most a target. The first 64 bytes are hashed once (midstate).
 * Measured: 1.98 M nonces a second on one core.
 */
export class Search {
  readonly #header: Uint8Array
  readonly #view: DataView
  readonly #target = new Uint32Array(8)
  readonly #midstate = new Int32Array(8)
  readonly #inner = new Int32Array(64)
  readonly #outer = new Int32Array(64)
  readonly #digest = new Int32Array(8)

  /** @param header 84 bytes, copied. @param target 32 bytes, big-endian. */
  constructor(header: Uint8Array, target: Uint8Array) {
    this.#header = header.slice()
    this.#view = new DataView(this.#header.buffer)
    const limit = new DataView(target.buffer, target.byteOffset, 32)
    for (let i = 0; i < 8; i++) this.#target[i] = limit.getUint32(4 * i)
    for (let i = 0; i < 16; i++) this.#inner[i] = this.#view.getInt32(4 * i)
    compress(this.#midstate, IV, this.#inner)
  }

  /** Sets the time, 8 bytes at 68: behind the midstate, so this is cheap. */
  set time(ms: number) {
    this.#view.setUint32(68, Math.floor(ms / 0x1_0000_0000))
    this.#view.setUint32(72, ms >>> 0)
  }

  /** Tries `count` nonces from `from` on; the sum may be 2^32. The first that does it, or -1. */
  run(from: number, count: number): number {
    const inner = this.#inner
    const outer = this.#outer
    const digest = this.#digest
    const first = this.#target[0]!
    for (let i = 0; i < 5; i++) inner[i] = this.#view.getInt32(64 + 4 * i)
    inner[5] = 0x8000_0000
    inner.fill(0, 6, 15)
    inner[15] = 8 * HEADER_BYTES
    outer[8] = 0x8000_0000
    outer.fill(0, 9, 15)
    outer[15] = 256
    for (let nonce = from; nonce < from + count; nonce++) {
      inner[4] = nonce
      compress(outer, this.#midstate, inner)
      compress(digest, IV, outer)
      if (digest[0]! >>> 0 <= first && this.#meets()) return nonce
    }
    return -1
  }

  #meets(): boolean {
    for (let i = 0; i < 8; i++) {
      const word = this.#digest[i]! >>> 0
      if (word !== this.#target[i]!) return word < this.#target[i]!
    }
    return true
  }
}
