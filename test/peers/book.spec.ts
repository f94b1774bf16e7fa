import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { named } from '../../dist/src/peers/addresses.js'
import { AddressBook, HORIZON_MS, REPLACEABLE_MS, unknown } from '../../dist/src/peers/book.js'
import {
  BUCKET_SIZE,
  NEW_BUCKETS,
  NEW_BUCKETS_PER_SOURCE,
  Placing,
  TRIED_BUCKETS,
  TRIED_BUCKETS_PER_GROUP
} from '../../dist/src/peers/buckets.js'

const DAY = 24 * 3_600_000
const HINT = { source: 'somebody' }

/** A public address: groups are the first two numbers. */
const at = (group: number, host: number): string =>
  `/ip4/${20 + (group >> 8)}.${group & 255}.${host >> 8}.${host & 255}/tcp/1`

const secret = fc.uint8Array({ minLength: 32, maxLength: 32 })
/** Pseudorandom in [0, 1), from a seed. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

describe('entries', () => {
  test('of one peer hold at most eight addresses, a seed all that it was given with', () => {
    const book = new AddressBook()
    for (let i = 0; i < 12; i++) book.pin('seed', `/memory/seed${i}`, 0)
    book.learn(
      'a',
      Array.from({ length: 40 }, (_, i) => `/memory/${i}`),
      0,
      HINT
    )
    book.learn('a', ['/memory/x', '/memory/y'], 0, HINT)
    expect(book.get('a')?.addresses).toHaveLength(8)
    expect(book.get('seed')?.addresses).toHaveLength(12)
  })

  test('a newer signed word replaces what is known, an older one and hearsay do not', () => {
    const book = new AddressBook()
    book.learn('a', ['/memory/rumour'], 0, HINT)
    book.learn('a', ['/memory/other-rumour'], 1, HINT)
    expect(book.get('a')?.addresses).toEqual(['/memory/rumour', '/memory/other-rumour'])
    book.learn('a', ['/memory/signed'], 2, { ...HINT, seq: 5n })
    book.learn('a', ['/memory/older'], 3, { ...HINT, seq: 4n })
    book.learn('a', ['/memory/hearsay'], 4, HINT)
    expect(book.get('a')?.addresses).toEqual(['/memory/signed'])
    book.learn('a', ['/memory/moved'], 5, { ...HINT, seq: 6n })
    expect(book.get('a')?.addresses).toEqual(['/memory/moved'])
  })

  test("a seed's given address stays, whatever it says of itself, and what worked goes first", () => {
    const book = new AddressBook()
    book.pin('s', '/memory/given', 0)
    book.pin('s', '/memory/also-given', 0)
    book.learn('s', ['/memory/own'], 1, { ...HINT, seq: 1n })
    expect(book.get('s')?.addresses).toEqual(['/memory/given', '/memory/also-given', '/memory/own'])
    book.worked('s', '/memory/own')
    expect(book.get('s')?.addresses).toEqual(['/memory/own', '/memory/given', '/memory/also-given'])
    book.remove('s')
    expect(book.get('s')).toBeDefined()
  })

  test('a peer without an address, or with one of thousands of characters, is not kept', () => {
    const book = new AddressBook()
    expect(book.learn('a', [], 0, HINT)).toBeUndefined()
    expect(book.learn('a', [`/dns4/${'a'.repeat(5000)}/tcp/1`], 0, HINT)).toBeUndefined()
    expect(book.entries.size).toBe(0)
  })

  test('what can be read as an address is kept of what somebody says are his', () => {
    const book = new AddressBook()
    expect(book.learn('a', ['nowhere', '/ip4/999.1.1.1/tcp/1', '/nonsense/7', ''], 0, HINT)).toBeUndefined()
    expect(book.learn('a', ['nowhere', '/ip4/8.8.8.8/tcp/1'], 0, HINT)?.addresses).toEqual(['/ip4/8.8.8.8/tcp/1'])
    expect(book.learn('a', ['nowhere'], 1, { ...HINT, seq: 1n })?.addresses).toEqual(['/ip4/8.8.8.8/tcp/1'])
  })

  test('names of peers that mean something to JavaScript are names like others', () => {
    const book = new AddressBook()
    for (const id of ['__proto__', 'constructor', 'toString']) {
      expect(book.get(id)).toBeUndefined()
      book.learn(id, ['/memory/a'], 0, { source: '__proto__' })
      book.proved(id, 1, book.get(id)?.group)
      expect(book.isTried(id)).toBe(true)
    }
    expect(book.sizes).toEqual({ new: 0, tried: 3 })
  })

  test('who was not seen for a month is forgotten, unless it is connected or a seed', () => {
    const book = new AddressBook({ keeps: (id) => id === 'linked' })
    book.pin('seed', '/memory/seed', 0)
    for (const id of ['old', 'linked', 'proven', 'fresh']) book.learn(id, [`/memory/${id}`], 0, HINT)
    book.proved('proven', 1000, book.get('proven')?.group)
    book.learn('fresh', [], HORIZON_MS + 500, HINT)
    book.sweep(HORIZON_MS + 500)
    expect([...book.entries.keys()]).toEqual(['seed', 'linked', 'proven', 'fresh'])
  })

  test('nobody is forgotten because we were away for long, or because the clock is wrong', () => {
    const book = new AddressBook()
    for (const [i, id] of ['a', 'b'].entries()) book.learn(id, [`/memory/${id}`], i * DAY, HINT)
    book.sweep(3650 * DAY)
    expect([...book.entries.keys()]).toEqual(['a', 'b'])
    // once anybody is seen again, the month counts from there
    book.learn('b', [], 40 * DAY, HINT)
    book.sweep(3650 * DAY)
    expect([...book.entries.keys()]).toEqual(['b'])
  })

  test('where a peer answered stays first, whatever it says of itself later; what it leaves out is dropped', () => {
    const book = new AddressBook()
    const [lie, truth] = ['/ip4/8.8.8.8/tcp/1', '/ip4/66.6.6.6/tcp/1']
    book.learn('a', [lie, truth], 0, { ...HINT, seq: 1n })
    book.worked('a', truth)
    for (const seq of [1n, 2n]) book.learn('a', [lie, truth], 0, { ...HINT, seq })
    expect(book.get('a')).toMatchObject({ addresses: [truth, lie], group: 'ip4:66.6' })
    book.learn('a', [lie], 0, { ...HINT, seq: 3n })
    expect(book.get('a')).toMatchObject({ addresses: [lie], group: 'ip4:8.8' })
  })

  test('are dialled in one group of addresses at a time, a seed everywhere at once', () => {
    const book = new AddressBook()
    const addresses = ['/ip4/8.8.8.8/tcp/1', '/ip4/66.6.6.6/tcp/1', '/ip4/8.8.9.9/tcp/1']
    for (const address of addresses) book.pin('seed', address, 0)
    book.learn('a', addresses, 0, HINT)
    expect(book.targets('a')).toEqual([addresses[0], addresses[2]])
    book.missed('a')
    expect(book.targets('a')).toEqual([addresses[1]])
    book.missed('a')
    expect(book.targets('a')).toEqual([addresses[0], addresses[2]])
    expect(book.targets('seed')).toEqual(addresses)
    expect(book.targets('unknown')).toEqual([])
  })

  test('take no address that ends in the ID of another, or that cannot be written as text', async () => {
    const [own, other] = await Promise.all(
      [1, 2].map(async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString())
    )
    const odd = [
      [{ code: 54, name: 'dns4', value: 'a/b' }],
      [{ code: 54, name: 'dns4', value: '' }],
      [{ code: 54, name: 'dns4', value: 'a/tcp/1/p2p-circuit' }],
      [{ code: 449, name: 'sni', value: '/' }]
    ].map((components) => multiaddr([...components, { code: 6, name: 'tcp', value: '1' }]))
    const given = [
      multiaddr(`/ip4/8.8.8.8/tcp/1/p2p/${other}`),
      ...odd,
      multiaddr('/ip4/8.8.8.8/tcp/2'),
      multiaddr(`/ip4/8.8.8.8/tcp/3/p2p/${own}`)
    ]
    expect(named(given, own!)).toEqual([`/ip4/8.8.8.8/tcp/2/p2p/${own}`, `/ip4/8.8.8.8/tcp/3/p2p/${own}`])
  })
})

describe('the table of those only heard of', () => {
  test('is arranged in a way that nobody without the secret can foresee', () => {
    const shared = (a: number, b: number): number => {
      const [one, two] = [a, b].map((byte) => new Placing(new Uint8Array(32).fill(byte)))
      return Array.from({ length: 50 }, (_, i) => `ip4:${i}.1`).filter((g) => one!.fresh(g, 'x') === two!.fresh(g, 'x'))
        .length
    }
    expect(shared(1, 1)).toBe(50)
    expect(shared(1, 2)).toBeLessThan(20)
  })

  test('has room for a sixteenth from one source, and what is there is not pushed out by more', () => {
    fc.assert(
      fc.property(secret, (bytes) => {
        const book = new AddressBook({ secret: bytes })
        for (let i = 0; i < 10_000; i++) book.learn(`a${i}`, [at(i % 4000, i >> 8)], i, { source: 'ip4:6.6' })
        const bound = NEW_BUCKETS_PER_SOURCE * BUCKET_SIZE
        expect(bound).toBe((NEW_BUCKETS * BUCKET_SIZE) / 16)
        expect(book.sizes.new).toBeLessThanOrEqual(bound)
        // all of the first that came are there: nobody made room for later ones
        for (let i = 0; i < BUCKET_SIZE; i++) expect(book.get(`a${i}`)).toBeDefined()
      }),
      { numRuns: 4 }
    )
  })

  test('makes room only in place of one that has failed, most failures first, or was long unseen', () => {
    const book = new AddressBook({ secret: new Uint8Array(32) })
    // one group from one source: one bucket
    for (let i = 0; i < BUCKET_SIZE; i++) book.learn(`a${i}`, [at(1, i)], 0, HINT)
    expect(book.learn('late', [at(1, 999)], 1, HINT)).toBeUndefined()
    book.get('a3')!.failures = 1
    book.get('a7')!.failures = 2
    expect(book.learn('late', [at(1, 999)], 1, HINT)).toBeDefined()
    expect(book.get('a7')).toBeUndefined()
    expect(book.learn('later', [at(1, 998)], 2, HINT)).toBeDefined()
    expect(book.get('a3')).toBeUndefined()
    expect(book.learn('latest', [at(1, 997)], 3, HINT)).toBeUndefined()
    expect(book.learn('latest', [at(1, 997)], 3 + HORIZON_MS, HINT)).toBeDefined()
    expect(book.entries.size).toBe(BUCKET_SIZE)
  })
})

describe('the table of those that answered', () => {
  test('is entered by answering a dial of ours, not by calling us', () => {
    const book = new AddressBook()
    book.learn('a', [at(1, 1)], 0, HINT)
    book.proved('a', 1)
    expect(book.sizes).toEqual({ new: 1, tried: 0 })
    book.proved('a', 2, book.get('a')?.group)
    expect(book.sizes).toEqual({ new: 0, tried: 1 })
    expect(book.get('a')).toMatchObject({ provenAt: 2, seenAt: 2 })
  })

  test('has room for a thirty-second of one group, the others stay among those heard of', () => {
    fc.assert(
      fc.property(secret, (bytes) => {
        const book = new AddressBook({ secret: bytes })
        for (let i = 0; i < 2000; i++) {
          book.learn(`a${i}`, [at(1, i)], 0, { source: `ip4:${i % 100}.1` })
          book.proved(`a${i}`, 0, book.get(`a${i}`)?.group)
        }
        const bound = TRIED_BUCKETS_PER_GROUP * BUCKET_SIZE
        expect(bound).toBe((TRIED_BUCKETS * BUCKET_SIZE) / 32)
        expect(book.sizes.tried).toBeLessThanOrEqual(bound)
      }),
      { numRuns: 4 }
    )
  })

  test('one that proved itself within four hours, or is connected, keeps its place; another goes back', () => {
    let linked = new Set<string>()
    const book = new AddressBook({ secret: new Uint8Array(32), keeps: (id) => linked.has(id) })
    const fill = (from: number, now: number): void => {
      for (let i = from; i < from + 1000; i++) {
        book.learn(`a${i}`, [at(1, i)], now, { source: `ip4:${i % 200}.1` })
        book.proved(`a${i}`, now, book.get(`a${i}`)?.group)
      }
    }
    fill(0, 0)
    const first = [...book.entries.keys()].filter((id) => book.isTried(id))
    expect(first).toHaveLength(TRIED_BUCKETS_PER_GROUP * BUCKET_SIZE)
    fill(1000, REPLACEABLE_MS - 1)
    expect(first.every((id) => book.isTried(id))).toBe(true)
    linked = new Set(first.slice(0, 10))
    fill(2000, REPLACEABLE_MS)
    expect(first.slice(0, 10).every((id) => book.isTried(id))).toBe(true)
    const replaced = first.filter((id) => !book.isTried(id))
    expect(replaced.length).toBeGreaterThan(first.length / 2)
    expect(replaced.filter((id) => book.get(id) != null).length).toBeGreaterThan(0)
    expect(book.sizes.tried).toBe(TRIED_BUCKETS_PER_GROUP * BUCKET_SIZE)
  })
})

describe('the tables and the entries', () => {
  test('hold the same peers, whatever happens to them', () => {
    const step = fc.record({
      do: fc.constantFrom('learn', 'prove', 'fail', 'remove', 'restore', 'sweep'),
      id: fc.integer({ min: 0, max: 400 }),
      group: fc.integer({ min: 0, max: 1 })
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 1500, minLength: 500 }), (steps) => {
        const book = new AddressBook({ secret: new Uint8Array(32) })
        for (const [i, { do: what, id: n, group }] of steps.entries()) {
          const id = `p${n}`
          const now = i * REPLACEABLE_MS
          const entry = book.get(id)
          if (what === 'learn') book.learn(id, [at(group, n)], now, { source: `${n % 3}` })
          else if (what === 'prove') book.proved(id, now, `ip4:${group}`)
          else if (what === 'fail' && entry != null) entry.failures++
          else if (what === 'remove') book.remove(id)
          else if (what === 'sweep') book.sweep(now)
          else if (what === 'restore') book.restore(unknown(id, false, [at(group, n)], now), true, now)
          const { new: fresh, tried } = book.sizes
          expect(fresh + tried).toBe(book.entries.size)
        }
        const drawn = new Set<string>()
        for (;;) {
          const next = book.draw(Math.random, ({ id }) => (drawn.has(id) ? 0 : 1))
          if (next == null) break
          drawn.add(next.id)
        }
        expect([...drawn].sort()).toEqual([...book.entries.keys()].sort())
      }),
      { numRuns: 10 }
    )
  })

  test('are as full after a restart in which far too many claim to have answered', () => {
    const book = new AddressBook({ secret: new Uint8Array(32) })
    for (let i = 0; i < 3000; i++) book.restore(unknown(`p${i}`, false, [at(1, i)], 0), true, 0)
    const { new: fresh, tried } = book.sizes
    expect(tried).toBe(TRIED_BUCKETS_PER_GROUP * BUCKET_SIZE)
    expect(fresh + tried).toBe(book.entries.size)
  })
})

describe('drawing', () => {
  test('10,000 addresses from one source get at most half of the draws, and of those from the table of new ones only their share', () => {
    fc.assert(
      fc.property(secret, fc.integer({ min: 0, max: 2 ** 32 - 1 }), (bytes, seed) => {
        const book = new AddressBook({ secret: bytes })
        const honest = new Set<string>()
        for (let i = 0; i < 40; i++) {
          const id = `honest${i}`
          honest.add(id)
          book.learn(id, [at(i, 1)], 0, { source: `ip4:${30 + i}.1` })
          if (i < 20) book.proved(id, 0, book.get(id)?.group)
        }
        for (let i = 0; i < 10_000; i++)
          book.learn(`evil${i}`, [at(100 + (i % 3000), i >> 8)], 1, { source: 'ip4:6.6' })
        for (const id of honest) expect(book.get(id)).toBeDefined()
        const random = dice(seed)
        const draws = Array.from({ length: 1000 }, () => book.draw(random, () => 1)?.id ?? '')
        const evil = draws.filter((id) => id.startsWith('evil')).length
        // half the draws are from `new`, where the source has 16 buckets of those in use (20 honest ones, some of which coincide);
        // four standard deviations of 1,000 draws are 0.063
        expect(evil / 1000).toBeLessThanOrEqual(0.5 + 0.063)
        const heardOf = draws.filter((id) => !book.isTried(id))
        const share = heardOf.filter((id) => id.startsWith('evil')).length / heardOf.length
        expect(share).toBeLessThanOrEqual(NEW_BUCKETS_PER_SOURCE / (NEW_BUCKETS_PER_SOURCE + 12) + 0.1)
      }),
      { numRuns: 6 }
    )
  })

  test('finds whoever has weight, however many have none, and nobody else', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }), (wanted, seed) => {
        const book = new AddressBook()
        for (let i = 0; i < 300; i++) {
          book.learn(`a${i}`, [at(i, 1)], 0, { source: `ip4:${i}.1` })
          if (i % 3 === 0) book.proved(`a${i}`, 0, book.get(`a${i}`)?.group)
        }
        const drawn = book.draw(dice(seed), ({ id }) => (id === `a${wanted}` ? 0.1 : 0))
        expect(drawn?.id).toBe(wanted < 300 ? `a${wanted}` : undefined)
      })
    )
  })

  test('prefers by weight', () => {
    const book = new AddressBook({ secret: new Uint8Array(32) })
    for (let i = 0; i < 10; i++) book.learn(`a${i}`, [at(1, i)], 0, HINT)
    const random = dice(1)
    const draws = Array.from({ length: 2000 }, () => book.draw(random, ({ id }) => (id === 'a0' ? 0.9 : 0.1))?.id)
    expect(draws.filter((id) => id === 'a0').length / 2000).toBeCloseTo(0.5, 1)
  })
})

describe('what is to be written down', () => {
  test('is who was made, changed or dropped, seeds left out', () => {
    const book = new AddressBook()
    book.pin('seed', '/memory/seed', 0)
    book.proved('seed', 0, book.get('seed')?.group)
    book.learn('a', ['/memory/a'], 0, HINT)
    book.learn('b', ['/memory/b'], 0, HINT)
    expect(book.takeChanges().sort()).toEqual(['a', 'b'])
    expect(book.takeChanges()).toEqual([])
    book.proved('a', 1, book.get('a')?.group)
    book.remove('b')
    expect(book.takeChanges().sort()).toEqual(['a', 'b'])
  })
})
