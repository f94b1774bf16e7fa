import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { type GossipSub, gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { memory } from '@libp2p/memory'
import type { Node } from 'blockwire'
import { createNetwork, type Network, type TestHeader, type TestTx, testRules, until } from 'blockwire/testing'
import { createLibp2p } from 'libp2p'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

/** Decodes as nothing: a length prefix of 40, then bytes that are no protobuf of ours. */
const GARBAGE = Uint8Array.from([40, ...Array.from({ length: 40 }, (_, i) => 0xf7 ^ (i * 31))])

describe('a stranger that sends garbage', () => {
  let network: Network<TestHeader, TestTx>
  let victim: Node<TestHeader, TestTx>
  let stranger: Libp2p<{ identify: unknown; pubsub: GossipSub }>

  beforeEach(async () => {
    network = await createNetwork({ rules: testRules({ network: 'hostile' }), nodes: 2 })
    victim = network.nodes[0]!
    await until('the honest pair', () => network.nodes.every((node) => node.status.peers.size === 1))
    stranger = await createLibp2p({
      transports: [memory()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux() as never],
      connectionMonitor: { enabled: false },
      services: {
        identify: identify(),
        pubsub: gossipsub({ globalSignaturePolicy: 'StrictNoSign', allowPublishToZeroTopicPeers: true })
      }
    })
  })
  afterEach(async () => {
    await Promise.all([stranger.stop(), network.stop()])
  })

  const faultOf = () => victim.peers.explain().find(({ peer }) => peer === stranger.peerId.toString())?.fault

  async function expectFaultAndPeace(): Promise<void> {
    await until('a fault of the stranger', () => faultOf() != null)
    expect(['protocol', 'provable']).toContain(faultOf()!.fault)
    expect(faultOf()!.reason).not.toBe('')
    for (const node of network.nodes) expect(node.status.peers.size).toBe(1)
    // and the pair still talks
    const head = await victim.chain.waitFor(0)
    expect(head.height).toBe(0)
  }

  for (const name of ['status', 'peers', 'sync', 'pool'] as const) {
    it(`on ${name}/1 is charged, and the honest pair stays connected`, async () => {
      const id = name === 'status' ? '/blockwire/status/1' : `/blockwire/${victim.chain.id}/${name}/1`
      const stream = await stranger.dialProtocol(victim.libp2p.getMultiaddrs(), id)
      stream.send(GARBAGE)
      await expectFaultAndPeace()
    })
  }

  for (const name of ['blocks', 'txs'] as const) {
    it(`on the topic ${name}/1 is charged, and the honest pair stays connected`, async () => {
      const topic = `/blockwire/${victim.chain.id}/${name}/1`
      stranger.services.pubsub.subscribe(topic)
      await stranger.dial(victim.libp2p.getMultiaddrs())
      await until('the topic at the stranger', () => stranger.services.pubsub.getSubscribers(topic).length > 0)
      await stranger.services.pubsub.publish(topic, GARBAGE)
      await expectFaultAndPeace()
    })
  }
})
