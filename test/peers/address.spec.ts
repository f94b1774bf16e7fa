import { multiaddr } from '@multiformats/multiaddr'
import { peers } from 'blockwire/peers'
import { describe, expect, test } from 'vitest'
import { inScope, scopeOf } from '../../dist/src/peers/scope.js'
import { parseSeeds } from '../../dist/src/peers/seeds.js'

const ID = '12D3KooWJbxiEiWoRTuVvJpcRVKoKMBfQGRL9bzMCnKqkSjGjhsW'

describe('scope', () => {
  test.each([
    ['/ip4/127.0.0.1/tcp/1', 'loopback'],
    ['/ip6/::1/tcp/1', 'loopback'],
    ['/memory/x', 'loopback'],
    ['/dns4/localhost/tcp/1', 'loopback'],
    ['/ip4/192.168.1.2/tcp/1', 'private'],
    ['/ip4/10.0.0.1/tcp/1', 'private'],
    ['/ip4/169.254.0.1/tcp/1', 'private'],
    ['/ip6/fd00::1/tcp/1', 'private'],
    ['/ip6/fe80::1/tcp/1', 'private'],
    ['/dns4/printer.local/tcp/1', 'private'],
    ['/ip4/8.8.8.8/tcp/1', 'public'],
    ['/ip6/2607:f8b0::1/tcp/1', 'public'],
    ['/dns4/seed.example.org/tcp/1', 'public'],
    ['/dnsaddr/seed.example.org', 'public'],
    ['/ip4/0.0.0.0/tcp/1', 'none'],
    ['/ip4/224.0.0.1/udp/1', 'none'],
    ['/ip6/::/tcp/1', 'none'],
    [`/p2p/${ID}`, 'none'],
    ['/dns4/127.0.0.1/tcp/1', 'none'],
    ['/dns4/2130706433/tcp/1', 'none'],
    ['/dns/0x7f.1/tcp/1', 'none'],
    ['/dns4/LOCALHOST./tcp/1', 'loopback'],
    ['/dns4/a.localhost/tcp/1', 'loopback'],
    ['/dns4/router/tcp/1', 'private'],
    ['/dns4/nas.lan/tcp/1', 'private'],
    ['/dns4/x.home.arpa/tcp/1', 'private'],
    ['/dns4/Seed.Example.org./tcp/1', 'public'],
    ['/ip6/::ffff:127.0.0.1/tcp/1', 'loopback'],
    ['/ip6/::7f00:1/tcp/1', 'loopback'],
    ['/ip6/64:ff9b::a00:1/tcp/1', 'private'],
    ['/ip6/64:ff9b::808:808/tcp/1', 'public']
  ])('%s is %s', (address, scope) => {
    expect(scopeOf(multiaddr(address))).toBe(scope)
  })

  test('public addresses are for everyone, others for the same scope only', () => {
    const from = { loopback: '/ip4/127.0.0.1/tcp/9', private: '/ip4/192.168.0.9/tcp/9', public: '/ip4/9.9.9.9/tcp/9' }
    const given = (address: string) =>
      Object.entries(from)
        .filter(([, remote]) => inScope(multiaddr(address), multiaddr(remote)))
        .map(([scope]) => scope)
    expect(given('/ip4/8.8.8.8/tcp/1')).toEqual(['loopback', 'private', 'public'])
    expect(given('/ip4/10.1.2.3/tcp/1')).toEqual(['private'])
    expect(given('/ip4/127.0.0.1/tcp/1')).toEqual(['loopback'])
    expect(given('/memory/x')).toEqual(['loopback'])
    expect(given('/ip4/0.0.0.0/tcp/1')).toEqual([])
  })
})

describe('seeds', () => {
  test.each([
    ['no multiaddr', 'localhost:5000', 'is not a multiaddr'],
    ['nothing', ' ', 'is not a multiaddr'],
    ['no peer ID', '/ip4/127.0.0.1/tcp/5000', 'must end in /p2p/<peer ID>'],
    ['a relay without its peer', `/ip4/127.0.0.1/tcp/5000/p2p/${ID}/p2p-circuit`, 'must end in /p2p/<peer ID>'],
    ['a peer ID alone', `/p2p/${ID}`, 'without an address']
  ])('%s is one clear line that names the seed', (_, seed, text) => {
    const good = `/ip4/127.0.0.1/tcp/5000/p2p/${ID}`
    expect(() => peers({ seeds: [good, seed] })).toThrow(
      expect.objectContaining({
        name: 'ConfigError',
        option: 'seeds[1]',
        message: expect.stringContaining(text),
        fix: expect.any(String)
      })
    )
    expect(() => peers({ seeds: [good, seed] })).not.toThrow(/\n/)
  })

  test('strings, multiaddrs and dnsaddr are taken', () => {
    const seeds = [
      `/ip4/127.0.0.1/tcp/1/p2p/${ID}`,
      multiaddr(`/ip6/::1/tcp/1/p2p/${ID}`),
      `/dnsaddr/seed.example.org/p2p/${ID}`
    ]
    expect(parseSeeds(seeds).map(({ id, address }) => [id, address.toString()])).toEqual(
      seeds.map((seed) => [ID, seed.toString()])
    )
  })

  test.each([{ target: -1 }, { target: 1.5 }, { maxInbound: Number.NaN }])('%o is refused', (init) => {
    expect(() => peers(init)).toThrow(expect.objectContaining({ name: 'ConfigError', option: Object.keys(init)[0] }))
  })
})
