import { POOL_LIMITS } from 'blockwire/pool'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Entries, type Entry } from '../../dist/src/pool/entries.js'

const limits = { txs: 6, bytes: 60, txsPerPeer: 3 }

it('has the limits that were promised', () => {
  expect(POOL_LIMITS).toEqual({ txs: 5_000, bytes: 16 * 1024 * 1024, txsPerPeer: 1_000 })
})

it('keeps order, each once, within its limits', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j')
  const step = fc.record({
    add: fc.boolean(),
    key: name,
    size: fc.nat(20),
    source: fc.option(fc.constantFrom('one', 'two'), { nil: undefined })
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const entries = new Entries<number>(limits)
      let held: Entry<number>[] = []
      for (const [tx, { add, key, size, source }] of steps.entries()) {
        const entry = { key, id: new Uint8Array(32), bytes: new Uint8Array(size), tx, source }
        if (add && entries.add(entry)) held.push(entry)
        if (!add) {
          expect(entries.delete(key)).toBe(held.find((other) => other.key === key))
          held = held.filter((other) => other.key !== key)
        }
        expect([...entries.values()]).toEqual(held)
        expect(entries.bytes).toBe(held.reduce((sum, { bytes }) => sum + bytes.length, 0))
        expect(new Set(held.map((other) => other.key)).size).toBe(held.length)
        expect(held.length).toBeLessThanOrEqual(limits.txs)
        expect(entries.bytes).toBeLessThanOrEqual(limits.bytes)
        for (const peer of ['one', 'two']) {
          expect(held.filter((other) => other.source === peer).length).toBeLessThanOrEqual(limits.txsPerPeer)
        }
      }
      expect(entries.clear()).toEqual(held)
      expect([entries.size, entries.bytes, entries.fits(60, 'one')]).toEqual([0, 0, true])
    })
  )
})
