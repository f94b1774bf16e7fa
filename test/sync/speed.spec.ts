import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Speed } from '../../dist/src/sync/speed.js'

/** Notes a growth of `blocks` every `ms`, from `from` on, for `times` times. Answers the height and time at the end. */
function grow(
  speed: Speed,
  blocks: number,
  ms: number,
  times: number,
  from: { at: number; height: number; phase?: string } = { at: 0, height: 0 }
) {
  let { at, height } = from
  for (let i = 0; i < times; i++) {
    at += ms
    height += blocks
    speed.note(at, height, from.phase ?? 'x')
  }
  return { at, height }
}

describe('the speed', () => {
  it('is 0 before anything grows, and does not count what was there', () => {
    const speed = new Speed()
    expect([speed.perSecond(0), speed.left(0, 5)]).toEqual([0, undefined])
    speed.note(0, 5_000, 'x')
    expect(speed.perSecond(1_000)).toBe(0)
    speed.note(2_000, 5_000, 'x')
    expect(speed.perSecond(2_000)).toBe(0)
  })

  it('is right after a second, and does not begin with a jump', () => {
    const speed = new Speed()
    speed.note(0, 0, 'x')
    speed.note(50, 512, 'x')
    expect(speed.perSecond(50)).toBe(512)
    expect(speed.left(50, 1_000), 'too early to say').toBeUndefined()
    const { at } = grow(speed, 512, 100, 40, { at: 50, height: 512 })
    expect(speed.perSecond(at)).toBeCloseTo((41 * 512_000) / at)
    expect(speed.left(at, 512 * 10)! / 1_000).toBeCloseTo(1, 1)
    expect(speed.left(at, 0)).toBe(0)
  })

  it('of blocks does not count the time in which only headers came', () => {
    const speed = new Speed()
    speed.note(0, 0, 'headers')
    speed.note(60_000, 0, 'bodies')
    const { at } = grow(speed, 100, 500, 4, { at: 60_000, height: 0, phase: 'bodies' })
    expect(speed.perSecond(at)).toBe(200)
    // what comes later in the same growth is not a new one
    speed.note(at, 400, 'headers')
    speed.note(at, 400, 'bodies')
    expect(speed.perSecond(at)).toBe(200)
  })

  it('does not jump with each import, however many blocks come at once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 20, max: 3_000 }), (blocks, ms) => {
        const speed = new Speed()
        speed.note(0, 0, 'x')
        const end = grow(speed, blocks, ms, Math.ceil(12_000 / ms))
        const true_ = (blocks * 1_000) / ms
        // one import more or less in the window, and what a step of 250 ms rounds away
        const slack = blocks / 10 + true_ / 40 + 1e-6
        for (let now = end.at; now < end.at + ms; now += 50) {
          expect(Math.abs(speed.perSecond(now) - true_)).toBeLessThanOrEqual(slack)
        }
      })
    )
  })

  it('goes down to 0 within ten seconds when nothing comes any more', () => {
    const speed = new Speed()
    speed.note(0, 0, 'x')
    const { at, height } = grow(speed, 100, 200, 100)
    let last = speed.perSecond(at)
    for (let now = at; now < at + 10_000; now += 500) {
      speed.note(now, height, 'x')
      const next = speed.perSecond(now)
      expect(next).toBeLessThanOrEqual(last)
      expect(Math.abs(next - 500 * (1 - (now - at) / 10_000))).toBeLessThanOrEqual(20)
      last = next
    }
    expect([speed.perSecond(at + 10_000), speed.left(at + 10_000, 5)]).toEqual([0, undefined])
  })

  it('of a node that follows is that of ten seconds, whatever the moment', () => {
    const speed = new Speed()
    speed.note(0, 10, undefined)
    for (let second = 1; second <= 60; second++) {
      speed.note(second * 1_000, 10 + Math.floor(second / 10), undefined)
      expect(speed.perSecond(second * 1_000)).toBe(second < 10 ? 0 : 0.1)
    }
  })

  it('begins anew after a pause', () => {
    const speed = new Speed()
    speed.note(0, 0, 'x')
    const { at, height } = grow(speed, 100, 200, 100)
    speed.note(at + 20_000, height, undefined)
    speed.note(at + 30_000, height, 'x')
    speed.note(at + 31_000, height + 300, 'x')
    speed.note(at + 32_000, height + 600, 'x')
    expect(speed.perSecond(at + 32_000)).toBe(300)
  })

  it('counts a chain that was cut back from where it is then, and bears a clock that is set back', () => {
    const speed = new Speed()
    speed.note(0, 1_000, 'x')
    speed.note(1_000, 900, 'x')
    speed.note(2_000, 1_000, 'x')
    expect(speed.perSecond(2_000)).toBe(50)
    speed.note(-3_600_000, 1_000, 'x')
    expect(speed.perSecond(-3_600_000)).toBe(0)
    speed.note(-3_598_000, 1_200, 'x')
    expect(speed.perSecond(-3_598_000)).toBe(100)
  })

  it('is right too when each block comes alone', () => {
    const speed = new Speed()
    grow(speed, 1, 1, 100_000)
    expect(speed.perSecond(100_000)).toBeGreaterThan(970)
    expect(speed.perSecond(100_000)).toBeLessThanOrEqual(1_025)
  })
})
