import { Chain, toHex } from 'blockwire/chain'
import { buildChain, until } from 'blockwire/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { type Host, host, join, liveAt, rules, stopAll, type TestChain } from './hosts.js'
import { Simulation, World } from './simulation.js'

afterEach(stopAll)

/** A chain of `count` blocks, of which those from `fork` up are its own. */
async function chainOn(fork: number, count: number, nonce: number): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules, maxReorg: 20 })
  await chain.open()
  const common = buildChain(rules, chain.genesis, fork)
  const own = buildChain(rules, common.at(-1)?.located ?? chain.genesis, count - fork, () => ({ nonce }))
  const { verdict } = await chain.addBlocks([...common, ...own].map(({ bytes }) => bytes))
  expect(verdict).toEqual({ result: 'accept' })
  return chain
}

const onHead =
  ({ chain }: Host, other: TestChain) =>
  () =>
    toHex(chain.head.hash) === toHex(other.head.hash)

describe('a heavier branch that forks off deeper than maxReorg', () => {
  it('is followed by itself in a first sync that began on another one', async () => {
    const [short, long] = [await chainOn(5, 60, 1), await chainOn(5, 90, 2)]
    const late = await host({ chain: await chainOn(0, 0, 0) })
    // a node that never was live
    await late.chain.addBlocks(await blocksOf(short))
    expect(late.chain.head.height).toBe(60)
    await join(late, await host({ chain: long }))
    await liveAt(late, 90)
    expect(onHead(late, long)()).toBe(true)
    expect(late.peers.charged).toEqual([])
  })

  it('is told by a node that was live, and followed once it is accepted', async () => {
    const [short, long] = [await chainOn(5, 60, 1), await chainOn(5, 90, 2)]
    const late = await host({ chain: await chainOn(0, 0, 0) })
    const first = await host({ chain: short })
    await join(late, first)
    await liveAt(late, 60)
    const reorgs: number[][] = []
    late.chain.addEventListener('reorg', ({ detail }) => reorgs.push([detail.dropped.length, detail.added.length]))
    const second = await host({ chain: long })
    await join(late, second)
    await until('stalled', () => late.sync.state === 'stalled')
    expect(late.sync.reason).toMatch(
      /^split: a heavier branch \([0-9a-f]{64}\) forks off 55 blocks back, at 5; chain\.acceptSplit/
    )
    expect(late.sync.explain().reason).toBe(late.sync.reason)
    expect(onHead(late, short)()).toBe(true)
    // nobody is charged for following another branch
    expect(late.peers.charged).toEqual([])

    // once nobody follows it there is nothing to decide
    await second.node.stop()
    await until('live again', () => late.sync.state === 'live')
    await join(late, await host({ chain: long }))
    await until('stalled again', () => late.sync.state === 'stalled')

    await late.chain.acceptSplit(late.chain.split!.hash)
    await until('the other branch', onHead(late, long))
    await liveAt(late, 90)
    expect(reorgs).toHaveLength(1)
    expect(reorgs[0]![0]).toBe(55)
    // now it is the other one that is behind
    expect(late.chain.split).toBe(undefined)
  })
})

describe('the planner', () => {
  it('is stalled only while a peer claims as much as the branch has', () => {
    const world = new World()
    const ours = world.grow(world.genesis, 30)
    const theirs = world.grow(world.genesis, 40)
    const sim = new Simulation(world)
    sim.join('ours', 'honest', ours)
    sim.until(() => sim.planner.state === 'live', 60_000)
    const split = { hash: theirs.hash, height: 40, work: theirs.work, forkHeight: 0, depth: 30 }
    Object.assign(sim.chain, { split })
    sim.until(() => false, 2_000)
    expect(sim.planner.state).toBe('live')
  })
})

async function blocksOf(chain: TestChain): Promise<Uint8Array[]> {
  const blocks: Uint8Array[] = []
  for await (const page of chain.blocks(1, chain.head.height)) blocks.push(...page)
  return blocks
}
