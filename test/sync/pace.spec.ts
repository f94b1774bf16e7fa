import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pace } from '../../dist/src/sync/pace.js'

describe('the pace of a peer', () => {
  it('is 0 until it sends something', () => {
    const pace = new Pace()
    expect(pace.bytesPerSecond).toBe(0)
    pace.begin(1_000)
    pace.end(3_000)
    expect(pace.bytesPerSecond).toBe(0)
    pace.begin(4_000)
    pace.heard(500, 5_000)
    expect(pace.bytesPerSecond).toBeGreaterThan(0)
  })

  it('counts the time in which it is asked, once, and no other', () => {
    const pace = new Pace()
    for (let at = 0; at < 100_000; at += 10_000) {
      // two requests at once, 1 s of each ten
      pace.begin(at)
      pace.begin(at + 200)
      pace.heard(3_000, at + 500)
      pace.end(at + 600)
      pace.heard(7_000, at + 1_000)
      pace.end(at + 1_000)
    }
    expect(pace.bytesPerSecond).toBeGreaterThan(8_000)
    expect(pace.bytesPerSecond).toBeLessThan(12_000)
  })

  it('comes to what a peer sends now', () => {
    const pace = new Pace()
    pace.begin(0)
    for (let at = 100; at <= 60_000; at += 100) pace.heard(1_000, at)
    expect(pace.bytesPerSecond).toBeCloseTo(10_000, -3)
    for (let at = 60_100; at <= 75_000; at += 100) pace.heard(10, at)
    expect(pace.bytesPerSecond).toBeLessThan(250)
  })

  it('says for how long nothing came', () => {
    const pace = new Pace()
    pace.begin(1_000)
    expect(pace.silentMs(1_400)).toBe(400)
    pace.begin(1_500)
    expect(pace.silentMs(1_600)).toBe(600)
    pace.heard(1, 1_700)
    expect(pace.silentMs(1_700)).toBe(0)
  })

  it('is a number of what was sent at any times, also when the clock is set back', () => {
    const event = fc.record({
      kind: fc.constantFrom('begin', 'heard', 'end'),
      ms: fc.integer({ min: -5_000, max: 5_000 }),
      bytes: fc.nat(1 << 24)
    })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 100 }), (events) => {
        const pace = new Pace()
        let now = 1_000_000
        let sent = 0
        for (const { kind, ms, bytes } of events) {
          now += ms
          if (kind === 'begin') pace.begin(now)
          else if (kind === 'end') pace.end(now)
          else pace.heard(bytes, now)
          if (kind === 'heard') sent += bytes
          expect(pace.bytesPerSecond).toBeGreaterThanOrEqual(0)
          expect(pace.bytesPerSecond).toBeLessThanOrEqual(sent * 1_000)
        }
      })
    )
  })
})
