import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type Selectable, selectFor } from '../../dist/src/pool/select.js'

/** The same, by looking at all each time. */
function greedy(pooled: Selectable[], maxBytes: number): Selectable[] {
  let open = [...pooled]
  const chosen: Selectable[] = []
  let left = maxBytes
  const isNext = (one: Selectable): boolean =>
    one.order == null ||
    !open.some(({ order }) => order?.sender === one.order!.sender && order.sequence < one.order!.sequence)
  for (;;) {
    const best = open.filter(isNext).sort((a, b) => b.rate - a.rate || a.arrival - b.arrival)[0]
    if (best == null) return chosen
    open = open.filter((one) => one !== best)
    if (best.size > left) {
      if (best.order != null) open = open.filter(({ order }) => order?.sender !== best.order!.sender)
      continue
    }
    chosen.push(best)
    left -= best.size
  }
}

const pooled = fc
  .array(
    fc.record({
      size: fc.integer({ min: 1, max: 20 }),
      rate: fc.nat(5),
      order: fc.option(fc.record({ sender: fc.constantFrom('a', 'b', 'c'), sequence: fc.bigInt(0n, 30n) }), {
        nil: undefined
      })
    }),
    { maxLength: 40 }
  )
  .map((all) => {
    const taken = new Set<string>()
    return all
      .filter(({ order }) => {
        if (order == null) return true
        const slot = `${order.sender} ${order.sequence}`
        if (taken.has(slot)) return false
        taken.add(slot)
        return true
      })
      .map((one, arrival) => ({ ...one, arrival }))
  })

it('takes what pays most per byte among the next of each sender, as far as it fits', () => {
  fc.assert(
    fc.property(pooled, fc.nat(300), (all, maxBytes) => {
      const chosen = selectFor(all, maxBytes)
      expect(chosen).toEqual(greedy(all, maxBytes))
      expect(chosen.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(maxBytes)
      expect(new Set(chosen).size).toBe(chosen.length)
      // nothing before it that is left out
      for (const [at, { order }] of chosen.entries()) {
        if (order == null) continue
        const before = all.filter((one) => one.order?.sender === order.sender && one.order.sequence < order.sequence)
        for (const one of before) expect(chosen.indexOf(one)).toBeLessThan(at)
        for (const one of before) expect(chosen).toContain(one)
      }
    }),
    { numRuns: 500 }
  )
})

it('takes all of a large pool at once within reason', () => {
  const all = Array.from({ length: 20_000 }, (_, arrival) => ({
    size: 200,
    rate: (arrival * 7919) % 1000,
    arrival,
    order: arrival % 2 === 0 ? undefined : { sender: `${arrival % 51}`, sequence: BigInt(arrival) }
  }))
  expect(selectFor(all, 20_000 * 200)).toHaveLength(20_000)
})
