import { HandClock } from 'blockwire/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AddressBook } from '../../dist/src/peers/book.js'
import { RELAX_MS, SEED_SLOTS } from '../../dist/src/peers/choice.js'
import {
  ALONE_WAIT_MS,
  FIRST_WAIT_MS,
  FULL_WAIT_MS,
  GOOD_MS,
  LONGEST_WAIT_MS,
  MAX_FAILURES,
  Planner
} from '../../dist/src/peers/planner.js'
import { VICTIM_MS } from '../../dist/src/peers/victims.js'

const HINT = { source: 'test' }

interface Setup {
  seeds?: number
  others?: number
  target?: number
  random?: () => number
}

function setup({ seeds = 0, others = 0, target = 8, random = () => 0.5 }: Setup = {}) {
  const clock = new HandClock()
  const book: AddressBook = new AddressBook({ keeps: (id) => planner.isLinked(id) })
  const planner = new Planner({ book, target, random })
  for (let i = 0; i < seeds; i++) book.pin(`seed${i}`, `/memory/seed${i}`, clock.now())
  for (let i = 0; i < others; i++) book.learn(`peer${i}`, [`/memory/peer${i}`], clock.now(), HINT)
  /** One dial that ends as `works` says; its wait, when it failed. */
  const dial = (id: string, works: boolean): number | undefined => {
    planner.begin(id)
    if (works) {
      planner.opened(id, 'outbound', clock.now())
      planner.dialled(id)
      planner.proved(id, clock.now())
      return undefined
    }
    planner.failed(id, clock.now(), 'refused')
    const due = planner.dueAt(id)
    return due == null ? undefined : due - clock.now()
  }
  return { clock, book, planner, dial, plan: () => planner.plan(clock.now()) }
}

describe('waiting', () => {
  test('doubles from 1 s to 5 min, jittered by up to a half, and a seed is never given up', () => {
    fc.assert(
      fc.property(
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        fc.integer({ min: 1, max: 40 }),
        (dice, n) => {
          const { clock, planner, dial, plan } = setup({ seeds: 1, others: 1, random: () => dice.next().value ?? 0 })
          dial('peer0', true)
          for (let i = 0; i < n; i++) {
            const wait = dial('seed0', false) ?? Number.NaN
            const full = Math.min(FIRST_WAIT_MS * 2 ** i, LONGEST_WAIT_MS)
            expect(wait).toBeGreaterThanOrEqual(full / 2)
            expect(wait).toBeLessThanOrEqual(full)
            clock.turn(Math.floor(wait) - 1)
            expect(plan()).toEqual([])
            clock.turn(2)
            expect(plan()).toEqual(['seed0'])
          }
          expect(planner.dueAt('seed0')).toBeDefined()
        }
      ),
      { numRuns: 50 }
    )
  })

  test('is at most 10 s for a seed while there is no peer at all', () => {
    const { clock, dial, plan } = setup({ seeds: 1, random: () => 0.999 })
    for (let i = 0; i < 20; i++) {
      expect(dial('seed0', false)).toBeLessThanOrEqual(ALONE_WAIT_MS)
      clock.turn(ALONE_WAIT_MS)
      expect(plan()).toEqual(['seed0'])
    }
  })

  test('is cut to 10 s for a seed as soon as the last peer is lost', () => {
    const { clock, planner, dial, plan } = setup({ seeds: 1, others: 1, random: () => 0.999 })
    dial('peer0', true)
    for (let i = 0; i < 12; i++) dial('seed0', false)
    clock.turn(ALONE_WAIT_MS)
    expect(plan()).toEqual([])
    planner.closed('peer0', clock.now(), 'lost')
    expect(plan()).toContain('seed0')
  })

  test('starts again at 1 s after a connection of 15 s, and goes on doubling after a shorter one', () => {
    const { clock, planner, dial } = setup({ seeds: 1, others: 1, random: () => 0.999 })
    dial('peer0', true)
    for (let i = 0; i < 5; i++) dial('seed0', false)
    dial('seed0', true)
    clock.turn(GOOD_MS - 1)
    planner.closed('seed0', clock.now(), 'lost')
    expect((planner.dueAt('seed0') ?? 0) - clock.now()).toBeGreaterThan(16_000)
    dial('seed0', true)
    clock.turn(GOOD_MS)
    planner.closed('seed0', clock.now(), 'lost')
    expect((planner.dueAt('seed0') ?? 0) - clock.now()).toBeLessThanOrEqual(FIRST_WAIT_MS)
  })

  test('is short for a peer that called us while we failed to reach it, and then its dial is let in', () => {
    const { planner, dial } = setup({ others: 2, random: () => 0.999 })
    dial('peer1', true)
    dial('peer0', false)
    dial('peer0', false)
    planner.begin('peer0')
    expect(planner.outranks('peer0')).toBe(true)
    planner.deniedInbound('peer0')
    expect(dial('peer0', false)).toBeLessThanOrEqual(FIRST_WAIT_MS)
    expect(planner.outranks('peer0')).toBe(false)
    planner.opened('peer0', 'inbound', 0)
    expect(planner.outranks('peer0')).toBe(true)
  })
})

describe('choosing', () => {
  test('fills the outbound target and no more, at most eight dials at a time', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 0, max: 5 }),
        fc.integer({ min: 0, max: 60 }),
        fc.infiniteStream(fc.boolean()),
        (target, seeds, others, works) => {
          const { clock, planner, dial, plan, book } = setup({ target, seeds, others })
          for (let round = 0; round < 200; round++) {
            const ids = plan()
            expect(new Set(ids).size).toBe(ids.length)
            expect(ids.length).toBeLessThanOrEqual(8)
            for (const id of ids) dial(id, works.next().value ?? true)
            expect(planner.outbound).toBeLessThanOrEqual(Math.max(target, SEED_SLOTS) + SEED_SLOTS)
            clock.turn(1000)
          }
          // whoever is left has had its chance: either enough are connected or nobody is due
          if (planner.outbound < target)
            expect(
              [...book.entries.keys()]
                .filter((id) => !planner.isLinked(id))
                .every((id) => (planner.dueAt(id) ?? 0) > clock.now())
            ).toBe(true)
        }
      ),
      { numRuns: 60 }
    )
  })

  test('dials until the target is met, counting inbound peers as connected but not as outbound', () => {
    const { clock, planner, plan } = setup({ others: 5, target: 3 })
    planner.opened('peer0', 'inbound', clock.now())
    expect(plan()).toHaveLength(3)
    expect(plan()).not.toContain('peer0')
    expect(planner.inbound).toBe(1)
    expect(planner.outbound).toBe(0)
  })

  test('keeps two places for seeds even when the target is met', () => {
    const { dial, plan } = setup({ seeds: 3, others: 8 })
    for (let i = 0; i < 8; i++) dial(`peer${i}`, true)
    expect(plan()).toHaveLength(SEED_SLOTS)
    expect(plan().every((id) => id.startsWith('seed'))).toBe(true)
  })

  test('prefers who failed less, and leaves out who is not welcome', () => {
    const chosen = new Map<string, number>()
    for (let i = 0; i < 600; i++) {
      const { clock, planner, dial } = setup({ others: 3, target: 1, random: Math.random })
      planner.opened('elsewhere', 'inbound', 0)
      dial('peer0', false)
      dial('peer0', false)
      clock.turn(2000)
      const [id = ''] = planner.plan(clock.now(), (other) => other !== 'peer1')
      chosen.set(id, (chosen.get(id) ?? 0) + 1)
    }
    expect([...chosen.keys()].sort()).toEqual(['peer0', 'peer2'])
    // two failures: 0.66 squared against 1, which is 0.3 of the draws; five standard deviations are 0.1
    expect(chosen.get('peer0')).toBeLessThan(240)
  })

  test('does not dial whom it was told to leave alone', () => {
    const { clock, planner, plan } = setup({ others: 1 })
    planner.hold('peer0', clock.now(), 60_000)
    clock.turn(59_999)
    expect(plan()).toEqual([])
    clock.turn(1)
    expect(plan()).toEqual(['peer0'])
  })
})

describe('giving up', () => {
  test('drops a stranger after three failures and a proven peer after ten, seeds never', () => {
    const { clock, book, planner, dial } = setup({ seeds: 1, others: 3 })
    dial('peer2', true)
    dial('peer1', true)
    planner.closed('peer1', clock.now(), 'lost')
    for (let i = 0; i < MAX_FAILURES.stranger; i++) dial('peer0', false)
    expect(book.get('peer0')).toBeUndefined()
    for (let i = 1; i < MAX_FAILURES.proven; i++) {
      expect(book.get('peer1')).toBeDefined()
      dial('peer1', false)
    }
    expect(book.get('peer1')).toBeUndefined()
    for (let i = 0; i < 100; i++) dial('seed0', false)
    expect(book.get('seed0')).toBeDefined()
  })

  test('drops nobody while nobody at all answers: then it is our own network', () => {
    const { book, dial } = setup({ others: 3 })
    for (let i = 0; i < 30; i++) for (let j = 0; j < 3; j++) dial(`peer${j}`, false)
    expect(book.entries.size).toBe(3)
  })
})
