import { generateKeyPair } from '@libp2p/crypto/keys'
import type { ConnectionGater, PeerId } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { type PeersInit, peers, type StatusPort } from 'blockwire/peers'
import type { Status } from 'blockwire/status'
import { HandClock } from 'blockwire/testing'
import { MemoryDatastore } from 'datastore-core'
import { Key } from 'interface-datastore'
import { TypedEventEmitter } from 'main-event'
import { describe, expect, test } from 'vitest'
import { reject } from '../../dist/src/chain/verdict.js'
import { type Clock, systemClock } from '../../dist/src/clock.js'
import { SETTLING_MS } from '../../dist/src/peers/eviction.js'
import { addressOf, type Host, idOf, makeHost, until } from './hosts.js'

const joined = (host: Host, other: Host): boolean => host.services.peers.connected.has(idOf(other))
const reportOf = (host: Host, other: Host) => host.services.peers.explain().find(({ peer }) => peer === idOf(other))

/** A status service that never accepts anybody. */
class SilentStatus extends TypedEventEmitter<{ join: CustomEvent; leave: CustomEvent }> {
  async goodbye(): Promise<void> {}
  refusal(): undefined {}
}

async function pair(init: Parameters<typeof makeHost>[0] = {}, otherInit: Parameters<typeof makeHost>[0] = {}) {
  const other = await makeHost(otherInit)
  const host = await makeHost({ ...init, seeds: [addressOf(other)] })
  if (init.clock instanceof HandClock) init.clock.turn(1000)
  await until('the two to join', () => joined(host, other) && joined(other, host))
  return { host, other }
}

describe('liveness', () => {
  /** A ping service that counts what it is asked and never answers. */
  function deaf() {
    const ears = { pings: 0 }
    const service = (components: { registrar: Registrar }) => ({
      start: () => components.registrar.handle('/ipfs/ping/1.0.0', () => void ears.pings++, { maxInboundStreams: 100 }),
      stop: () => {}
    })
    return { ears, services: { ping: service as never } }
  }

  test('a peer that misses three pings in a row is disconnected, with the reason', async () => {
    const clock = new HandClock()
    const { ears, services } = deaf()
    const { host, other } = await pair({ clock }, { services })
    const reasons: string[] = []
    host.services.peers.addEventListener('leave', ({ detail }) => reasons.push(detail.reason))
    clock.turn(11_000)
    for (let n = 1; n <= 3; n++) {
      await until(`ping ${n}`, () => ears.pings === n)
      expect(joined(host, other)).toBe(true)
      clock.turn(5000)
      // the ping ends in a microtask or two, and the next look sends another
      if (n < 3)
        await until(`miss ${n}`, () => {
          clock.turn(100)
          return ears.pings > n
        })
    }
    await until('the end of the connection', () => reasons.length > 0 && host.getConnections(other.peerId).length === 0)
    expect(reasons).toEqual([expect.stringContaining('silent')])
  })

  test('misses do not count while our own event loop was late', async () => {
    const clock = new HandClock()
    const { ears, services } = deaf()
    const { host, other } = await pair({ clock }, { services })
    clock.turn(11_000)
    for (let n = 1; n <= 10; n++) {
      await until(`ping ${n}`, () => {
        if (n > 1) clock.turn(100)
        return ears.pings === n
      })
      clock.jump(6000)
    }
    expect(joined(host, other)).toBe(true)
  })

  test('a peer that any service hears of is not pinged', async () => {
    const clock = new HandClock()
    const { ears, services } = deaf()
    const { host, other } = await pair({ clock }, { services })
    await other.handle('/barrier/1', (stream) => stream.close())
    for (let i = 0; i < 20; i++) {
      clock.turn(9000)
      host.services.peers.heard(other.peerId)
      // a ping that was sent before arrives before
      const stream = await host.dialProtocol(other.peerId, '/barrier/1')
      await stream.close()
    }
    // one ping there was: it tells how far away the peer is
    expect(ears.pings).toBeLessThanOrEqual(1)
  })

  test('a peer that answers stays, with libp2p ping at both ends or at none', async () => {
    const none: Record<string, never> = { ping: (() => ({})) as never }
    for (const services of [{}, none]) {
      const clock = new HandClock()
      const { host, other } = await pair({ clock, services }, { services })
      for (let i = 0; i < 6; i++) {
        clock.turn(10_000)
        await until('an answer', () => (reportOf(host, other)?.next?.inMs ?? 0) > 9000)
      }
      expect(joined(host, other)).toBe(true)
    }
  })
})

describe('faults', () => {
  test('a provable fault ends the connection, and the peer is let in from neither side for 24 h', async () => {
    const clock = new HandClock()
    const { host, other } = await pair({ clock })
    const reasons: string[] = []
    host.services.peers.addEventListener('leave', ({ detail }) => reasons.push(detail.reason))
    host.services.peers.judge(other.peerId, reject('header', 'no work'), 'gossip')
    await until('the end of the connection', () => reasons.length > 0 && other.getConnections().length === 0)
    expect(reasons).toEqual(['banned: header (no work) through gossip'])
    expect(reportOf(host, other)).toMatchObject({
      state: 'banned',
      fault: { fault: 'provable' },
      next: { action: 'lift ban' }
    })

    await expect(host.dial(other.getMultiaddrs())).rejects.toMatchObject({ name: 'DialDeniedError' })
    const back = await other.dial(host.getMultiaddrs()).catch(() => undefined)
    await until('the door to shut', () => back == null || back.status !== 'open')
    expect(host.getConnections()).toEqual([])

    clock.turn(24 * 3_600_000)
    await until('the seed to be back', () => {
      clock.turn(1000)
      return joined(host, other)
    })
  })

  test('protocol faults lower the score, and the third disconnects', async () => {
    const { host, other } = await pair()
    const { peers } = host.services
    expect(peers.score(idOf(other))).toBe(0)
    peers.fault(other.peerId, 'protocol', 'garbage')
    expect(peers.score(idOf(other))).toBeLessThan(0)
    peers.fault(other.peerId, 'protocol', 'garbage')
    expect(joined(host, other)).toBe(true)
    peers.fault(other.peerId, 'protocol', 'garbage')
    await until('the disconnect', () => !joined(host, other))
    expect(peers.score(idOf(other))).toBeGreaterThanOrEqual(-4)
    expect(reportOf(host, other)).toMatchObject({ state: 'waiting', error: expect.stringContaining('garbage') })
    expect(reportOf(host, other)?.next?.inMs).toBeGreaterThan(500_000)
  })

  test('slowness never parts us, however often', async () => {
    const { host, other } = await pair()
    for (let i = 0; i < 1000; i++) host.services.peers.fault(other.peerId, 'quality', 'timeout')
    host.services.peers.judge(other.peerId, { result: 'ignore', reason: 'future' }, 'gossip')
    host.services.peers.judge(other.peerId, reject('state'), 'gossip')
    expect(joined(host, other)).toBe(true)
    expect(host.services.peers.score(idOf(other))).toBe(0)
    expect(reportOf(host, other)?.fault).toMatchObject({ fault: 'quality' })
  })
})

describe('bans', () => {
  test('by hand keep a peer out in both directions, part from it, and end when they are lifted', async () => {
    const { host, other } = await pair()
    await host.services.peers.ban(other.peerId, { reason: 'told so' })
    expect(host.getConnections()).toEqual([])
    expect(host.services.peers.bans()).toMatchObject([
      { what: idOf(other), kind: 'peer', reason: 'told so', byHand: true }
    ])
    await expect(host.dial(other.getMultiaddrs())).rejects.toMatchObject({ name: 'DialDeniedError' })
    expect(await host.services.peers.unban(idOf(other))).toBe(true)
    expect(await host.services.peers.unban(idOf(other))).toBe(false)
    expect(host.services.peers.bans()).toEqual([])
    await host.dial(other.getMultiaddrs())
    await until('the other to be back', () => joined(host, other))
  })

  test('are written at once, for faults as by hand, and taken out when they are lifted', async () => {
    const datastore = new MemoryDatastore()
    const { host, other } = await pair({ libp2p: { datastore } })
    const has = (what: string): boolean => datastore.has(new Key(`/blockwire/peers/bans/${what}`)) as boolean
    host.services.peers.fault(other.peerId, 'provable', 'no work')
    await until('the ban to be written', () => has(idOf(other)))
    await host.services.peers.ban('8.8.8.8')
    expect(has('8.8.8.8')).toBe(true)
    await host.services.peers.unban('8.8.8.8')
    expect(has('8.8.8.8')).toBe(false)
  })

  test('of a prefix part from everyone in it, and a wrong one is refused at once', async () => {
    const { host, other } = await pair()
    await expect(host.services.peers.ban('127.0.0.0/33')).rejects.toMatchObject({ name: 'ConfigError', option: 'ban' })
    await host.services.peers.ban('127.0.0.0/8')
    expect(host.getConnections()).toEqual([])
    await expect(host.dial(other.getMultiaddrs())).rejects.toThrow()
    const back = await other.dial(host.getMultiaddrs()).catch(() => undefined)
    await until('the door to shut', () => back == null || back.status !== 'open')
    expect(host.getConnections()).toEqual([])
  })

  test('for a provable fault on this computer shut out nobody else on it', async () => {
    const { host, other } = await pair()
    host.services.peers.judge(other.peerId, reject('header', 'no work'), 'gossip')
    await until('the end of the connection', () => host.getConnections().length === 0)
    const third = await makeHost({ seeds: [addressOf(host)] })
    await until('another one', () => joined(host, third))
    expect(host.services.peers.bans().map(({ kind }) => kind)).toEqual(['peer'])
  })
})

describe('inbound', () => {
  test('a newcomer takes the place of the youngest, when that one has had time to look round', async () => {
    const clock = new HandClock()
    const full = await makeHost({ maxInbound: 2, clock })
    const first = await makeHost({ seeds: [addressOf(full)] })
    await until('the first to join', () => joined(full, first))
    clock.turn(SETTLING_MS)
    const second = await makeHost({ seeds: [addressOf(full)] })
    await until('the second to join', () => joined(full, second))
    const reasons: string[] = []
    full.services.peers.addEventListener('leave', ({ detail }) => reasons.push(`${detail.peer} ${detail.reason}`))
    const early = await makeHost()
    const ended: string[] = []
    early.addEventListener('connection:close', () => ended.push('closed'))
    clock.turn(SETTLING_MS - 1)
    // the first is protected for its standing, the second has just come
    await early.dial(full.getMultiaddrs())
    await until('the early one to be turned away', () => ended.length === 1)
    expect([...full.services.peers.connected.keys()]).toEqual([idOf(first), idOf(second)])
    clock.turn(1)
    const third = await makeHost()
    await third.dial(full.getMultiaddrs())
    await until('the third to take a place', () => joined(full, third) && !joined(full, second))
    expect(joined(full, first)).toBe(true)
    expect(reasons).toEqual([`${idOf(second)} a newcomer took its place`])
  })

  test('a seed of ours is let in although all is full', async () => {
    const full = await makeHost({ maxInbound: 0 })
    const key = await generateKeyPair('Ed25519')
    const listen = '/memory/a-seed-that-calls'
    const node = await makeHost({ maxInbound: 0, target: 0, seeds: [`${listen}/p2p/${peerIdFromPrivateKey(key)}`] })
    const seed = await makeHost({ listen, key, seeds: [], target: 0 })
    await seed.dial(node.getMultiaddrs())
    await until('the seed', () => joined(node, seed))
    const stranger = await makeHost()
    const ended: string[] = []
    stranger.addEventListener('connection:close', () => ended.push('closed'))
    await stranger.dial(full.getMultiaddrs())
    await until('the stranger to be turned away', () => ended.length === 1)
  })

  test('a flood is refused before any cryptography', async () => {
    const full = await makeHost({
      maxInbound: 0,
      clock: new HandClock(),
      services: { status: () => new SilentStatus() }
    })
    // a status that accepts nobody: they stand before the door
    const hosts = await Promise.all(Array.from({ length: 20 }, () => makeHost()))
    await Promise.allSettled(hosts.map((host) => host.dial(full.getMultiaddrs())))
    await until('all dials to be over', () => hosts.every((host) => host.getDialQueue().length === 0))
    expect(full.services.peers.connected.size).toBe(0)
    expect(full.getConnections().length).toBeLessThanOrEqual(16)
    expect(full.getConnections().length).toBeGreaterThan(0)
  })
})

describe('suspending', () => {
  test('parts from all, dials nobody, lets nobody in and leaves no timer; resuming dials at once whoever was there', async () => {
    const clock = new HandClock()
    const { host, other } = await pair({ clock })
    const { peers } = host.services
    await peers.suspend()
    expect(peers.suspended).toBe(true)
    expect(host.getConnections()).toEqual([])
    expect(clock.pending).toBe(0)
    await expect(host.dial(other.getMultiaddrs())).rejects.toMatchObject({ name: 'DialDeniedError' })
    const back = await other.dial(host.getMultiaddrs()).catch(() => undefined)
    await until('the door to be shut', () => back == null || back.status !== 'open')
    expect(host.getConnections()).toEqual([])
    // an hour in a bag
    clock.turn(3_600_000)
    peers.resume()
    expect(peers.suspended).toBe(false)
    clock.turn(1000)
    await until('the other', () => joined(host, other))
  })

  test('is over as soon as it is resumed, though not all is closed yet', async () => {
    const { host, other } = await pair()
    const suspended = host.services.peers.suspend()
    host.services.peers.resume()
    await suspended
    await until('the other', () => joined(host, other))
    const third = await makeHost({ seeds: [addressOf(host)] })
    await until('a third', () => joined(host, third))
  })

  test('ends with the node, twice or never resumed', async () => {
    const { host, other } = await pair()
    await host.services.peers.suspend()
    await host.services.peers.suspend()
    await host.stop()
    host.services.peers.resume()
    expect(host.services.peers.suspended).toBe(false)
    await host.start()
    await until('the other', () => joined(host, other))
  })
})

describe('flush', () => {
  const soon = () => ({ signal: AbortSignal.timeout(15_000) })

  test('resolves when all that are known have been tried, those that answer have joined, and nobody is being asked', async () => {
    const other = await makeHost({ chain: 'test-00000000' })
    const third = await makeHost({ chain: 'test-00000000', seeds: [addressOf(other)] })
    await third.services.peers.flush(soon())
    expect(joined(third, other)).toBe(true)
    const absent = addressOf(other)
      .replace(/tcp\/\d+/, 'tcp/1')
      .replace(/p2p\/.*/, `p2p/${idOf(await makeHost())}`)
    const host = await makeHost({ chain: 'test-00000000', seeds: [absent, addressOf(other)] })
    await host.services.peers.flush(soon())
    expect(joined(host, other)).toBe(true)
    // introduced by the other, dialled and joined, all within the one wait
    expect(joined(host, third)).toBe(true)
    expect(host.services.peers.explain().find(({ peer }) => absent.endsWith(peer))?.failures).toBeGreaterThan(0)
  })

  test('resolves at once with nobody to dial, while suspended, and when the node stops; rejects with its signal', async () => {
    const host = await makeHost()
    await host.services.peers.flush()
    await host.services.peers.suspend()
    await host.services.peers.flush()
    const mute = await makeHost({ services: { status: () => new SilentStatus() }, seeds: [addressOf(host)] })
    host.services.peers.resume()
    await until('the connection', () => mute.getConnections().length > 0)
    await expect(mute.services.peers.flush({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough'
    )
    const aborted = new AbortController()
    const waiting = mute.services.peers.flush({ signal: aborted.signal })
    aborted.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    const released = mute.services.peers.flush()
    await mute.stop()
    await released
  })
})

describe('rules', () => {
  test.each([
    [{ deny: ['127.0.0.0/8'] }, false],
    [{ allow: ['10.0.0.0/8'] }, false],
    [{ allow: ['127.0.0.1'], deny: ['127.0.0.2/31'] }, true]
  ])('%o let in and dial: %s', async (rules, allowed) => {
    const host = await makeHost(rules)
    const other = await makeHost()
    const outcome = await host.dial(other.getMultiaddrs()).catch(() => undefined)
    expect(outcome != null).toBe(allowed)
    const third = await makeHost()
    const back = await third.dial(host.getMultiaddrs()).catch(() => undefined)
    if (allowed) await until('the third', () => joined(host, third))
    else await until('the door to shut', () => back == null || back.status !== 'open')
    expect(joined(host, third)).toBe(allowed)
  })

  test('that are no prefixes are refused, by the option at fault', () => {
    for (const [option, init] of [
      ['allow[1]', { allow: ['10.0.0.0/8', 'everyone'] }],
      ['deny[0]', { deny: ['10.0.0.0/40'] }],
      ['network', { network: 'My App' }],
      ['network', { network: 7 }],
      ['ping.misses', { ping: { misses: 0 } }],
      ['ping', { ping: null }],
      ['deny', { deny: '10.0.0.0/8' }],
      ['seeds', { seeds: '/ip4/8.8.8.8/tcp/1' }]
    ] as const)
      expect(() => peers(init as unknown as PeersInit)).toThrow(
        expect.objectContaining({ name: 'ConfigError', option })
      )
  })
})

describe('links through a relay', () => {
  test('are not counted, and closed once a direct one has proved itself', async () => {
    const { host, other } = await pair({ target: 0, clock: new HandClock() }, { target: 0 })
    const [direct] = host.getConnections()
    const closed: string[] = []
    const relayed = new Proxy(direct!, {
      get: (target, key) => {
        if (key === 'limits') return { bytes: 1n }
        if (key === 'id') return 'relayed'
        if (key === 'close') return async () => void closed.push('relayed')
        const value = Reflect.get(target, key)
        return typeof value === 'function' ? value.bind(target) : value
      }
    })
    const { events, connectionManager } = (
      host as unknown as {
        components: {
          events: TypedEventEmitter<Record<string, Event>>
          connectionManager: { getConnections(peer?: PeerId): unknown[] }
        }
      }
    ).components
    const before = host.services.peers.explain()
    events.safeDispatchEvent('connection:open', { detail: relayed })
    events.safeDispatchEvent('peer:identify', {
      detail: { connection: relayed, peerId: other.peerId, listenAddrs: [], protocols: [] }
    })
    events.safeDispatchEvent('connection:close', { detail: relayed })
    expect(joined(host, other)).toBe(true)
    expect(host.services.peers.explain()).toEqual(before)
    const getConnections = connectionManager.getConnections.bind(connectionManager)
    connectionManager.getConnections = (peer) => [...getConnections(peer), relayed]
    const again = joined(host, other)
    expect(again).toBe(true)
    await direct!.close()
    await until('the loss', () => !joined(host, other))
    await host.dial(other.getMultiaddrs())
    await until('the direct one to be back', () => joined(host, other))
    await until('the relayed one to be closed', () => closed.length > 0)
    connectionManager.getConnections = getConnections
  })
})

describe('metrics', () => {
  test('tell of peers, book, bans, dials, faults and partings', async () => {
    const values = new Map<string, number | Record<string, number>>()
    const pulled = new Map<string, () => number | Record<string, number>>()
    const group = (name: string, options: { calculate?: () => Record<string, number> } = {}) => {
      if (options.calculate != null) pulled.set(name, options.calculate)
      return {
        increment: (by: Record<string, number>) => {
          const sums = { ...((values.get(name) as Record<string, number>) ?? {}) }
          for (const [key, n] of Object.entries(by)) sums[key] = (sums[key] ?? 0) + n
          values.set(name, sums)
        },
        update: () => {}
      }
    }
    const metric = (name: string, options: { calculate?: () => number } = {}) => {
      if (options.calculate != null) pulled.set(name, options.calculate)
      return { update: () => {}, increment: () => {}, observe: () => {}, timer: () => () => {} }
    }
    const own = new Set<string>()
    const mine = <T extends (name: string, options: never) => unknown>(make: T) =>
      ((name: string, options: never) => {
        if (name.startsWith('blockwire_')) {
          expect(own.has(name)).toBe(false)
          own.add(name)
        }
        return make(name, options)
      }) as T
    const metrics = {
      ...{
        trackMultiaddrConnection: () => {},
        trackProtocolStream: () => {},
        traceFunction: (_: string, fn: unknown) => fn
      },
      ...{ registerMetric: mine(metric), registerCounter: mine(metric), registerMetricGroup: mine(group) },
      ...{ registerCounterGroup: mine(group), registerHistogram: metric, registerSummary: metric },
      ...{ registerHistogramGroup: group, registerSummaryGroup: group }
    }
    const { host, other } = await pair({ libp2p: { metrics: (() => metrics) as never } })
    host.services.peers.fault(other.peerId, 'quality', 'slow')
    host.services.peers.judge(other.peerId, reject('header'), 'gossip')
    await until('the end of the connection', () => host.getConnections().length === 0)
    expect(values.get('blockwire_peers_dials_total')).toMatchObject({ ok: 1 })
    expect(values.get('blockwire_peers_faults_total')).toEqual({ quality: 1, provable: 1 })
    expect(values.get('blockwire_peers_partings_total')).toEqual({ fault: 1 })
    expect(pulled.get('blockwire_peers_bans')?.()).toBe(1)
    expect(pulled.get('blockwire_peers_joined')?.()).toEqual({ inbound: 0, outbound: 0 })
    expect(pulled.get('blockwire_peers_book')?.()).toEqual({ new: 0, tried: 0 })
  })
})

describe('gater', () => {
  test("the app's own hooks are asked first, and come back when the node stops", async () => {
    const asked: string[] = []
    const own = (peer: PeerId) => {
      asked.push(peer.toString())
      return true
    }
    const connectionGater: ConnectionGater = { denyDialPeer: own }
    const host = await makeHost({ libp2p: { connectionGater } })
    const other = await makeHost()
    await expect(host.dial(other.getMultiaddrs())).rejects.toMatchObject({ name: 'DialDeniedError' })
    expect(asked).toEqual([idOf(other)])
    expect(connectionGater.denyDialPeer).not.toBe(own)
    await host.stop()
    expect(connectionGater).toEqual({ denyDialPeer: own })
  })

  test('one object for two running nodes is refused', async () => {
    const connectionGater: ConnectionGater = {}
    await makeHost({ libp2p: { connectionGater } })
    await expect(makeHost({ libp2p: { connectionGater } })).rejects.toMatchObject({
      name: 'ConfigError',
      option: 'connectionGater'
    })
  })
})

describe('finding', () => {
  test('whatever libp2p discovers is dialled', async () => {
    const other = await makeHost()
    const host = await makeHost()
    await host.peerStore.merge(other.peerId, { multiaddrs: other.getMultiaddrs() })
    await until('the discovered peer', () => joined(host, other))
  })

  test('bootstrap shows the seeds to other libp2p services as discovered peers', async () => {
    const other = await makeHost()
    const host = await makeHost({ seeds: [addressOf(other)] })
    await until('the tag of bootstrap', () => joined(host, other))
    let tags: string[] = []
    await until('the tag of bootstrap', () => {
      void host.peerStore.get(other.peerId).then((peer) => {
        tags = [...peer.tags.keys()]
      })
      return tags.includes('bootstrap')
    })
  })
})

describe('beside a status service', () => {
  class StubStatus extends TypedEventEmitter<{ join: CustomEvent; leave: CustomEvent }> {
    readonly goodbyes: [string, number][] = []
    refused: string | undefined
    async goodbye(peer: PeerId, code: number): Promise<void> {
      this.goodbyes.push([peer.toString(), code])
    }
    refusal(peer: PeerId): { field?: string } | undefined {
      return this.refused === peer.toString() ? { field: 'network' } : undefined
    }
  }

  test('the real one fits', () => {
    const fits: (status: Status) => StatusPort = (status) => status
    expect(fits).toBeDefined()
  })

  test('peers join and leave when it says so, and are told why they must go', async () => {
    const status = new StubStatus()
    const host = await makeHost({ services: { status: () => status } })
    const other = await makeHost({ seeds: [addressOf(host)] })
    await until('the other end', () => joined(other, host))
    expect(joined(host, other)).toBe(false)
    const [connection] = host.getConnections()
    status.safeDispatchEvent('join', { detail: { peer: other.peerId, connection, role: 'light' } })
    expect(host.services.peers.connected.get(idOf(other))).toMatchObject({ role: 'light', direction: 'inbound' })
    status.safeDispatchEvent('leave', { detail: { peer: other.peerId, reason: 'they said so' } })
    expect(joined(host, other)).toBe(false)
    await host.services.peers.disconnect(other.peerId, 4, 'too many peers')
    expect(status.goodbyes).toEqual([[idOf(other), 4]])
    expect(host.getConnections()).toEqual([])
  })

  test('an inbound peer over the cap is told so before it is closed, and does not join', async () => {
    const status = new StubStatus()
    const host = await makeHost({ maxInbound: 0, services: { status: () => status } })
    const other = await makeHost()
    const joins: string[] = []
    host.services.peers.addEventListener('join', ({ detail }) => joins.push(detail.peer.toString()))
    await other.dial(host.getMultiaddrs())
    await until('the connection', () => host.getConnections().length === 1)
    status.safeDispatchEvent('join', {
      detail: { peer: other.peerId, connection: host.getConnections()[0], role: 'full' }
    })
    await until('the end of it', () => host.getConnections().length === 0)
    expect(status.goodbyes).toEqual([[idOf(other), 4]])
    expect(joins).toEqual([])
  })

  test('a peer that it refused is not dialled, until it does not refuse it any more', async () => {
    const status = new StubStatus()
    const clock = new HandClock()
    const other = await makeHost()
    status.refused = idOf(other)
    const host = await makeHost({ clock, seeds: [addressOf(other)], services: { status: () => status } })
    const seen: string[] = []
    host.services.peers.addEventListener('seed', ({ detail }) => seen.push(detail.state))
    clock.turn(600_000)
    expect(seen).toEqual([])
    expect(reportOf(host, other)).toMatchObject({ state: 'refused', seed: true })
    expect(reportOf(host, other)?.next).toBeUndefined()
    status.refused = undefined
    clock.turn(1000)
    expect(seen).toEqual(['dialling'])
    await until('the connection', () => host.getConnections().length === 1)
  })
})

describe('stopping', () => {
  /** The machine's clock, which knows what it still has to do. */
  class CountingClock implements Clock {
    readonly pending = new Set<object>()
    now = (): number => systemClock.now()
    after = (ms: number, task: () => void): (() => void) => {
      const key = {}
      this.pending.add(key)
      const cancel = systemClock.after(ms, () => {
        this.pending.delete(key)
        task()
      })
      return () => {
        this.pending.delete(key)
        cancel()
      }
    }
  }
  const EVENTS = ['connection:open', 'connection:close', 'peer:identify', 'peer:discovery', 'peer:disconnect'] as const

  test('at any moment it leaves no timer, no listener, no hook and no protocol', async () => {
    const seed = await makeHost({ chain: 'test-00000000' })
    const absent = addressOf(seed)
      .replace(/tcp\/\d+/, 'tcp/1')
      .replace(/p2p\/.*/, 'p2p/12D3KooWJbxiEiWoRTuVvJpcRVKoKMBfQGRL9bzMCnKqkSjGjhsW')
    for (let i = 0; i < 12; i++) {
      const clock = new CountingClock()
      const connectionGater: ConnectionGater = {}
      const host = await makeHost({
        chain: 'test-00000000',
        clock,
        seeds: [absent],
        libp2p: { start: false, connectionGater }
      })
      const { events, registrar } = (
        host as unknown as { components: { events: TypedEventEmitter<Record<string, Event>>; registrar: Registrar } }
      ).components
      const before = EVENTS.map((name) => events.listenerCount(name))
      await host.start()
      const work = [host.dial(multiaddr(addressOf(seed))).catch(() => {})]
      // an arbitrary moment of the start, the dial, the handshake, identify or the first question
      for (let turns = 0; turns < i * i; turns++) await new Promise((resolve) => setImmediate(resolve))
      const started = performance.now()
      await host.stop()
      expect(performance.now() - started).toBeLessThan(5000)
      await Promise.all(work)
      expect(clock.pending.size, `timers after ${i * i} turns`).toBe(0)
      expect(EVENTS.map((name) => events.listenerCount(name))).toEqual(before)
      expect(connectionGater).toEqual({})
      expect(registrar.getProtocols().filter((protocol) => protocol.includes('peers'))).toEqual([])
      expect(host.services.peers.connected.size).toBe(0)
    }
  })

  test('a stopped node can be started again', async () => {
    const { host, other } = await pair()
    await host.stop()
    expect(joined(host, other)).toBe(false)
    await host.start()
    await until('the seed again', () => joined(host, other))
  })
})
