import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { fromHex, toHex } from '../dist/src/hex.js'

test('hex of bytes reads back as the same bytes, in Node and where there is no Buffer', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const text = toHex(bytes)
      expect(text).toMatch(/^([0-9a-f]{2})*$/)
      expect(fromHex(text)).toEqual(bytes)
      // a view into more
      expect(toHex(Uint8Array.of(1, ...bytes, 2).subarray(1, bytes.length + 1))).toBe(text)
      vi.stubGlobal('Buffer', undefined)
      try {
        expect(toHex(bytes)).toBe(text)
      } finally {
        vi.unstubAllGlobals()
      }
    })
  )
})
