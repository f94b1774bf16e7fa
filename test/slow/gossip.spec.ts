import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Chain } from 'blockwire/chain'
import { type Blocks, blocks } from 'blockwire/gossip'
import { HandClock } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { buildBlock, testRules } from '../../dist/src/testing/rules.js'
import { changed, type Host, host, line, meshed, until } from '../gossip/hosts.js'

const MIB = 1_048_576

/** Numbers of the messages that arrive whole, in the order in which they come. */
function arrivals(made: Host, name: string, maxBytes: number, priority = 0) {
  const topic = made.gossip.topic(name, { maxBytes, priority })
  const got: number[] = []
  topic.addEventListener('message', ({ detail: { data } }) => {
    const i = new DataView(data.buffer, data.byteOffset).getUint32(0)
    if (data.byteLength === maxBytes && data.subarray(4).every((byte) => byte === i % 251)) got.push(i)
    changed()
  })
  return { topic, got }
}

function numbered(i: number, size: number): Uint8Array {
  const data = new Uint8Array(size).fill(i % 251)
  new DataView(data.buffer).setUint32(0, i)
  return data
}

describe('a burst', () => {
  it('of 1,000 messages of 64 KiB arrives whole at two neighbours within 60 s', async () => {
    const hosts = [await host({ transport: 'tcp' }), await host({ transport: 'tcp' }), await host({ transport: 'tcp' })]
    const [a, b, c] = hosts.map((each) => ({ ...each, ...arrivals(each, 'burst', 65_536) }))
    await line(b!, a!)
    await line(c!, a!)
    await meshed('burst', b!, a!)
    await meshed('burst', c!, a!)
    const since = performance.now()
    const sent = await Promise.all(Array.from({ length: 1_000 }, (_, i) => a!.topic.publish(numbered(i, 65_536))))
    await until('1,000 at both', () => [b, c].every((each) => each!.got.length === 1_000), 60_000)
    console.log(`gossip burst: 2 × 1,000 × 64 KiB in ${Math.round(performance.now() - since)} ms`)
    expect(sent.every(({ recipients }) => recipients === 2)).toBe(true)
    for (const { got } of [b!, c!]) expect(new Set(got).size).toBe(1_000)
    expect(a!.libp2p.getConnections()).toHaveLength(2)
  }, 120_000)
})

describe('a late third node', () => {
  it('that wants three blocks of 16 MiB gets them, and its link holds', async () => {
    // of higher priority, as blocks are: of all else 32 MiB are remembered
    const narrow = { D: 1, Dlo: 1, Dhi: 1, Dout: 0, mcacheGossip: 60, mcacheLength: 60 }
    const big = { maxMessageBytes: 16 * MIB }
    const [a, b] = [
      await host({ transport: 'tcp', gossip: { ...big, gossipsub: narrow } }),
      await host({ transport: 'tcp', gossip: big })
    ].map((each) => ({ ...each, ...arrivals(each, 'large', 16 * MIB, 1) }))
    await line(a!, b!)
    await meshed('large', a!, b!)
    for (let i = 0; i < 3; i++) await a!.topic.publish(numbered(i, 16 * MIB))
    await until('b to have three', () => b!.got.length === 3)
    const third = await host({ transport: 'tcp', gossip: big })
    const c = { ...third, ...arrivals(third, 'large', 16 * MIB, 1) }
    const since = performance.now()
    await c.libp2p.dial(a!.libp2p.getMultiaddrs())
    const connection = c.libp2p.getConnections()[0]!
    await until('c to have three', () => c.got.length === 3, 60_000)
    console.log(`late third node: 3 × 16 MiB in ${Math.round(performance.now() - since)} ms`)
    const streams = connection.streams.filter(({ protocol }) => protocol.startsWith('/meshsub/'))
    expect([connection.status, streams.length]).toEqual(['open', 2])
    // and it still hears what comes after
    await a!.topic.publish(numbered(3, 16 * MIB))
    await until('c to have the fourth', () => c.got.length === 4)
  }, 120_000)
})

describe('a flood of 100,000 blocks without parents from one peer', () => {
  it('takes up eight places, and pushes out nothing of an honest peer', async () => {
    setFlagsFromString('--expose_gc')
    const collect = runInNewContext('gc') as () => void
    const rules = testRules()
    const chain = new Chain({ rules })
    const asked = { now: 0, most: 0, all: 0 }
    const sync = {
      fetchBranch: (_: Uint8Array, __: unknown, { signal }: { signal: AbortSignal }) =>
        new Promise<boolean>((resolve) => {
          asked.all++
          asked.most = Math.max(asked.most, ++asked.now)
          signal.addEventListener('abort', () => {
            asked.now--
            resolve(false)
          })
        })
    }
    chain.addEventListener('head', changed)
    // time stands still: nothing is let go for having been held 25 s
    const clock = new HandClock()
    const b = await host({
      chain,
      gossip: { clock },
      services: { sync: () => sync, blocks: blocks({ clock }) as never }
    })
    const others = { chain: { id: chain.id, limits: chain.limits } }
    const [honest, bad] = [await host(others), await host(others)]
    const [say, flood] = [honest, bad].map(({ gossip }) => gossip.topic('blocks', { maxBytes: MIB }))
    await line(b, honest)
    await line(b, bad)
    await meshed('blocks', b, honest)
    await meshed('blocks', b, bad)
    const holds = (): Blocks['held'] => (b.libp2p.services.blocks as Blocks).held

    const parent = buildBlock(rules, chain.genesis)
    const child = buildBlock(rules, parent.located)
    await say!.publish(child.bytes)
    await until("b to hold the honest peer's block", () => holds().blocks === 1)

    // handed to the stream as they are: what the flooder's gossipsub remembers is not to be measured here
    const sender = bad.gossip.pubsub as unknown as { sendRpc(peer: string, rpc: object): boolean }
    const template = buildBlock(rules, chain.genesis).located
    collect()
    const before = process.memoryUsage().heapUsed
    let most = 0
    const total = 100_000
    let judged = 0
    for (let i = 0; i < total; i += 100) {
      const messages: object[] = []
      for (let j = i; j < i + 100; j++) {
        const hash = new Uint8Array(32)
        new DataView(hash.buffer).setUint32(0, j + 1)
        messages.push({ topic: flood!.name, data: buildBlock(rules, { ...template, hash }).bytes })
      }
      expect(sender.sendRpc(b.libp2p.peerId.toString(), { subscriptions: [], messages })).toBe(true)
      await until(`b to have judged ${i + 100}`, () => judged + b.judge.verdicts.length >= i + 100 - 8)
      most = Math.max(most, holds().blocks)
      judged += b.judge.verdicts.splice(0).length
    }
    collect()
    const grown = (process.memoryUsage().heapUsed - before) / MIB
    console.log(`orphan flood: heap grew by ${grown.toFixed(0)} MiB, at most ${asked.most} searches`)
    // what gossipsub remembers of seen messages for two minutes, on both sides, is most of it
    expect(grown).toBeLessThan(200)
    expect(most).toBe(9)
    expect(asked.most).toBeLessThanOrEqual(10)

    await chain.add(parent.bytes)
    await until('b to connect the honest block', () => chain.head.height === 2)
    expect(chain.head.hash).toEqual(child.hash)
  }, 240_000)
})
