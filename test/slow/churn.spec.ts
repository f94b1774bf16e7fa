import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { noise } from '@chainsafe/libp2p-noise'
import { publicKeyFromProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type {
  ConnectionEncrypter,
  MessageStream,
  PrivateKey,
  SecureConnectionOptions,
  Upgrader
} from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import { lpStream } from '@libp2p/utils'
import type { TypedEventEmitter } from 'main-event'
import { expect, test } from 'vitest'
import { quietLogger } from '../../dist/src/quiet-logger.js'
import { type Host, idOf, makeHost, TOPIC, until } from '../peers/hosts.js'

const CONNECTS = 10_000
const CLIENTS = 100
/** One client in so many speaks noise. The keys of 10,000 handshakes are a third of the time, and what is ours sees none of them. */
const NOISE = 10
const CHAIN = 'test-00000000'
const EVENTS = [
  'connection:open',
  'connection:close',
  'peer:identify',
  'peer:discovery',
  'peer:connect',
  'peer:disconnect'
]

setFlagsFromString('--expose-gc')
const gc: () => void = runInNewContext('gc')

/** Bytes in use when nothing is left to be freed. */
async function heapUsed(): Promise<number> {
  for (let i = 0; i < 5; i++) {
    gc()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed
}

/** Each end tells its public key, and nothing is encrypted. */
function plain(components: { privateKey: PrivateKey; upgrader: Upgrader }): ConnectionEncrypter {
  const meet = async (connection: MessageStream, options?: SecureConnectionOptions) => {
    const wire = lpStream(connection, { maxDataLength: 100 })
    await wire.write(publicKeyToProtobuf(components.privateKey.publicKey), options)
    const theirs = await wire.read(options)
    wire.unwrap()
    const streamMuxer = [...components.upgrader.getStreamMuxers().values()][0]
    return { connection, remotePeer: peerIdFromPublicKey(publicKeyFromProtobuf(theirs.subarray())), streamMuxer }
  }
  return { protocol: '/plain/1', secureInbound: meet, secureOutbound: meet }
}

interface Components {
  events: TypedEventEmitter<Record<string, Event>>
  registrar: Registrar
}

test('10,000 connects and disconnects leave heap, maps, timers and listeners as they were', async () => {
  let n = 0
  const make = (connectionEncrypters: unknown[]): Promise<Host> =>
    makeHost({
      chain: CHAIN,
      gossip: true,
      target: 0,
      maxInbound: CLIENTS,
      listen: `/memory/churn-${n++}`,
      // the logger is that of createNode()
      libp2p: { connectionEncrypters: connectionEncrypters as never, logger: quietLogger() }
    })
  const hub = await make([noise(), plain])
  hub.services.pubsub.subscribe(TOPIC)
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, (_, i) => make([i % NOISE === 0 ? noise() : plain]))
  )
  for (const client of clients) client.services.pubsub.subscribe(TOPIC)
  const { events, registrar } = (hub as unknown as { components: Components }).components

  /** Every client comes and goes once; who hangs up changes. */
  const round = async (i: number): Promise<void> => {
    await Promise.all(clients.map((client) => client.dial(hub.getMultiaddrs())))
    await until('all to join', () => hub.services.peers.connected.size === CLIENTS)
    await Promise.all(
      clients.map((client) =>
        i % 2 === 0 ? client.hangUp(hub.peerId) : hub.services.peers.disconnect(client.peerId, 8, 'bye')
      )
    )
    await until('all to leave', () => hub.services.peers.connected.size === 0 && hub.getConnections().length === 0)
    await until('all to have noticed', () => clients.every((client) => client.getConnections().length === 0))
  }
  const measure = async () => ({
    heap: await heapUsed(),
    timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
    listeners: EVENTS.map((name) => events.listenerCount(name)),
    protocols: registrar.getProtocols().length,
    known: hub.services.peers.explain().length
  })

  const rounds = CONNECTS / CLIENTS
  // caches fill and code is compiled in the first fifth
  for (let i = 0; i < rounds / 5; i++) await round(i)
  const before = await measure()
  for (let i = rounds / 5; i < rounds; i++) await round(i)
  const after = await measure()

  expect(after.listeners).toEqual(before.listeners)
  expect(after.protocols).toBe(before.protocols)
  expect(after.known).toBeLessThanOrEqual(CLIENTS)
  expect(after.timers).toBeLessThanOrEqual(before.timers + 10)
  // 8,000 connects later; a leak of one connection each would be some 240 MB, of one small object each 1 MB
  expect(after.heap - before.heap).toBeLessThan(8e6)
  expect(
    hub.services.peers
      .explain()
      .filter(({ state }) => state !== 'waiting')
      .map(({ peer }) => peer)
  ).toEqual([])
  expect(clients.every((client) => client.services.peers.connected.get(idOf(hub)) == null)).toBe(true)
  console.log(
    `heap ${(before.heap / 1e6).toFixed(1)} -> ${(after.heap / 1e6).toFixed(1)} MB, timers ${before.timers} -> ${after.timers}`
  )
}, 600_000)
