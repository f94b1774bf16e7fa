import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeBlock, txId } from '../../dist/src/chain/index.js'
import { compactOf, decodeCompact, Filling, isCompact, keyOf } from '../../dist/src/gossip/compact.js'
import { decodeShorts, encodeShorts } from '../../dist/src/siphash.js'
import { limits } from './hosts.js'

const hash = new Uint8Array(32).fill(7)
const nonce = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
const header = new Uint8Array(80).fill(9)
const tx = (n: number, length = 200): Uint8Array => {
  const bytes = new Uint8Array(length).fill(n % 251)
  new DataView(bytes.buffer).setUint32(0, n)
  return bytes
}
const txs = Array.from({ length: 100 }, (_, n) => tx(n))
const block = encodeBlock(header, txs)
const pooled = (some: Uint8Array[]) => some.map((bytes) => ({ id: txId(bytes), bytes }))
const compact = (prefilled = 1): Uint8Array => compactOf(block, hash, { limits, prefilled, nonce })!

describe('the compact form of a block', () => {
  it('is told from a whole one by its first byte, and holds header, nonce, first transactions and short IDs', () => {
    const message = compact()
    expect([isCompact(message), isCompact(block)]).toEqual([true, false])
    expect(message).toHaveLength(1 + 1 + 80 + 8 + 1 + 1 + (1 + 2 + 200) + 99 * 6)
    const { shorts, prefilled, ...rest } = decodeCompact(message, limits)
    expect(rest).toEqual({ header, nonce, count: 100 })
    expect([...prefilled]).toEqual([[0, txs[0]]])
    const sip = keyOf(hash, nonce)
    expect(shorts).toEqual(txs.slice(1).map((each) => sip.short(txId(each))))
  })

  it('is none for small blocks, large transactions, and the same transaction twice', () => {
    const of = (some: Uint8Array[], prefilled = 0) =>
      compactOf(encodeBlock(header, some), hash, { limits, prefilled, nonce })
    expect(of(txs.slice(0, 10))).toBeUndefined()
    expect(of(txs, 60)).toBeUndefined()
    expect(of([...txs, txs[5]!])).toBeUndefined()
    expect(of(txs)).toBeDefined()
  })

  it('short IDs are six bytes, the lowest first', () => {
    expect(encodeShorts([0x0605_0403_0201])).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6))
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 48 - 1 })), (shorts) => {
        expect(decodeShorts(encodeShorts(shorts))).toEqual(shorts)
      })
    )
  })

  it.each([
    ['without a header', Uint8Array.of(0, 0)],
    ['of no transactions', Uint8Array.of(0, 1, 9, ...nonce, 0, 0)],
    ['of more transactions than a block holds', Uint8Array.of(0, 1, 9, ...nonce, 0xff, 0xff, 0x7f, 0)],
    ['with more whole transactions than all', Uint8Array.of(0, 1, 9, ...nonce, 1, 2, 0, 1, 5, 0, 1, 5)],
    ['with a whole transaction behind the last', Uint8Array.of(0, 1, 9, ...nonce, 1, 1, 1, 1, 5)],
    ['with an empty transaction', Uint8Array.of(0, 1, 9, ...nonce, 1, 1, 0, 0)],
    ['with a short ID too many', Uint8Array.of(0, 1, 9, ...nonce, 1, 1, 0, 1, 5, 1, 2, 3, 4, 5, 6)],
    ['with a byte too few', Uint8Array.of(0, 1, 9, ...nonce, 1, 0, 1, 2, 3, 4, 5)],
    ['with one short ID twice', Uint8Array.of(0, 1, 9, ...nonce, 2, 0, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6)],
    ['with a varint longer than it need be', Uint8Array.of(0, 1, 9, ...nonce, 0x81, 0, 0, 1, 2, 3, 4, 5, 6)]
  ])('is refused %s', (_, bytes) => {
    expect(() => decodeCompact(bytes, limits)).toThrow(/./)
  })

  it('is read without a throw of another kind, whatever comes', () => {
    const message = compact()
    const spoilt = fc.array(fc.tuple(fc.nat(message.length - 1), fc.nat(255)), { maxLength: 4 }).map((edits) => {
      const bytes = message.slice()
      for (const [at, byte] of edits) bytes[at] = byte
      return bytes
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), spoilt), (bytes) => {
        try {
          decodeCompact(bytes, limits)
        } catch (err) {
          expect(['MalformedBytesError', 'TooLargeBytesError']).toContain((err as Error).name)
        }
      })
    )
  })
})

describe('putting a block together', () => {
  const filling = (prefilled = 1) => new Filling(decodeCompact(compact(prefilled), limits), hash)

  it('needs nothing more where the pool has all, in whatever order', () => {
    const one = filling()
    one.search(pooled([tx(1_000), ...txs.slice(1).reverse(), tx(1_001)]))
    expect(one.missing).toEqual([])
    expect(one.block()).toEqual(block)
  })

  it('names the places that the pool leaves open, and takes what fits there', () => {
    const one = filling()
    one.search(pooled(txs.filter((_, n) => n % 40 !== 3)))
    expect(one.missing).toEqual([3, 43, 83])
    expect(one.put([3, 43], [txs[3]!, txs[43]!])).toBe(true)
    expect(one.put([83], [tx(5_000)])).toBe(false)
    expect(one.missing).toEqual([83])
    expect(one.put([83], [txs[83]!])).toBe(true)
    expect(one.block()).toEqual(block)
  })

  it('takes nothing for a place that was not asked for', () => {
    expect(filling().put([1], [txs[1]!, txs[2]!])).toBe(false)
    expect(filling().put([0], [txs[0]!])).toBe(false)
  })

  it('leaves a place open where two of the pool fit', () => {
    const one = filling()
    // collisions cannot be made at will: the same ID with other bytes is one to the search
    one.search([...pooled(txs), { id: txId(txs[50]!), bytes: tx(9) }])
    expect(one.missing).toEqual([50])
  })

  it('knows the transactions of which the message was made', () => {
    expect(filling().matches(txs)).toBe(true)
    expect(filling(3).matches(txs)).toBe(true)
    const swapped = [...txs]
    swapped[7] = tx(7_000)
    expect(filling().matches(swapped)).toBe(false)
    const first = [tx(7_000), ...txs.slice(1)]
    expect(filling().matches(first)).toBe(false)
    expect(filling().matches(txs.slice(1))).toBe(false)
  })
})
