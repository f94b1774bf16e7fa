import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { victimsFor } from '../../dist/src/pool/evict.js'
import { MAX_RIVALS, type Rival, whyNotReplace } from '../../dist/src/pool/replace.js'

const rival = (fee: number, size = 100, own = false): Rival => ({ fee: BigInt(fee), rate: fee / size, own })

describe('a replacement', () => {
  it('pays a tenth more, and more per byte', () => {
    expect(whyNotReplace(rival(110), [rival(100)], 10)).toBeUndefined()
    expect(whyNotReplace(rival(109), [rival(100)], 10)).toMatch(/pays 109 where 110/)
    expect(whyNotReplace(rival(220, 200), [rival(110, 100)], 10)).toMatch(/no more per byte/)
    expect(whyNotReplace(rival(1), [rival(0)], 10)).toBeUndefined()
    expect(whyNotReplace(rival(0), [rival(0)], 10)).toMatch(/pays 0 where 1/)
    expect(whyNotReplace(rival(5), [rival(5)], 0)).toMatch(/pays 5 where 6/)
  })

  it('pays for all that it replaces, and these are not many', () => {
    expect(whyNotReplace(rival(219), [rival(100), rival(100)], 10)).toMatch(/220/)
    expect(whyNotReplace(rival(220), [rival(100), rival(100)], 10)).toBeUndefined()
    const many = Array.from({ length: MAX_RIVALS + 1 }, () => rival(0))
    expect(whyNotReplace(rival(1_000), many, 10)).toMatch(/101, over 100/)
    expect(whyNotReplace(rival(1_000), many.slice(1), 10)).toBeUndefined()
  })

  it('of what was submitted here is ours alone to make', () => {
    expect(whyNotReplace(rival(1_000), [rival(1, 100, true)], 10)).toMatch(/own/)
    expect(whyNotReplace(rival(1_000, 100, true), [rival(1, 100, true)], 10)).toBeUndefined()
  })

  it('costs more each time: a payer runs out of money after few', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), (bump) => {
        let [fee, times] = [0n, 0]
        while (fee < 1n << 64n) {
          let next = fee + 1n
          // the least that passes
          let step = 1n
          while (
            whyNotReplace({ fee: next, rate: Number(next), own: false }, [{ fee, rate: Number(fee), own: false }], bump)
          ) {
            next += step
            step *= 2n
          }
          fee = next
          times++
        }
        expect(times).toBeLessThan(44.4 / Math.log1p(bump / 100) + 100 / bump + 5)
      }),
      { numRuns: 20 }
    )
  })
})

describe('room for a newcomer', () => {
  const ranked = [1, 2, 2, 3].map((effective) => ({ effective, entry: { bytes: new Uint8Array(10) } }))

  it('is made by the worst, as few as will do, and only by worse ones', () => {
    const take = (effective: number, txs: number, bytes: number, own = false): number | undefined =>
      victimsFor(ranked, { effective, own }, { txs, bytes })?.length
    expect(take(0, 0, 0)).toBe(0)
    expect(take(2, 1, 5)).toBe(1)
    expect(take(3, 1, 25)).toBe(3)
    expect(take(2, 2, 0)).toBeUndefined()
    expect(take(2, 2, 0, true)).toBe(2)
    expect(take(9, 5, 0)).toBeUndefined()
    expect(take(9, 1, 41)).toBeUndefined()
  })
})
