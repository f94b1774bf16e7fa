import type { ConnectionGater, PeerId } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { multiaddr } from '@multiformats/multiaddr'
import type { StatusPort } from 'blockwire/peers'
import type { Status } from 'blockwire/status'
import { HandClock } from 'blockwire/testing'
import { TypedEventEmitter } from 'main-event'
import { describe, expect, test } from 'vitest'
import { reject } from '../../dist/src/chain/verdict.js'
import { type Clock, systemClock } from '../../dist/src/clock.js'
import { addressOf, type Host, idOf, makeHost, until } from './hosts.js'

const joined = (host: Host, other: Host): boolean => host.services.peers.connected.has(idOf(other))
const reportOf = (host: Host, other: Host) => host.services.peers.explain().find(({ peer }) => peer === idOf(other))

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
    for (let i = 0; i < 20; i++) {
      clock.turn(9000)
      host.services.peers.heard(other.peerId)
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

describe('inbound', () => {
  test('peers over the cap are closed, those within stay', async () => {
    const full = await makeHost({ maxInbound: 2 })
    const first = [await makeHost({ seeds: [addressOf(full)] }), await makeHost({ seeds: [addressOf(full)] })]
    await until('two to join', () => full.services.peers.connected.size === 2)
    const third = await makeHost()
    const closed: string[] = []
    third.addEventListener('connection:close', () => closed.push('closed'))
    await third.dial(full.getMultiaddrs())
    await until('the third to be closed', () => closed.length > 0)
    expect([...full.services.peers.connected.keys()].sort()).toEqual(first.map(idOf).sort())
  })

  test('a flood is refused before any cryptography', async () => {
    const full = await makeHost({ maxInbound: 0, clock: new HandClock() })
    // with the clock standing still surplus peers are never closed by time, but they are not joined either
    const hosts = await Promise.all(Array.from({ length: 20 }, () => makeHost()))
    await Promise.allSettled(hosts.map((host) => host.dial(full.getMultiaddrs())))
    await until('all dials to be over', () => hosts.every((host) => host.getDialQueue().length === 0))
    expect(full.services.peers.connected.size).toBe(0)
    expect(full.getConnections().length).toBeLessThanOrEqual(16)
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
