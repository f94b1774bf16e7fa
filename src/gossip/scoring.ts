import type { GossipsubOpts } from '@libp2p/gossipsub'
import { ConfigError } from '../errors.js'
import type { RawGossipsub } from './raw.js'
import { complaints, type ScorePreset, topicParams } from './score-params.js'

/** Counts ten times. gossipsub forgets the subscriptions of a peer that it graylists (at -80): whom we keep stays above. */
const LOWEST_SCORE = -7.9
/** Of gossipsub, where the app says nothing else. */
const MESH_PEERS = 6
const GRAYLIST = -80
/** Peers that may stand behind one address: in a local network, and elsewhere (a household, an office). */
const PER_ADDRESS = { local: 64, public: 8 }

export interface ScoringInit {
  preset: ScorePreset
  /** What the peers service thinks of a peer; undefined where there is none. */
  opinion(peerId: string): number | undefined
  warn(complaint: string): void
}

/** gossipsub's scores: the parameters of each topic as it comes, what the peers service adds, and who has fallen too low to be kept. */
export class Scoring {
  /** What would have honest peers graylisted, for people to read. */
  readonly complaints: string[] = []
  readonly #rates = new Map<string, number>()
  #options: Partial<GossipsubOpts> = {}

  constructor(private readonly init: ScoringInit) {}

  /** For `appSpecificScore`. */
  readonly score = (peerId: string): number => {
    const score = this.init.opinion(peerId) ?? 0
    return Number.isFinite(score) ? Math.max(LOWEST_SCORE, score) : 0
  }

  /** What gossipsub was made with. */
  use(options: Partial<GossipsubOpts>): void {
    this.#options = options
    this.#check()
  }

  /** A topic joins: from now on Reject has an effect there. The app's own parameters stand. */
  add(pubsub: RawGossipsub, topic: string, perSecond: number): void {
    if (!(perSecond > 0) || !Number.isFinite(perSecond)) {
      throw new ConfigError('expected', `${perSecond} is not a number of messages a second above 0`)
    }
    this.#rates.set(topic, perSecond)
    pubsub.score.params.topics[topic] ??= topicParams(perSecond, this.#options.D ?? MESH_PEERS)
    this.#check()
  }

  /** Those of these peers whom gossipsub does not listen to any more: a connection to them is of no use. */
  fallen(pubsub: RawGossipsub, peers: Iterable<string>): string[] {
    const threshold = this.#options.scoreThresholds?.graylistThreshold ?? GRAYLIST
    return [...peers].filter((peer) => pubsub.getScore(peer) < threshold)
  }

  #check(): void {
    const expected = { rates: this.#rates, peersPerAddress: PER_ADDRESS[this.init.preset] }
    for (const complaint of complaints(this.#options, expected)) {
      if (this.complaints.includes(complaint)) continue
      this.complaints.push(complaint)
      this.init.warn(complaint)
    }
  }
}
