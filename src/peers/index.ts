/**
 * @packageDocumentation
 * Whom to keep: finds peers, dials them and keeps the number up, asks them for others, notices when they are gone, and parts from
 * those that do harm. libp2p does none of it by itself: it neither dials what it discovers nor dials a seed twice.
 *
 * Works in a plain `createLibp2p`, with or without a chain. Peers introduce each other under the name of the `chain` beside it, or of
 * `network`; with a `status` beside it, a peer counts as joined when status has accepted it, otherwise when it is identified. What goes
 * wrong with a peer is never thrown: it costs that peer something (`faults.ts`), and `explain()` says what. Addresses, bans and the
 * peers to begin with are kept in the host's datastore: give libp2p one that is on disk, and a restart needs no seed.
 *
 * ```ts
 * const node = await createLibp2p({
 *   ...options,
 *   services: { identify: identify(), ping: ping(), peers: peers({ seeds: ['/dns4/seed.example/tcp/5000/p2p/12D3KooW…'] }) }
 * })
 * node.services.peers.addEventListener('join', ({ detail }) => console.log(`${detail.peer} is here`))
 * ```
 *
 * libp2p's own defaults stand in its way; `hostDefaults()` corrects them.
 */
import type { AbortOptions, Connection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { TypedEventTarget } from 'main-event'
import type { Verdict } from '../chain/index.js'
import type { Clock } from '../clock.js'
import type { Fault } from '../errors.js'
import type { GoodbyeCode } from '../status/index.js'
import type { Ban } from './bans.js'
import type { SeedReport } from './dialler.js'
import type { Charge, Via } from './faults.js'
import { settle } from './options.js'
import { PeersService } from './peers.js'
import type { PeersComponents } from './siblings.js'

export type { Ban } from './bans.js'

export { type HostDefaults, hostDefaults } from './defaults.js'
export type { SeedReport, SeedState } from './dialler.js'
export { type Charge, faultOf, type Via } from './faults.js'
export type { ChainPort, IdentifyPort, PeersComponents, StatusLeave, StatusPeer, StatusPort } from './siblings.js'
export { steadyMuxer } from './steady-muxer.js'

export interface PeersInit {
  /**
   * Where to begin: multiaddrs that end in `/p2p/<peer ID>`; `/dnsaddr/…` is resolved. Retried for ever, after 1 s at first and 5 min
   * at most; at most 10 s while there is no peer at all. This node's own address is skipped.
   */
  seeds?: readonly (string | Multiaddr)[]
  /** Outbound connections to keep. @default 8 */
  target?: number
  /**
   * Inbound connections to keep. When all are taken, a newcomer takes the place of one that is neither of rare origin, near, useful nor
   * long here (`eviction.ts`). @default 32, for the role seed 256
   */
  maxInbound?: number
  role?: 'full' | 'light' | 'seed'
  /**
   * Where there is no chain: the name under which peers introduce each other, `[a-z0-9-]`, at most 41 characters; all of them have the
   * same. @default none: nobody is introduced
   */
  network?: string
  /** Pass on, and ask for, peers' own signed addresses. Only where there is a chain or a `network`. @default true */
  introductions?: boolean
  /**
   * Only these IP addresses and prefixes in CIDR come in and are dialled; names are not dialled then, except those of this computer and
   * network.
   * @default all
   */
  allow?: readonly string[]
  /** These do not. What a name stands for is not looked up. @default none */
  deny?: readonly string[]
  clock?: Clock
  /** [0, 1), for jitter and choice. @default Math.random */
  random?: () => number
  /**
   * A peer is pinged `idleMs` after it joined, and whenever nothing was heard of it for so long; `misses` pings in a row without an answer within `timeoutMs` end the
   * connection. A miss does not count when our own event loop was late. @default 10_000, 5_000, 3
   */
  ping?: { idleMs?: number; timeoutMs?: number; misses?: number }
  /**
   * Answer libp2p's ping here, in the place of `@libp2p/ping`: who pings us is heard of then, so that one end of a connection pings and
   * not both. Where both services answer, the host does not start. @default false
   */
  servePing?: boolean
}

/** A peer that belongs to the network. */
export interface JoinedPeer {
  peer: PeerId
  /** The one connection to it; another object after a duplicate was settled. */
  readonly connection: Connection
  readonly direction: 'inbound' | 'outbound'
  /** Known with a status service only. */
  role?: 'full' | 'light' | 'seed'
  /** When it joined, in ms since 1970. */
  since: number
}

export interface PeersEvents {
  /** A peer belongs to us from now on. */
  join: CustomEvent<JoinedPeer>
  /** It does not any more. */
  leave: CustomEvent<{ peer: PeerId; reason: string }>
  /** How it stands with a seed. */
  seed: CustomEvent<SeedReport>
  /** What was kept of peers is damaged and was set aside, or cannot be kept. The node works all the same. */
  warning: CustomEvent<{ message: string }>
}

export interface BanOptions {
  /** How long, above 0; Infinity: until it is lifted. @default 24 h */
  ms?: number
  /** For people; at most 200 characters are kept. @default 'by hand' */
  reason?: string
}

/** What is known of a peer, for people. */
export interface PeerReport {
  peer: string
  /**
   * `connected` is not yet joined, `leaving` is being told goodbye; `refused` follows another chain, and is not dialled as long as status
   * says so.
   */
  state: 'joined' | 'connected' | 'dialling' | 'waiting' | 'banned' | 'refused' | 'leaving'
  seed: boolean
  direction?: 'inbound' | 'outbound'
  role?: string
  /** Where it would be dialled first. */
  address?: string
  /** Where in the address book: only heard of, or answered once. */
  table?: 'seed' | 'tried' | 'new'
  /** Failed attempts since the last good connection. */
  failures?: number
  /** Shortest round trip. */
  rttMs?: number
  /** Of a joined peer, as gossipsub is told: -4 to 0. */
  score?: number
  /** How much that was new came from it lately. */
  useful?: number
  /** Its last fault: class, reason, and when. */
  fault?: Charge
  /** Why the last attempt or connection ended. */
  error?: string
  /** What happens next with it, and in how many ms; absent for one that is not needed. */
  next?: { action: 'dial' | 'ping' | 'lift ban'; inMs: number }
}

/** Stopping a node stops dialling first, then everything else: no timer or listener is left. It can be started again. */
export interface Peers extends TypedEventTarget<PeersEvents> {
  /** By peer ID. Written here only. */
  readonly connected: ReadonlyMap<string, JoinedPeer>
  /** Between `suspend` and `resume`. */
  readonly suspended: boolean
  /** Something came from this peer: it is alive. Cheap; any service may say so as often as it likes. */
  heard(peer: PeerId): void
  /** Something new and good came from this peer: such peers are the last to be replaced. An accepted `judge` says so too. */
  useful(peer: PeerId): void
  /** Charges a peer. `provable` bans it for 24 h, `protocol` adds up to 1 h, `quality` lowers its priority, `none` costs nothing. */
  fault(peer: PeerId, fault: Fault, reason: string): void
  /** Charges a peer for a verdict on what it sent. A bad state costs only who served it through `sync`. */
  judge(peer: PeerId, verdict: Verdict, via: Via): void
  /** For gossipsub's `appSpecificScore` at its default weight of 10: -4 to 0, never enough to graylist a peer that we keep. */
  score(peerId: string): number
  /** Says goodbye with one of the codes of docs/wire.md, and closes all connections. Resolves when they are closed. */
  disconnect(peer: PeerId, code: GoodbyeCode, reason: string): Promise<void>
  /** Who is kept out: for faults, and by hand. */
  bans(): Ban[]
  /**
   * Keeps out a peer ID, an IP address, or a prefix in CIDR, in both directions, and parts from whom it hits. Kept on disk where the
   * host's datastore is; resolves when it is written.
   *
   * @throws ConfigError for what is none of them
   */
  ban(what: PeerId | string, options?: BanOptions): Promise<void>
  /** Lifts one; what a peer did before is forgotten with it. Answers whether there was one. Throws ConfigError as `ban` does. */
  unban(what: PeerId | string): Promise<boolean>
  /**
   * Says goodbye to all, closes their connections, dials nobody and lets nobody in, until `resume`: for a computer that goes to sleep. No
   * timer is left. Resolves when all is closed. Stopping and starting the node ends it too.
   */
  suspend(): Promise<void>
  /** Dials again, first those that stood by us; every wait after a failure is over. */
  resume(): void
  /**
   * Resolves when nothing is under way: all that are known and wanted have been dialled, who answered has joined or gone, and nobody is
   * being asked for others. Peers that wait for their next attempt are not waited for. Rejects with the reason of `signal` only.
   */
  flush(options?: AbortOptions): Promise<void>
  /** Every peer known: how it stands, its last fault, what happens next. */
  explain(): PeerReport[]
}

/**
 * A libp2p service. Throws ConfigError at once for options that cannot work, naming e.g. `seeds[1]` or `deny[0]`; needs
 * `@libp2p/identify` beside it.
 */
export function peers(init: PeersInit = {}): (components: PeersComponents) => Peers {
  const settings = settle(init)
  return (components) => new PeersService(components, init, settings)
}
