import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../dist/src/hex.js'
import { SipHash } from '../dist/src/siphash.js'

/** Of the reference implementation (vectors_sip64): key 00..0f, messages of 0, 1, 2 … bytes 00, 01, 02 … */
const VECTORS = [
  '310e0edd47db6f72',
  'fd67dc93c539f874',
  '5a4fa9d909806c0d',
  '2d7efbd796666785',
  'b7877127e09427cf',
  '8da699cd64557618',
  'cee3fe586e46c9cb',
  '37d1018bf50002ab',
  '6224939a79f5f593',
  'b0e4a90bdf82009e',
  'f3b9dd94c5bb5d7a',
  'a7ad6b22462fb3f4',
  'fbe50e86bc8f1e75',
  '903d84c02756ea14',
  'eef27a8e90ca23f7',
  'e545be4961ca29a1'
]
const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i)

describe('SipHash-2-4', () => {
  const sip = new SipHash(counting(16))

  it('gives what the reference implementation gives', () => {
    expect(VECTORS.map((_, length) => toHex(sip.digest(counting(length))))).toEqual(VECTORS)
  })

  /** The definition, written down in 64-bit numbers. */
  function plain(key: Uint8Array, message: Uint8Array): bigint {
    const mask = (1n << 64n) - 1n
    const le = (bytes: Uint8Array): bigint => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
    const turn = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (64n - by))) & mask
    const [k0, k1] = [le(key.subarray(0, 8)), le(key.subarray(8))]
    let [v0, v1] = [k0 ^ 0x736f6d6570736575n, k1 ^ 0x646f72616e646f6dn]
    let [v2, v3] = [k0 ^ 0x6c7967656e657261n, k1 ^ 0x7465646279746573n]
    const round = (): void => {
      v0 = (v0 + v1) & mask
      v1 = turn(v1, 13n) ^ v0
      v0 = turn(v0, 32n)
      v2 = (v2 + v3) & mask
      v3 = turn(v3, 16n) ^ v2
      v0 = (v0 + v3) & mask
      v3 = turn(v3, 21n) ^ v0
      v2 = (v2 + v1) & mask
      v1 = turn(v1, 17n) ^ v2
      v2 = turn(v2, 32n)
    }
    const whole = message.length - (message.length % 8)
    const words: bigint[] = []
    for (let at = 0; at < whole; at += 8) words.push(le(message.subarray(at, at + 8)))
    words.push(le(message.subarray(whole)) | (BigInt(message.length % 256) << 56n))
    for (const word of words) {
      v3 ^= word
      round()
      round()
      v0 ^= word
    }
    v2 ^= 0xffn
    for (let i = 0; i < 4; i++) round()
    return v0 ^ v1 ^ v2 ^ v3
  }

  it('is what the definition says, of any key and message', () => {
    const bytes = (min: number, max: number) => fc.uint8Array({ minLength: min, maxLength: max })
    fc.assert(
      fc.property(bytes(16, 16), bytes(0, 70), (key, message) => {
        const made = new SipHash(key)
        const expected = plain(key, message)
        const digest = made.digest(message).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
        expect(digest).toBe(expected)
        expect(BigInt(made.short(message))).toBe(expected & 0xffff_ffff_ffffn)
      })
    )
  })

  it('wants a key of 16 bytes', () => {
    expect(() => new SipHash(new Uint8Array(15))).toThrow('15 bytes')
  })
})
