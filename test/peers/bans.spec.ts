import { describe, expect, test } from 'vitest'
import { type Ban, Bans, subjectOf } from '../../dist/src/peers/bans.js'

const ID = '12D3KooWJbxiEiWoRTuVvJpcRVKoKMBfQGRL9bzMCnKqkSjGjhsW'

const ban = (what: string, until: number, more: Partial<Ban> = {}): Ban => ({
  ...subjectOf(what),
  until,
  reason: 'bad',
  byHand: false,
  ...more
})

describe('the subject of a ban', () => {
  test.each([
    [ID, 'peer', ID],
    ['203.0.113.7', 'address', '203.0.113.7'],
    ['::ffff:203.0.113.7', 'address', '203.0.113.7'],
    ['2001:0db8:0:0:0:0:0:1', 'address', '2001:db8::1'],
    ['203.0.113.77/24', 'prefix', '203.0.113.0/24'],
    ['::ffff:203.0.113.0/120', 'prefix', '203.0.113.0/24'],
    ['2001:db8::7/32', 'prefix', '2001:db8::/32']
  ])('%s is a %s, written %s', (text, kind, what) => {
    expect(subjectOf(text)).toEqual({ kind, what })
  })

  test.each(['', 'somebody', '203.0.113.0/33', '203.0.113/24', '203.0.113.0/', '10.0.0.0/8/8', '/ip4/10.0.0.1'])(
    "'%s' is none",
    (text) => {
      expect(() => subjectOf(text)).toThrow(expect.objectContaining({ name: 'ConfigError', option: 'ban' }))
    }
  )
})

describe('bans', () => {
  test('end by themselves, or when they are lifted', () => {
    const bans = new Bans()
    bans.add(ban(ID, 1000), 0)
    expect(bans.peer(ID, 999)).toMatchObject({ what: ID, reason: 'bad' })
    expect(bans.peer(ID, 1000)).toBeUndefined()
    expect(bans.list(1000)).toEqual([])
    bans.add(ban(ID, 3000), 2000)
    expect(bans.lift(ID)).toBe(true)
    expect(bans.lift(ID)).toBe(false)
    expect(bans.peer(ID, 2001)).toBeUndefined()
  })

  test('of a prefix hold for its addresses and no others, of either family', () => {
    const bans = new Bans()
    bans.add(ban('203.0.113.0/24', 1000), 0)
    bans.add(ban('2001:db8::/32', 1000), 0)
    for (const ip of ['203.0.113.0', '203.0.113.255', '2001:db8:ffff::1']) expect(bans.address(ip, 1), ip).toBeDefined()
    for (const ip of ['203.0.112.255', '2001:db9::1', '::']) expect(bans.address(ip, 1), ip).toBeUndefined()
    expect(bans.address('203.0.113.7', 1000)).toBeUndefined()
  })

  test('a later end wins, and a fault does not shorten what was done by hand', () => {
    const bans = new Bans()
    bans.add(ban(ID, 2000), 0)
    bans.add(ban(ID, 1000), 0)
    expect(bans.peer(ID, 0)?.until).toBe(2000)
    bans.add(ban(ID, Number.POSITIVE_INFINITY, { byHand: true }), 0)
    bans.add(ban(ID, 9000), 0)
    expect(bans.peer(ID, 1e15)).toMatchObject({ until: Number.POSITIVE_INFINITY, byHand: true })
    bans.add(ban(ID, 10, { byHand: true }), 0)
    expect(bans.peer(ID, 0)?.until).toBe(10)
    bans.add(ban(ID, 5000), 0)
    expect(bans.peer(ID, 0)).toMatchObject({ until: 5000, byHand: true })
  })

  test('are bounded: those of faults that end first go first, what was done by hand last', () => {
    const bans = new Bans({ max: 5 })
    bans.add(ban('203.0.113.0/24', 1, { byHand: true, until: 10_000 }), 0)
    for (let i = 0; i < 1000; i++) bans.add(ban(`198.51.${i >> 8}.${i & 255}`, 20_000 + i), 0)
    expect(bans.list(0)).toHaveLength(5)
    expect(bans.address('203.0.113.7', 0)).toBeDefined()
    expect(bans.address('198.51.3.231', 0)).toBeDefined()
    expect(bans.address('198.51.0.0', 0)).toBeUndefined()
  })

  test('by hand are never pushed out by faults; by hand the one that ends first goes', () => {
    const bans = new Bans({ max: 3 })
    for (let i = 0; i < 3; i++) bans.add(ban(`8.8.8.${i}`, 1000 + i, { byHand: true }), 0)
    bans.add(ban('9.9.9.9', 1e9), 0)
    expect(bans.address('9.9.9.9', 0)).toBeUndefined()
    bans.add(ban('9.9.9.9', 1e9, { byHand: true }), 0)
    expect(bans.list(0).map(({ what }) => what)).toEqual(['8.8.8.1', '8.8.8.2', '9.9.9.9'])
  })

  test('that were not there are not written down as lifted', () => {
    const bans = new Bans()
    expect(bans.lift(ID)).toBe(false)
    expect(bans.takeChanges()).toEqual([])
  })

  test('tell which are to be written down', () => {
    const bans = new Bans()
    bans.add(ban(ID, 1000, { reason: 'x'.repeat(1000) }), 0)
    expect(bans.takeChanges()).toEqual([ID])
    expect(bans.get(ID)?.reason).toHaveLength(200)
    expect(bans.peer(ID, 1000)).toBeUndefined()
    expect(bans.takeChanges()).toEqual([ID])
    expect(bans.get(ID)).toBeUndefined()
  })
})
