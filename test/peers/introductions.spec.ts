import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, PeerId, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { PeerRecord, RecordEnvelope } from '@libp2p/peer-record'
import { multiaddr } from '@multiformats/multiaddr'
import { HandClock } from 'blockwire/testing'
import { describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../dist/src/clock.js'
import { INTRODUCTION_MS, Introductions, MAX_PASSED_ON, NEWCOMERS } from '../../dist/src/peers/introductions.js'
import { openRecord } from '../../dist/src/peers/record.js'
import { addressOf, allJoined, type Host, idOf, makeHost, until } from './hosts.js'

const LOG = Object.assign(() => {}, { error: () => {}, trace: () => {}, enabled: false, newScope: () => LOG }) as never
const NOTHING = { log: LOG, onNewcomer: () => {}, onFault: () => {}, onError: () => {} }
const CHAIN = 'test-00000000'
const ID = `/blockwire/${CHAIN}/peers/1`

async function seal(addresses: string[], key?: PrivateKey): Promise<{ id: string; bytes: Uint8Array; peer: PeerId }> {
  const privateKey = key ?? (await generateKeyPair('Ed25519'))
  const peer = peerIdFromPrivateKey(privateKey)
  const record = new PeerRecord({ peerId: peer, multiaddrs: addresses.map((address) => multiaddr(address)) })
  return { id: peer.toString(), peer, bytes: (await RecordEnvelope.seal(record, privateKey)).marshal() }
}

describe('records', () => {
  test('a sealed record opens', async () => {
    const { id, bytes } = await seal(['/ip4/8.8.8.8/tcp/1'])
    expect(await openRecord(bytes)).toMatchObject({ id, addresses: [multiaddr('/ip4/8.8.8.8/tcp/1')] })
  })

  test('a changed, foreign or garbage record is malformed', async () => {
    const { bytes } = await seal(['/ip4/8.8.8.8/tcp/1'])
    const forged = bytes.slice()
    forged[forged.length - 1]! ^= 1
    const victim = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
    const liar = await generateKeyPair('Ed25519')
    const lie = await RecordEnvelope.seal(
      new PeerRecord({ peerId: victim, multiaddrs: [multiaddr('/ip4/8.8.8.8/tcp/1')] }),
      liar
    )
    for (const bad of [forged, lie.marshal(), new Uint8Array(0), new Uint8Array(64).fill(255)]) {
      await expect(openRecord(bad)).rejects.toMatchObject({ name: 'MalformedError', fault: 'protocol' })
    }
  })
})

test('from one seed, five nodes find each other', async () => {
  const seed = await makeHost({ chain: CHAIN, role: 'seed' })
  const hosts = await Promise.all(Array.from({ length: 5 }, () => makeHost({ chain: CHAIN, seeds: [addressOf(seed)] })))
  const everyone = [seed, ...hosts]
  const see = () => everyone.map((host) => host.services.peers.connected.size).join(' ')
  await until(
    () => `all six to know each other, connected: ${see()}`,
    () => allJoined(everyone),
    25_000
  )
  await until('one connection for each pair', () => everyone.every((host) => host.getConnections().length === 5))
})

test('a record that only libp2p takes is not passed on, and spoils no answer', async () => {
  const key = await generateKeyPair('Ed25519')
  const liar = peerIdFromPrivateKey(key)
  const seal = RecordEnvelope.seal
  const spy = vi.spyOn(RecordEnvelope, 'seal').mockImplementation((record, privateKey, options) => {
    if (!(record instanceof PeerRecord && record.peerId.equals(liar))) return seal(record, privateKey, options)
    const codec = Uint8Array.of(9, 9)
    return seal({ domain: record.domain, codec, marshal: () => record.marshal(), equals: () => false }, privateKey)
  })
  try {
    const seed = await makeHost({ chain: CHAIN })
    const one = await makeHost({ chain: CHAIN, key, seeds: [addressOf(seed)] })
    await until('the liar to be known', () => allJoined([seed, one]))
    const [a, b] = await Promise.all([0, 1].map(() => makeHost({ chain: CHAIN, seeds: [addressOf(seed)] })))
    await until('the others to be introduced', () => allJoined([seed, a!, b!]))
    await Promise.all([a!, b!].map((host) => host.services.peers.flush({ signal: AbortSignal.timeout(10_000) })))
    const faults = [a!, b!].flatMap((host) => host.services.peers.explain()).map(({ fault }) => fault)
    expect(faults.filter((fault) => fault?.fault === 'protocol')).toEqual([])
  } finally {
    spy.mockRestore()
  }
})

test('nodes of another chain, or of none, are not asked and are not charged for it', async () => {
  const seed = await makeHost()
  const host = await makeHost({ chain: CHAIN, seeds: [addressOf(seed)] })
  await until('the seed', () => host.services.peers.connected.has(idOf(seed)))
  await host.services.peers.flush({ signal: AbortSignal.timeout(10_000) })
  expect(host.services.peers.explain()[0]?.fault).toBeUndefined()
  expect(host.getProtocols()).toContain(ID)
  expect(seed.getProtocols().filter((protocol) => protocol.includes('peers/1'))).toEqual([])
})

/** A host that knows these records and can be asked; `asker` is connected to it. */
async function introducer(records: { id: string; bytes: Uint8Array; addresses: string[] }[]) {
  const clock = new HandClock()
  const server = await makeHost({ services: { chain: () => ({ id: CHAIN }) }, introductions: false })
  const asker = await makeHost({ introductions: false })
  const faults: string[] = []
  const make = (host: Host) =>
    new Introductions({
      clock: { now: () => clock.now(), after: systemClock.after },
      random: Math.random,
      registrar: (host as unknown as { components: { registrar: never } }).components.registrar,
      chain: CHAIN,
      rank: (id) => (records.some((record) => record.id === id) ? 2 : 0),
      ...NOTHING,
      onFault: (_, err) => faults.push(err.name),
      onError: (err) => faults.push(String(err))
    })
  const introductions = make(server)
  await introductions.serve()
  for (const { id, bytes, addresses } of records)
    introductions.remember(
      id,
      bytes,
      addresses.map((address) => multiaddr(address))
    )
  const connection = await asker.dial(server.getMultiaddrs())
  const asking = make(asker)
  return {
    clock,
    faults,
    server,
    asker,
    connection,
    ask: (over = connection) => asking.ask(over, AbortSignal.timeout(10_000))
  }
}

/** The connection as it would look from elsewhere. */
function from(connection: Connection, address: string): Connection {
  return new Proxy(connection, {
    get: (target, key) => {
      const value = key === 'remoteAddr' ? multiaddr(address) : Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}

describe('answers', () => {
  test('have at most 32 records, and none of an address in another scope', async () => {
    const loopback = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        seal([`/ip4/127.0.0.1/tcp/${i + 1}`]).then((sealed) => ({
          ...sealed,
          addresses: [`/ip4/127.0.0.1/tcp/${i + 1}`]
        }))
      )
    )
    const private_ = { ...(await seal(['/ip4/192.168.7.7/tcp/1'])), addresses: ['/ip4/192.168.7.7/tcp/1'] }
    const open = { ...(await seal(['/ip4/8.8.8.8/tcp/1'])), addresses: ['/ip4/8.8.8.8/tcp/1'] }
    const few = await introducer([private_, open, ...loopback.slice(0, 3)])
    const ids = (await few.ask()).map(({ id }) => id)
    expect(ids.sort()).toEqual([open.id, ...loopback.slice(0, 3).map(({ id }) => id)].sort())
    // what is private is not even given to one who would take it
    few.clock.turn(INTRODUCTION_MS)
    const seen = await few.ask(from(few.connection, '/ip4/192.168.1.1/tcp/1'))
    expect(seen.map(({ id }) => id)).toContain(open.id)
    expect(seen.map(({ id }) => id)).not.toContain(private_.id)
    const many = await introducer(loopback)
    expect(await many.ask()).toHaveLength(32)
  })

  test('never show the asker to itself', async () => {
    const key = await generateKeyPair('Ed25519')
    const own = await seal(['/ip4/127.0.0.1/tcp/1'], key)
    const server = await introducer([{ ...own, addresses: ['/ip4/127.0.0.1/tcp/1'] }])
    const asker = await makeHost({ key, introductions: false })
    const connection = await asker.dial(server.server.getMultiaddrs())
    const asking = new Introductions({
      clock: systemClock,
      random: Math.random,
      registrar: null as never,
      chain: CHAIN,
      rank: () => 0,
      ...NOTHING
    })
    expect(await asking.ask(connection, AbortSignal.timeout(10_000))).toEqual([])
  })

  test('come once in 10 s, sooner is Busy and no fault', async () => {
    const { clock, faults, ask } = await introducer([])
    await ask()
    clock.turn(4000)
    await expect(ask()).rejects.toMatchObject({ name: 'BusyError', retryMs: INTRODUCTION_MS - 4000 })
    clock.turn(6000)
    await expect(ask()).resolves.toEqual([])
    expect(faults).toEqual([])
  })
})

describe('askers', () => {
  /** A peer that answers with these items whatever it is asked. */
  async function liar(items: Uint8Array[]) {
    const { defineProtocol, rawBytes } = await import('blockwire/protocol')
    const server = await makeHost()
    const lie = defineProtocol<Uint8Array, Uint8Array>({
      name: ID,
      request: rawBytes,
      item: rawBytes,
      limits: { requestBytes: 100, itemBytes: 1e6, items: 1e6, answerBytes: 1e8, totalMs: 10_000, inbound: 8 }
    })
    await lie.serve(
      (server as unknown as { components: { registrar: never } }).components.registrar,
      CHAIN,
      async function* () {
        yield items
      },
      { onFault: () => {} }
    )
    const asker = await makeHost()
    const connection = await asker.dial(server.getMultiaddrs())
    const asking = new Introductions({
      clock: systemClock,
      random: Math.random,
      registrar: null as never,
      chain: CHAIN,
      rank: () => 0,
      ...NOTHING
    })
    return { server, connection, ask: (over = connection) => asking.ask(over, AbortSignal.timeout(10_000)) }
  }

  test('take nothing of an answer that has one forged record', async () => {
    const good = await seal(['/ip4/127.0.0.1/tcp/1'])
    const forged = (await seal(['/ip4/127.0.0.1/tcp/2'])).bytes.slice()
    forged[forged.length - 1]! ^= 1
    const { ask } = await liar([good.bytes, forged])
    await expect(ask()).rejects.toMatchObject({ name: 'MalformedError', fault: 'protocol' })
  })

  test('refuse more records than they asked for, and one over 2 KiB', async () => {
    const { bytes } = await seal(['/ip4/127.0.0.1/tcp/1'])
    const many = await liar(Array.from({ length: 33 }, () => bytes))
    await expect(many.ask()).rejects.toMatchObject({ name: 'TooManyItemsError', fault: 'protocol' })
    const large = await liar([new Uint8Array(2049)])
    await expect(large.ask()).rejects.toMatchObject({ name: 'TooLargeError', fault: 'protocol' })
  })

  test('leave out addresses in another scope than the connection they came by', async () => {
    const mixed = await seal(['/ip4/127.0.0.1/tcp/1', '/ip4/192.168.1.1/tcp/1', '/ip4/8.8.8.8/tcp/1'])
    const hidden = await seal(['/ip4/127.0.0.1/tcp/2'])
    const { ask, connection } = await liar([mixed.bytes, hidden.bytes])
    const far = await ask(from(connection, '/ip4/9.9.9.9/tcp/1'))
    expect(far.map(({ id, addresses }) => [id, addresses.map(String)])).toEqual([[mixed.id, ['/ip4/8.8.8.8/tcp/1']]])
    const near = await ask()
    expect(near.map(({ addresses }) => addresses.map(String))).toEqual([
      ['/ip4/127.0.0.1/tcp/1', '/ip4/8.8.8.8/tcp/1'],
      ['/ip4/127.0.0.1/tcp/2']
    ])
  })
})

test('a forged record costs its bringer and dials nobody', async () => {
  const { defineProtocol, rawBytes } = await import('blockwire/protocol')
  const server = await makeHost()
  const forged = (await seal(['/ip4/127.0.0.1/tcp/9'])).bytes.slice()
  forged[forged.length - 1]! ^= 1
  const lie = defineProtocol<Uint8Array, Uint8Array>({
    name: ID,
    request: rawBytes,
    item: rawBytes,
    limits: { requestBytes: 100, itemBytes: 4096, items: 32, answerBytes: 1e6, totalMs: 10_000, inbound: 8 }
  })
  await lie.serve(
    (server as unknown as { components: { registrar: never } }).components.registrar,
    CHAIN,
    async function* () {
      yield [forged]
    },
    { onFault: () => {} }
  )
  const host = await makeHost({ chain: CHAIN, seeds: [addressOf(server)] })
  const report = () => host.services.peers.explain().find(({ peer }) => peer === idOf(server))
  await until('the fault', () => report()?.fault != null)
  expect(report()?.fault).toMatchObject({ fault: 'protocol', reason: expect.stringContaining('peer record') })
  expect(host.services.peers.score(idOf(server))).toBeLessThan(0)
  expect(host.services.peers.explain()).toHaveLength(1)
})

describe('newcomers', () => {
  const never = new AbortController().signal

  /** Who hears of newcomers, and hosts connected to it that tell of them. */
  async function listener(tellers = 1) {
    const clock = new HandClock()
    const host = await makeHost({ introductions: false })
    const heard: { id: string; addresses: string[] }[] = []
    const faults: string[] = []
    const make = (of: Host, random = Math.random) =>
      new Introductions({
        ...NOTHING,
        clock: { now: () => clock.now(), after: systemClock.after },
        random,
        registrar: (of as unknown as { components: { registrar: never } }).components.registrar,
        chain: CHAIN,
        rank: () => 0,
        onNewcomer: ({ id, addresses }) => heard.push({ id, addresses: addresses.map(String) }),
        onFault: (_, err) => faults.push(err.name)
      })
    await make(host).serve()
    const connections: Connection[] = []
    for (let i = 0; i < tellers; i++)
      connections.push(await (await makeHost({ introductions: false })).dial(host.getMultiaddrs()))
    return { clock, host, heard, faults, connections, make }
  }

  async function known(introductions: Introductions, address = '/ip4/127.0.0.1/tcp/1'): Promise<string> {
    const { id, bytes } = await seal([address])
    introductions.remember(id, bytes, [multiaddr(address)])
    return id
  }

  test('are told of to three others at most, each once in an hour', async () => {
    const { clock, make, host, heard } = await listener()
    const tellers = await Promise.all(Array.from({ length: 5 }, () => makeHost({ introductions: false })))
    const to = await Promise.all(tellers.map((teller) => teller.dial(host.getMultiaddrs())))
    // five connections to the same listener stand for five peers
    const teller = make(tellers[0]!)
    const id = await known(teller)
    const told = teller.passOn(id, to, never)
    expect(told).toHaveLength(MAX_PASSED_ON)
    await Promise.all(told)
    expect(heard.map((each) => each.id)).toEqual([id, id, id])
    expect(teller.passOn(id, to, never)).toEqual([])
    clock.turn(3_600_000)
    expect(teller.passOn(id, to, never)).toHaveLength(MAX_PASSED_ON)
  })

  test('are told of only to whom their addresses are any use', async () => {
    const { make, host, connections } = await listener()
    const teller = make(host)
    const id = await known(teller, '/ip4/192.168.7.7/tcp/1')
    expect(teller.passOn(id, [connections[0]!], never)).toEqual([])
    expect(teller.passOn(id, [from(connections[0]!, '/ip4/192.168.1.1/tcp/1')], never)).toHaveLength(1)
  })

  test('nobody is told of more of them than it must take, and one more would be a fault', async () => {
    const { clock, make, host, heard, faults, connections } = await listener()
    const teller = make(host)
    const capacity = (NEWCOMERS.perSecond * NEWCOMERS.windowMs) / 1000
    for (let i = 0; i < 3 * capacity; i++) await Promise.all(teller.passOn(await known(teller), connections, never))
    expect(heard).toHaveLength(capacity / 2)
    expect(faults).toEqual([])
    // one who keeps no measure: each of these forgets what the others told
    clock.turn(NEWCOMERS.windowMs)
    for (let i = 0; i < capacity + 3; i++) {
      const careless = make(host)
      await Promise.all(careless.passOn(await known(careless), connections, never))
    }
    expect(heard).toHaveLength(capacity / 2 + capacity)
    expect(faults).toEqual(['MalformedError', 'MalformedError', 'MalformedError'])
  })

  test('unasked lists, forged records, and a question and a newcomer at once are faults, and nothing of them is taken', async () => {
    const { heard, faults, connections } = await listener()
    const { defineProtocol, rawBytes } = await import('blockwire/protocol')
    const anything = defineProtocol<Uint8Array, Uint8Array>({
      name: ID,
      request: rawBytes,
      item: rawBytes,
      limits: { requestBytes: 1e6, itemBytes: 4096, items: 32, answerBytes: 1e6, totalMs: 10_000, inbound: 8 }
    })
    const { PeersRequest } = await import('../../dist/src/pb/peers.js')
    const one = await seal(['/ip4/127.0.0.1/tcp/1'])
    const two = await seal(['/ip4/127.0.0.1/tcp/2'])
    const forged = one.bytes.slice()
    forged[forged.length - 1]! ^= 1
    const newcomer = (bytes: Uint8Array) =>
      PeersRequest.encode({ limit: 0, newcomer: bytes as Uint8Array<ArrayBuffer> })
    const requests = [
      new Uint8Array([...one.bytes, ...two.bytes]),
      PeersRequest.encode({ limit: 33, newcomer: new Uint8Array() }),
      newcomer(forged),
      PeersRequest.encode({ limit: 3, newcomer: one.bytes as Uint8Array<ArrayBuffer> }),
      PeersRequest.encode({ limit: 0, newcomer: new Uint8Array() }),
      newcomer(new Uint8Array(5000))
    ]
    for (const [i, request] of requests.entries()) {
      const answer = anything.request(connections[0]!, CHAIN, request, { signal: AbortSignal.timeout(5000) })
      await (async () => {
        for await (const _ of answer);
      })().catch(() => {})
      await until(
        () => `fault ${i}, there are ${faults}`,
        () => faults.length === i + 1
      )
    }
    expect(heard).toEqual([])
  })

  test('of a network reach nodes that are connected to one place only and ask nobody', async () => {
    const hub = await makeHost({ chain: CHAIN, role: 'seed' })
    const first = await makeHost({ chain: CHAIN, seeds: [addressOf(hub)] })
    await until('the first to know nobody else', () => first.services.peers.explain()[0]?.state === 'joined')
    await first.services.peers.flush({ signal: AbortSignal.timeout(10_000) })
    // within ten seconds the first may not ask again: it hears of the second by being told
    const second = await makeHost({ chain: CHAIN, target: 0 })
    await second.dial(hub.getMultiaddrs())
    await until('the first to have dialled the second', () => first.services.peers.connected.has(idOf(second)), 8000)
  })
})

test('without a chain peers introduce each other under the name of their network', async () => {
  const seed = await makeHost({ network: 'my-app' })
  const hosts = await Promise.all(
    Array.from({ length: 3 }, () => makeHost({ network: 'my-app', seeds: [addressOf(seed)] }))
  )
  const other = await makeHost({ network: 'another-app', seeds: [addressOf(seed)] })
  await until('the three to know each other', () => allJoined(hosts))
  expect(hosts.some((host) => host.services.peers.connected.has(idOf(other)))).toBe(false)
  expect(seed.getProtocols()).toContain('/blockwire/my-app/peers/1')
})
