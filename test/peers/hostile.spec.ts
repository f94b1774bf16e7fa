import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { HandClock } from 'blockwire/testing'
import { MemoryDatastore } from 'datastore-core'
import type { Pair } from 'interface-datastore'
import type { TypedEventEmitter } from 'main-event'
import { describe, expect, test } from 'vitest'
import { MAX_PER_PEER } from '../../dist/src/peers/door.js'
import { IDENTIFY_MS } from '../../dist/src/peers/links.js'
import { addressOf, type Host, idOf, makeHost, until } from './hosts.js'
import { makeLiar } from './liar.js'

const NETWORK = 'hostile'

/** How often the node was asked to open a connection. */
function countDials(host: Host): () => number {
  const { connectionManager } = (
    host as unknown as { components: { connectionManager: { openConnection: (...args: unknown[]) => unknown } } }
  ).components
  const open = connectionManager.openConnection.bind(connectionManager)
  let count = 0
  connectionManager.openConnection = (...args) => {
    count++
    return open(...args)
  }
  return () => count
}

/** Tells a node of a peer as a libp2p discovery module does. */
function discover(host: Host, peer: { peerId: unknown; getMultiaddrs(): Multiaddr[] }): void {
  const { events } = (host as unknown as { components: { events: TypedEventEmitter<Record<string, Event>> } })
    .components
  events.safeDispatchEvent('peer:discovery', { detail: { id: peer.peerId, multiaddrs: peer.getMultiaddrs() } })
}

describe('a peer that lies about its addresses', () => {
  test.each([
    ['a name with a slash', [54, 3, 97, 47, 98, 6, 0, 1]],
    ['a name that is a relay in text', [54, 13, ...new TextEncoder().encode('a/p2p-circuit'), 6, 0, 1]]
  ])('%s ends nothing, and the good ones are taken', async (_, bytes) => {
    const host = await makeHost({ network: NETWORK, target: 0 })
    const liar = await makeLiar({ addresses: [multiaddr(Uint8Array.from(bytes)), multiaddr('/ip4/127.0.0.1/tcp/7')] })
    await liar.dial(host.getMultiaddrs())
    await until('it to be identified', () => host.services.peers.connected.has(idOf(liar as never)))
    expect(host.services.peers.explain()[0]).toMatchObject({ address: `/ip4/127.0.0.1/tcp/7/p2p/${liar.peerId}` })
  })

  test('in the name of another is not dialled at all, told of by whomever', async () => {
    const seed = await makeHost({ network: NETWORK })
    const [address] = seed.getMultiaddrs()
    // signed as it should be: its own record, in which it is said to live at the seed's
    const liar = await makeLiar({ addresses: [address!], protocols: [`/blockwire/${NETWORK}/peers/1`] })
    await liar.dial(seed.getMultiaddrs())
    await until('the liar to be known', () => seed.services.peers.connected.has(liar.peerId.toString()))
    const host = await makeHost({ network: NETWORK, seeds: [addressOf(seed)] })
    const dials = countDials(host)
    await until('the seed', () => host.services.peers.connected.has(idOf(seed)))
    await host.services.peers.flush({ signal: AbortSignal.timeout(10_000) })
    expect(host.services.peers.explain().map(({ peer }) => peer)).toEqual([idOf(seed)])
    expect(dials()).toBeLessThanOrEqual(2)
  })
})

describe('a peer at whose address somebody else answers', () => {
  test('has failed, and is not tried again at once', async () => {
    const host = await makeHost({ network: NETWORK })
    const other = await makeHost({ network: NETWORK })
    await host.dial(other.getMultiaddrs())
    const { connectionManager } = (
      host as unknown as { components: { connectionManager: { openConnection: () => unknown } } }
    ).components
    let dials = 0
    connectionManager.openConnection = () => {
      dials++
      return Promise.resolve(host.getConnections()[0])
    }
    const third = await makeHost({ network: NETWORK })
    discover(host, third)
    await until('the failure', () => host.services.peers.explain().some(({ failures = 0 }) => failures > 0))
    expect(dials).toBeLessThanOrEqual(2)
    expect(host.services.peers.explain().find(({ failures }) => failures != null)?.error).toContain(
      'answers in its place'
    )
  })
})

describe('peers that never join', () => {
  /** A status service that accepts one peer only. */
  class Picky extends EventTarget {
    constructor(private readonly friend: string) {
      super()
    }
    async goodbye(): Promise<void> {}
    refusal(): undefined {}
    greet(host: Host): void {
      for (const connection of host.getConnections())
        if (connection.remotePeer.toString() === this.friend)
          this.dispatchEvent(
            new CustomEvent('join', { detail: { peer: connection.remotePeer, connection, role: 'full' } })
          )
    }
  }

  test('do not hold our outbound places: they are closed after 15 s, and somebody else has his turn', async () => {
    const clock = new HandClock()
    const honest = await makeHost()
    const status = new Picky(idOf(honest))
    const host = await makeHost({ clock, target: 2, services: { status: () => status } })
    const mute = await Promise.all([1, 2].map(() => makeLiar({})))
    for (const liar of mute) discover(host, liar)
    await until('both places to be taken', () => host.getConnections().length === 2)
    discover(host, honest)
    await host.services.peers.flush({ signal: AbortSignal.abort() }).catch(() => {})
    clock.turn(IDENTIFY_MS - 1000)
    expect(host.getConnections()).toHaveLength(2)
    clock.turn(2000)
    await until('the honest one to be dialled', () => {
      clock.turn(250)
      status.greet(host)
      return host.services.peers.connected.has(idOf(honest))
    })
    clock.turn(60_000)
    expect(host.services.peers.connected.has(idOf(honest))).toBe(true)
  })

  test('one of them, or a member, has few connections, however many it opens', async () => {
    const host = await makeHost({ target: 0 })
    let isMute = false
    const liar = await makeLiar({ isMute: () => isMute })
    await liar.dial(host.getMultiaddrs())
    await until('it to join', () => host.services.peers.connected.size === 1)
    isMute = true
    for (let i = 0; i < 20; i++) await liar.dial(host.getMultiaddrs(), { force: true }).catch(() => {})
    await until('the surplus to be closed', () => host.getConnections(liar.peerId).length <= MAX_PER_PEER)
  })
})

describe('somebody who is banned, or comes while we are suspended, with a connection on its way in', () => {
  test.each(['ban', 'suspend'])('does not stay: %s', async (how) => {
    const host = await makeHost({ target: 0 })
    const other = await makeHost({ target: 0 })
    const joins: string[] = []
    host.services.peers.addEventListener('join', ({ detail }) => joins.push(detail.peer.toString()))
    await other.dial(host.getMultiaddrs())
    await until('the first', () => joins.length === 1)
    const [connection] = host.getConnections()
    if (how === 'ban') await host.services.peers.ban(other.peerId)
    else await host.services.peers.suspend()
    // what libp2p tells when an upgrade that had begun before is through
    let isAborted = false
    const abort = (): void => {
      isAborted = true
    }
    const late = new Proxy(connection!, {
      get: (target, key) => {
        if (key === 'status') return 'open'
        if (key === 'abort') return abort
        const value = Reflect.get(target, key)
        return typeof value === 'function' ? value.bind(target) : value
      }
    })
    const { events } = (host as unknown as { components: { events: TypedEventEmitter<Record<string, Event>> } })
      .components
    events.safeDispatchEvent('connection:open', { detail: late })
    expect(isAborted).toBe(true)
  })
})

describe('a disk that is slow or fails', () => {
  class SlowStore extends MemoryDatastore {
    release = (): void => {}
    readonly #released = new Promise<void>((resolve) => {
      this.release = resolve
    })
    override async *query(...args: Parameters<MemoryDatastore['query']>): AsyncGenerator<Pair> {
      if (args[0].prefix?.startsWith('/blockwire')) await this.#released
      yield* super.query(...args)
    }
  }

  test('nobody is dialled while what was kept is still being read, whatever the app asks', async () => {
    const seed = await makeHost({ network: NETWORK })
    const datastore = new SlowStore()
    const host = await makeHost({ network: NETWORK, seeds: [addressOf(seed)], libp2p: { datastore, start: false } })
    const dials = countDials(host)
    const started = host.start()
    await host.services.peers.flush()
    const suspended = host.services.peers.suspend()
    host.services.peers.resume()
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(dials()).toBe(0)
    datastore.release()
    await Promise.all([started, suspended])
    await until('the seed', () => host.services.peers.connected.has(idOf(seed)))
  })

  test('a last write that does not end holds up the stop for three seconds at most, and is told', async () => {
    const datastore = new MemoryDatastore()
    const host = await makeHost({ libp2p: { datastore } })
    const other = await makeHost()
    await host.dial(other.getMultiaddrs())
    await until('the other', () => host.services.peers.connected.size === 1)
    const warnings: string[] = []
    host.services.peers.addEventListener('warning', ({ detail }) => warnings.push(detail.message))
    datastore.batch = () => ({ put: () => {}, delete: () => {}, commit: () => new Promise(() => {}) })
    await host.stop()
    expect(warnings).toEqual([expect.stringContaining('not written within 3 s')])
  })

  test('a start that is given up while it reads leaves nothing behind', async () => {
    const datastore = new SlowStore()
    const host = await makeHost({
      network: NETWORK,
      libp2p: { datastore, start: false },
      services: { broken: () => ({ start: () => Promise.reject(new Error('broken')), stop: () => {} }) }
    })
    const { events } = (host as unknown as { components: { events: TypedEventEmitter<Record<string, Event>> } })
      .components
    const before = events.listenerCount('connection:open')
    await expect(host.start()).rejects.toThrow('broken')
    datastore.release()
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(events.listenerCount('connection:open')).toBe(before)
    expect(host.getProtocols().filter((name) => name.includes('blockwire'))).toEqual([])
  })
})
