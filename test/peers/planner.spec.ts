import { multiaddr } from '@multiformats/multiaddr'
import { HandClock } from 'blockwire/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FIRST_WAIT_MS, LONGEST_WAIT_MS, MAX_FAILURES, PROVEN_MS } from '../../dist/src/peers/backoff.js'
import { AddressBook } from '../../dist/src/peers/book.js'
import { RELAX_MS, SEED_SLOTS } from '../../dist/src/peers/choice.js'
import { ALONE_WAIT_MS, FULL_WAIT_MS, GOOD_MS, LOST_MS, Planner } from '../../dist/src/peers/planner.js'
import { VICTIM_MS } from '../../dist/src/peers/victims.js'
import { dice } from '../helpers/dice.js'

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
    planner.begin(id, clock.now())
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

  test('of those who were lost together is cut short for one of them every 15 s, for none that has no room', () => {
    const { clock, planner, dial, plan } = setup({ others: 5, random: () => 0.999 })
    for (let i = 0; i < 5; i++) dial(`peer${i}`, true)
    for (let i = 1; i < 5; i++) {
      if (i === 4) planner.isFull('peer4')
      planner.closed(`peer${i}`, clock.now(), 'lost')
    }
    const tries: number[] = []
    for (let second = 0; second < 600; second++) {
      for (const id of plan()) {
        expect(id).not.toBe(second < 60 ? 'peer4' : '')
        dial(id, false)
        tries.push(second)
      }
      clock.turn(1_000)
    }
    const gaps = tries.slice(1).map((second, i) => second - tries[i]!)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(LOST_MS / 1_000 + 1)
    expect(tries.length).toBeLessThan(100)
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
    planner.begin('peer0', 0)
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
  test('drops a stranger after three failures, one that was no peer for a week after ten, seeds never', () => {
    const { clock, book, planner, dial } = setup({ seeds: 1, others: 3 })
    dial('peer2', true)
    dial('peer1', true)
    planner.closed('peer1', clock.now(), 'lost')
    for (let i = 0; i < MAX_FAILURES.stranger; i++) dial('peer0', false)
    expect(book.get('peer0')).toBeUndefined()
    for (let i = 0; i < 30; i++) dial('peer1', false)
    expect(book.get('peer1')).toBeDefined()
    clock.turn(PROVEN_MS)
    dial('peer1', false)
    expect(book.get('peer1')).toBeUndefined()
    for (let i = 0; i < 100; i++) dial('seed0', false)
    expect(book.get('seed0')).toBeDefined()
  })

  test('drops nobody while nobody at all answers: then it is our own network', () => {
    const { book, dial } = setup({ others: 3 })
    for (let i = 0; i < 30; i++) for (let j = 0; j < 3; j++) dial(`peer${j}`, false)
    expect(book.entries.size).toBe(3)
  })

  test('drops nobody far away while only neighbours are there', () => {
    const { clock, book, planner, dial } = setup()
    const lan = multiaddr('/ip4/192.168.1.2/tcp/1')
    planner.opened('neighbour', 'inbound', clock.now(), lan)
    book.learn('far', ['/ip4/8.8.8.8/tcp/1'], clock.now(), HINT)
    book.learn('near', ['/ip4/192.168.1.3/tcp/1'], clock.now(), HINT)
    for (let i = 0; i < 30; i++) for (const id of ['far', 'near']) if (book.get(id) != null) dial(id, false)
    expect([...book.entries.keys()]).toEqual(['far'])
    planner.opened('somebody', 'inbound', clock.now(), multiaddr('/ip4/9.9.9.9/tcp/1'))
    dial('far', false)
    expect(book.entries.size).toBe(0)
  })

  test('what we end ourselves is no failure of the other', () => {
    const { clock, book, planner } = setup({ others: 2 })
    for (let i = 0; i < 10; i++) {
      planner.begin('peer0', clock.now())
      planner.abandoned('peer0')
      planner.opened('peer1', 'inbound', clock.now())
      planner.proved('peer1', clock.now())
      planner.closed('peer1', clock.now(), 'suspended', true)
    }
    expect([book.get('peer0')?.failures, book.get('peer1')?.failures]).toEqual([0, 0])
    expect(planner.dialling.size).toBe(0)
  })
})

describe('variety', () => {
  const address = (group: number, host = 1): string => `/ip4/20.${group}.0.${host}/tcp/1`

  /** `peers` each at the address of a group. */
  function network(groups: number[], target = 4) {
    const { clock, book, planner } = setup({ target })
    for (const [i, group] of groups.entries())
      book.learn(`p${i}`, [address(group, i)], clock.now(), { source: `ip4:9.${i}` })
    const connect = (ids: string[]): void => {
      for (const id of ids) {
        planner.begin(id, clock.now())
        planner.opened(id, 'outbound', clock.now(), multiaddr(book.get(id)?.addresses[0] ?? ''))
        planner.dialled(id)
        planner.proved(id, clock.now())
      }
    }
    return { clock, book, planner, connect, plan: () => planner.plan(clock.now()) }
  }

  test('one peer of each group of addresses is dialled while there are several', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 60 }), (groups) => {
        const { plan, connect, planner } = network(groups)
        connect(plan())
        connect(plan())
        expect(planner.outbound).toBe(Math.min(4, new Set(groups).size))
        const dialled = groups.filter((_, i) => planner.isLinked(`p${i}`))
        expect(new Set(dialled).size).toBe(dialled.length)
      })
    )
  })

  test('with nobody of another group left, one of the same is dialled after a minute', () => {
    const { clock, plan, connect } = network([1, 1, 1])
    connect(plan())
    expect(plan()).toEqual([])
    clock.turn(RELAX_MS - 1)
    expect(plan()).toEqual([])
    clock.turn(1)
    expect(plan()).toHaveLength(2)
  })

  test('somebody of another group who turns up meanwhile is dialled too', () => {
    const { clock, book, plan, connect } = network([1, 1, 1, 1, 1], 3)
    connect(plan())
    plan()
    clock.turn(RELAX_MS)
    book.learn('other', [address(2)], clock.now(), { source: 'ip4:7.7' })
    expect(plan()).toContain('other')
  })

  test('peers made up in ever new groups do not keep us from those who are there', () => {
    const { clock, book, planner, connect } = network(
      Array.from({ length: 20 }, () => 1),
      8
    )
    planner.opened('somebody', 'inbound', clock.now())
    connect(planner.plan(clock.now()))
    const dials: { id: string; end: number }[] = []
    let fakes = 0
    for (let second = 0; second < 20 * 60; second++) {
      if (second % 11 === 0)
        for (let i = 0; i < 10; i++)
          book.learn(`fake${fakes}`, [address(10 + (fakes++ % 200), fakes % 250)], clock.now(), {
            source: `ip4:6.${fakes % 50}`
          })
      const ids = planner.plan(clock.now())
      connect(ids.filter((id) => id.startsWith('p')))
      // they take ten seconds each to lead nowhere
      for (const { id, end } of dials.splice(0)) {
        if (end <= clock.now()) planner.failed(id, clock.now(), 'no answer')
        else dials.push({ id, end })
      }
      for (const id of ids.filter((each) => each.startsWith('fake'))) {
        planner.begin(id, clock.now())
        dials.push({ id, end: clock.now() + 10_000 })
      }
      clock.turn(1000)
    }
    // one a minute, until the target is met
    expect(planner.outbound).toBe(8)
  })

  test('some seeds are beside the target, and further ones leave half of it to others', () => {
    for (const [target, seeds, others] of [
      [2, 2, 10],
      [8, 12, 20],
      [8, 1, 20]
    ] as const) {
      const { clock, planner, dial, book } = setup({ target, seeds, random: Math.random })
      for (let round = 0; round < 20; round++) {
        if (round === 10)
          for (let i = 0; i < others; i++) book.learn(`late${i}`, [`/memory/late${i}`], clock.now(), HINT)
        for (const id of planner.plan(clock.now())) dial(id, true)
        clock.turn(1000)
      }
      const links = [...planner.linked]
      const of = (kind: string): number => links.filter((id) => id.startsWith(kind)).length
      expect(of('late'), `${target} ${seeds}`).toBeGreaterThanOrEqual(Math.floor(target / 2))
      expect(links.length).toBe(target + Math.min(seeds, SEED_SLOTS))
      expect(planner.satisfied).toBe(true)
    }
  })

  test('seeds and peers of this computer and network are bound by no group', () => {
    const { clock, book, planner } = setup({ target: 8 })
    for (let i = 0; i < 2; i++) book.pin(`seed${i}`, address(1, i), clock.now())
    for (let i = 0; i < 3; i++)
      book.learn(`local${i}`, [`/ip4/127.0.0.1/tcp/${i + 1}`], clock.now(), { source: '127.0.0.1' })
    for (let i = 0; i < 3; i++) book.learn(`lan${i}`, [`/ip4/10.0.0.${i}/tcp/1`], clock.now(), { source: '10.0.0.1' })
    expect(planner.plan(clock.now())).toHaveLength(8)
  })
})

describe('anchors', () => {
  test('come before everyone, once each', () => {
    const { clock, planner, dial, plan } = setup({ seeds: 2, others: 20 })
    planner.anchor(['peer7', 'peer3', 'unknown'])
    expect(plan().slice(0, 2)).toEqual(['peer7', 'peer3'])
    dial('peer7', true)
    dial('peer3', false)
    expect(planner.isAnchor('peer3')).toBe(false)
    clock.turn(10)
    expect(plan()).not.toContain('peer3')
  })
})

describe('strangers that are said to be at one address', () => {
  test('are not looked for there one after the other: whoever tells of them may mean somebody else', () => {
    const { clock, book, planner, plan, dial } = setup({ target: 8 })
    planner.opened('someone', 'inbound', clock.now())
    for (let i = 0; i < 50; i++) book.learn(`fake${i}`, ['/ip4/8.8.8.8/tcp/22'], clock.now(), { source: `ip4:1.${i}` })
    let knocks = 0
    const minutes = 10
    for (let second = 0; second < minutes * 60; second++) {
      for (const id of plan()) {
        knocks++
        dial(id, false)
      }
      clock.turn(1000)
    }
    // each of them has its three attempts, but not two of them within a minute
    expect(knocks).toBeLessThanOrEqual(MAX_FAILURES.stranger * ((minutes * 60_000) / VICTIM_MS + 1))
    expect(knocks).toBeGreaterThan(0)
  })

  test('are not looked for there for having called us either', () => {
    const { clock, book, planner, plan, dial } = setup({ target: 8 })
    planner.opened('someone', 'inbound', clock.now())
    for (let i = 0; i < 20; i++) {
      book.learn(`fake${i}`, ['/ip4/8.8.8.8/tcp/22'], clock.now(), { source: `ip4:1.${i}` })
      planner.opened(`fake${i}`, 'inbound', clock.now())
      planner.proved(`fake${i}`, clock.now())
      planner.closed(`fake${i}`, clock.now(), 'gone')
    }
    let knocks = 0
    for (let second = 0; second < 600; second++) {
      for (const id of plan()) {
        knocks++
        dial(id, false)
      }
      clock.turn(1000)
    }
    expect(knocks).toBeLessThanOrEqual(10 * 11)
    expect(new Set(plan()).size).toBeLessThanOrEqual(1)
  })

  test('a peer that once was there is not affected', () => {
    const { clock, book, planner, plan, dial } = setup({ target: 8 })
    planner.opened('someone', 'inbound', clock.now())
    for (const id of ['known', 'fake']) book.learn(id, ['/ip4/8.8.8.8/tcp/22'], clock.now(), HINT)
    dial('known', true)
    book.worked('known', '/ip4/8.8.8.8/tcp/22')
    dial('fake', false)
    clock.turn(GOOD_MS)
    planner.closed('known', clock.now(), 'lost')
    book.remove('fake')
    book.learn('other', ['/ip4/8.8.8.8/tcp/22'], clock.now(), HINT)
    clock.turn(FIRST_WAIT_MS)
    expect(plan()).toEqual(['known'])
  })
})

describe('a peer that has no room for us', () => {
  test('is left alone for a minute or two, however good it was', () => {
    const { clock, planner, dial } = setup({ others: 2 })
    dial('peer1', true)
    dial('peer0', true)
    clock.turn(GOOD_MS)
    planner.isFull('peer0')
    planner.closed('peer0', clock.now(), 'too many peers')
    const wait = (planner.dueAt('peer0') ?? 0) - clock.now()
    expect(wait).toBeGreaterThanOrEqual(FULL_WAIT_MS)
    expect(wait).toBeLessThanOrEqual(2 * FULL_WAIT_MS)
  })

  test('is left alone too when its word comes after the end of the connection', () => {
    const { clock, planner, dial } = setup({ others: 2 })
    dial('peer1', true)
    dial('peer0', true)
    planner.closed('peer0', clock.now(), 'the connection closed')
    planner.isFull('peer0')
    expect((planner.dueAt('peer0') ?? 0) - clock.now()).toBeGreaterThanOrEqual(FULL_WAIT_MS)
  })

  test('is a seed tried again within 10 s when there is no other peer', () => {
    const { clock, planner, dial } = setup({ seeds: 1 })
    dial('seed0', true)
    planner.isFull('seed0')
    planner.closed('seed0', clock.now(), 'too many peers')
    expect((planner.dueAt('seed0') ?? 0) - clock.now()).toBeLessThanOrEqual(ALONE_WAIT_MS)
  })
})

describe('a herd', () => {
  test('of 200 nodes that lost their only seed does not come back all at once', () => {
    // the same chances each time: of 300 herds four had a third in one second by mere luck (median 55 of 200)
    const random = dice(1)
    const herd = Array.from({ length: 200 }, () => setup({ seeds: 1, random }))
    for (const { dial, clock } of herd) {
      dial('seed0', true)
      clock.turn(60_000)
    }
    // the seed goes, and is back after 5 minutes
    const start = herd[0]!.clock.now()
    for (const { planner, clock } of herd) planner.closed('seed0', clock.now(), 'lost')
    const perSecond = new Map<number, number>()
    for (let step = 1; step <= 320; step++) {
      for (const { plan, dial, clock } of herd) {
        clock.turn(1000)
        for (const id of plan()) {
          const isBack = clock.now() - start > 300_000
          if (isBack) perSecond.set(step, (perSecond.get(step) ?? 0) + 1)
          dial(id, isBack)
        }
      }
    }
    const counts = [...perSecond.values()]
    // all of them within the longest wait of a lonely node, and never a third of them in one second
    expect(counts.reduce((sum, n) => sum + n, 0)).toBe(200)
    expect(perSecond.size).toBeLessThanOrEqual(ALONE_WAIT_MS / 1000 + 1)
    expect(Math.max(...counts)).toBeLessThan(200 / 3)
  })
})

describe('waking up', () => {
  test('who stood by us is tried at once, before all others', () => {
    const { clock, planner, dial, plan } = setup({ seeds: 1, others: 6 })
    for (let i = 0; i < 6; i++) dial(`peer${i}`, false)
    planner.anchor(['peer3', 'peer1'])
    planner.refresh(clock.now())
    expect(plan()).toEqual(['peer3', 'peer1'])
  })

  test('who was here for two months is not forgotten when he leaves', () => {
    const { clock, book, planner, dial } = setup({ others: 2 })
    dial('peer0', true)
    clock.turn(60 * 24 * 3_600_000)
    book.learn('other', ['/memory/other'], clock.now(), HINT)
    planner.closed('peer0', clock.now(), 'lost')
    book.sweep(clock.now())
    expect(book.get('peer0')).toBeDefined()
    expect(book.get('peer1')).toBeUndefined()
  })

  test('everyone may be tried within a second, the held ones excepted', () => {
    const { clock, planner, dial, plan } = setup({ seeds: 1, others: 3 })
    for (let i = 0; i < 12; i++) for (const id of ['seed0', 'peer0', 'peer1']) dial(id, false)
    planner.hold('peer2', clock.now(), 600_000)
    expect(plan()).toEqual([])
    planner.refresh(clock.now())
    clock.turn(FIRST_WAIT_MS)
    expect(plan().sort()).toEqual(['peer0', 'peer1', 'seed0'])
  })
})
