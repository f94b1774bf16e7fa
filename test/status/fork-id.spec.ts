import { compareForkId, forkId } from 'blockwire/status'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../dist/src/hex.js'
import { crc32 } from '../../dist/src/status/fork-id.js'

// The vectors that EIP-2124 publishes.
const MAINNET = fromHex('d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3')
const FORKS = [1_150_000, 1_920_000, 2_463_000, 2_675_000, 4_370_000, 7_280_000]
const ROPSTEN = fromHex('41941023680923e0fe4d74a34bdac8141f2540e3ae90623718e47d66d1ca4a2d')
const ROPSTEN_FORKS = [0, 0, 10, 1_700_000, 4_230_000, 4_939_394]

describe('fork id', () => {
  it('has the checksum of the standard', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926)
    expect(crc32(new TextEncoder().encode('6789'), crc32(new TextEncoder().encode('12345')))).toBe(0xcbf43926)
  })

  it.each([
    [0, 'fc64ec04', 1_150_000],
    [1_149_999, 'fc64ec04', 1_150_000],
    [1_150_000, '97c2c34c', 1_920_000],
    [1_919_999, '97c2c34c', 1_920_000],
    [1_920_000, '91d1f948', 2_463_000],
    [2_462_999, '91d1f948', 2_463_000],
    [2_463_000, '7a64da13', 2_675_000],
    [2_674_999, '7a64da13', 2_675_000],
    [2_675_000, '3edd5b10', 4_370_000],
    [4_369_999, '3edd5b10', 4_370_000],
    [4_370_000, 'a00bc324', 7_280_000],
    [7_279_999, 'a00bc324', 7_280_000],
    [7_280_000, '668db0af', 0],
    [7_987_396, '668db0af', 0]
  ])('of mainnet at %i is %s, next %i', (height, hash, next) => {
    const id = forkId(MAINNET, FORKS, height)
    expect([toHex(id.hash), id.next]).toEqual([hash, next])
  })

  it.each([
    [0, '30c7ddbc', 10],
    [9, '30c7ddbc', 10],
    [10, '63760190', 1_700_000],
    [1_699_999, '63760190', 1_700_000],
    [1_700_000, '3ea159c7', 4_230_000],
    [4_229_999, '3ea159c7', 4_230_000],
    [4_230_000, '97b544f3', 4_939_394],
    [4_939_393, '97b544f3', 4_939_394],
    [4_939_394, 'd6e2149b', 0],
    [5_822_692, 'd6e2149b', 0]
  ])('of ropsten at %i is %s, next %i: forks at genesis and doubled ones do not count', (height, hash, next) => {
    const id = forkId(ROPSTEN, ROPSTEN_FORKS, height)
    expect([toHex(id.hash), id.next]).toEqual([hash, next])
  })

  const FAR = Number.MAX_SAFE_INTEGER
  it.each([
    ['the same, nothing to come', 7_987_396, '668db0af', 0, undefined],
    ['the same, a fork far off', 7_987_396, '668db0af', FAR, undefined],
    ['the same, it does not know the next', 7_279_999, 'a00bc324', 0, undefined],
    ['the same, both know the next', 7_279_999, 'a00bc324', 7_280_000, undefined],
    ['the same, it knows another next', 7_279_999, 'a00bc324', FAR, undefined],
    ['it is behind and knows what comes', 7_987_396, 'a00bc324', 7_280_000, undefined],
    ['it is far behind and knows what comes', 7_987_396, '3edd5b10', 4_370_000, undefined],
    ['we are behind', 7_279_999, '668db0af', 0, undefined],
    ['we are behind, it does not know what we know', 4_369_999, 'a00bc324', 0, undefined],
    ['it is behind and does not know what comes', 7_987_396, 'a00bc324', 0, 'stale'],
    ['it has passed a fork that we do not know', 7_987_396, '5cddc0e1', 0, 'incompatible'],
    ['it has passed a fork that we do not know, we are behind', 7_279_999, '5cddc0e1', 0, 'incompatible'],
    ['another chain', 7_987_396, 'afec6b27', 0, 'incompatible'],
    ['the same, it announces a fork that we have passed', 88_888_888, '668db0af', 88_888_888, 'incompatible'],
    ['the same, it announces a fork at our height', 7_279_999, 'a00bc324', 7_279_999, 'incompatible']
  ])('compares: %s', (_name, height, hash, next, expected) => {
    expect(compareForkId(MAINNET, FORKS, height, { hash: fromHex(hash), next })).toBe(expected)
  })

  it('accepts every node of one chain, wherever the two stand', () => {
    const forks = fc
      .uniqueArray(fc.integer({ min: 1, max: 1_000 }), { maxLength: 6 })
      .map((list) => list.sort((a, b) => a - b))
    const height = fc.integer({ min: 0, max: 1_200 })
    fc.assert(
      fc.property(forks, height, height, (list, ours, theirs) => {
        expect(compareForkId(MAINNET, list, ours, forkId(MAINNET, list, theirs))).toBeUndefined()
      })
    )
  })
})
