import { afterAll, expect, test } from 'vitest'
import { crossingDials } from './crossing.js'

const seen = { pairs: 0, crossed: 0 }

test.each(['/ip4/127.0.0.1/tcp/0', '/memory/crossing'])(
  'ten pairs that dial each other at the same time over %s keep one connection, and gossip passes both ways',
  async (listen) => {
    for (let i = 0; i < 10; i++) {
      const { crossed } = await crossingDials(listen.startsWith('/memory') ? `${listen}-${i}` : listen)
      seen.pairs++
      if (crossed) seen.crossed++
    }
  },
  60_000
)

afterAll(() => {
  expect(seen.pairs).toBe(20)
})
