import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rootOf, rootsOf, sha256Many, sha256Short } from '../dist/src/lanes.js'

const reference = (...parts: Uint8Array[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex')
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Lengths around where the padding takes another block, and where one message is too long for the lanes. */
const message = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .constantFrom(0, 54, 55, 56, 63, 64, 65, 118, 119, 120, 16_383, 16_384, 16_385)
    .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }))
)

/** RFC 6962 section 2.1, as it is written there. */
function root(hashes: Uint8Array[]): string {
  if (hashes.length === 1) return hex(hashes[0]!)
  let split = 1
  while (2 * split < hashes.length) split *= 2
  const side = (part: Uint8Array[]): Uint8Array => Buffer.from(root(part), 'hex')
  return reference(Uint8Array.of(1), side(hashes.slice(0, split)), side(hashes.slice(split)))
}

describe('hashing side by side', () => {
  it('gives what Node gives, for messages of all lengths in one list', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 40 }), fc.option(fc.nat(255), { nil: undefined }), (list, prefix) => {
        const hashes = sha256Many(list, prefix)
        const before = prefix == null ? [] : [Uint8Array.of(prefix)]
        expect(hex(hashes)).toBe(list.map((one) => reference(...before, one)).join(''))
      })
    )
  })

  it('gives what Node gives for one message', () => {
    fc.assert(
      fc.property(message, (one) => {
        expect(hex(sha256Short(one))).toBe(reference(one))
      })
    )
  })

  it('hashes more messages than fit at once, by number and by size', () => {
    const many = Array.from({ length: 9_001 }, (_, i) => Uint8Array.of(i, i >> 8))
    expect(hex(sha256Many(many))).toBe(many.map((one) => reference(one)).join(''))
    const large = Array.from({ length: 150 }, (_, i) => new Uint8Array(16_000 + i).fill(i))
    expect(hex(sha256Many(large, 0))).toBe(large.map((one) => reference(Uint8Array.of(0), one)).join(''))
  })

  it('builds the tree of RFC 6962', () => {
    for (const count of [1, 2, 3, 4, 5, 7, 8, 9, 15, 31, 33, 400, 4_095, 4_096, 4_097, 8_193, 12_289]) {
      const hashes = sha256Many(Array.from({ length: count }, (_, i) => Uint8Array.of(i, i >> 8)))
      const list = Array.from({ length: count }, (_, i) => hashes.subarray(32 * i, 32 * i + 32))
      expect(hex(rootOf(hashes)), `${count} leaves`).toBe(root(list))
    }
  })

  it('gives the roots of blocks of all sizes from where their transactions lie', () => {
    const blockOf = (txs: Uint8Array[]): { bytes: Uint8Array; spans: number[] } => {
      // a header of 7 bytes, and before each part a byte that is not 0
      const bytes = new Uint8Array(8 + txs.reduce((sum, { length }) => sum + 1 + length, 0)).fill(255)
      const spans = [1, 8]
      let at = 8
      for (const tx of txs) {
        bytes.set(tx, at + 1)
        spans.push(at + 1, at + 1 + tx.length)
        at += 1 + tx.length
      }
      return { bytes, spans }
    }
    const check = (blocks: Uint8Array[][]): void => {
      const before = blocks.map(blockOf)
      const copies = before.map(({ bytes }) => bytes.slice())
      const wanted = blocks.map((txs) =>
        txs.length === 0 ? undefined : root(txs.map((tx) => Buffer.from(reference(Uint8Array.of(0), tx), 'hex')))
      )
      expect(rootsOf(before).map((found) => found && hex(found))).toEqual(wanted)
      expect(before.every(({ bytes }, i) => Buffer.compare(bytes, copies[i]!) === 0)).toBe(true)
    }
    const tx = message.filter(({ length }) => length > 0)
    fc.assert(fc.property(fc.array(fc.array(tx, { maxLength: 9 }), { maxLength: 9 }), check), { numRuns: 50 })
    const small = (count: number): Uint8Array[] => Array.from({ length: count }, (_, i) => Uint8Array.of(i, i >> 8))
    // over what fits at once, by number and by size
    check([small(4_000), [], small(97), small(4_096), small(4_097), small(1)])
    check(Array.from({ length: 5_000 }, (_, i) => (i % 3 === 0 ? [] : [Uint8Array.of(i, i >> 8)])))
    check(Array.from({ length: 20 }, (_, i) => Array.from({ length: 8 }, () => new Uint8Array(15_000).fill(i))))
    check([small(3), Array.from({ length: 70 }, (_, i) => new Uint8Array(16_000).fill(i)), small(2)])
  })
})
