import type { GossipsubOpts } from '@libp2p/gossipsub'
import { ConfigError } from '../errors.js'
import { messageId } from './message-id.js'
import { peerParams, type ScorePreset } from './score-params.js'

/** How long a verdict may take, in ms. gossipsub forgets a message after `mcacheLength` heartbeats: it must outlive this. */
export const HOLD_MS = 25_000

/** Without these, messages are lost: here, or on a node that has them otherwise. */
const FIXED = {
  globalSignaturePolicy: 'StrictNoSign',
  asyncValidation: true,
  fallbackToFloodsub: false,
  allowPublishToZeroTopicPeers: true,
  ignoreDuplicatePublishError: true,
  // it would pass by what keeps streams from overflowing
  batchPublish: false,
  // what peers send is taken in slices: none of it may pass by
  awaitRpcHandler: true,
  awaitRpcMessageHandler: true,
  emitSelf: false
} as const satisfies Partial<GossipsubOpts>

/** What this library sets itself, and why an app cannot. */
const OURS: Partial<Record<keyof GossipsubOpts, string>> = {
  msgIdFn: 'all nodes must give a message the same ID',
  fastMsgIdFn: 'it may hide the true block behind a spoilt one',
  messageCache: 'verdicts are held in it',
  dataTransform: 'it refuses topics that nobody here asked for',
  allowedTopics: 'topics come and go with topic()'
}

export interface OptionsInit {
  given: Partial<GossipsubOpts>
  /** The largest message of any topic, in bytes. */
  maxMessageBytes: number
  preset: ScorePreset
  score(peerId: string): number
  /** Throws for messages that are to be dropped before anything is kept of them. */
  filter(topic: string, data: Uint8Array): Uint8Array
}

/**
 * The options of the node's one gossipsub.
 *
 * @throws ConfigError naming every option of the app's that cannot work
 */
export function gossipsubOptions(init: OptionsInit): Partial<GossipsubOpts> {
  const given = Object.fromEntries(
    Object.entries(init.given).filter(([, value]) => value !== undefined)
  ) as Partial<GossipsubOpts>
  const heartbeat = given.heartbeatInterval ?? 1_000
  const rpcBytes = 3 * init.maxMessageBytes + 65_536
  const minimum = {
    mcacheLength: Math.ceil((HOLD_MS + 1_000) / heartbeat),
    maxInboundDataLength: rpcBytes,
    maxOutboundBufferSize: Math.max(16 * 1_048_576, rpcBytes),
    seenTTL: HOLD_MS + 5_000
  }
  check(given, minimum, heartbeat)
  return {
    mcacheLength: Math.max(30, Math.ceil(30_000 / heartbeat)),
    mcacheGossip: 3,
    idontwantMinDataSize: 128,
    maxInboundDataLength: minimum.maxInboundDataLength,
    maxOutboundBufferSize: minimum.maxOutboundBufferSize,
    ...given,
    ...FIXED,
    msgIdFn: (message) => messageId(message.topic, message.data),
    dataTransform: { inboundTransform: init.filter, outboundTransform: (_, data) => data },
    scoreParams: {
      ...peerParams(init.preset),
      ...given.scoreParams,
      appSpecificWeight: 10,
      appSpecificScore: init.score
    }
  }
}

function check(given: Partial<GossipsubOpts>, minimum: Record<string, number>, heartbeat: number): void {
  const wrong: [option: string, why: string][] = []
  for (const [option, value] of Object.entries(FIXED)) {
    const theirs = given[option as keyof typeof FIXED]
    if (theirs !== undefined && theirs !== value) wrong.push([option, `must be ${JSON.stringify(value)}`])
  }
  for (const [option, why] of Object.entries(OURS)) {
    if (given[option as keyof GossipsubOpts] != null) wrong.push([option, `is set by blockwire: ${why}`])
  }
  if (!(heartbeat > 0)) wrong.push(['heartbeatInterval', 'must be over 0'])
  for (const [option, least] of Object.entries(minimum)) {
    const theirs = given[option as keyof GossipsubOpts] as number | undefined
    if (theirs !== undefined && !(theirs >= least)) wrong.push([option, `must be at least ${least}, is ${theirs}`])
  }
  for (const option of ['appSpecificScore', 'appSpecificWeight'] as const) {
    if (given.scoreParams?.[option] != null)
      wrong.push([`scoreParams.${option}`, 'is set by blockwire: the peers service scores'])
  }
  if (wrong.length === 0) return
  throw new ConfigError(
    wrong.map(([option]) => `gossipsub.${option}`).join(', '),
    wrong.map(([option, why]) => `${option} ${why}`).join('; '),
    { fix: 'leave these options out' }
  )
}
