import type { Node } from 'blockwire'
import { createNetwork, type Network, type TestHeader, type TestTx, testRules, until } from 'blockwire/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { toHex } from '../../dist/src/hex.js'
import { buildBlock } from '../../dist/src/testing/rules.js'

const rules = testRules({ network: 'compact', genesisTime: Date.now() - 60_000 })
const txs = Array.from(
  { length: 100 },
  (_, n): TestTx => ({ kind: 'set', key: `${n}`, value: 'x'.repeat(90), salt: n })
)

describe('a block in a line of nodes', () => {
  let network: Network<TestHeader, TestTx>
  let nodes: [Node<TestHeader, TestTx>, Node<TestHeader, TestTx>, Node<TestHeader, TestTx>]
  /** First bytes of what came over the topic `blocks` at the last node, and how long it was. */
  let came: { form: number; length: number }[]

  beforeEach(async () => {
    network = await createNetwork({ rules, nodes: 3, shape: 'none', node: () => ({ peers: { target: 0 } }) })
    nodes = network.nodes as typeof nodes
    const [a, b, c] = nodes
    await a.libp2p.dial(b.libp2p.getMultiaddrs())
    await b.libp2p.dial(c.libp2p.getMultiaddrs())
    const meshed = ({ gossip }: Node<TestHeader, TestTx>, count: number): boolean =>
      gossip.links().filter(({ mesh }) => mesh.length === 2).length >= count
    await until('the line', () => meshed(a, 1) && meshed(b, 2) && meshed(c, 1) && c.sync.state === 'live')
    // what comes by sync does not count here
    const none = { verdict: { result: 'ignore', reason: 'error' }, added: 0 }
    for (const { chain } of [b, c]) Object.assign(chain, { addBlocks: async () => none })
    came = []
    c.gossip.pubsub.addEventListener('gossipsub:message', ({ detail: { msg } }) => {
      if (msg.topic.includes('/blocks/')) came.push({ form: msg.data[0]!, length: msg.data.length })
    })
  })
  afterEach(() => network.stop())

  it('whose transactions nobody has is fetched from who sent it, before that one has applied it', async () => {
    const [a, b, c] = nodes
    const applied = Promise.withResolvers<void>()
    const add = b.chain.add.bind(b.chain)
    b.chain.add = async (...args) => {
      await applied.promise
      return add(...args)
    }
    const block = buildBlock(rules, a.chain.head, { txs })
    await a.blocks.publish(block.bytes)
    await until('the last one to have it', () => c.chain.head.height === 1)
    expect(b.chain.head.height).toBe(0)
    expect(came).toEqual([{ form: 0, length: expect.any(Number) }])
    expect(came[0]!.length).toBeLessThan(block.bytes.length / 4)
    applied.resolve()
    await until('all to have it', () => b.chain.head.height === 1)
    expect(toHex(c.chain.head.hash)).toBe(toHex(block.hash))
    for (const node of nodes) expect(node.peers.explain().map(({ fault }) => fault?.fault)).not.toContain('protocol')
  })

  it('whose transactions are in the pools needs nothing else', async () => {
    const [a, b, c] = nodes
    await a.pool.add(txs)
    await until('all pools', () => c.pool.size === 100)
    // nothing can be asked for
    for (const { sync } of [b, c]) Object.assign(sync, { fetchTxs: undefined, fetchBlock: undefined })
    await a.blocks.publish(buildBlock(rules, a.chain.head, { txs }).bytes)
    await until('the last one to have it', () => c.chain.head.height === 1)
    await until('empty pools', () => c.pool.size === 0 && b.pool.size === 0)
    expect(came.map(({ form }) => form)).toEqual([0])
  })
})
