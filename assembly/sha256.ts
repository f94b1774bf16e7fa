const K: usize = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
  0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
  0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
  0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
  0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
  0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
])
const IV: usize = memory.data<u32>([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
])
/** Message schedules, state, and the padded ends of up to four messages. */
const W: usize = memory.data(64 * 16)
const STATE: usize = memory.data(8 * 16)
const TAIL: usize = memory.data(4 * 128)

/** Where input may begin. */
export const INPUT: usize = 65536

// one message

// @ts-ignore: decorator
@inline function rotated(x: u32, a: u32, b: u32, c: u32): u32 {
  return rotr(x, a) ^ rotr(x, b) ^ rotr(x, c)
}

function compress(at: usize): void {
  for (let i: usize = 0; i < 64; i += 4) store<u32>(W + i, bswap(load<u32>(at + i)))
  for (let i: usize = 64; i < 256; i += 4) {
    const w15 = load<u32>(W + i - 60)
    const w2 = load<u32>(W + i - 8)
    const s0 = rotr(w15, 7) ^ rotr(w15, 18) ^ (w15 >>> 3)
    const s1 = rotr(w2, 17) ^ rotr(w2, 19) ^ (w2 >>> 10)
    store<u32>(W + i, load<u32>(W + i - 64) + s0 + load<u32>(W + i - 28) + s1)
  }
  let a = load<u32>(STATE, 0), b = load<u32>(STATE, 4), c = load<u32>(STATE, 8), d = load<u32>(STATE, 12)
  let e = load<u32>(STATE, 16), f = load<u32>(STATE, 20), g = load<u32>(STATE, 24), h = load<u32>(STATE, 28)
  for (let i: usize = 0; i < 256; i += 4) {
    const t1 = h + rotated(e, 6, 11, 25) + ((e & f) ^ (~e & g)) + load<u32>(K + i) + load<u32>(W + i)
    const t2 = rotated(a, 2, 13, 22) + ((a & b) ^ (a & c) ^ (b & c))
    h = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2
  }
  store<u32>(STATE, load<u32>(STATE, 0) + a, 0); store<u32>(STATE, load<u32>(STATE, 4) + b, 4)
  store<u32>(STATE, load<u32>(STATE, 8) + c, 8); store<u32>(STATE, load<u32>(STATE, 12) + d, 12)
  store<u32>(STATE, load<u32>(STATE, 16) + e, 16); store<u32>(STATE, load<u32>(STATE, 20) + f, 20)
  store<u32>(STATE, load<u32>(STATE, 24) + g, 24); store<u32>(STATE, load<u32>(STATE, 28) + h, 28)
}

/** Blocks of 64 bytes that a message of `length` bytes fills with its padding. */
// @ts-ignore: decorator
@inline function blocks(length: u32): u32 {
  return ((length + 8) >>> 6) + 1
}

/** Writes what follows the last whole block of a message, padded. */
function pad(at: usize, length: u32, tail: usize): void {
  const rest = length & 63
  const end: u32 = (blocks(length) - (length >>> 6)) << 6
  memory.copy(tail, at + (length & ~63), rest)
  store<u8>(tail + rest, 0x80)
  memory.fill(tail + rest + 1, 0, end - rest - 1)
  store<u64>(tail + end - 8, bswap((<u64>length) << 3))
}

/** SHA-256 of `length` bytes at `at`, written to `out`. */
export function digest(at: usize, length: u32, out: usize): void {
  memory.copy(STATE, IV, 32)
  const whole = at + (length & ~63)
  for (let block = at; block < whole; block += 64) compress(block)
  pad(at, length, TAIL)
  compress(TAIL)
  if (blocks(length) - (length >>> 6) > 1) compress(TAIL + 64)
  for (let i: usize = 0; i < 32; i += 4) store<u32>(out + i, bswap(load<u32>(STATE + i)))
}

// four messages at once

// @ts-ignore: decorator
@inline function rotr4(x: v128, n: i32): v128 {
  return v128.or(i32x4.shr_u(x, n), i32x4.shl(x, 32 - n))
}

// @ts-ignore: decorator
@inline function swapped(x: v128): v128 {
  return i8x16.shuffle(x, x, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
}

function compress4(p0: usize, p1: usize, p2: usize, p3: usize): void {
  for (let i: usize = 0; i < 64; i += 16) {
    const x0 = swapped(v128.load(p0 + i)), x1 = swapped(v128.load(p1 + i))
    const x2 = swapped(v128.load(p2 + i)), x3 = swapped(v128.load(p3 + i))
    const low01 = i32x4.shuffle(x0, x1, 0, 4, 1, 5), high01 = i32x4.shuffle(x0, x1, 2, 6, 3, 7)
    const low23 = i32x4.shuffle(x2, x3, 0, 4, 1, 5), high23 = i32x4.shuffle(x2, x3, 2, 6, 3, 7)
    const at = W + (i << 2)
    v128.store(at, i64x2.shuffle(low01, low23, 0, 2), 0)
    v128.store(at, i64x2.shuffle(low01, low23, 1, 3), 16)
    v128.store(at, i64x2.shuffle(high01, high23, 0, 2), 32)
    v128.store(at, i64x2.shuffle(high01, high23, 1, 3), 48)
  }
  for (let i: usize = 256; i < 1024; i += 16) {
    const w15 = v128.load(W + i - 240)
    const w2 = v128.load(W + i - 32)
    const s0 = v128.xor(v128.xor(rotr4(w15, 7), rotr4(w15, 18)), i32x4.shr_u(w15, 3))
    const s1 = v128.xor(v128.xor(rotr4(w2, 17), rotr4(w2, 19)), i32x4.shr_u(w2, 10))
    v128.store(W + i, i32x4.add(i32x4.add(v128.load(W + i - 256), s0), i32x4.add(v128.load(W + i - 112), s1)))
  }
  let a = v128.load(STATE, 0), b = v128.load(STATE, 16), c = v128.load(STATE, 32), d = v128.load(STATE, 48)
  let e = v128.load(STATE, 64), f = v128.load(STATE, 80), g = v128.load(STATE, 96), h = v128.load(STATE, 112)
  for (let i: usize = 0; i < 64; i++) {
    const sum1 = v128.xor(v128.xor(rotr4(e, 6), rotr4(e, 11)), rotr4(e, 25))
    const choice = v128.xor(g, v128.and(e, v128.xor(f, g)))
    const wk = i32x4.add(v128.load(W + (i << 4)), v128.load32_splat(K + (i << 2)))
    const t1 = i32x4.add(i32x4.add(h, sum1), i32x4.add(choice, wk))
    const sum0 = v128.xor(v128.xor(rotr4(a, 2), rotr4(a, 13)), rotr4(a, 22))
    const majority = v128.or(v128.and(a, b), v128.and(c, v128.or(a, b)))
    h = g; g = f; f = e; e = i32x4.add(d, t1); d = c; c = b; b = a
    a = i32x4.add(t1, i32x4.add(sum0, majority))
  }
  v128.store(STATE, i32x4.add(v128.load(STATE, 0), a), 0); v128.store(STATE, i32x4.add(v128.load(STATE, 16), b), 16)
  v128.store(STATE, i32x4.add(v128.load(STATE, 32), c), 32); v128.store(STATE, i32x4.add(v128.load(STATE, 48), d), 48)
  v128.store(STATE, i32x4.add(v128.load(STATE, 64), e), 64); v128.store(STATE, i32x4.add(v128.load(STATE, 80), f), 80)
  v128.store(STATE, i32x4.add(v128.load(STATE, 96), g), 96); v128.store(STATE, i32x4.add(v128.load(STATE, 112), h), 112)
}

function begin4(): void {
  for (let i: usize = 0; i < 8; i++) v128.store(STATE + (i << 4), v128.load32_splat(IV + (i << 2)))
}

function take(lane: usize, out: usize): void {
  for (let i: usize = 0; i < 8; i++) store<u32>(out + (i << 2), bswap(load<u32>(STATE + (i << 4) + (lane << 2))))
}

// @ts-ignore: decorator
@inline function block(at: usize, whole: u32, tail: usize, index: u32): usize {
  return index < whole ? at + (index << 6) : tail + min<u32>((index - whole) << 6, 64)
}

/**
 * SHA-256 of `count` messages, written to `out` one after the other. `table` has where each begins and its length, as two u32.
 */
export function digests(table: usize, count: u32, out: usize): void {
  let i: u32 = 0
  for (; i + 4 <= count; i += 4) {
    const at = table + (i << 3)
    const p0 = load<u32>(at, 0), p1 = load<u32>(at, 8), p2 = load<u32>(at, 16), p3 = load<u32>(at, 24)
    const l0 = load<u32>(at, 4), l1 = load<u32>(at, 12), l2 = load<u32>(at, 20), l3 = load<u32>(at, 28)
    pad(p0, l0, TAIL); pad(p1, l1, TAIL + 128); pad(p2, l2, TAIL + 256); pad(p3, l3, TAIL + 384)
    const n0 = blocks(l0), n1 = blocks(l1), n2 = blocks(l2), n3 = blocks(l3)
    const last = max(max(n0, n1), max(n2, n3))
    begin4()
    for (let b: u32 = 0; b < last; b++) {
      compress4(
        block(p0, l0 >>> 6, TAIL, b), block(p1, l1 >>> 6, TAIL + 128, b),
        block(p2, l2 >>> 6, TAIL + 256, b), block(p3, l3 >>> 6, TAIL + 384, b)
      )
      const done = b + 1
      const to = out + (i << 5)
      if (done == n0) take(0, to)
      if (done == n1) take(1, to + 32)
      if (done == n2) take(2, to + 64)
      if (done == n3) take(3, to + 96)
    }
  }
  for (; i < count; i++) digest(load<u32>(table + (i << 3), 0), load<u32>(table + (i << 3), 4), out + (i << 5))
}

/** Two hashes at `at` as a message of 65 bytes with its padding: 0x01 ‖ left ‖ right. */
function node(at: usize, tail: usize): void {
  store<u8>(tail, 1)
  memory.copy(tail + 1, at, 64)
  store<u8>(tail + 65, 0x80)
  memory.fill(tail + 66, 0, 54)
  store<u64>(tail + 120, bswap<u64>(65 * 8))
}

/** RFC 6962 root over `count` hashes at `at`; it takes the place of the first. */
export function root(at: usize, count: u32): void {
  while (count > 1) {
    const pairs = count >>> 1
    let i: u32 = 0
    for (; i + 4 <= pairs; i += 4) {
      const from = at + (i << 6)
      node(from, TAIL); node(from + 64, TAIL + 128); node(from + 128, TAIL + 256); node(from + 192, TAIL + 384)
      begin4()
      compress4(TAIL, TAIL + 128, TAIL + 256, TAIL + 384)
      compress4(TAIL + 64, TAIL + 192, TAIL + 320, TAIL + 448)
      const to = at + (i << 5)
      take(0, to); take(1, to + 32); take(2, to + 64); take(3, to + 96)
    }
    for (; i < pairs; i++) {
      node(at + (i << 6), TAIL)
      memory.copy(STATE, IV, 32)
      compress(TAIL)
      compress(TAIL + 64)
      for (let j: usize = 0; j < 32; j += 4) store<u32>(at + (i << 5) + j, bswap(load<u32>(STATE + j)))
    }
    if (count & 1) memory.copy(at + (pairs << 5), at + ((count - 1) << 5), 32)
    count = pairs + (count & 1)
  }
}
