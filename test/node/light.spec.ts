import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode } from 'blockwire'
import { coin, ed25519, type Miner, miner, transfer } from 'blockwire/pow'
import { createNetwork, growChain, oneHead, testRules, until } from 'blockwire/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { testSeal } from '../helpers/seal.js'

const miners: Miner[] = []
afterEach(async () => {
  await Promise.all(miners.splice(0).map((mine) => mine.stop()))
})

describe('a light node', () => {
  it('follows a mining network, and proves that a transfer is in its chain', async () => {
    const rules = coin({ network: 'light-coin', blockTime: 300 })
    const [alice, bob] = [ed25519.generate(), ed25519.generate()]
    const mine = miner({ rules, to: alice.publicKey, threads: 1 })
    miners.push(mine)
    await using network = await createNetwork({
      rules,
      nodes: 3,
      shape: 'line',
      node: (index) => [{ produce: { ...mine, aloneMs: 0 } }, { txIndex: true }, { role: 'light' as const }][index]!
    })
    const [first, second, light] = network.nodes
    // the first reward is there to be spent
    await light!.chain.waitFor(2, { signal: AbortSignal.timeout(25_000) })
    const { handle } = await first!.pool.add(
      transfer(first!.chain.genesis.hash, { key: alice, to: bob.publicKey, amount: 7n, seq: 0n })
    )
    const { height } = await handle!.included(2, { signal: AbortSignal.timeout(25_000) })
    await light!.chain.waitFor(height + 1, { signal: AbortSignal.timeout(25_000) })
    await until('the block at the second node', () => second!.chain.head.height >= height)

    const found = await light!.light.get({ tx: handle!.id, height })
    expect(found.tx).toMatchObject({ kind: 'transfer', amount: 7n, to: bob.publicKey })
    expect(found).toMatchObject({ index: 1, count: 2, from: second!.peerId })
    expect(found.block.hash).toEqual(second!.chain.hashAt(height))
    expect(found.depth).toBe(light!.chain.head.height - height + 1)
    expect((await light!.light.get({ tx: handle!.id })).block.height).toBe(height)
    first!.producer!.halt()
    await oneHead(network.nodes, height + 1)
  })

  it('takes part in neither topic, and says by name what it has not', async () => {
    await using network = await createNetwork({
      rules: testRules({ network: 'light-topics' }),
      nodes: 2,
      node: (index) => (index === 1 ? { role: 'light' } : { produce: testSeal({ nonce: 0, allow: (h) => h <= 3 }) })
    })
    const [full, light] = network.nodes
    await oneHead(network.nodes, 3)
    expect(light!.gossip.pubsub.getTopics()).toEqual([])
    for (const topic of ['blocks', 'txs']) {
      expect(full!.gossip.pubsub.getSubscribers(`/blockwire/${full!.chain.id}/${topic}/1`)).toEqual([])
    }
    expect(() => light!.pool).toThrow(expect.objectContaining({ name: 'HeadersOnlyError', what: 'node.pool' }))
    expect(() => light!.blocks).toThrow(expect.objectContaining({ name: 'HeadersOnlyError' }))
    expect(light!.explain()).toMatchObject({
      role: 'light',
      head: { height: 3 },
      sync: { state: 'live', light: { contradictedBy: [] } },
      pool: { transactions: 0 }
    })
    await until('its announcement', () => full!.status.get(light!.peerId)?.head?.height === 3)
    expect(full!.status.get(light!.peerId)).toMatchObject({ role: 'light', txIndex: false })
    expect(full!.explain().sync.sources).toMatchObject([{ standing: 'none', requests: 0 }])
    // the whole of a branch, seen as headers
    const reorgs: number[] = []
    light!.chain.addEventListener('reorg', ({ detail }) => reorgs.push(detail.dropped.length))
    full!.producer!.halt()
    await using other = await network.join([], { role: 'full' })
    await growChain(other.chain, 5, { nonce: 9 })
    await other.libp2p.dial(full!.libp2p.getMultiaddrs())
    await oneHead(network.nodes, 5)
    expect(reorgs).toEqual([3])
  })

  it('finds full nodes by introductions, and is not introduced to them', async () => {
    const rules = testRules({ network: 'light-places' })
    await using seed = await createNode({ rules, role: 'seed' })
    const seeds = seed.multiaddrs
    await using light = await createNode({ rules, role: 'light', seeds })
    await until('the light node at the seed', () => seed.status.peers.size === 1)
    await using first = await createNode({ rules, seeds })
    await using second = await createNode({ rules, seeds })
    const fulls = [first, second]
    await until('all to know each other', () => [light, ...fulls].every((node) => node.status.peers.size === 3), 30_000)
    // it dialled them: it takes none of the places that they keep for others to be found
    for (const node of fulls) expect(node.peers.connected.get(light.peerId.toString())?.direction).toBe('inbound')
  })

  it('goes on from its directory, which is not a full node’s', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'blockwire-'))
    try {
      const rules = testRules({ network: 'light-keep' })
      await using network = await createNetwork({ rules, nodes: 1 })
      const [full] = network.nodes
      await growChain(full!.chain, 40)
      const first = await network.join([full!], { role: 'light', dataDir: dir })
      await oneHead(network.nodes, 40)
      await first.stop()
      network.nodes.pop()
      await expect(createNode({ rules, dataDir: dir })).rejects.toMatchObject({ name: 'DataRoleError' })

      await growChain(full!.chain, 5)
      const again = await network.join([], { role: 'light', dataDir: dir })
      expect(again.chain.report).toEqual({ height: 40, created: false, repaired: [] })
      const heads: number[] = []
      again.chain.addEventListener('head', ({ detail }) => heads.push(detail.height))
      await again.libp2p.dial(full!.libp2p.getMultiaddrs())
      await oneHead(network.nodes, 45)
      // what it has is not downloaded again
      expect(Math.min(...heads)).toBeGreaterThan(40)
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })
})
