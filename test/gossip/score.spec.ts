import { createPeerScoreParams, createTopicScoreParams, validatePeerScoreParams } from '@libp2p/gossipsub/score'
import { reject } from 'blockwire/chain'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { complaints, decayOver, peerParams, topicParams } from '../../dist/src/gossip/score-params.js'
import { bytes, host, line, meshed, until } from './hosts.js'

const TOPIC = 'txs'

/** What a peer stands at after so many seconds in the mesh, in which it brought so many messages first and so many bad ones last. */
function scoreAfter(params: ReturnType<typeof topicParams>, seconds: number, perSecond: number, invalid = 0): number {
  let first = 0
  for (let i = 0; i < seconds; i++) {
    first = Math.min(params.firstMessageDeliveriesCap, first + perSecond) * params.firstMessageDeliveriesDecay
  }
  // gossipsub's formula, P1 to P4, without the cap over all topics
  const minutes = Math.min(params.timeInMeshCap, (1_000 * seconds) / params.timeInMeshQuantum)
  const gained =
    minutes * params.timeInMeshWeight +
    Math.min(first, params.firstMessageDeliveriesCap) * params.firstMessageDeliveriesWeight
  const missing = params.meshMessageDeliveriesThreshold ** 2 * params.meshMessageDeliveriesWeight
  return params.topicWeight * (gained + missing + invalid ** 2 * params.invalidMessageDeliveriesWeight)
}

describe('the score parameters of a topic', () => {
  it('are accepted by gossipsub, whatever the rate', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-4, max: 1e5, noNaN: true }), fc.integer({ min: 1, max: 12 }), (rate, peers) => {
        validatePeerScoreParams(createPeerScoreParams({ topics: { [TOPIC]: topicParams(rate, peers) } }))
      })
    )
  })

  it('take nothing from an honest peer, in a quiet topic or a busy one, and give it 5 at most', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
        fc.integer({ min: 0, max: 5_000 }),
        fc.double({ min: 0, max: 10, noNaN: true }),
        (rate, seconds, luck) => {
          const score = scoreAfter(topicParams(rate, 6), seconds, (rate / 6) * luck)
          expect(score).toBeGreaterThanOrEqual(0)
          expect(score).toBeLessThanOrEqual(5.000_001)
        }
      )
    )
  })

  it('let a peer that brings its share stand above one that brings nothing', () => {
    const params = topicParams(10, 6)
    expect(scoreAfter(params, 600, 10 / 6)).toBeGreaterThan(scoreAfter(params, 600, 0) + 1)
  })

  it('take a peer out of the mesh for one bad message, and below the graylist for three', () => {
    const params = topicParams(10, 6)
    expect(scoreAfter(params, 3_600, 10, 1)).toBeLessThan(0)
    expect(scoreAfter(params, 3_600, 10, 2)).toBeGreaterThan(-80)
    expect(scoreAfter(params, 3_600, 10, 3)).toBeLessThan(-80)
    expect(params.invalidMessageDeliveriesDecay ** 600).toBeCloseTo(0.01, 6)
    expect(decayOver(1_000)).toBeCloseTo(0.01, 9)
  })
})

describe('a configuration', () => {
  const rates = new Map([[TOPIC, 0.1]])
  const expected = { rates, peersPerAddress: 64 }

  it.each(['public', 'local'] as const)('of ours for a %s network graylists nobody honest', (preset) => {
    const options = { scoreParams: { ...peerParams(preset), topics: { [TOPIC]: topicParams(0.1, 6) } } }
    expect(complaints(options, { rates, peersPerAddress: preset === 'local' ? 64 : 8 })).toEqual([])
  })

  it.each<[string, object]>([
    [
      'IPColocationFactorWeight',
      { ...peerParams('local'), IPColocationFactorWeight: -5, IPColocationFactorThreshold: 10 }
    ],
    ['behaviourPenaltyWeight', { ...peerParams('local'), behaviourPenaltyThreshold: 0 }],
    ['meshMessageDeliveriesThreshold', { ...peerParams('local'), topics: { [TOPIC]: createTopicScoreParams() } }]
  ])('that would is named: %s', (name, scoreParams) => {
    expect(complaints({ scoreParams }, expected)).toEqual([expect.stringContaining(name)])
  })

  it("is warned of when an app's own would", async () => {
    const topics = { '/blockwire/test-00000000/news/1': createTopicScoreParams() }
    const made = await host({ gossip: { scoring: 'local', gossipsub: { scoreParams: { topics } } } })
    expect(made.gossip.warnings).toEqual([])
    made.gossip.topic('news', { maxBytes: 100, expected: 0.01 })
    expect(made.gossip.warnings).toEqual([expect.stringContaining('meshMessageDeliveriesThreshold 20')])
  })

  it('is refused when it cannot work', async () => {
    await expect(host({ gossip: { scoring: 'none' as never } })).rejects.toMatchObject({ option: 'scoring' })
    const made = await host()
    for (const wrong of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => made.gossip.topic('news', { maxBytes: 100, expected: wrong })).toThrow(
        expect.objectContaining({ name: 'ConfigError', option: 'expected' })
      )
    }
  })
})

describe('a peer that falls below the graylist', () => {
  it('is parted from, for gossipsub would hear nothing of it for ever', async () => {
    const [a, b] = [await host(), await host()]
    a.gossip.topic('news', { maxBytes: 100, validate: () => reject('malformed') })
    const topic = b.gossip.topic('news', { maxBytes: 100 })
    await line(a, b)
    await meshed('news', a, b)
    for (let i = 0; i < 3; i++) await topic.publish(bytes(`bad ${i}`))
    await until('a to part from b', () => a.libp2p.getConnections().length === 0)
    expect(a.judge.faults).toEqual([expect.stringContaining('graylist')])
  })

  it('is not one of 14 on one address that do nothing wrong', async () => {
    const hub = await host({ transport: 'tcp' })
    hub.gossip.topic('news', { maxBytes: 100 })
    const others = await Promise.all(Array.from({ length: 14 }, () => host({ transport: 'tcp' })))
    for (const other of others) {
      other.gossip.topic('news', { maxBytes: 100 })
      await line(hub, other)
    }
    const pubsub = hub.gossip.pubsub as unknown as {
      getScore(peer: string): number
      streamsOutbound: Map<string, unknown>
    }
    await until('all links', () => pubsub.streamsOutbound.size === 14)
    for (const { libp2p } of others) expect(pubsub.getScore(libp2p.peerId.toString())).toBeGreaterThanOrEqual(0)
  })
})
