import { describe, expect, it } from 'vitest'
import { Credit } from '../../dist/src/sync/credit.js'

/** Looks every second from `from` on; answers how many seconds of the next `seconds` were held up. */
function held(credit: Credit, from: number, seconds: number): number {
  let count = 0
  for (let i = 0; i < seconds; i++) if (credit.grants(true, from + i * 1_000)) count++
  return count
}

describe('the credit of claims', () => {
  it('is a minute, and comes back slowly', () => {
    const credit = new Credit()
    expect(held(credit, 0, 61)).toBe(60)
    expect(held(credit, 61_000, 90)).toBe(0)
    expect(held(credit, 151_000, 60)).toBe(10)
  })

  it('is whole again when a claim proves true', () => {
    const credit = new Credit()
    held(credit, 0, 100)
    credit.renew()
    expect(held(credit, 100_000, 61)).toBe(60)
  })

  it('is not used up while we sleep', () => {
    const credit = new Credit()
    credit.grants(true, 0)
    expect(credit.grants(true, 3_600_000)).toBe(true)
  })
})
