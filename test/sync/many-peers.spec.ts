import { until } from 'blockwire/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../dist/src/clock.js'
import { chainOf, copyOf, type Host, host, join, liveAt, stopAll, type TestChain } from './hosts.js'

afterEach(stopAll)

/** Serves the bodies of a chain; each request waits for `asked`. */
function served(chain: TestChain, asked: () => Promise<void>, change: (block: Uint8Array) => Uint8Array = (b) => b) {
  return {
    async *blocks(from: number, to: number): AsyncIterable<Uint8Array[]> {
      await asked()
      for await (const page of chain.blocks(from, to)) yield page.map(change)
    },
    async block(hash: Uint8Array) {
      await asked()
      const block = await chain.block(hash)
      return block == null ? undefined : change(block)
    }
  }
}

const never = new Promise<never>(() => {})

describe('four serving peers', () => {
  it('of which one is silent, one slow and one lying: the sync comes to its end, and only the liar is charged', async () => {
    const chain = await chainOf(1_200)
    const asked = new Set<string>()
    const spoil = (block: Uint8Array): Uint8Array => Uint8Array.from([...block, 1, 7])
    const serve = async (name: string, wait?: () => Promise<void>, change?: typeof spoil): Promise<Host> => {
      const own = await copyOf(chain)
      const note = async (): Promise<void> => {
        asked.add(name)
        await wait?.()
      }
      return host({ chain: own, disguise: served(own, note, change) })
    }
    const servers = [
      await serve('silent', () => never),
      await serve('slow', () => new Promise((resolve) => systemClock.after(300, resolve))),
      await serve('liar', undefined, spoil),
      await serve('honest')
    ]
    const together = Promise.withResolvers<void>()
    const late = await host({ gate: together.promise })
    for (const server of servers) await join(late, server)
    together.resolve()
    await liveAt(late, 1_200)
    expect(late.chain.head.hash).toEqual(chain.head.hash)
    // or it would say nothing
    expect([...asked].sort()).toEqual(['honest', 'liar', 'silent', 'slow'])
    expect(late.peers.charged).toEqual([servers[2]!.id])
  })
})

describe('a serving peer that is killed', () => {
  const BLOCKS = 300

  /** Syncs from three; the one that is asked for the `at`-th batch is killed. Answers whether there were so many. */
  async function killAt(at: number, chain: TestChain): Promise<boolean> {
    let batches = 0
    let killed: Host | undefined
    const servers: Host[] = []
    const together = Promise.withResolvers<void>()
    for (let i = 0; i < 3; i++) {
      const own = await copyOf(chain)
      const asked = async (): Promise<void> => {
        if (killed === servers[i]) await never
        if (++batches !== at) return
        killed = servers[i]!
        // no goodbye, no end of streams
        for (const connection of killed.node.getConnections()) connection.abort(new Error('killed'))
        await killed.node.stop()
        await never
      }
      servers.push(await host({ chain: own, disguise: served(own, asked) }))
    }
    const late = await host({ gate: together.promise })
    for (const server of servers) await join(late, server)
    together.resolve()
    try {
      await liveAt(late, BLOCKS)
    } catch (err) {
      throw new Error(`killed at batch ${at}: ${(err as Error).message}`)
    }
    expect(late.peers.charged).toEqual([])
    if (killed != null) await until('the dead one is gone', () => late.sync.progress.peers === 2)
    await stopAll()
    return killed != null
  }

  it('at each batch in turn: the sync is completed from the others', async () => {
    const chain = await chainOf(BLOCKS)
    let at = 1
    while (await killAt(at, chain)) at++
    expect(at).toBeGreaterThan(4)
  }, 120_000)
})
