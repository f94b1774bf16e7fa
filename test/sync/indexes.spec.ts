import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { countIndexes, decodeIndexes, encodeIndexes } from '../../dist/src/sync/indexes.js'

describe('indexes on the wire', () => {
  it('are what they were, as long as they ascend', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(2 ** 31), { minLength: 1, maxLength: 200 }), (numbers) => {
        const indexes = numbers.sort((a, b) => a - b)
        const bytes = encodeIndexes(indexes)
        expect(decodeIndexes(bytes)).toEqual(indexes)
        expect(countIndexes(bytes)).toBe(indexes.length)
      })
    )
  })

  it('take a byte each where they lie close together', () => {
    expect(encodeIndexes(Array.from({ length: 8_192 }, (_, i) => 2 * i))).toHaveLength(8_192)
  })

  it('are refused by one name, whatever the bytes are, or they ascend', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          const indexes = decodeIndexes(bytes)
          expect(encodeIndexes(indexes)).toEqual(bytes)
          for (let i = 1; i < indexes.length; i++) expect(indexes[i]!).toBeGreaterThan(indexes[i - 1]!)
        } catch (err) {
          expect((err as Error).name).toBe('MalformedError')
        }
      })
    )
  })
})
