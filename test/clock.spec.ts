import { HandClock } from 'blockwire/testing'
import { expect, test } from 'vitest'
import { steady } from '../dist/src/clock.js'

test('a steady clock goes on where it was when the machine’s is set back, and forward with it', () => {
  let wall = 1000
  const clock = steady({ now: () => wall, after: () => () => {} })
  expect(clock.now()).toBe(1000)
  wall += 500
  expect(clock.now()).toBe(1500)
  wall -= 3_600_000
  expect(clock.now()).toBe(1500)
  wall += 10
  expect(clock.now()).toBe(1510)
  wall += 7_200_000
  expect(clock.now()).toBe(7_201_510)
})

test('its timers are those of the clock beneath', () => {
  const hand = new HandClock()
  const ran: number[] = []
  const clock = steady(hand)
  const cancel = clock.after(100, () => ran.push(1))
  clock.after(200, () => ran.push(2))
  cancel()
  hand.turn(1000)
  expect(ran).toEqual([2])
})
