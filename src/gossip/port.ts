import type { GossipSub, GossipSubComponents, GossipsubOpts } from '@libp2p/gossipsub'
import type { Libp2pEvents, PeerId } from '@libp2p/interface'
import type { TypedEventTarget } from 'main-event'
import type { Limits, Verdict } from '../chain/index.js'
import type { Clock } from '../clock.js'
import type { Fault } from '../errors.js'
import type { GossipIdentify } from './repair.js'
import type { ScorePreset } from './score-params.js'
import type { Topic, TopicOptions } from './topic.js'

export interface GossipInit {
  /** gossipsub's own options, e.g. `D` or `scoreParams`. Those that this library must set are refused. */
  gossipsub?: Partial<GossipsubOpts>
  /** The largest message of any topic, in bytes; all nodes need the same. @default the chain's `blockBytes`, at least 64 KiB */
  maxMessageBytes?: number
  /**
   * Of gossipsub's score parameters. `public`: more than 32 peers behind one address lose, localhost excepted. `local`: addresses say nothing,
   * as where all nodes stand behind one router. @default 'public'
   */
  scoring?: ScorePreset
  /** Take part in no topic: for seeds. @default false */
  passive?: boolean
  clock?: Clock
}

/** What gossip needs of its siblings. `peers` may be missing: then nobody is judged. */
export interface GossipComponents extends GossipSubComponents {
  events: TypedEventTarget<Libp2pEvents>
  chain: { readonly id: string; readonly limits: Required<Limits> }
  peers?: GossipPeers
  identify?: GossipIdentify
}

export interface GossipPeers {
  heard(peer: PeerId): void
  judge(peer: PeerId, verdict: Verdict, via: 'gossip'): void
  fault(peer: PeerId, fault: Fault, reason: string): void
  score(peerId: string): number
  /** By peer ID; only links with these are repaired. @default all */
  readonly connected?: ReadonlyMap<string, unknown>
}

/** One peer's place in gossip, for people to read. */
export interface GossipLink {
  peer: string
  /** Bytes that wait to be written to it. */
  buffered: number
  /** Full names of the topics in whose mesh it is. */
  mesh: string[]
}

export interface Gossip {
  /**
   * Takes part in a topic, now or as soon as the node is started, and again after every restart.
   *
   * @param name `[a-z0-9][a-z0-9._-]{0,31}`; its full name is `/blockwire/<chain>/<name>/1`
   * @throws ConfigError when the name is taken or an option cannot work
   */
  topic(name: string, options: TopicOptions): Topic
  /** libp2p's gossipsub itself, for what is missing here. What comes on topics subscribed there is forwarded unseen. */
  readonly pubsub: GossipSub
  /** The outbound gossip streams. */
  links(): GossipLink[]
  /** Score parameters by which gossipsub would graylist honest peers, each with the reason. Also logged. */
  readonly warnings: readonly string[]
}
