import { until } from 'blockwire/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { chainOf, copyOf, extend, type Host, host, join, liveAt, stopAll, type TestChain } from './hosts.js'

afterEach(stopAll)

// no gossip here, and nobody is dialled but by the test

describe('a star', () => {
  it('brings to all rays what one of them has: the hub tells its head to everyone after each sync', async () => {
    const hub = await host()
    const rays: Host[] = []
    for (let i = 0; i < 4; i++) rays.push(await host())
    for (const ray of rays) await join(ray, hub)
    // a gap that is synced, and then single blocks
    for (const [count, height] of [
      [300, 300],
      [1, 301],
      [40, 341]
    ] as const) {
      await extend(rays[height % 4]!.chain, count)
      for (const each of [hub, ...rays]) await liveAt(each, height)
    }
    for (const each of [hub, ...rays]) expect(each.peers.charged).toEqual([])
  })

  it('has the head for one who joins after the last block', async () => {
    const hub = await host()
    const source = await host({ blocks: 120 })
    await join(hub, source)
    await liveAt(hub, 120)
    await source.node.stop()
    await until('the hub alone', () => hub.node.services.status.peers.size === 0)
    const late = await host()
    await join(late, hub)
    await liveAt(late, 120, 5_000)
  })

  it('turns to the better branch that a ray comes with, and with it all the others', async () => {
    const chain = await chainOf(20)
    const hub = await host({ chain })
    const rays = [await host({ chain: await copyOf(chain) }), await host({ chain: await copyOf(chain) })]
    for (const ray of rays) await join(ray, hub)
    const other = await copyOf(chain)
    await extend(chain, 5)
    for (const ray of rays) await liveAt(ray, 25)
    await extend(other, 9, () => ({ nonce: 4 }))
    const newcomer = await host({ chain: other })
    await join(newcomer, hub)
    for (const each of [hub, ...rays]) await liveAt(each, 29)
    expect(rays[1]!.chain.head.hash).toEqual(other.head.hash)
  })
})

describe('levels, not edges', () => {
  it('a sync that hears no event at all comes to the head, and follows', async () => {
    const server = await host({ blocks: 300 })
    const late = await host({ deaf: true })
    await join(late, server)
    await liveAt(late, 300)
    await extend(server.chain, 40)
    await liveAt(late, 340)
    await server.node.stop()
    await until('nobody', () => late.sync.state === 'no-peers')
  })

  it('a network of two is live at both ends, whoever was first', async () => {
    const [a, b] = [await host({ blocks: 3 }), await host()]
    await join(b, a)
    await liveAt(b, 3)
    await liveAt(a, 3)
    await extend(b.chain, 2)
    await liveAt(a, 5)
    await liveAt(b, 5)
  })

  it('takes up where a node stopped that comes again: nothing is served twice but what was on its way', async () => {
    const BLOCKS = 1_500
    const chain = await chainOf(BLOCKS)
    const heights: number[] = []
    const counting = {
      async *blocks(from: number, to: number) {
        for await (const page of chain.blocks(from, to)) {
          for (let i = 0; i < page.length; i++) heights.push(from + i)
          from += page.length
          yield page
        }
      },
      // fewer than eight in a row are asked for by hash
      async block(hash: Uint8Array) {
        const block = await chain.block(hash)
        if (block != null) heights.push(chain.locate(hash)!.height)
        return block
      }
    }
    const server = await host({ chain, disguise: counting })
    // the chain outlives the node, as a directory does
    const store = await chainOf(0)
    const keep = { beforeStart: undefined, start: undefined, stop: undefined, afterStop: undefined, close: undefined }
    const second = Promise.withResolvers<void>()
    let imports = 0
    const first = await host({
      chain: store,
      disguise: {
        ...keep,
        async addBlocks(...args: Parameters<TestChain['addBlocks']>) {
          if (++imports === 1) return store.addBlocks(...args)
          second.resolve()
          return new Promise(() => {})
        }
      }
    })
    await join(first, server)
    await second.promise
    await first.node.stop()
    const stoppedAt = store.head.height
    expect(stoppedAt).toBeGreaterThan(0)
    expect(stoppedAt).toBeLessThan(BLOCKS)
    const before = heights.splice(0)
    const again = await host({ chain: store, disguise: keep })
    await join(again, server)
    await liveAt(again, BLOCKS)
    expect(Math.min(...heights)).toBe(stoppedAt + 1)
    expect(new Set(heights).size).toBe(heights.length)
    expect(heights.length).toBe(BLOCKS - stoppedAt)
    // neither by the first one
    expect(new Set(before).size).toBe(before.length)
  })
})
