import type { PeerId } from '@libp2p/interface'
import { Chain, type Located } from 'blockwire/chain'
import { type Blocks, blocks } from 'blockwire/gossip'
import { describe, expect, it } from 'vitest'
import { buildBlock, type TestHeader, type TestTx, testRules } from '../../dist/src/testing/rules.js'
import { changed, type Host, type HostInit, host, line, meshed, until } from './hosts.js'

const rules = testRules()
const set = (key: string, kind: TestTx['kind'] = 'set'): TestTx => ({ key, value: 'x', salt: 0, kind })

interface BlockHost extends Host {
  chain: Chain<TestHeader, TestTx>
  blocks: Blocks
}

interface FakeSync {
  asked: { hash: Uint8Array; from: string; signal: AbortSignal }[]
  fetchBranch(hash: Uint8Array, from: PeerId, options: { signal: AbortSignal }): Promise<boolean>
}

/** A sync service that fetches what the test gives it. */
function fakeSync(fetch: (hash: Uint8Array, from: PeerId) => boolean | Promise<boolean>): FakeSync {
  const asked: FakeSync['asked'] = []
  return {
    asked,
    async fetchBranch(hash, from, { signal }) {
      asked.push({ hash, from: from.toString(), signal })
      changed()
      return fetch(hash, from)
    }
  }
}

async function blockHost(init: HostInit & { sync?: FakeSync; clock?: object } = {}): Promise<BlockHost> {
  const chain = new Chain<TestHeader, TestTx>({ rules })
  for (const event of ['head', 'target'] as const) chain.addEventListener(event, changed)
  const { sync } = init
  const made = await host({
    ...init,
    chain,
    services: {
      ...(sync == null ? {} : { sync: () => sync }),
      blocks: blocks(init.clock == null ? {} : { clock: init.clock as never }) as never
    }
  })
  return { ...made, chain, blocks: made.libp2p.services.blocks as Blocks }
}

const genesis = (): Located<TestHeader> => new Chain({ rules }).genesis

/** Blocks one after another, from genesis or another block. */
function build(count: number, parent = genesis(), salt = 0): ReturnType<typeof buildBlock>[] {
  const made: ReturnType<typeof buildBlock>[] = []
  for (let i = 0; i < count; i++) {
    const block = buildBlock(rules, parent, { txs: [{ ...set(`${i}`), salt }] })
    made.push(block)
    parent = block.located
  }
  return made
}

async function three(b: Parameters<typeof blockHost>[0] = {}): Promise<[BlockHost, BlockHost, BlockHost]> {
  const hosts = [await blockHost(), await blockHost(b), await blockHost()] as [BlockHost, BlockHost, BlockHost]
  await line(...hosts)
  await meshed('blocks', ...hosts)
  return hosts
}

const height = (hosts: BlockHost[], at: number) => (): boolean => hosts.every(({ chain }) => chain.head.height === at)

describe('a block', () => {
  it('travels a line of nodes, each adding it to its chain', async () => {
    const [a, b, c] = await three()
    for (const { bytes } of build(3)) {
      expect(await a.chain.add(bytes)).toEqual({ result: 'accept' })
      await a.blocks.publish(bytes)
    }
    await until('all at height 3', height([a, b, c], 3))
    expect(c.chain.head.hash).toEqual(a.chain.head.hash)
  })

  it('that is wrong in itself is refused, charged and not forwarded', async () => {
    const [a, b, c] = await three()
    const bad = buildBlock(rules, genesis(), { bad: true })
    const unlike = buildBlock(rules, genesis(), { txs: [set('a')], badRoot: true })
    const badTx = buildBlock(rules, genesis(), { txs: [set('a', 'bad')] })
    for (const { bytes } of [bad, unlike, badTx]) await a.blocks.publish(bytes)
    await a.blocks.publish(Uint8Array.of(1, 2, 3))
    await until('b to judge all four', () => b.judge.results.length === 4)
    expect(b.judge.results).toEqual(['reject header', 'reject root', 'reject tx', 'reject malformed'])
    const [good] = build(1)
    await a.blocks.publish(good!.bytes)
    await until('c to get the good one', height([b, c], 1))
    expect(c.judge.results).toEqual(['accept'])
  })

  it('whose state is bad is forwarded, and charged to nobody', async () => {
    const [a, b, c] = await three()
    const bad = buildBlock(rules, genesis(), { txs: [set('a', 'fail')] })
    await a.blocks.publish(bad.bytes)
    await until('c to know it', () => c.chain.has(bad.hash) === 'invalid')
    expect([b.judge.results, c.judge.results]).toEqual([['accept'], ['accept']])
    // and its descendants are refused
    const child = buildBlock(rules, bad.located)
    await a.blocks.publish(child.bytes)
    await until('b to judge the child', () => b.judge.results.length === 2)
    expect(b.judge.results[1]).toBe('reject known-invalid')
  })

  it('with a wrong body does not silence the true one', async () => {
    const [a, b, c] = await three()
    const [good] = build(1)
    const spoilt = good!.bytes.slice()
    spoilt[spoilt.length - 1]! ^= 1
    await a.blocks.publish(spoilt)
    await a.blocks.publish(good!.bytes)
    await until('c to have the true one', height([b, c], 1))
    expect(b.judge.results[0]).toMatch(/^reject/)
  })
})

describe('a block whose parent is unknown', () => {
  // The orphan trap: had b reported Ignore first, gossipsub would never show or forward the block again.
  it('is held, its parents are fetched from the sender, and then it reaches the node behind us', async () => {
    const row = build(4)
    const parents = Promise.withResolvers<boolean>()
    const sync = fakeSync(() => parents.promise)
    const [a, b, c] = await three({ sync })
    for (const { bytes } of row) await a.chain.add(bytes)
    for (const { bytes } of row.slice(0, 3)) await c.chain.add(bytes)
    await a.blocks.publish(row[3]!.bytes)
    await until('b to ask for the parent', () => sync.asked.length === 1)
    expect(sync.asked[0]).toMatchObject({ hash: row[2]!.hash, from: a.libp2p.peerId.toString() })
    expect(b.blocks.held).toEqual({ blocks: 1, bytes: row[3]!.bytes.length })
    expect([b.judge.results, c.chain.head.height]).toEqual([[], 3])

    await b.chain.addBlocks(row.slice(0, 3).map(({ bytes }) => bytes))
    parents.resolve(true)
    await until('c to get it through b', height([b, c], 4))
    expect(b.judge.results).toEqual(['accept'])
    expect(b.blocks.held).toEqual({ blocks: 0, bytes: 0 })
  })

  it('connects when its parent comes by any way, with all that wait on it, in order', async () => {
    const row = build(5)
    const [a, b, c] = await three()
    await c.chain.addBlocks(row.slice(0, 1).map(({ bytes }) => bytes))
    for (const { bytes } of [row[4]!, row[2]!, row[3]!, row[1]!]) await a.blocks.publish(bytes)
    await until('b to hold four', () => b.blocks.held.blocks === 4)
    await b.chain.add(row[0]!.bytes)
    await until('b and c at height 5', height([b, c], 5))
  })

  it('connects to a header alone', async () => {
    const row = build(3)
    const [a, b] = await three()
    await a.blocks.publish(row[2]!.bytes)
    await until('b to hold it', () => b.blocks.held.blocks === 1)
    await a.chain.addBlocks(row.slice(0, 2).map(({ bytes }) => bytes))
    const raw: Uint8Array[] = []
    for await (const page of a.chain.headers(1, 2)) raw.push(...page)
    await b.chain.addHeaders(raw)
    await until('b to accept it', () => b.judge.results.length === 1)
    expect(b.judge.results).toEqual(['accept'])
  })

  it('that became known meanwhile is forwarded all the same', async () => {
    const row = build(2)
    const [a, b, c] = await three()
    await c.chain.add(row[0]!.bytes)
    await a.blocks.publish(row[1]!.bytes)
    await until('b to hold it', () => b.blocks.held.blocks === 1)
    await b.chain.addBlocks(row.map(({ bytes }) => bytes))
    await until('c to get it through b', height([b, c], 2))
  })

  it('is asked for once per missing block and peer, and not while that is on its way', async () => {
    const row = build(6)
    const sync = fakeSync(() => false)
    const [a, b] = [await blockHost(), await blockHost({ sync })]
    await b.libp2p.dial(a.libp2p.getMultiaddrs())
    await meshed('blocks', a, b)
    for (const { bytes } of [row[3]!, row[4]!, row[5]!]) await a.blocks.publish(bytes)
    await until('b to hold three', () => b.blocks.held.blocks === 3)
    expect(sync.asked.map(({ hash }) => hash)).toEqual([row[2]!.hash])
    // 2 waits for 1, which waits for the chain
    const queue = Promise.withResolvers<void>()
    const add = b.chain.add.bind(b.chain)
    b.chain.add = async (...args) => {
      await queue.promise
      return add(...args)
    }
    await a.blocks.publish(row[0]!.bytes)
    await a.blocks.publish(row[1]!.bytes)
    await until('b to hold 2', () => b.blocks.held.blocks === 4)
    queue.resolve()
    await until('b at height 2', height([b], 2))
    expect(sync.asked).toHaveLength(1)
  })

  it('with a wrong body does not push out the true one, and is charged when that can be told', async () => {
    const [a, b, c] = await three()
    const [parent, child] = build(2)
    await c.chain.add(parent!.bytes)
    const spoilt = child!.bytes.slice()
    spoilt[spoilt.length - 1]! ^= 1
    await a.blocks.publish(spoilt)
    await a.blocks.publish(child!.bytes)
    await until('b to hold both', () => b.blocks.held.blocks === 2)
    await b.chain.add(parent!.bytes)
    await until('c to have the true one', height([b, c], 2))
    expect(b.judge.results).toEqual(['reject root', 'accept'])
    expect(c.judge.results).toEqual(['accept'])
  })

  it('is given up after 25 s, and the search with it', async () => {
    const { HandClock } = await import('blockwire/testing')
    const clock = new HandClock()
    const row = build(2)
    const sync = fakeSync(() => new Promise(() => {}))
    const [a, b] = await three({ sync, clock })
    await a.blocks.publish(row[1]!.bytes)
    await until('b to ask for the parent', () => sync.asked.length === 1)
    clock.turn(24_999)
    expect(b.blocks.held.blocks).toBe(1)
    clock.turn(1)
    await until('b to judge it', () => b.judge.results.length === 1)
    expect(b.judge.results).toEqual(['ignore unknown-parent'])
    expect([b.blocks.held.blocks, sync.asked[0]!.signal.aborted, clock.pending]).toEqual([0, true, 0])
  })

  it('is dropped when the node stops, without a trace', async () => {
    const row = build(2)
    const sync = fakeSync(() => new Promise(() => {}))
    const [a, b] = await three({ sync })
    await a.blocks.publish(row[1]!.bytes)
    await until('b to ask for the parent', () => sync.asked.length === 1)
    await b.libp2p.stop()
    expect([b.blocks.held.blocks, sync.asked[0]!.signal.aborted]).toEqual([0, true])
    expect(b.judge.results).toEqual([])
  })

  it('leaves room for others when one peer sends many', async () => {
    const flood = Array.from({ length: 30 }, (_, i) => build(2, genesis(), i + 1)[1]!)
    const [a, b, c] = await three()
    const honest = build(2)
    await c.blocks.publish(honest[1]!.bytes)
    await until('b to hold the honest one', () => b.blocks.held.blocks === 1)
    for (const { bytes } of flood) await a.blocks.publish(bytes)
    await until('b to push out what is over', () => b.judge.results.length === 22)
    expect(new Set(b.judge.results)).toEqual(new Set(['ignore full']))
    expect(b.blocks.held.blocks).toBe(9)
    await b.chain.add(honest[0]!.bytes)
    await until('b at height 2', height([b], 2))
  })
})
