import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, MultiaddrConnection, PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { HandClock } from 'blockwire/testing'
import { expect, test } from 'vitest'
import { compareBytes } from '../../dist/src/hex.js'
import { AddressBook } from '../../dist/src/peers/book.js'
import { Door, MAX_STRANGERS_PER_HOST } from '../../dist/src/peers/door.js'
import { parsePrefix } from '../../dist/src/peers/ip.js'
import { Judge } from '../../dist/src/peers/judge.js'
import { Planner } from '../../dist/src/peers/planner.js'
import { survivorOf } from '../../dist/src/peers/survivor.js'

/** Two peer IDs, the lower first, by the bytes of their multihashes. */
async function twoPeers(): Promise<[PeerId, PeerId]> {
  const made = await Promise.all([1, 2].map(async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'))))
  const [low, high] = made.sort((a, b) => compareBytes(a.toMultihash().bytes, b.toMultihash().bytes))
  return [low!, high!]
}

function setup(self: PeerId, rules: { allow?: string[]; deny?: string[] } = {}) {
  const clock = new HandClock()
  const links: Partial<Connection>[] = []
  const dials: { peerId: PeerId }[] = []
  const doubts: string[] = []
  const members = new Set<string>()
  const state = { shut: false }
  const judge = new Judge({
    clock,
    log: Object.assign(() => {}, { error: () => {} }) as never,
    rules: { allow: (rules.allow ?? []).map(parsePrefix), deny: (rules.deny ?? []).map(parsePrefix) },
    addresses: () => [multiaddr('/ip4/8.8.8.7/tcp/1')],
    onSentence: () => {},
    onHold: () => {}
  })
  const planner = new Planner({ book: new AddressBook(), target: 8, random: () => 0.5 })
  const door = new Door({
    self,
    judge,
    planner,
    limit: 2,
    connectionManager: { getConnections: () => links, getDialQueue: () => dials } as never,
    isShut: () => state.shut,
    isStranger: ({ remotePeer }) => !members.has(remotePeer.toString()),
    onDoubt: (peer) => doubts.push(peer.toString())
  })
  return { clock, links, dials, doubts, judge, planner, door, members, state }
}

const from = (address: string) => ({ remoteAddr: multiaddr(address) }) as MultiaddrConnection
const LOCAL = from('/ip4/127.0.0.1/tcp/1')
const outbound: Partial<Connection> = { direction: 'outbound', status: 'open' }
const inbound: Partial<Connection> = { direction: 'inbound', status: 'open' }

test('with the lower ID here, a dial that crosses ours is turned away; with the higher it is let in', async () => {
  const [low, high] = await twoPeers()
  for (const [self, other, denied] of [
    [low, high, true],
    [high, low, false]
  ] as const) {
    const ours = setup(self)
    expect(ours.door.denyInboundEncryptedConnection(other)).toBe(false)
    ours.planner.begin(other.toString(), 0)
    expect(ours.door.denyInboundEncryptedConnection(other)).toBe(denied)
    const apps = setup(self)
    apps.dials.push({ peerId: other })
    expect(apps.door.denyInboundEncryptedConnection(other)).toBe(denied)
  }
})

test('one that comes while ours stands is turned away, and ours is asked whether it lives', async () => {
  const [low, high] = await twoPeers()
  const { links, door, doubts } = setup(low)
  links.push(inbound)
  expect(door.denyInboundEncryptedConnection(high)).toBe(false)
  expect(doubts).toEqual([])
  links.push(outbound)
  expect(door.denyInboundEncryptedConnection(high)).toBe(true)
  expect(doubts).toEqual([high.toString()])
})

test('a connection through a relay stands in nobody’s way', async () => {
  const [low, high] = await twoPeers()
  const { links, door } = setup(low)
  links.push({ ...outbound, limits: {} })
  expect(door.denyInboundEncryptedConnection(high)).toBe(false)
})

test('after a dial of ours failed whose rival we turned away, the rival is let in', async () => {
  const [low, high] = await twoPeers()
  const { planner, door, clock } = setup(low)
  planner.begin(high.toString(), 0)
  expect(door.denyInboundEncryptedConnection(high)).toBe(true)
  planner.failed(high.toString(), clock.now(), 'timeout')
  planner.begin(high.toString(), 0)
  expect(door.denyInboundEncryptedConnection(high)).toBe(false)
})

test('who is banned comes in by no door until the ban is over', async () => {
  const [low, high] = await twoPeers()
  const { judge, door, clock } = setup(high)
  judge.charge(low.toString(), 'provable', 'no work')
  const doors = () => [
    door.denyDialPeer(low),
    door.denyInboundEncryptedConnection(low),
    door.denyOutboundEncryptedConnection(low)
  ]
  expect(doors()).toEqual([true, true, true])
  clock.turn(24 * 3_600_000)
  expect(doors()).toEqual([false, false, false])
})

test('an address that is banned or against the rules is neither dialled nor let in', async () => {
  const [low] = await twoPeers()
  const { door, judge } = setup(low, { deny: ['9.9.9.0/24'] })
  const doors = (address: string) => [
    door.denyDialMultiaddr(multiaddr(address)),
    door.denyInboundConnection(from(address)),
    door.denyOutboundConnection(low, from(address))
  ]
  expect(doors('/ip4/9.9.9.7/tcp/1')).toEqual([true, true, true])
  expect(doors('/ip4/9.9.10.7/tcp/1')).toEqual([false, false, false])
  judge.ban('2001:db8::/32')
  expect(doors('/ip6/2001:db8:1::7/tcp/1')).toEqual([true, true, true])
})

test('while it is shut nobody comes in and nobody is dialled', async () => {
  const [low, high] = await twoPeers()
  const { door, state } = setup(low)
  state.shut = true
  expect([door.denyDialPeer(high), door.denyInboundConnection(LOCAL)]).toEqual([true, true])
  state.shut = false
  expect([door.denyDialPeer(high), door.denyInboundConnection(LOCAL)]).toEqual([false, false])
})

test('one public address does not hold all places before the door with peers that never join', async () => {
  const [low] = await twoPeers()
  const { door, links, members } = setup(low)
  const call = (address: string, id: string): void => {
    links.push({ direction: 'inbound', remoteAddr: multiaddr(address), remotePeer: { toString: () => id } as PeerId })
  }
  for (let i = 0; i < MAX_STRANGERS_PER_HOST; i++) call(`/ip4/8.8.8.7/tcp/${i + 1}`, `stranger${i}`)
  expect(door.denyInboundConnection(from('/ip4/8.8.8.7/tcp/99'))).toBe(true)
  expect(door.denyInboundConnection(from('/ip4/8.8.8.8/tcp/99'))).toBe(false)
  members.add('stranger0')
  expect(door.denyInboundConnection(from('/ip4/8.8.8.7/tcp/99'))).toBe(false)
  for (let i = 0; i < 50; i++) call('/ip4/127.0.0.1/tcp/1', `local${i}`)
  expect(door.denyInboundConnection(LOCAL)).toBe(false)
})

test('over the limit of inbound peers nobody comes in at all', async () => {
  const { planner, door } = setup((await twoPeers())[0])
  planner.opened('a', 'inbound', 0)
  planner.opened('b', 'outbound', 0)
  expect(door.denyInboundConnection(LOCAL)).toBe(false)
  planner.opened('c', 'inbound', 0)
  expect(door.denyInboundConnection(LOCAL)).toBe(true)
})

test('both ends keep the dial of the lower ID, the newest of several, and never count closed or relayed ones', async () => {
  const [low, high] = await twoPeers()
  const link = (direction: 'inbound' | 'outbound', more: object = {}) =>
    ({ direction, status: 'open', ...more }) as Connection
  const atLow = [link('outbound'), link('inbound'), link('outbound'), link('outbound', { status: 'closed' })].map((c) =>
    Object.assign(c, { remotePeer: high })
  )
  const atHigh = [link('inbound'), link('outbound'), link('inbound', { limits: {} })].map((c) =>
    Object.assign(c, { remotePeer: low })
  )
  expect(survivorOf(atLow, low)).toBe(atLow[2])
  expect(survivorOf(atHigh, high)).toBe(atHigh[0])
  expect(survivorOf([], low)).toBeUndefined()
})
