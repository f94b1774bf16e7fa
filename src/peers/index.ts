/**
 * @packageDocumentation
 * Whom to keep: finds peers, dials them and keeps the number up, asks them for others, notices when they are gone, and parts from
 * those that do harm. libp2p does none of it by itself: it neither dials what it discovers nor dials a seed twice.
 *
 * Works in a plain `createLibp2p`, with or without a chain. With a `chain` beside it, peers introduce each other; with a `status`, a
 * peer counts as joined when status has accepted it, otherwise when it is identified. What goes wrong with a peer is never thrown: it
 * costs that peer something (`faults.ts`), and `explain()` says what.
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
import type { Connection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { TypedEventTarget } from 'main-event'
import type { Verdict } from '../chain/index.js'
import type { Clock } from '../clock.js'
import { ConfigError, type Fault } from '../errors.js'
import type { GoodbyeCode } from '../status/index.js'
import type { SeedReport } from './dialler.js'
import type { Charge, Via } from './faults.js'
import { PeersService } from './peers.js'
import { parseSeeds } from './seeds.js'
import type { PeersComponents } from './siblings.js'

export { type HostDefaults, hostDefaults } from './defaults.js'
export type { SeedReport, SeedState } from './dialler.js'
export { type Charge, faultOf, type Via } from './faults.js'
export type { ChainPort, IdentifyPort, PeersComponents, StatusPeer, StatusPort } from './siblings.js'

export interface PeersInit {
  /**
   * Where to begin: multiaddrs that end in `/p2p/<peer ID>`; `/dnsaddr/…` is resolved. Retried for ever, after 1 s at first and 5 min
   * at most; at most 10 s while there is no peer at all. This node's own address is skipped.
   */
  seeds?: readonly (string | Multiaddr)[]
  /** Outbound connections to keep. @default 8 */
  target?: number
  /** Inbound connections to keep; further ones are told so and closed. @default 32, for the role seed 256 */
  maxInbound?: number
  role?: 'full' | 'light' | 'seed'
  /** Pass on, and ask for, peers' own signed addresses. Only where the node has a chain. @default true */
  introductions?: boolean
  clock?: Clock
  /** [0, 1), for jitter and choice. @default Math.random */
  random?: () => number
  /**
   * A peer that nothing was heard of for `idleMs` is pinged; `misses` pings in a row without an answer within `timeoutMs` end the
   * connection. A miss does not count when our own event loop was late. @default 10_000, 5_000, 3
   */
  ping?: { idleMs?: number; timeoutMs?: number; misses?: number }
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
}

/** What is known of a peer, for people. */
export interface PeerReport {
  peer: string
  /** `connected` is not yet joined; `refused` follows another chain, and is not dialled as long as status says so. */
  state: 'joined' | 'connected' | 'dialling' | 'waiting' | 'banned' | 'refused'
  seed: boolean
  direction?: 'inbound' | 'outbound'
  role?: string
  /** Its last fault: class, reason, and when. */
  fault?: Charge
  /** Why the last attempt or connection ended. */
  error?: string
  /** What happens next with it, and in how many ms. */
  next?: { action: 'dial' | 'ping' | 'lift ban'; inMs: number }
}

/** Stopping a node stops dialling first, then everything else: no timer or listener is left. It can be started again. */
export interface Peers extends TypedEventTarget<PeersEvents> {
  /** By peer ID. Written here only. */
  readonly connected: ReadonlyMap<string, JoinedPeer>
  /** Something came from this peer: it is alive. Cheap; any service may say so as often as it likes. */
  heard(peer: PeerId): void
  /** Charges a peer. `provable` bans it for 24 h, `protocol` adds up to that, `quality` lowers its priority, `none` costs nothing. */
  fault(peer: PeerId, fault: Fault, reason: string): void
  /** Charges a peer for a verdict on what it sent. A bad state costs only who served it through `sync`. */
  judge(peer: PeerId, verdict: Verdict, via: Via): void
  /** For gossipsub's `appSpecificScore` at its default weight of 10: -4 to 0, never enough to graylist a peer that we keep. */
  score(peerId: string): number
  /** Says goodbye with one of the codes of docs/wire.md, and closes all connections. Resolves when they are closed. */
  disconnect(peer: PeerId, code: GoodbyeCode, reason: string): Promise<void>
  /** Every peer known: how it stands, its last fault, what happens next. */
  explain(): PeerReport[]
}

/**
 * A libp2p service. Throws ConfigError at once for options that cannot work, naming `seeds[i]` where it is a seed; needs
 * `@libp2p/identify` beside it.
 */
export function peers(init: PeersInit = {}): (components: PeersComponents) => Peers {
  const seeds = parseSeeds(init.seeds ?? [])
  for (const name of ['target', 'maxInbound'] as const) {
    const value = init[name]
    if (value != null && !(Number.isInteger(value) && value >= 0 && value <= 10_000)) {
      throw new ConfigError(name, `${value} is not a number of peers`, { fix: 'give an integer from 0 to 10,000' })
    }
  }
  return (components) => new PeersService(components, init, seeds)
}
