import { type Identify, identify } from '@libp2p/identify'
import type { Stream } from '@libp2p/interface'
import { messageId, type Topic } from 'blockwire/gossip'
import type { Uint8ArrayList } from 'uint8arraylist'
import { describe, expect, it } from 'vitest'
import { bytes, changed, type Host, type HostInit, host, line, meshed, text, until } from './hosts.js'

const MIB = 1_048_576

interface Member extends Host {
  topic: Topic
  got: string[]
}

/** What these tests reach into. */
interface Inner {
  streamsOutbound: Map<string, { rawStream: Stream; pushPrefixed(rpc: Uint8ArrayList): void }>
  streamsInbound: Map<string, { rawStream: Stream }>
  gossip: Map<string, { topicID: string; messageIDs: Uint8Array[] }[]>
  sendRpc(peer: string, rpc: object): boolean
  iwantCounts: Map<string, number>
}

const inner = ({ gossip }: Host): Inner => gossip.pubsub as unknown as Inner
const idOf = ({ libp2p }: Host): string => libp2p.peerId.toString()

/** A host on a topic `name` whose heart beats five times a second. */
async function member(init: HostInit & { maxBytes?: number } = {}, name = 'news'): Promise<Member> {
  const gossipsub = { heartbeatInterval: 200, ...init.gossip?.gossipsub }
  const made = await host({ transport: 'tcp', ...init, gossip: { ...init.gossip, gossipsub } })
  const topic = made.gossip.topic(name, { maxBytes: init.maxBytes ?? 65_536 })
  const got: string[] = []
  topic.addEventListener('message', ({ detail }) => {
    got.push(text(detail.data.subarray(0, 40)).replace(/\0.*/s, ''))
    changed()
  })
  return { ...made, topic, got }
}

async function pair(...inits: Parameters<typeof member>[0][]): Promise<[Member, Member]> {
  const [a, b] = [await member(inits[0]), await member(inits[1])]
  await line(a, b)
  await meshed('news', a, b)
  return [a, b]
}

/** libp2p's identify, which does not help when a link is to be repaired: libp2p itself gives no signal. */
function lameIdentify(components: never): Identify {
  const real = identify()(components)
  const own = real.identify.bind(real)
  real.identify = (connection, options) =>
    options?.signal == null ? own(connection, options) : Promise.reject(new Error('a test lets it fail'))
  return real
}

let said = 0

/** Says something until it is heard: what is said while a link is down may be lost. */
async function speaks(a: Member, b: Member): Promise<void> {
  const count = b.got.length
  const timer = setInterval(() => void a.topic.publish(bytes(`message ${said++}`)), 200)
  try {
    await until(`a message from ${idOf(a)} to ${idOf(b)}`, () => b.got.length > count)
  } finally {
    clearInterval(timer)
  }
}

/** The largest RPC that `a` writes to `b` from now on. */
function largest(a: Host, b: Host): { readonly bytes: number } {
  const seen = { bytes: 0 }
  const out = inner(a).streamsOutbound.get(idOf(b))!
  const push = out.pushPrefixed.bind(out)
  out.pushPrefixed = (rpc) => {
    seen.bytes = Math.max(seen.bytes, rpc.byteLength)
    push(rpc)
  }
  return seen
}

describe('a gossip link', () => {
  it.each([
    ['our stream, by us', 'streamsOutbound', 0],
    ['our stream, by the other end', 'streamsInbound', 1]
  ] as const)('is repaired when %s is reset, and carries messages both ways', async (_, streams, end) => {
    const both = await pair()
    const [a, b] = both
    const at = both[end]!
    const other = at === a ? b : a
    inner(at)[streams].get(idOf(other))!.rawStream.abort(new Error('a test resets it'))
    await until('a to have no stream to b', () => inner(a).streamsOutbound.get(idOf(b))?.rawStream.status !== 'open')
    await Promise.all([speaks(a, b), speaks(b, a)])
    await meshed('news', a, b)
    expect(a.libp2p.getConnections()).toHaveLength(1)
  })

  it('is repaired by either end alone', async () => {
    for (const lame of [0, 1]) {
      const inits: HostInit[] = [{}, {}]
      inits[lame] = { services: { identify: lameIdentify as never } }
      const [a, b] = await pair(...inits)
      inner(a).streamsOutbound.get(idOf(b))!.rawStream.abort(new Error('a test resets it'))
      inner(a).streamsInbound.get(idOf(b))!.rawStream.abort(new Error('a test resets it'))
      await Promise.all([speaks(a, b), speaks(b, a)])
    }
  })

  it('is repaired when the other end dropped it for an RPC over its limit', async () => {
    const small = { gossip: { maxMessageBytes: 65_536 } }
    const [a, b] = await pair({ maxBytes: MIB }, small)
    await a.topic.publish(new Uint8Array(600_000))
    await until('b to drop a', () => !b.gossip.pubsub.getPeers().some((peer) => peer.toString() === idOf(a)))
    await Promise.all([speaks(a, b), speaks(b, a)])
    expect(a.libp2p.getConnections()).toHaveLength(1)
  })

  it('is repaired when gossipsub keeps a dead stream in its books', async () => {
    const [a, b] = await pair()
    const dead = inner(a).streamsOutbound.get(idOf(b))!
    dead.rawStream.abort(new Error('a test resets it'))
    inner(a).streamsOutbound.set(idOf(b), dead)
    await Promise.all([speaks(a, b), speaks(b, a)])
  })
})

describe('what a peer asks for by ID', () => {
  it('comes whole to a late third node that wants five of the largest size, and its link holds', async () => {
    // a has room for b alone in its mesh: c hears of messages through IHAVE
    const narrow = { D: 1, Dlo: 1, Dhi: 1, Dout: 0, mcacheGossip: 25, mcacheLength: 200 }
    const [a, b] = await pair({ maxBytes: MIB, gossip: { gossipsub: narrow } }, { maxBytes: MIB })
    for (let i = 0; i < 5; i++) {
      const data = new Uint8Array(MIB)
      data.set(bytes(`large ${i}`))
      await a.topic.publish(data)
    }
    await until('b to have five', () => b.got.length === 5)
    const c = await member({ maxBytes: MIB })
    await c.libp2p.dial(a.libp2p.getMultiaddrs())
    await until('a to have a stream to c', () => inner(a).streamsOutbound.has(idOf(c)))
    const sent = largest(a, c)
    await until('c to have five', () => c.got.length === 5)
    expect(c.got.toSorted()).toEqual(['large 0', 'large 1', 'large 2', 'large 3', 'large 4'])
    expect(sent.bytes).toBeGreaterThan(MIB)
    expect(sent.bytes).toBeLessThan(MIB + 65_536)
    expect(inner(a).streamsOutbound.get(idOf(c))?.rawStream.status).toBe('open')
    await speaks(a, c)
    await speaks(c, a)
  })

  it('waits while its own stream is full, blocks first, and is dropped when the peer does not read', async () => {
    const { HandClock } = await import('blockwire/testing')
    const clock = new HandClock()
    const [a, b] = await pair({ gossip: { clock } })
    const blocks = a.gossip.topic('blocks', { maxBytes: 65_536, priority: 10 })
    const ids: Uint8Array[] = []
    // published into the void, so that b lacks them
    b.topic.close()
    await until('a to see b leave', () => a.topic.peers.length === 0)
    for (let i = 0; i < 60; i++) {
      const topic = i % 2 === 0 ? a.topic : blocks
      const data = new Uint8Array(65_536).fill(i)
      await topic.publish(data)
      ids.push(messageId(topic.name, data))
    }
    const out = inner(a).streamsOutbound.get(idOf(b))!
    const topics: string[] = []
    let held = 0
    out.pushPrefixed = (rpc) => {
      const name = Buffer.from(rpc.subarray(Math.max(0, rpc.byteLength - 80))).toString('latin1')
      if (rpc.byteLength < 60_000) return
      topics.push(name.includes('/blocks/1') ? 'blocks' : 'news')
      held += rpc.byteLength
    }
    Object.defineProperty(out.rawStream, 'writeBufferLength', { get: () => held })
    expect(inner(b).sendRpc(idOf(a), iwant(ids))).toBe(true)
    await until('a to fill the stream', () => topics.length === 15)
    expect(new Set(topics)).toEqual(new Set(['blocks']))
    held = 0
    clock.turn(50)
    expect(topics.slice(15)).toEqual([...Array<string>(15).fill('blocks')])
    held = 0
    clock.turn(50)
    expect(topics.slice(30)).toEqual([...Array<string>(15).fill('news')])
    clock.turn(10_050)
    held = 0
    clock.turn(50)
    expect(topics).toHaveLength(45)
  })
})

function iwant(messageIDs: Uint8Array[]): object {
  const control = { ihave: [], iwant: [{ messageIDs }], graft: [], prune: [], idontwant: [] }
  return { subscriptions: [], messages: [], control }
}

describe('what a peer is sent', () => {
  it('is never over its limit: what is told of other messages does not ride on one', async () => {
    const largest64 = { gossip: { maxMessageBytes: 65_536 } }
    const [a, b] = await pair(largest64, largest64)
    const sent = largest(a, b)
    const messageIDs = Array.from({ length: 5_000 }, (_, i) => new Uint8Array(20).fill(i))
    // 5,000 messages each on four topics: 440 KB, the limit is 256 KiB
    inner(a).gossip.set(
      idOf(b),
      ['one', 'two', 'three', 'four'].map((topicID) => ({ topicID, messageIDs }))
    )
    const data = new Uint8Array(65_536)
    data.set(bytes('largest'))
    await a.topic.publish(data)
    await until('b to get it', () => b.got.length === 1)
    expect(sent.bytes).toBeGreaterThan(65_536)
    expect(sent.bytes).toBeLessThan(3 * 65_536 + 65_536)
  })

  it('may be one message over 4 MiB, which gossipsub itself refuses to send', async () => {
    const large = { maxBytes: 5 * MIB, gossip: { maxMessageBytes: 5 * MIB } }
    const [a, b] = await pair(large, large)
    const data = new Uint8Array(5 * MIB)
    data.set(bytes('five MiB'))
    expect(await a.topic.publish(data)).toEqual({ recipients: 1 })
    await until('b to get it', () => b.got.length === 1)
  })

  it('holds nothing but topic and data, whatever the sender put beside them', async () => {
    const [a, b, c] = [await member(), await member(), await member()]
    await line(a, b, c)
    await meshed('news', a, b, c)
    const sent = largest(b, c)
    const message = { topic: a.topic.name, data: bytes('with a stowaway'), from: new Uint8Array(2 * MIB) }
    inner(a).sendRpc = Object.getPrototypeOf(a.gossip.pubsub).sendRpc
    expect(inner(a).sendRpc(idOf(b), { subscriptions: [], messages: [message] })).toBe(true)
    await until('c to get it', () => c.got.length === 1)
    expect(sent.bytes).toBeGreaterThan(30)
    expect(sent.bytes).toBeLessThan(1_000)
  })

  it('never overfills its stream, whoever publishes', async () => {
    const [a, b] = await pair()
    const { rawStream } = inner(a).streamsOutbound.get(idOf(b))!
    const all: Promise<{ recipients: unknown[] }>[] = []
    for (let i = 0; i < 600; i++) {
      const data = new Uint8Array(65_536)
      data.set(bytes(`raw ${i}`))
      all.push(a.gossip.pubsub.publish(a.topic.name, data))
    }
    const sent = (await Promise.all(all)).filter(({ recipients }) => recipients.length === 1).length
    expect(sent).toBeLessThan(600)
    await until('b to get what was sent', () => b.got.length === sent)
    expect(rawStream.status).toBe('open')
  })
})

describe('a flood of transactions', () => {
  it('does not hold up a block', async () => {
    const [a, b] = await pair()
    const blocks = [a, b].map(({ gossip }) => gossip.topic('blocks', { maxBytes: 65_536, priority: 10 }))
    await meshed('blocks', a, b)
    let before = -1
    blocks[1]!.addEventListener('message', () => {
      before = b.got.length
    })
    const flood = Array.from({ length: 500 }, (_, i) => {
      const data = new Uint8Array(65_536)
      data.set(bytes(`tx ${i}`))
      return a.topic.publish(data)
    })
    await blocks[0]!.publish(bytes('block'))
    await Promise.all(flood)
    await until('all to come', () => b.got.length === 500 && before >= 0)
    // what its stream held already
    expect(before).toBeLessThan(40)
  })
})

describe('a peer that never reads', () => {
  it('is cut after 2 s, and delays others neither before nor after that by more', async () => {
    const [a, b, bad] = [await member(), await member(), await member()]
    await line(b, a)
    await line(bad, a)
    await meshed('news', b, a)
    await meshed('news', bad, a)
    const stall = (): void => {
      for (const { rawStream } of inner(bad).streamsInbound.values()) {
        // its own gossipsub must not read it, and a full read buffer must not reset it
        rawStream.maxReadBufferLength = 1 << 30
        rawStream.pause()
      }
    }
    stall()
    const publish = async (from: number, count: number): Promise<number> => {
      const since = performance.now()
      const sending = Array.from({ length: count }, (_, i) => {
        const data = new Uint8Array(65_536)
        data.set(bytes(`news ${from + i}`))
        return a.topic.publish(data)
      })
      await Promise.all(sending)
      await until(`b to have ${from + count}`, () => b.got.length === from + count)
      return performance.now() - since
    }
    const first = await publish(0, 100)
    expect(first).toBeGreaterThan(1_900)
    await until('a to cut the peer', () => a.judge.faults.length === 1)
    expect(a.judge.faults[0]).toMatch(new RegExp(`^${idOf(bad)} gossip link holds \\d+ bytes`))
    await until('the connection to be gone', () => a.libp2p.getConnections(bad.libp2p.peerId).length === 0)

    // it comes again
    await bad.libp2p.dial(a.libp2p.getMultiaddrs())
    await until(
      'bad to be in gossip again',
      () => a.topic.peers.includes(idOf(bad)) && inner(bad).streamsInbound.size === 1
    )
    stall()
    expect(await publish(100, 100)).toBeLessThan(1_900)
  })
})
