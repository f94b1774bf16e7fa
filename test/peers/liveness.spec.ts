import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Liveness } from '../../dist/src/peers/liveness.js'

const INIT = { idleMs: 10_000, timeoutMs: 5000, misses: 3 }

function alive(): Liveness {
  const liveness = new Liveness(INIT)
  liveness.add('a', 0)
  return liveness
}

/** One whose round trip is known, so that it is pinged for its silence only. */
function measured(): Liveness {
  const liveness = alive()
  liveness.sent('a', 0)
  liveness.answered('a', 0)
  return liveness
}

/** Pings when due and lets the ping run out. Answers when, and whether that was one too many. */
function miss(liveness: Liveness, now: number): { at: number; dropped: boolean } {
  let at = now
  while (!liveness.due(at).includes('a')) at += 100
  liveness.sent('a', at)
  at += INIT.timeoutMs
  return { at, dropped: liveness.missed('a', at) }
}

test('a peer is pinged 10 s after it joined, then whenever it was silent for 10 s, and not twice at a time', () => {
  const liveness = alive()
  liveness.heard('a', 3000)
  expect(liveness.due(9999)).toEqual([])
  expect(liveness.due(10_000)).toEqual(['a'])
  liveness.sent('a', 10_000)
  expect(liveness.due(60_000)).toEqual([])
  liveness.answered('a', 10_030)
  liveness.heard('a', 13_000)
  expect(liveness.due(22_999)).toEqual([])
  expect(liveness.due(23_000)).toEqual(['a'])
})

test('the shortest round trip is kept', () => {
  const liveness = alive()
  expect(liveness.rttOf('a')).toBeUndefined()
  for (const [sent, ms] of [
    [10_000, 80],
    [30_000, 30],
    [50_000, 500]
  ] as const) {
    liveness.sent('a', sent)
    liveness.answered('a', sent + ms)
  }
  expect(liveness.rttOf('a')).toBe(30)
  expect(liveness.rttOf('unknown')).toBeUndefined()
})

test('the third miss in a row is one too many', () => {
  const liveness = alive()
  const first = miss(liveness, 0)
  expect(first).toEqual({ at: 15_000, dropped: false })
  const second = miss(liveness, first.at)
  expect(second).toEqual({ at: 20_000, dropped: false })
  expect(miss(liveness, second.at)).toEqual({ at: 25_000, dropped: true })
})

test('anything heard in between begins the count again', () => {
  const liveness = measured()
  const second = miss(liveness, miss(liveness, 0).at)
  liveness.heard('a', second.at + 1)
  const third = miss(liveness, second.at + 1)
  expect(third.at).toBe(second.at + 1 + 15_000)
  expect(third.dropped).toBe(false)
  expect(miss(liveness, miss(liveness, third.at).at).dropped).toBe(true)
})

test('what was heard while a ping was under way outweighs that ping', () => {
  const liveness = alive()
  for (let i = 0; i < 10; i++) {
    const now = 20_000 * (i + 1)
    liveness.sent('a', now)
    liveness.heard('a', now + 100)
    expect(liveness.missed('a', now + 5000)).toBe(false)
  }
})

test('a miss does not count when our own event loop was late meanwhile', () => {
  const liveness = alive()
  let now = 0
  for (let i = 0; i < 20; i++) {
    while (liveness.due(now).length === 0) now += 100
    liveness.sent('a', now)
    now += 6000
    liveness.lag(5000, now)
    expect(liveness.missed('a', now)).toBe(false)
  }
  liveness.lag(999, now + 1)
  const second = miss(liveness, miss(liveness, now + 1).at)
  expect(second.dropped).toBe(false)
  expect(miss(liveness, second.at).dropped).toBe(true)
})

test('a peer is never given up with fewer than three misses, whatever happens', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('miss', 'answer', 'heard', 'late', 'skip'), { maxLength: 100 }), (steps) => {
      const liveness = alive()
      let now = 0
      let misses = 0
      for (const step of steps) {
        now += 20_000
        if (!liveness.due(now).includes('a')) continue
        liveness.sent('a', now)
        if (step === 'answer') liveness.answered('a', now + 10)
        if (step === 'heard') liveness.heard('a', now + 10)
        if (step === 'late') liveness.lag(1500, now + 4000)
        if (step === 'skip') liveness.skipped('a')
        if (step === 'answer' || step === 'heard') misses = 0
        if (step === 'miss') misses++
        now += 5000
        if (liveness.missed('a', now)) {
          expect(misses).toBeGreaterThanOrEqual(3)
          return
        }
        if (step === 'miss') expect(misses).toBeLessThan(3)
      }
    })
  )
})

test('peers that are not known are left out', () => {
  const liveness = new Liveness(INIT)
  liveness.heard('x', 1)
  liveness.sent('x', 1)
  liveness.answered('x', 1)
  expect(liveness.missed('x', 2)).toBe(false)
  expect(liveness.nextAt('x')).toBeUndefined()
  expect(liveness.due(1_000_000)).toEqual([])
})
