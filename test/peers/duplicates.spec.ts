import { expect, test } from 'vitest'
import { crossingDials } from './crossing.js'

const TCP = '/ip4/127.0.0.1/tcp/0'

test.each([TCP, '/memory/crossing'])(
  'ten pairs that dial each other at the same time over %s have one connection each, and gossip passes both ways',
  async (listen) => {
    const pairs = Array.from({ length: 10 }, (_, i) => crossingDials(listen === TCP ? TCP : `${listen}-${i}`))
    const outcomes = await Promise.all(pairs)
    expect(outcomes.filter(({ identified }) => identified > 1)).toEqual([])
  },
  60_000
)

test.each([TCP, '/memory/slipped'])(
  'duplicates over %s that no gater stopped are closed at both ends, and gossip moves to what stays',
  async (listen) => {
    const pairs = Array.from({ length: 5 }, (_, i) =>
      crossingDials(listen === TCP ? TCP : `${listen}-${i}`, { gater: false })
    )
    const outcomes = await Promise.all(pairs)
    expect(
      outcomes.some(({ identified }) => identified > 1),
      'no dials crossed, so nothing was tested'
    ).toBe(true)
  },
  60_000
)
