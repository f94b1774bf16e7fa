/**
 * @packageDocumentation
 * Who follows our chain: a handshake with every peer as soon as it is connected, then its head whenever that changes. A peer of
 * another network, genesis or fork is told so, with both values, and disconnected; both sides report it as `refused`.
 *
 * @example
 * ```ts
 * const node = await createLibp2p({ services: { identify: identify(), chain: () => chain, status: status() } })
 * node.services.status.addEventListener('join', ({ detail }) => console.log(detail.peer, detail.head?.height))
 * ```
 */
import type { ComponentLogger, Connection, Libp2pEvents, PeerId, TypedEventTarget } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import type { Clock } from '../clock.js'
import type { GoodbyeCode } from './goodbye.js'
import type { PeerHead, Role, StatusChain } from './hello.js'
import type { Refusal } from './refusals.js'
import { StatusService } from './status.js'

export { ProtocolOrderError, StatusTimeoutError } from './errors.js'
export { compareForkId, type ForkId, forkId } from './fork-id.js'
export { GoodbyeCode, goodbyeReason } from './goodbye.js'
export type { Difference, PeerHead, Role, StatusChain } from './hello.js'
export type { Refusal } from './refusals.js'
export { STATUS_PROTOCOL } from './sessions.js'

export interface StatusInit {
  /** What we are to others. A seed tells no head. @default 'full' */
  role?: Role
  /** Lowest height whose block we serve. @default 0 */
  lowest?(): number
  /** How long the other side may take to say hello, in ms. @default 5_000 */
  helloMs?: number
  clock?: Clock
}

/** A peer that follows our chain. A new object whenever something of it changes. */
export interface PeerStatus {
  readonly peer: PeerId
  readonly connection: Connection
  readonly role: Role
  /** Lowest height whose block it says to serve. */
  readonly lowest: number
  /** What it says its head is; absent for seeds. Nothing of it is proven. */
  readonly head?: PeerHead
  /** It says to know which block holds a transaction. */
  readonly txIndex: boolean
  /** Of the status protocol. */
  readonly version: number
  readonly params: Readonly<Record<string, string>>
}

/** A peer that is gone, and why. */
export interface StatusLeave {
  peer: PeerId
  reason: string
  /** Of the goodbye that it said, if it said one; see `GoodbyeCode`. */
  code?: number
}

export interface StatusEvents {
  /** A peer has shown that it follows our chain. */
  join: CustomEvent<PeerStatus>
  /** Its head has changed. */
  head: CustomEvent<PeerStatus>
  /** It said goodbye, broke the rules, or its last connection is gone. */
  leave: CustomEvent<StatusLeave>
  /** It follows another chain. Comes once per connection, at both sides. */
  refused: CustomEvent<Refusal>
}

/**
 * The handshake. Sole owner of who follows our chain and which head each peer says it has. Peers of other chains, and peers that
 * break the rules of the protocol, are disconnected here. `stop` says goodbye to all, for at most half a second.
 */
export interface Status extends TypedEventTarget<StatusEvents> {
  /** By peer ID string. Only peers whose hello was accepted. */
  readonly peers: ReadonlyMap<string, PeerStatus>
  get(peer: PeerId): PeerStatus | undefined
  /** Says goodbye, if there is a stream, and waits until that is sent, at most 500 ms. The peer leaves at once. The caller closes the connection. */
  goodbye(peer: PeerId, code: GoodbyeCode): Promise<void>
  /** Why a peer should not be dialled: it follows another chain, and neither side has changed since. */
  refusal(peer: PeerId): Refusal | undefined
}

/** What `status` takes from its neighbours. `peers` is told of faults where it exists. */
export interface StatusComponents {
  chain: StatusChain & Pick<EventTarget, 'addEventListener' | 'removeEventListener'>
  registrar: Registrar
  connectionManager: ConnectionManager
  events: TypedEventTarget<Libp2pEvents>
  logger: ComponentLogger
}

/** The status service. Needs `identify`, and a `chain` beside it. */
export function status(init: StatusInit = {}): (components: StatusComponents) => Status {
  return (components) => new StatusService(components, init)
}
