import { buildBlock, createNetwork, oneHead, testRules, until } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { testSeal } from '../helpers/seal.js'

describe('nodes in memory', () => {
  it('reach height 12 and one head, each producing in turn', async () => {
    await using network = await createNetwork({
      rules: testRules({ network: 'turns' }),
      nodes: 3,
      shape: 'star',
      // node i makes the heights that leave remainder i
      node: (index) => ({
        produce: testSeal({ nonce: index, allow: (height) => height <= 12 && height % 3 === index })
      })
    })
    const head = await oneHead(network.nodes, 12)
    expect(head.height).toBe(12)
    const makers = new Set<number>()
    for (let height = 1; height <= 12; height++) {
      makers.add(network.nodes[0]!.chain.locate(network.nodes[0]!.chain.hashAt(height)!)!.header.nonce)
    }
    expect([...makers].sort()).toEqual([0, 1, 2])
  })

  it('converge when all of them race for every block', async () => {
    let limit = 10
    await using network = await createNetwork({
      rules: testRules({ network: 'race' }),
      nodes: 3,
      node: (index) => ({ produce: testSeal({ nonce: index, allow: (height) => height <= limit }) })
    })
    await until('everybody at 10', () => network.nodes.every((node) => node.chain.head.height >= 10))
    // a tie at the last height is settled by one more block of one node
    limit = 11
    for (const node of network.nodes.slice(1)) node.producer!.halt()
    network.nodes[0]!.producer!.halt()
    network.nodes[0]!.producer!.run()
    expect((await oneHead(network.nodes, 11)).height).toBe(11)
  })

  it('fetch the unknown parents of a block, import it, and pass it on to a third node behind them', async () => {
    const rules = testRules({ network: 'orphan' })
    await using network = await createNetwork({ rules, nodes: 3, shape: 'line' })
    const [first, second, third] = network.nodes
    await until('the line', () => second!.status.peers.size === 2)
    await until(
      'gossip between them',
      () => second!.gossip.pubsub.getSubscribers(`/blockwire/${second!.chain.id}/blocks/1`).length === 2
    )
    // three blocks that only the first node has; it announces nothing but the last, over gossip alone
    const chain = first!.chain
    let parent = chain.head
    const made: Uint8Array[] = []
    for (let nonce = 0; nonce < 3; nonce++) {
      const block = buildBlock(rules, parent, { nonce })
      made.push(block.bytes)
      parent = block.located
    }
    for (const bytes of made) expect(await chain.add(bytes)).toEqual({ result: 'accept' })
    await first!.blocks.publish(made[2]!)
    expect((await oneHead([second!, third!], 3)).height).toBe(3)
  })

  it('bring a late node to the head, and then it follows', async () => {
    const rules = testRules({ network: 'late' })
    await using network = await createNetwork({ rules, nodes: 2 })
    let parent = network.nodes[0]!.chain.head
    const blocks: Uint8Array[] = []
    for (let nonce = 0; nonce < 300; nonce++) {
      const block = buildBlock(rules, parent, { nonce })
      blocks.push(block.bytes)
      parent = block.located
    }
    expect((await network.nodes[0]!.chain.addBlocks(blocks)).added).toBe(300)
    const late = await network.join([network.nodes[1]!])
    expect((await oneHead(network.nodes, 300)).height).toBe(300)
    await until('live', () => late.sync.state === 'live')
    const next = buildBlock(rules, network.nodes[0]!.chain.head, { nonce: 7 })
    await network.nodes[0]!.chain.add(next.bytes)
    await network.nodes[0]!.blocks.publish(next.bytes)
    expect((await oneHead(network.nodes, 301)).height).toBe(301)
  })
})
