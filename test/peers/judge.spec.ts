import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { HandClock } from 'blockwire/testing'
import { describe, expect, test } from 'vitest'
import { groupOf, sourceOf } from '../../dist/src/peers/group.js'
import { ipOf, parsePrefix } from '../../dist/src/peers/ip.js'
import { Judge } from '../../dist/src/peers/judge.js'

const HOUR = 3_600_000
const ID = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString()

function setup(address = '/ip4/8.8.8.8/tcp/1', rules: { allow?: string[]; deny?: string[] } = {}) {
  const clock = new HandClock()
  const sentences: string[] = []
  const holds: number[] = []
  const judge = new Judge({
    clock,
    log: Object.assign(() => {}, { error: () => {} }) as never,
    rules: { allow: (rules.allow ?? []).map(parsePrefix), deny: (rules.deny ?? []).map(parsePrefix) },
    addresses: () => [multiaddr(address)],
    onSentence: (_, reason) => sentences.push(reason),
    onHold: (_, ms) => holds.push(ms)
  })
  const objection = (to: string): string | undefined => judge.objection(multiaddr(to))
  return { clock, judge, sentences, holds, objection }
}

describe('a provable fault', () => {
  test('shuts out the peer for a day, and its public address for an hour', () => {
    const { clock, judge, objection, sentences } = setup()
    judge.charge(ID, 'provable', 'no work')
    expect(sentences).toEqual(['banned: no work'])
    expect(judge.isBanned(ID)).toBe(true)
    expect(objection('/ip4/8.8.8.8/tcp/999')).toContain('no work')
    expect(objection('/ip4/8.8.8.9/tcp/1')).toBeUndefined()
    clock.turn(HOUR)
    expect(objection('/ip4/8.8.8.8/tcp/1')).toBeUndefined()
    expect(judge.isBanned(ID)).toBe(true)
    clock.turn(23 * HOUR)
    expect(judge.isBanned(ID)).toBe(false)
  })

  test.each([
    '/ip4/127.0.0.1/tcp/1',
    '/ip6/::1/tcp/1',
    '/ip4/192.168.1.7/tcp/1',
    '/ip4/10.0.0.7/tcp/1',
    '/ip4/169.254.0.1/tcp/1',
    '/ip6/fd00::1/tcp/1',
    '/memory/x',
    '/dns4/somebody.example/tcp/1',
    `/ip4/8.8.8.8/tcp/1/p2p/${ID}/p2p-circuit`
  ])('never shuts out the address %s', (address) => {
    const { judge } = setup(address)
    judge.charge(ID, 'provable', 'no work')
    expect(judge.bans.list(0).map(({ kind }) => kind)).toEqual(['peer'])
  })

  test('an IPv4 address that came as IPv6 is the same address', () => {
    const { judge, objection } = setup('/ip6/::ffff:8.8.8.8/tcp/1')
    judge.charge(ID, 'provable', 'no work')
    expect(objection('/ip4/8.8.8.8/tcp/1')).toBeDefined()
  })
})

describe('other faults', () => {
  test('of the protocol part us at the third and ban at the fifth, the peer only', () => {
    const { judge, sentences, holds } = setup()
    for (let i = 0; i < 5; i++) judge.charge(ID, 'protocol', 'garbage')
    expect(sentences).toEqual(['too many faults: garbage', 'too many faults: garbage', 'banned: garbage'])
    expect(judge.bans.list(0).map(({ kind }) => kind)).toEqual(['peer'])
    expect(holds.every((ms) => ms > 0)).toBe(true)
  })

  test('timeouts and slowness never lead to anything', () => {
    const { judge, sentences } = setup()
    for (let i = 0; i < 10_000; i++) judge.charge(ID, 'quality', 'timeout')
    expect(sentences).toEqual([])
    expect(judge.isBanned(ID)).toBe(false)
  })
})

describe('lifting', () => {
  test('makes a peer as new: the next fault is its first', () => {
    const { judge, sentences, holds } = setup()
    for (let i = 0; i < 5; i++) judge.charge(ID, 'protocol', 'garbage')
    expect(judge.lift(ID)).toBe(true)
    expect(judge.lift(ID)).toBe(false)
    expect(holds.at(-1)).toBe(0)
    const before = sentences.length
    judge.charge(ID, 'protocol', 'garbage')
    expect(sentences).toHaveLength(before)
  })
})

describe('a ban by hand', () => {
  test.each([{ ms: Number.NaN }, { ms: -5 }, { ms: null }, { ms: '3600000' }, { reason: 7 }])(
    '%o is refused',
    (options) => {
      const { judge } = setup()
      expect(() => judge.ban(ID, options as never)).toThrow(
        expect.objectContaining({ name: 'ConfigError', option: Object.keys(options)[0] })
      )
      expect(judge.bans.list(0)).toEqual([])
    }
  )
})

describe('rules of the operator', () => {
  test('deny prefixes, of this computer too if he says so', () => {
    const { objection } = setup('/ip4/8.8.8.8/tcp/1', { deny: ['8.8.0.0/16', '::1', '127.0.0.0/8'] })
    expect(objection('/ip4/8.8.200.1/tcp/1')).toContain('denied')
    expect(objection('/ip6/::1/tcp/1')).toContain('denied')
    expect(objection('/ip4/127.9.9.9/tcp/1')).toContain('denied')
    expect(objection('/ip4/9.8.8.8/tcp/1')).toBeUndefined()
    expect(objection('/dns4/name.example/tcp/1')).toBeUndefined()
  })

  test('hold for numbers in the place of names: those are not dialled at all', () => {
    const { objection } = setup('/ip4/8.8.8.8/tcp/1', { deny: ['127.0.0.0/8'] })
    for (const name of ['127.0.0.1', '2130706433', '0x7f.1', '1.2.772', '0x7f000001'])
      expect(objection(`/dns4/${name}/tcp/1`), name).toContain('number')
    expect(objection('/dns4/localhost/tcp/1')).toBeUndefined()
    expect(objection('/ip6/64:ff9b::7f00:1/tcp/1')).toContain('denied')
    expect(objection('/ip6/::ffff:127.0.0.1/tcp/1')).toContain('denied')
  })

  test('allow nothing but what is listed, and no names', () => {
    const { objection } = setup('/ip4/8.8.8.8/tcp/1', { allow: ['10.0.0.0/8', '2001:db8::/32'], deny: ['10.6.6.0/24'] })
    expect(objection('/ip4/10.1.2.3/tcp/1')).toBeUndefined()
    expect(objection('/ip6/2001:db8::9/tcp/1')).toBeUndefined()
    expect(objection('/ip4/10.6.6.1/tcp/1')).toContain('denied')
    expect(objection('/ip4/8.8.8.8/tcp/1')).toContain('allowed')
    expect(objection('/dns4/name.example/tcp/1')).toContain('allowed')
    expect(objection('/memory/here')).toBeUndefined()
  })
})

describe('groups of addresses', () => {
  test.each([
    ['/ip4/8.8.8.8/tcp/1', '/ip4/8.8.9.9/tcp/2', true],
    ['/ip4/8.8.8.8/tcp/1', '/ip4/8.9.8.8/tcp/1', false],
    ['/ip6/2607:f8b0::1/tcp/1', '/ip6/2607:f8b0:ffff::2/tcp/1', true],
    ['/ip6/2607:f8b0::1/tcp/1', '/ip6/2607:f8b1::1/tcp/1', false],
    ['/ip6/::ffff:8.8.1.1/tcp/1', '/ip4/8.8.8.8/tcp/1', true],
    ['/dns4/a.evil.example/tcp/1', '/dns4/b.evil.example/tcp/1', true],
    ['/dns4/a.evil.example/tcp/1', '/dns4/a.good.example/tcp/1', false],
    ['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/2', false],
    ['/ip4/10.0.0.1/tcp/1', '/ip4/10.0.0.1/tcp/1', true],
    ['/memory/a', '/memory/b', false],
    ['/dns4/A.Example./tcp/1', '/dns6/a.example/tcp/2', true],
    [`/ip4/8.8.8.8/tcp/1/p2p/${ID}/p2p-circuit`, `/ip4/9.9.9.9/tcp/1/p2p/${ID}/p2p-circuit`, true],
    [`/ip4/8.8.8.8/tcp/1/p2p/${ID}/p2p-circuit`, '/ip4/8.8.8.8/tcp/1', false]
  ])('%s and %s: one group %s', (a, b, same) => {
    expect(groupOf(multiaddr(a)) === groupOf(multiaddr(b))).toBe(same)
  })

  test('the port from which somebody calls is nothing to tell him by', () => {
    expect(sourceOf(multiaddr('/ip4/127.0.0.1/tcp/5'))).toBe(sourceOf(multiaddr('/ip4/127.0.0.1/tcp/6')))
    expect(sourceOf(multiaddr('/ip4/8.8.8.8/tcp/5'))).toBe(sourceOf(multiaddr('/ip4/8.8.1.1/tcp/6')))
    expect(sourceOf(multiaddr('/memory/a'))).toBe(sourceOf(multiaddr('/memory/b')))
  })

  test('an address through a relay is not the relay’s', () => {
    expect(ipOf(multiaddr(`/ip4/8.8.8.8/tcp/1/p2p/${ID}/p2p-circuit`))).toBeUndefined()
  })
})
