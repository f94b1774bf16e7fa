import type { GossipsubOpts } from '@libp2p/gossipsub'
import { describe, expect, it } from 'vitest'
import { gossipsubOptions } from '../../dist/src/gossip/options.js'
import { host } from './hosts.js'

const options = (given: Partial<GossipsubOpts>, maxMessageBytes = 1_048_576): Partial<GossipsubOpts> =>
  gossipsubOptions({ given, maxMessageBytes, preset: 'local', score: () => -3, filter: (_, data) => data })

describe("gossipsub's options", () => {
  it('has those that blocks need', () => {
    expect(options({})).toMatchObject({
      globalSignaturePolicy: 'StrictNoSign',
      asyncValidation: true,
      fallbackToFloodsub: false,
      allowPublishToZeroTopicPeers: true,
      ignoreDuplicatePublishError: true,
      mcacheLength: 30,
      mcacheGossip: 3,
      maxInboundDataLength: 3 * 1_048_576 + 65_536,
      maxOutboundBufferSize: 16 * 1_048_576
    })
    expect(options({}).scoreParams?.IPColocationFactorWeight).toBe(0)
    expect(options({}).scoreParams?.appSpecificScore?.('a peer')).toBe(-3)
    // blocks of 16 MiB: what one RPC may hold must also fit into what may wait to be sent
    expect(options({}, 16 * 1_048_576).maxOutboundBufferSize).toBe(48 * 1_048_576 + 65_536)
  })

  it("takes an app's own, and holds messages for 25 s whatever the heartbeat is", () => {
    const own = options({ D: 8, heartbeatInterval: 500, scoreParams: { retainScore: 1 } })
    expect([own.D, own.mcacheLength, own.scoreParams?.retainScore]).toEqual([8, 60, 1])
    expect(own.scoreParams?.IPColocationFactorWeight).toBe(0)
  })

  it.each<[string, Partial<GossipsubOpts>]>([
    ['globalSignaturePolicy', { globalSignaturePolicy: 'StrictSign' }],
    ['asyncValidation', { asyncValidation: false }],
    ['fallbackToFloodsub', { fallbackToFloodsub: true }],
    ['allowPublishToZeroTopicPeers', { allowPublishToZeroTopicPeers: false }],
    ['batchPublish', { batchPublish: true }],
    ['msgIdFn', { msgIdFn: () => new Uint8Array(20) }],
    ['fastMsgIdFn', { fastMsgIdFn: () => 'same' }],
    ['mcacheLength', { mcacheLength: 5 }],
    ['maxInboundDataLength', { maxInboundDataLength: 1_048_576 }],
    ['maxOutboundBufferSize', { maxOutboundBufferSize: 1_048_576 }],
    ['scoreParams.appSpecificScore', { scoreParams: { appSpecificScore: () => 0 } }]
  ])('refuses a wrong %s by name', (option, given) => {
    expect(() => options(given)).toThrow(
      expect.objectContaining({ name: 'ConfigError', option: `gossipsub.${option}` })
    )
  })

  it('names all wrong ones at once, from createLibp2p', async () => {
    const wrong = host({ gossip: { gossipsub: { asyncValidation: false, seenTTL: 1_000 } } })
    await expect(wrong).rejects.toMatchObject({
      name: 'ConfigError',
      option: 'gossipsub.asyncValidation, gossipsub.seenTTL',
      message: expect.stringContaining('asyncValidation must be true; seenTTL must be at least 30000, is 1000')
    })
  })
})
