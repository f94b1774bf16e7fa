import { fileURLToPath } from 'node:url'
import { createNode } from 'blockwire'
import { Chain } from 'blockwire/chain'
import { type Blocks, blocks } from 'blockwire/gossip'
import { type Pool, pool } from 'blockwire/pool'
import { afterEach, describe, expect, it } from 'vitest'
import { buildBlock, type TestHeader, type TestTx, testRules } from '../../dist/src/testing/rules.js'
import { changed, type Host, host, line, meshed, until } from '../gossip/hosts.js'
import { Program } from '../helpers/process.js'

const PROGRAM = fileURLToPath(new URL('../helpers/flood-program.mjs', import.meta.url))
const BLOCKS = 15
/** What a flood may add to the way of a block, as the issue has it. */
const MAX_DELAY_MS = 100
const rules = testRules({ genesisTime: Date.now() - 3_600_000 })

interface Node extends Host {
  chain: Chain<TestHeader, TestTx>
  blocks: Blocks
  pool: Pool<TestTx>
}

async function node(): Promise<Node> {
  const chain = new Chain<TestHeader, TestTx>({ rules })
  chain.addEventListener('head', changed)
  const made = await host({
    transport: 'tcp',
    chain,
    services: { blocks: blocks() as never, pool: pool<TestTx>() as never }
  })
  const services = made.libp2p.services as unknown as { blocks: Blocks; pool: Pool<TestTx> }
  services.pool.addEventListener('add', changed)
  return { ...made, chain, ...services }
}

/** How long blocks take from one end of the line to the other, in ms, ascending. */
async function ways(from: Node, to: Node): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < BLOCKS; i++) {
    const block = buildBlock(rules, from.chain.head, {
      txs: [{ kind: 'set', key: 'block', value: 'x'.repeat(50_000), salt: i }]
    })
    await from.chain.add(block.bytes)
    const since = performance.now()
    // whole: these nodes have no sync to ask for what they lack
    await from.blocks.publish(block.bytes, { prefilled: 1 })
    await until(`block ${i} at the other end`, () => to.chain.head.height === from.chain.head.height, 60_000)
    times.push(performance.now() - since)
  }
  return times.sort((a, b) => a - b)
}

const middle = (times: number[]): number => times[times.length >> 1]!

afterEach(() => Program.killAll())

describe('50,000 transactions a second from one peer', () => {
  it.each(['repeated', 'known', 'inadmissible', 'invalid'] as const)(
    'that are %s delay no block, and fill no memory',
    async (kind) => {
      const [a, b, c] = [await node(), await node(), await node()]
      await line(a, b, c)
      await meshed('txs', a, b, c)
      await meshed('blocks', a, b, c)
      const known = Array.from(
        { length: 1_000 },
        (_, i): TestTx => ({ kind: 'set', key: `known ${i}`, value: 'x'.repeat(160), salt: 0 })
      )
      await a.pool.add(known)
      await until('all to have what is known', () => b.pool.size === 1_000 && c.pool.size === 1_000)
      const quiet = await ways(a, c)
      const before = process.memoryUsage()

      const topic = `/blockwire/${b.chain.id}/txs/1`
      const flooder = new Program(PROGRAM, [
        JSON.stringify({ address: String(b.libp2p.getMultiaddrs()[0]), topic, kind })
      ])
      await flooder.event('flooding')
      const judged = b.judge.verdicts.length
      if (kind !== 'repeated') await until('the flood to come', () => b.judge.verdicts.length > judged + 20, 60_000)
      const flooded = await ways(a, c)
      const after = process.memoryUsage()
      console.log(
        `${kind}: a block takes ${middle(quiet).toFixed(0)} ms, ${middle(flooded).toFixed(0)} ms in the flood (at most ${flooded.at(-1)!.toFixed(0)})`
      )

      // on a slow machine all is slow: what a block takes without the flood is the measure of that
      expect(middle(flooded) - middle(quiet)).toBeLessThan(Math.max(MAX_DELAY_MS, 4 * middle(quiet)))
      expect(after.rss - before.rss).toBeLessThan(256 * 1_048_576)
      const of = (result: string): number => b.judge.results.filter((each) => each === result).length
      // refused for what could be known: the peers service bans for the first one
      if (kind === 'invalid') expect(of('reject tx')).toBeGreaterThan(0)
      else expect(b.judge.results.filter((each) => each.startsWith('reject'))).toEqual([])
      if (kind === 'known') expect(of('ignore known')).toBeGreaterThan(0)
      if (kind === 'inadmissible') expect(of('ignore state')).toBeGreaterThan(0)
      // what is not taken does not travel on
      expect(c.judge.results.filter((each) => each !== 'accept')).toEqual([])
      expect(b.pool.size).toBe(1_000)
    },
    240_000
  )

  it('of which one is invalid are the end of it: its sender is banned', async () => {
    await using victim = await createNode({ rules })
    const topic = `/blockwire/${victim.chain.id}/txs/1`
    const flooder = new Program(PROGRAM, [JSON.stringify({ address: victim.multiaddrs[0], topic, kind: 'invalid' })])
    await flooder.event('flooding')
    await flooder.event('parted', () => true, 60_000)
    expect(victim.peers.bans()).toEqual([
      expect.objectContaining({ kind: 'peer', reason: expect.stringContaining('tx') })
    ])
  }, 120_000)
})
