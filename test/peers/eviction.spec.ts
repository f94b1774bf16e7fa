import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CHURN_MS, Churn, OLD_MS, type Settled } from '../../dist/src/peers/churn.js'
import { evictee, type Guest, SETTLING_MS } from '../../dist/src/peers/eviction.js'

const NOW = 1_000_000
const guest = (id: string, more: Partial<Guest> = {}): Guest => ({
  ...{ id, group: 'g', since: 0, rttMs: undefined, useful: 0 },
  ...more
})
/** Groups in alphabetical order, so that tests can foresee it. */
const rank = (group: string): number => group.charCodeAt(0)

describe('eviction', () => {
  test('sends away the youngest of the group that has most, never one that has just come', () => {
    const guests = [
      guest('lonely', { group: 'a', since: 900_000 }),
      ...[10, 20, 30, 40, 50].map((since) => guest(`old${since}`, { group: 'b', since })),
      guest('younger', { group: 'b', since: 60 })
    ]
    expect(evictee(guests, NOW, rank, 'b')).toBe('younger')
    expect(
      evictee([...guests, guest('newcomer', { group: 'b', since: NOW - SETTLING_MS + 1 })], NOW, rank, 'b')
    ).toBeUndefined()
    expect(evictee([...guests, guest('newcomer', { group: 'b', since: NOW - SETTLING_MS })], NOW, rank, 'b')).toBe(
      'newcomer'
    )
    expect(evictee([guest('newcomer', { since: NOW - 1 })], NOW, rank, 'g')).toBeUndefined()
    expect(evictee([], NOW, rank, 'b')).toBeUndefined()
  })

  test('an attacker who comes from one network, however often, pushes out only himself', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 16 }),
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 20_000 }),
        (honest, attempts, everyMs) => {
          const guests = Array.from({ length: honest }, (_, i) => guest(`honest${i}`, { group: `h${i}`, since: i }))
          for (let i = 0; i < 32 - honest; i++) guests.push(guest(`evil${i}`, { group: 'evil', since: 1000 + i }))
          for (let i = 0; i < attempts; i++) {
            const now = 20_000 + everyMs * i
            const id = evictee(guests, now, rank, 'evil')
            if (id == null) continue
            guests.splice(
              guests.findIndex((each) => each.id === id),
              1
            )
            guests.push(guest(`more${i}`, { group: 'evil', since: now, rttMs: 0.1, useful: 5 }))
          }
          expect(guests.filter(({ id }) => id.startsWith('honest'))).toHaveLength(honest)
        }
      )
    )
  })

  test('who is near, useful, of a rare network or long here is safe from whoever lacks that', () => {
    const guests = Array.from({ length: 32 }, (_, i) => guest(`crowd${i}`, { since: 100 + i, rttMs: 100 + i }))
    guests.push(guest('near', { since: 500, rttMs: 1 }))
    guests.push(guest('useful', { since: 500, useful: 3 }))
    guests.push(guest('rare', { since: 500, group: 'a' }))
    guests.push(guest('long', { since: 1 }))
    const left = [...guests]
    const gone: (string | undefined)[] = []
    for (let i = 0; i < 12; i++) {
      const id = evictee(left, NOW, rank, 'b')
      gone.push(id)
      left.splice(
        left.findIndex((each) => each.id === id),
        1
      )
    }
    expect(gone.every((id) => id?.startsWith('crowd'))).toBe(true)
  })

  test('one who comes again and again keeps out those of his own network only', () => {
    const guests = Array.from({ length: 30 }, (_, i) => guest(`old${i}`, { group: `g${i}`, since: i }))
    guests.push(guest('evil0', { group: 'zombies', since: NOW - 1 }))
    expect(evictee(guests, NOW, rank, 'zombies')).toBeUndefined()
    expect(evictee(guests, NOW, rank, 'honest')).toBe('evil0')
  })

  test('somebody can always go where nobody has just come, so that a newcomer gets in', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            group: fc.constantFrom('a', 'b', 'c', 'd'),
            since: fc.integer({ min: 0, max: NOW - SETTLING_MS }),
            rttMs: fc.option(fc.integer({ min: 1, max: 500 }), { nil: undefined }),
            useful: fc.integer({ min: 0, max: 5 })
          }),
          { minLength: 1, maxLength: 100 }
        ),
        (many) => {
          const guests = many.map((each, i) => guest(`p${i}`, each))
          const id = evictee(guests, NOW, rank, 'b')
          expect(guests.some((each) => each.id === id)).toBe(true)
        }
      )
    )
  })
})

describe('churn', () => {
  const peers = (n: number, more: Partial<Settled> = {}): Settled[] =>
    Array.from({ length: n }, (_, i) => ({ id: `p${i}`, direction: 'outbound', since: 0, useful: 0, ...more }))
  const FULL = { inbound: true, outbound: true }

  test('replaces one old peer every 3 to 7 minutes while a direction is full', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })), (stream) => {
        const churn = new Churn(0, () => stream.next().value ?? 0)
        const times: number[] = []
        for (let now = 0; now < 7_200_000; now += 1000)
          if (churn.choose(now, peers(8, { since: -OLD_MS }), FULL) != null) times.push(now)
        for (const [i, at] of times.entries()) {
          const gap = at - (times[i - 1] ?? 0)
          expect(gap).toBeGreaterThanOrEqual(CHURN_MS.least)
          expect(gap).toBeLessThanOrEqual(CHURN_MS.most + 1000)
        }
      }),
      { numRuns: 20 }
    )
  })

  const choose = (
    list: Settled[],
    full: { inbound: boolean; outbound: boolean },
    now = CHURN_MS.most
  ): (string | undefined)[] => Array.from({ length: 200 }, () => new Churn(0, Math.random).choose(now, list, full))

  test('leaves those alone that are young, and a direction that is not full', () => {
    expect(new Set(choose(peers(8, { since: CHURN_MS.most - OLD_MS + 1 }), FULL))).toEqual(new Set([undefined]))
    const mixed = [
      ...peers(8, { since: -OLD_MS }),
      ...peers(8, { since: -OLD_MS, direction: 'inbound' }).map((peer) => ({ ...peer, id: `in-${peer.id}` }))
    ]
    expect(new Set(choose(mixed, { inbound: false, outbound: false }))).toEqual(new Set([undefined]))
    expect(choose(mixed, { inbound: true, outbound: false }).every((id) => id?.startsWith('in-'))).toBe(true)
    expect(choose(mixed, { inbound: false, outbound: true }).some((id) => id?.startsWith('in-'))).toBe(false)
  })

  test('never replaces one of the useful tenth', () => {
    const list = peers(20, { since: -OLD_MS }).map((peer, i) => ({ ...peer, useful: i }))
    const chosen = new Set(choose(list, FULL))
    expect(chosen.has('p19')).toBe(false)
    expect(chosen.has('p18')).toBe(false)
    expect(chosen.size).toBeGreaterThan(10)
  })
})
