import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Rounds } from '../../dist/src/pool/catch-up-rounds.js'

describe('whose turn it is', () => {
  it('is anybody who has not had it, one after another', () => {
    const rounds = new Rounds(60_000)
    for (const peer of ['a', 'b', 'c']) rounds.join(peer)
    expect([rounds.take(0, 0.99), rounds.take(0, 0), rounds.take(0, 0.5), rounds.take(0, 0)]).toEqual([
      'c',
      'a',
      'b',
      undefined
    ])
    expect(rounds.nextDue).toBeUndefined()
  })

  it('is nobody within a minute of the last time, whoever has left and come again', () => {
    const rounds = new Rounds(60_000)
    rounds.join('a')
    expect(rounds.take(1_000, 0)).toBe('a')
    rounds.leave('a')
    rounds.join('a')
    expect([rounds.take(60_999, 0), rounds.nextDue]).toEqual([undefined, 61_000])
    rounds.join('b')
    expect([rounds.take(60_999, 0), rounds.take(61_000, 0)]).toEqual(['b', 'a'])
  })

  it('is nobody who has left', () => {
    const rounds = new Rounds(60_000)
    rounds.join('a')
    rounds.leave('a')
    expect([rounds.take(0, 0), rounds.nextDue]).toEqual([undefined, undefined])
  })

  it('comes at most once a minute to each, whatever happens', () => {
    const step = fc.record({
      peer: fc.constantFrom('a', 'b', '__proto__', 'constructor'),
      act: fc.constantFrom('join' as const, 'leave' as const, 'take' as const),
      ms: fc.nat(40_000),
      random: fc.double({ min: 0, max: 0.999, noNaN: true })
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const rounds = new Rounds(60_000)
        const last = new Map<string, number>()
        let now = 0
        for (const { peer, act, ms, random } of steps) {
          now += ms
          if (act !== 'take') rounds[act](peer)
          const taken = act === 'take' ? rounds.take(now, random) : undefined
          if (taken == null) continue
          expect(now - (last.get(taken) ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(60_000)
          last.set(taken, now)
        }
      })
    )
  })

  it('is remembered of 1,024 peers at most', () => {
    const rounds = new Rounds(60_000)
    for (let n = 0; n < 1_025; n++) {
      rounds.join(`${n}`)
      rounds.take(n, 0)
    }
    rounds.join('5')
    expect(rounds.take(1_030, 0)).toBeUndefined()
    rounds.join('0')
    expect(rounds.take(1_030, 0)).toBe('0')
  })
})
