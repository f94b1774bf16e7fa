import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, Libp2pEvents, Stream } from '@libp2p/interface'
import { defaultLogger } from '@libp2p/logger'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { HandClock } from 'blockwire/testing'
import { TypedEventEmitter } from 'main-event'
import { describe, expect, it } from 'vitest'
import { Repair, type RepairInit } from '../../dist/src/gossip/repair.js'
import { compareBytes } from '../../dist/src/hex.js'

const open = { status: 'open', writeStatus: 'writable', remoteWriteStatus: 'writable' }
const fake = <T>(part: object): T => part as T

/** A watcher over one peer, with gossipsub and libp2p played by the test. */
async function setup({ self = 'lower' as 'lower' | 'higher' } = {}) {
  const ids = await Promise.all([generateKeyPair('Ed25519'), generateKeyPair('Ed25519')])
  const [low, high] = ids
    .map(peerIdFromPrivateKey)
    .toSorted((a, b) => compareBytes(a.toMultihash().bytes, b.toMultihash().bytes))
  const [own, peer] = self === 'lower' ? [low!, high!] : [high!, low!]
  const id = peer.toString()
  const clock = new HandClock()
  const events = new TypedEventEmitter<Libp2pEvents>()
  const pubsub = Object.assign(new EventTarget(), {
    streamsOutbound: new Map([[id, { rawStream: { ...open } as unknown as Stream }]]),
    streamsInbound: new Map([[id, { rawStream: { ...open } as unknown as Stream }]]),
    known: true,
    getPeers: () => (pubsub.known ? [peer] : []),
    onPeerDisconnected: () => {
      pubsub.known = false
    }
  })
  const aborted: string[] = []
  const stream = (protocol: string): Stream => fake({ protocol, abort: () => aborted.push(protocol) })
  const connection = fake<Connection>({
    ...{ id: 'first', remotePeer: peer, status: 'open' },
    streams: [stream('/meshsub/1.2.0'), stream('/other/1'), stream('/meshsub/1.1.0')]
  })
  const tries: number[] = []
  const start = clock.now()
  const state = { joined: true }
  const repair = new Repair({
    ...{ clock, self: own, pubsub: fake<RepairInit['pubsub']>(pubsub), log: defaultLogger().forComponent('test') },
    connections: () => [connection],
    joined: () => state.joined,
    identify: () => ({
      identify: async () => {
        tries.push(clock.now() - start)
        throw new Error('nobody answers')
      }
    })
  })
  repair.start(events)
  const identified = (over: Connection, protocols = ['/meshsub/1.2.0']): void => {
    const detail = fake<Libp2pEvents['peer:identify']['detail']>({ peerId: peer, connection: over, protocols })
    events.safeDispatchEvent('peer:identify', { detail })
  }
  identified(connection)
  /** Lets time go by, with a heartbeat each half second. */
  const beat = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i += 500) {
      pubsub.dispatchEvent(new Event('gossipsub:heartbeat'))
      await new Promise((resolve) => setImmediate(resolve))
      clock.turn(500)
    }
  }
  return { id, peer, events, pubsub, aborted, connection, tries, state, repair, identified, beat }
}

describe('repair', () => {
  it('leaves a whole link alone', async () => {
    const { tries, beat } = await setup()
    await beat(300_000)
    expect(tries).toEqual([])
  })

  it.each([
    ['lower', 2_000],
    ['higher', 5_000]
  ] as const)('begins from scratch after a while when we have the %s ID', async (self, after) => {
    const { pubsub, aborted, tries, beat } = await setup({ self })
    // gossipsub has forgotten it before, and then got streams all the same: forgetting again does not take them out
    pubsub.known = false
    await beat(after)
    expect(tries).toEqual([])
    await beat(500)
    expect(tries).toEqual([after])
    expect(aborted).toEqual(['/meshsub/1.2.0', '/meshsub/1.1.0'])
    expect([pubsub.known, pubsub.streamsOutbound.size, pubsub.streamsInbound.size]).toEqual([false, 0, 0])
  })

  it.each<[string, (all: Awaited<ReturnType<typeof setup>>) => void]>([
    ['gossipsub does not know the peer', ({ pubsub }) => (pubsub.known = false)],
    ['our stream is dead in its books', ({ pubsub, id }) => end(pubsub.streamsOutbound.get(id), 'status', 'reset')],
    ['the peer ended its side of ours', ({ pubsub, id }) => end(pubsub.streamsOutbound.get(id), 'remoteWriteStatus')],
    ['the peer ended its own', ({ pubsub, id }) => end(pubsub.streamsInbound.get(id), 'remoteWriteStatus')],
    [
      'gossipsub ended its side of the one to us',
      ({ pubsub, id }) => end(pubsub.streamsInbound.get(id), 'writeStatus')
    ],
    ['the one to us is gone', ({ pubsub, id }) => pubsub.streamsInbound.delete(id)]
  ])('notices that %s', async (_, breaks) => {
    const all = await setup()
    await all.beat(1_000)
    breaks(all)
    await all.beat(3_000)
    expect(all.tries).toEqual([3_000])
  })

  it('does not miss a stream that the peer never opened', async () => {
    const { pubsub, id, tries, beat } = await setup()
    pubsub.streamsInbound.delete(id)
    await beat(60_000)
    expect(tries).toEqual([])
  })

  it('waits ever longer, tries six times, and again when there is another connection', async () => {
    const { pubsub, id, tries, connection, identified, beat } = await setup()
    pubsub.streamsOutbound.delete(id)
    await beat(400_000)
    expect(tries.slice(1).map((at, i) => at - tries[i]!)).toEqual([4_000, 8_000, 16_000, 32_000, 60_000])
    // a peer that identifies itself again and again gets no more
    for (let i = 0; i < 10; i++) {
      identified(connection)
      await beat(10_000)
    }
    expect(tries).toHaveLength(6)
    identified(fake<Connection>({ ...connection, id: 'second' }))
    await beat(10_000)
    expect(tries).toHaveLength(8)
  })

  it('counts anew when a repaired link has held for a minute, not before', async () => {
    const { pubsub, id, tries, beat } = await setup()
    const whole = pubsub.streamsOutbound.get(id)!
    const breakIt = async (): Promise<void> => {
      pubsub.streamsOutbound.delete(id)
      await beat(3_000)
      pubsub.streamsOutbound.set(id, whole)
      pubsub.streamsInbound.set(id, whole)
      pubsub.known = true
    }
    for (let i = 0; i < 20; i++) {
      await breakIt()
      await beat(30_000)
    }
    expect(tries.length).toBeLessThanOrEqual(6)
    await beat(90_000)
    const before = tries.length
    await breakIt()
    expect(tries).toHaveLength(before + 1)
  })

  it('does nothing for strangers, for who does not speak gossip, and once it is stopped', async () => {
    const { pubsub, id, tries, state, connection, identified, repair, beat } = await setup()
    pubsub.streamsOutbound.delete(id)
    state.joined = false
    await beat(20_000)
    expect(tries).toEqual([])
    state.joined = true
    identified(connection, ['/other/1'])
    await beat(20_000)
    expect(tries).toEqual([])
    identified(connection)
    repair.stop()
    identified(connection)
    await beat(20_000)
    expect(tries).toEqual([])
  })

  it('forgets a peer that is gone', async () => {
    const { pubsub, id, tries, peer, events, beat } = await setup()
    pubsub.streamsOutbound.delete(id)
    events.safeDispatchEvent('peer:disconnect', { detail: peer })
    await beat(20_000)
    expect(tries).toEqual([])
  })
})

function end(at: { rawStream: Stream } | undefined, field: keyof Stream, value: string = 'closed'): void {
  Object.assign(at!.rawStream, { [field]: value })
}
