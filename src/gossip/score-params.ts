import type { GossipsubOpts } from '@libp2p/gossipsub'
import {
  defaultPeerScoreParams,
  defaultPeerScoreThresholds,
  defaultTopicScoreParams,
  type PeerScoreParams,
  type TopicScoreParams
} from '@libp2p/gossipsub/score'

/** `public`: nodes have addresses of their own. `local`: many share one, as in a house, a container or a test. */
export type ScorePreset = 'public' | 'local'

const DECAY_MS = 1_000
const MINUTE_MS = 60_000
/** What a peer can gain in a topic: by staying in the mesh for an hour, and by bringing its share of the messages first. */
const MOST_FOR_TIME = 1
const MOST_FOR_FIRST = 4
/** A message that its sender could know to be wrong costs 10 times its square: with one it leaves the mesh, with three it is graylisted. */
const INVALID_WEIGHT = -10
const INVALID_MS = 10 * MINUTE_MS
/** As many as an ordinary node lets in: more behind one address are somebody's many names. */
const SHARED_ADDRESS = 32

/** What a counter keeps of itself each second, if it is to be down to a hundredth after so long. */
export function decayOver(ms: number): number {
  return 0.01 ** (DECAY_MS / ms)
}

/** Over all topics, with what holds for a preset. */
export function peerParams(preset: ScorePreset): Partial<PeerScoreParams> {
  return {
    decayInterval: DECAY_MS,
    // the default is on, and silences more than ten peers behind one address, localhost included
    IPColocationFactorWeight: preset === 'local' ? 0 : -1,
    IPColocationFactorThreshold: SHARED_ADDRESS,
    IPColocationFactorWhitelist: new Set(['127.0.0.1', '::1']),
    // a single broken promise under load would already put an honest peer below zero
    behaviourPenaltyThreshold: 6
  }
}

/**
 * Of a topic on which the whole network is expected to send so many messages a second, to a node with so many mesh peers. Nobody loses for
 * bringing too few: rates are guesses, and a quiet topic would cost honest peers their place. Reject alone takes away.
 */
export function topicParams(perSecond: number, meshPeers: number): TopicScoreParams {
  const share = perSecond / meshPeers
  // long enough to see twenty messages
  const window = Math.min(60 * MINUTE_MS, Math.max(MINUTE_MS, (20_000 / perSecond) * meshPeers))
  const decay = decayOver(window)
  const steady = (share * (DECAY_MS / 1_000)) / (1 - decay)
  const cap = Math.max(1, 2 * steady)
  return {
    ...defaultTopicScoreParams,
    topicWeight: 1,
    timeInMeshQuantum: MINUTE_MS,
    timeInMeshCap: 60,
    timeInMeshWeight: MOST_FOR_TIME / 60,
    firstMessageDeliveriesDecay: decay,
    firstMessageDeliveriesCap: cap,
    firstMessageDeliveriesWeight: MOST_FOR_FIRST / cap,
    meshMessageDeliveriesWeight: 0,
    meshFailurePenaltyWeight: 0,
    invalidMessageDeliveriesWeight: INVALID_WEIGHT,
    invalidMessageDeliveriesDecay: decayOver(INVALID_MS)
  }
}

/** What an honest peer is like, for `complaints`. */
export interface Expectation {
  /** Messages a second of each topic that is known. */
  rates: ReadonlyMap<string, number>
  /** Peers that may stand behind one address. */
  peersPerAddress: number
}

/** Broken promises of an honest peer within a heartbeat or two, when it is under load. */
const BROKEN_PROMISES = 3

/**
 * Why these options would have gossipsub graylist honest peers: it drops their subscriptions, for ever. Empty when they would not. Looks at
 * each way of losing by itself.
 */
export function complaints(options: Partial<GossipsubOpts>, expected: Expectation): string[] {
  const params = { ...defaultPeerScoreParams, ...options.scoreParams }
  const { graylistThreshold } = { ...defaultPeerScoreThresholds, ...options.scoreThresholds }
  const losses: [what: string, score: number][] = []
  const surplus = Math.max(0, expected.peersPerAddress - params.IPColocationFactorThreshold)
  losses.push([
    `IPColocationFactorWeight ${params.IPColocationFactorWeight}, with ${expected.peersPerAddress} peers behind one address`,
    params.IPColocationFactorWeight * surplus ** 2
  ])
  const broken = Math.max(0, BROKEN_PROMISES - params.behaviourPenaltyThreshold)
  losses.push([
    `behaviourPenaltyWeight ${params.behaviourPenaltyWeight}, with ${BROKEN_PROMISES} promises broken under load`,
    params.behaviourPenaltyWeight * broken ** 2
  ])
  for (const [topic, given] of Object.entries(params.topics)) {
    const of = { ...defaultTopicScoreParams, ...given }
    const rate = expected.rates.get(topic)
    if (rate == null) continue
    const delivered = Math.min(of.meshMessageDeliveriesCap, rate / (1 - of.meshMessageDeliveriesDecay))
    const deficit = Math.max(0, of.meshMessageDeliveriesThreshold - delivered)
    losses.push([
      `topics['${topic}'].meshMessageDeliveriesThreshold ${of.meshMessageDeliveriesThreshold}, with ${rate} messages a second`,
      of.topicWeight * of.meshMessageDeliveriesWeight * deficit ** 2
    ])
  }
  return losses
    .filter(([, score]) => score < graylistThreshold)
    .map(([what, score]) => `${what}: ${Math.round(score)}, and graylisted below ${graylistThreshold}`)
}
