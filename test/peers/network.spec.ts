import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { HandClock } from 'blockwire/testing'
import { MemoryDatastore } from 'datastore-core'
import { describe, expect, test } from 'vitest'
import { freePort } from '../helpers/port.js'
import { addressOf, type Host, idOf, makeHost, until } from './hosts.js'

const CHAIN = 'test-00000000'

/** Lets time pass in steps, each after what the last one began has ended, until the condition holds. Answers how much passed. */
async function pass(host: Host, clock: HandClock, ms: number, isDone: () => boolean = () => false): Promise<number> {
  const step = 250
  for (let passed = 0; passed < ms; passed += step) {
    clock.turn(step)
    await host.services.peers.flush({ signal: AbortSignal.timeout(10_000) })
    if (isDone()) return passed + step
  }
  return ms
}

describe('a node with one seed', () => {
  test('that starts a minute later is connected within 12 s of that, and again after ten minutes without any link', async () => {
    const clock = new HandClock()
    const key = await generateKeyPair('Ed25519')
    const listen = `/ip4/127.0.0.1/tcp/${await freePort()}`
    const host = await makeHost({ clock, seeds: [`${listen}/p2p/${peerIdFromPrivateKey(key)}`] })
    const isThere = (): boolean => host.services.peers.connected.size === 1
    expect(await pass(host, clock, 60_000, isThere)).toBe(60_000)
    const first = await makeHost({ listen, key })
    expect(await pass(host, clock, 20_000, isThere)).toBeLessThanOrEqual(12_000)
    await pass(host, clock, 60_000)
    await first.stop()
    await until('the loss', () => !isThere())
    expect(await pass(host, clock, 600_000, isThere)).toBe(600_000)
    await makeHost({ listen, key })
    expect(await pass(host, clock, 20_000, isThere)).toBeLessThanOrEqual(12_000)
  })
})

describe('a restart', () => {
  /** A host on a store that outlives it. */
  const onStore = (datastore: MemoryDatastore, init: Parameters<typeof makeHost>[0] = {}): Promise<Host> =>
    makeHost({ chain: CHAIN, ...init, libp2p: { datastore } })

  test('needs no seed: one who stood by us longest is dialled first, then others that we knew', async () => {
    const datastore = new MemoryDatastore()
    const seed = await makeHost({ chain: CHAIN, role: 'seed' })
    const others = await Promise.all(
      Array.from({ length: 4 }, () => makeHost({ chain: CHAIN, seeds: [addressOf(seed)] }))
    )
    // they wait to be called, so that all are outbound for the one that restarts
    await until('the others to be there', () => seed.services.peers.connected.size === 4)
    const host = await onStore(datastore, { seeds: [addressOf(seed)] })
    await until('all to be known', () => host.services.peers.connected.size === 5)
    const anchors = [...host.services.peers.connected.values()]
      .filter(({ direction, peer }) => direction === 'outbound' && !peer.equals(seed.peerId))
      .sort((a, b) => a.since - b.since)
      .slice(0, 2)
      .map(({ peer }) => peer.toString())
    await host.stop()
    await seed.stop()
    if (anchors.length > 0) {
      const careful = await onStore(datastore, { target: 1 })
      await until('the first', () => careful.services.peers.connected.size > 0)
      const first = [...careful.services.peers.connected.values()].find(({ direction }) => direction === 'outbound')
      expect(first == null || anchors.includes(first.peer.toString())).toBe(true)
      await careful.stop()
    }
    const again = await onStore(datastore)
    await until('the others', () => others.every((other) => again.services.peers.connected.has(idOf(other))))
    expect(again.services.peers.explain().map(({ table }) => table)).toContain('tried')
  })

  test('keeps bans: by fault and by hand, in both directions, until they end or are lifted', async () => {
    const datastore = new MemoryDatastore()
    const key = await generateKeyPair('Ed25519')
    const [bad, evil] = [await makeHost(), await makeHost()]
    const clock = new HandClock()
    const first = await onStore(datastore, { key, clock, seeds: [addressOf(bad)] })
    clock.turn(1000)
    await until('the bad one', () => first.services.peers.connected.has(idOf(bad)))
    first.services.peers.fault(bad.peerId, 'provable', 'no work')
    await until('the end of it', () => first.getConnections().length === 0)
    await first.services.peers.ban(evil.peerId, { ms: Number.POSITIVE_INFINITY, reason: 'I know him' })
    await first.services.peers.ban('8.8.0.0/16')
    await first.stop()

    const again = await onStore(datastore, { key, clock, seeds: [addressOf(bad), addressOf(evil)] })
    expect(again.services.peers.bans().map(({ what, reason }) => [what, reason])).toEqual(
      expect.arrayContaining([
        [idOf(bad), 'no work'],
        [idOf(evil), 'I know him'],
        ['8.8.0.0/16', 'by hand']
      ])
    )
    for (const host of [bad, evil]) {
      await expect(again.dial(host.getMultiaddrs())).rejects.toMatchObject({ name: 'DialDeniedError' })
      const back = await host.dial(again.getMultiaddrs()).catch(() => undefined)
      await until('the door to shut', () => back == null || back.status !== 'open')
    }
    expect(again.getConnections()).toEqual([])
    expect(again.services.peers.explain().map(({ state }) => state)).toEqual(['banned', 'banned'])
    expect(await again.services.peers.unban(idOf(evil))).toBe(true)
    await again.stop()
    const third = await onStore(datastore, { key, clock })
    expect(third.services.peers.bans().map(({ what }) => what)).not.toContain(idOf(evil))
  })
})

/** Whether everyone can reach everyone over those that are joined. */
function isOneGraph(hosts: readonly Host[]): boolean {
  const byId = new Map(hosts.map((host) => [idOf(host), host]))
  const seen = new Set<string>()
  const queue = [idOf(hosts[0]!)]
  for (let id = queue.pop(); id != null; id = queue.pop()) {
    if (seen.has(id)) continue
    seen.add(id)
    for (const other of byId.get(id)?.services.peers.connected.keys() ?? []) if (byId.has(other)) queue.push(other)
  }
  return seen.size === hosts.length
}

const outbound = (host: Host): number =>
  [...host.services.peers.connected.values()].filter(({ direction }) => direction === 'outbound').length

/** Eight that it dialled, or all that there are. */
const isContent = (host: Host, everyone: readonly Host[]): boolean =>
  outbound(host) >= 8 || everyone.every((other) => other === host || host.services.peers.connected.has(idOf(other)))

const see = (hosts: readonly Host[]): string =>
  hosts.map((host) => `${outbound(host)}/${host.services.peers.connected.size}`).join(' ')

describe('thirty nodes in one process', () => {
  let n = 0
  const join = (seeds: Host[], init: Parameters<typeof makeHost>[0] = {}): Promise<Host> =>
    makeHost({ chain: CHAIN, listen: `/memory/thirty-${n++}`, seeds: seeds.map(addressOf), ...init })

  test('that know one seed reach their targets, are one graph without it and a third of them, and newcomers get in', async () => {
    const seed = await join([], { role: 'seed' })
    const nodes = await Promise.all(Array.from({ length: 29 }, () => join([seed])))
    await until(
      () => `all to reach their target: ${see(nodes)}`,
      () => nodes.every((host) => isContent(host, nodes)),
      60_000
    )
    expect(isOneGraph(nodes)).toBe(true)

    await Promise.all([seed, ...nodes.slice(0, 10)].map((host) => host.stop()))
    const left = nodes.slice(10)
    await until(
      () => `those left to be one graph again at their targets: ${see(left)}`,
      () => left.every((host) => isContent(host, left)) && isOneGraph(left),
      60_000
    )
    const newcomer = await join([left[0]!])
    await until(
      () => `a newcomer to be at its target: ${see([newcomer])}`,
      () => outbound(newcomer) >= 8 && isOneGraph([newcomer, ...left])
    )
  }, 180_000)
})

describe('a network in which all places are taken', () => {
  test('lets newcomers in, and stays one graph', async () => {
    const clock = new HandClock()
    let n = 0
    const join = (seeds: Host[], init: Parameters<typeof makeHost>[0] = {}): Promise<Host> =>
      makeHost({ chain: CHAIN, clock, listen: `/memory/full-${n++}`, seeds: seeds.map(addressOf), ...init })
    /** Time passes for all of them, while what goes on by itself keeps up. */
    const untilTurned = (what: () => string, condition: () => boolean): Promise<void> =>
      until(what, () => {
        clock.turn(100)
        return condition()
      })
    const inbound = (host: Host): number => host.services.peers.connected.size - outbound(host)

    // six nodes want all the others, fifteen connections in all, and have twelve places
    const first = await join([], { target: 5, maxInbound: 2 })
    const nodes = [first]
    for (let i = 0; i < 5; i++) nodes.push(await join([first], { target: 5, maxInbound: 2 }))
    await untilTurned(
      () => `all places to be taken: ${nodes.map(inbound)}`,
      () => nodes.every((host) => inbound(host) >= 2 || host.services.peers.connected.size === nodes.length - 1)
    )
    for (let i = 0; i < 3; i++) {
      const newcomer = await join([nodes[i]!], { target: 2 })
      await untilTurned(
        () => `newcomer ${i} to have its peers: ${see([newcomer])}`,
        () => newcomer.services.peers.connected.size >= 2
      )
      nodes.push(newcomer)
    }
    await untilTurned(
      () => `one graph: ${see(nodes)}`,
      () => isOneGraph(nodes)
    )
    expect(nodes.every((host) => inbound(host) <= 32)).toBe(true)
    expect(nodes.slice(0, 6).every((host) => inbound(host) <= 3)).toBe(true)
    const faults = nodes
      .flatMap((host) => host.services.peers.explain())
      .filter(({ fault }) => fault?.fault === 'protocol')
    expect(faults).toEqual([])
  })
})
