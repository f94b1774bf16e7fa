import { createNode } from 'blockwire'
import { growChain, oneHead, testRules, until } from 'blockwire/testing'
import { expect, test } from 'vitest'
import { crossingDials } from '../peers/crossing.js'

test('fifty pairs that dial each other at the same time over TCP have one connection each, and gossip passes both ways', async () => {
  for (let round = 0; round < 5; round++) {
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => crossingDials('/ip4/127.0.0.1/tcp/0')))
    expect(outcomes.filter(({ identified }) => identified > 1)).toEqual([])
  }
})

test('fifty pairs with duplicates that no gater stopped end with one connection each', async () => {
  let crossed = 0
  for (let round = 0; round < 5; round++) {
    const pairs = Array.from({ length: 10 }, () => crossingDials('/ip4/127.0.0.1/tcp/0', { gater: false }))
    for (const { identified } of await Promise.all(pairs)) if (identified > 1) crossed++
  }
  expect(crossed, 'no dials crossed, so nothing was tested').toBeGreaterThan(0)
})

test('fifteen nodes on 127.0.0.1 keep scores of 0 or more with each other, in gossip and in the ledger', async () => {
  const rules = testRules()
  const first = await createNode({ rules })
  await using stack = new AsyncDisposableStack()
  stack.use(first)
  const rest = await Promise.all(
    Array.from({ length: 14 }, () => createNode({ rules, seeds: first.multiaddrs, peers: { target: 14 } }))
  )
  for (const node of rest) stack.use(node)
  const nodes = [first, ...rest]
  await until('all to know each other', () => nodes.every(({ peers }) => peers.connected.size === 14), 60_000)
  const scores = (): number[] =>
    nodes.flatMap((node) => {
      const pubsub = node.gossip.pubsub as unknown as { score: { score(peer: string): number } }
      return [...node.peers.connected.keys()].flatMap((id) => [pubsub.score.score(id), node.peers.score(id)])
    })
  // over ten heartbeats, with a block of everyone's in between
  for (let round = 0; round < 15; round++) {
    await growChain(nodes[round]!.chain, 1, { nonce: round })
    await oneHead(nodes, round + 1, 20_000)
    expect(Math.min(...scores())).toBeGreaterThanOrEqual(0)
    let beats = 0
    first.gossip.pubsub.addEventListener('gossipsub:heartbeat' as never, () => void beats++)
    await until('a heartbeat', () => beats > 0)
  }
  expect(scores()).toHaveLength(15 * 14 * 2)
  // a stream may be lost with a duplicate connection that is closed: that is nobody's
  const faults = nodes.flatMap(({ peers }) => peers.explain()).map(({ fault }) => fault?.fault ?? 'quality')
  expect(faults.filter((fault) => fault !== 'quality')).toEqual([])
})
