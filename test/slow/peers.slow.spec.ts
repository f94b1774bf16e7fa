import { expect, test } from 'vitest'
import { crossingDials } from '../peers/crossing.js'

test('fifty pairs that dial each other at the same time over TCP have one connection each, and gossip passes both ways', async () => {
  for (let round = 0; round < 5; round++) {
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => crossingDials('/ip4/127.0.0.1/tcp/0')))
    expect(outcomes.filter(({ identified }) => identified > 1)).toEqual([])
  }
})

test('fifty pairs with duplicates that no gater stopped end with one connection each', async () => {
  let crossed = 0
  for (let round = 0; round < 5; round++) {
    const pairs = Array.from({ length: 10 }, () => crossingDials('/ip4/127.0.0.1/tcp/0', { gater: false }))
    for (const { identified } of await Promise.all(pairs)) if (identified > 1) crossed++
  }
  expect(crossed, 'no dials crossed, so nothing was tested').toBeGreaterThan(0)
})
