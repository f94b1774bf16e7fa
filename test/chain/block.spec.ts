import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeBlock, splitBlock, txId } from '../../dist/src/chain/block.js'
import { sha256 } from '../../dist/src/hash.js'
import { compareBytes, equalBytes, fromHex, toHex } from '../../dist/src/hex.js'

const limits = { blockBytes: 1_000, txBytes: 300, headerBytes: 100, futureMs: 0 }
const header = fc.uint8Array({ minLength: 1, maxLength: 100 })
const txs = fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 4 })

describe('block bytes', () => {
  it('are the length and the header, then length and bytes of each transaction', () => {
    const block = encodeBlock(new Uint8Array([1, 2]), [new Uint8Array([3]), new Uint8Array(200).fill(4)])
    expect(toHex(block)).toBe(`020102${'0103'}c801${'04'.repeat(200)}`)
  })

  it('come apart into what they were made of, without a copy', () => {
    fc.assert(
      fc.property(header, txs, (head, body) => {
        const block = encodeBlock(head, body)
        const parts = splitBlock(block, limits)
        expect(parts).toEqual({ header: head, txs: body })
        expect(parts.header.buffer).toBe(block.buffer)
      })
    )
  })

  it('come apart in one way only: changed bytes are refused or encode to themselves again', () => {
    fc.assert(
      fc.property(header, txs, fc.nat(), fc.nat(255), (head, body, at, byte) => {
        const block = encodeBlock(head, body)
        block[at % block.length] = byte
        try {
          const parts = splitBlock(block, limits)
          expect(encodeBlock(parts.header, parts.txs)).toEqual(block)
        } catch (err) {
          expect(['MalformedBytesError', 'TooLargeBytesError']).toContain((err as Error).name)
        }
      }),
      { numRuns: 500 }
    )
  })

  it.each([
    ['nothing', [], 'MalformedBytesError'],
    ['an empty header', [0], 'MalformedBytesError'],
    ['an empty transaction', [1, 9, 0], 'MalformedBytesError'],
    ['a transaction cut short', [1, 9, 2, 1], 'MalformedBytesError'],
    ['a longer length than need be', [0x81, 0x00, 9], 'MalformedBytesError'],
    ['a header over its limit', [101, ...new Uint8Array(101)], 'TooLargeBytesError'],
    ['a transaction over its limit', [1, 9, 0xad, 0x02, ...new Uint8Array(301)], 'TooLargeBytesError'],
    ['a block over its limit', [1, 9, ...Array.from({ length: 500 }, () => [1, 1]).flat()], 'TooLargeBytesError']
  ])('of %s are refused', (_what, input, name) => {
    expect(() => splitBlock(new Uint8Array(input), limits)).toThrow(expect.objectContaining({ name }))
  })

  it('give a transaction the hash of 0x00 and its bytes as its ID, of any size', () => {
    for (const size of [1, 4_096, 4_097, 70_000]) {
      const tx = new Uint8Array(size).fill(7)
      expect(txId(tx)).toEqual(sha256(new Uint8Array([0, ...tx])))
    }
  })
})

describe('hex', () => {
  it('writes lower case and reads both', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(toHex(bytes)).toBe(Buffer.from(bytes).toString('hex'))
        expect(fromHex(toHex(bytes).toUpperCase())).toEqual(bytes)
      })
    )
    for (const wrong of ['0', 'zz', '0x00', ' 00 ']) expect(() => fromHex(wrong)).toThrow(RangeError)
  })

  it('compares as Buffer does', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3 }), fc.uint8Array({ maxLength: 3 }), (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b))
        expect(equalBytes(a, b)).toBe(Buffer.compare(a, b) === 0)
      })
    )
  })
})
