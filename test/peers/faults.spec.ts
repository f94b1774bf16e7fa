import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ignore, reject } from '../../dist/src/chain/verdict.js'
import {
  BAN_AT,
  DISCONNECT_AT,
  faultOf,
  HALF_LIFE_MS,
  Ledger,
  LOWEST_SCORE,
  PRICES,
  scoreOf,
  VERDICTS
} from '../../dist/src/peers/faults.js'

const HOUR = 3_600_000

describe('prices', () => {
  test('one provable fault is a ban of 24 h', () => {
    const ledger = new Ledger()
    expect(ledger.charge('a', 'provable', 'no work', 0)).toEqual({ action: 'ban', banMs: 24 * HOUR })
    expect(ledger.last('a')).toEqual({ fault: 'provable', reason: 'no work', at: 0 })
  })

  test('protocol faults add up to a disconnect at the third and a ban of an hour at the fifth', () => {
    const ledger = new Ledger()
    const sentences = Array.from({ length: 5 }, (_, i) => ledger.charge('a', 'protocol', 'garbage', i * 10_000))
    expect(sentences.map(({ action }) => action)).toEqual(['nothing', 'nothing', 'disconnect', 'disconnect', 'ban'])
    expect(sentences.at(-1)?.banMs).toBe(HOUR)
  })

  test('points halve every ten minutes, so that one fault in ten minutes never adds up to anything', () => {
    const ledger = new Ledger()
    for (let i = 0; i < 1000; i++)
      expect(ledger.charge('a', 'protocol', 'garbage', i * HALF_LIFE_MS).action).toBe('nothing')
    expect(ledger.points('a', 999 * HALF_LIFE_MS)).toBeLessThan(DISCONNECT_AT)
  })

  test('quality faults, timeouts among them, never ban or disconnect and do not touch the score', () => {
    const ledger = new Ledger()
    for (let i = 0; i < 10_000; i++) expect(ledger.charge('a', 'quality', 'timeout', i).action).toBe('nothing')
    expect(scoreOf(ledger.points('a', 10_000))).toBe(0)
    expect(ledger.unwanted('a', 10_000)).toBeGreaterThan(4)
    expect(ledger.unwanted('a', 10_000)).toBeLessThanOrEqual(5)
    expect(ledger.unwanted('a', 10_000 + 10 * HALF_LIFE_MS)).toBeLessThan(0.01)
  })

  test("what is nobody's fault is not even written down", () => {
    const ledger = new Ledger()
    expect(ledger.charge('a', 'none', 'busy', 0).action).toBe('nothing')
    expect(ledger.last('a')).toBeUndefined()
  })
})

describe('score', () => {
  test('is 0 for strangers, and at weight 10 never near the graylist of a peer that we keep', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1000, noNaN: true }), (points) => {
        expect(scoreOf(points)).toBeGreaterThanOrEqual(LOWEST_SCORE)
        expect(scoreOf(points)).toBeLessThanOrEqual(0)
      })
    )
    expect(10 * LOWEST_SCORE).toBeGreaterThan(-80)
    expect(scoreOf(0)).toBe(0)
    expect(scoreOf(PRICES.protocol.points)).toBeLessThan(0)
  })

  test('is 0 again when a fault is long past: the least negative value costs a place in the mesh', () => {
    const ledger = new Ledger()
    ledger.charge('a', 'protocol', 'garbage', 0)
    expect(scoreOf(ledger.points('a', 3 * HALF_LIFE_MS))).toBe(0)
  })
})

describe('verdicts', () => {
  test('a bad state costs only who served it through sync', () => {
    expect(faultOf(reject('state'), 'gossip')).toBe('none')
    expect(faultOf(reject('state'), 'headers')).toBe('none')
    expect(faultOf(reject('state'), 'sync')).toBe('protocol')
    expect(faultOf(reject('known-invalid'), 'gossip')).toBe('none')
  })

  test('what its sender could see to be wrong is provable', () => {
    for (const reason of ['header', 'height', 'root', 'tx', 'time-too-old'] as const) {
      expect(faultOf(reject(reason), 'gossip')).toBe('provable')
    }
  })

  test('nothing that is ignored or accepted costs anything', () => {
    expect(faultOf({ result: 'accept' }, 'sync')).toBe('none')
    for (const reason of ['known', 'unknown-parent', 'future', 'state', 'error'] as const) {
      expect(faultOf(ignore(reason), 'sync')).toBe('none')
    }
  })

  test('the table has every way for every reason', () => {
    expect(Object.values(VERDICTS).flatMap((row) => Object.values(row))).toHaveLength(10 * 3)
  })
})

describe('bounds', () => {
  test('accounts are bounded; the lightest goes first, and one that is forgiven is gone', () => {
    const ledger = new Ledger({ maxAccounts: 10 })
    ledger.charge('heavy', 'protocol', 'garbage', 0)
    ledger.charge('heavy', 'protocol', 'garbage', 0)
    for (let i = 0; i < 1000; i++) ledger.charge(`q${i}`, 'quality', 'slow', 1)
    expect(ledger.size).toBe(10)
    expect(ledger.points('heavy', 1)).toBeGreaterThan(0)
    ledger.forgive('heavy')
    expect(ledger.points('heavy', 1)).toBe(0)
    expect(ledger.last('heavy')).toBeUndefined()
    expect(BAN_AT).toBeGreaterThan(DISCONNECT_AT)
  })
})
