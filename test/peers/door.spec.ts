import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { HandClock } from 'blockwire/testing'
import { expect, test } from 'vitest'
import { compareBytes } from '../../dist/src/hex.js'
import { AddressBook } from '../../dist/src/peers/book.js'
import { Door } from '../../dist/src/peers/door.js'
import { Ledger } from '../../dist/src/peers/faults.js'
import { Planner } from '../../dist/src/peers/planner.js'
import { survivorOf } from '../../dist/src/peers/survivor.js'

/** Two peer IDs, the lower first, by the bytes of their multihashes. */
async function twoPeers(): Promise<[PeerId, PeerId]> {
  const made = await Promise.all([1, 2].map(async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'))))
  const [low, high] = made.sort((a, b) => compareBytes(a.toMultihash().bytes, b.toMultihash().bytes))
  return [low!, high!]
}

function setup(self: PeerId) {
  const clock = new HandClock()
  const links: Partial<Connection>[] = []
  const dials: { peerId: PeerId }[] = []
  const doubts: string[] = []
  const ledger = new Ledger()
  const planner = new Planner({ book: new AddressBook(), target: 8, random: () => 0.5 })
  const door = new Door({
    clock,
    self,
    ledger,
    planner,
    limit: 2,
    connectionManager: { getConnections: () => links, getDialQueue: () => dials } as never,
    onDoubt: (peer) => doubts.push(peer.toString())
  })
  return { clock, links, dials, doubts, ledger, planner, door }
}

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
    ours.planner.dialling(other.toString())
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
  planner.dialling(high.toString())
  expect(door.denyInboundEncryptedConnection(high)).toBe(true)
  planner.failed(high.toString(), clock.now(), 'timeout')
  planner.dialling(high.toString())
  expect(door.denyInboundEncryptedConnection(high)).toBe(false)
})

test('who is banned comes in by no door until the ban is over', async () => {
  const [low, high] = await twoPeers()
  const { ledger, door, clock } = setup(high)
  ledger.charge(low.toString(), 'provable', 'no work', clock.now())
  const doors = () => [
    door.denyDialPeer(low),
    door.denyInboundEncryptedConnection(low),
    door.denyOutboundEncryptedConnection(low)
  ]
  expect(doors()).toEqual([true, true, true])
  clock.turn(24 * 3_600_000)
  expect(doors()).toEqual([false, false, false])
})

test('over the limit of inbound peers nobody comes in at all', async () => {
  const { planner, door } = setup((await twoPeers())[0])
  planner.opened('a', 'inbound', 0)
  planner.opened('b', 'outbound', 0)
  expect(door.denyInboundConnection()).toBe(false)
  planner.opened('c', 'inbound', 0)
  expect(door.denyInboundConnection()).toBe(true)
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
