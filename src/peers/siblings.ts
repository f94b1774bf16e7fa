import type {
  ComponentLogger,
  Connection,
  ConnectionGater,
  Libp2pEvents,
  Metrics,
  NewStreamOptions,
  PeerId,
  PeerStore
} from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import type { Datastore } from 'interface-datastore'
import type { TypedEventTarget } from 'main-event'
import type { GoodbyeCode } from '../status/index.js'

/** What `peers` needs of its host. `chain`, `status` and `identify` are used when they stand beside it. */
export interface PeersComponents {
  peerId: PeerId
  peerStore: PeerStore
  connectionManager: ConnectionManager
  connectionGater: ConnectionGater
  registrar: Registrar
  events: TypedEventTarget<Libp2pEvents>
  logger: ComponentLogger
  datastore: Datastore
  metrics?: Metrics
}

/** What `peers` needs of the chain: its name in protocol IDs. */
export interface ChainPort {
  readonly id: string
}

/** What a peer said of itself in its hello, as far as `peers` cares. */
export interface StatusPeer {
  peer: PeerId
  connection: Connection
  role: 'full' | 'light' | 'seed'
}

/** A peer has left; `code`: of the goodbye that it said, if it said one. */
export interface StatusLeave {
  peer: PeerId
  reason: string
  code?: number
}

/** What `peers` needs of a service that decides who belongs to the network; `status` is one. */
export interface StatusPort
  extends Pick<
    TypedEventTarget<{ join: CustomEvent<StatusPeer>; leave: CustomEvent<StatusLeave> }>,
    'addEventListener' | 'removeEventListener'
  > {
  goodbye(peer: PeerId, code: GoodbyeCode): Promise<void>
  /** Why it should not be dialled; `field` names what differs. */
  refusal(peer: PeerId): { field?: string } | undefined
}

/** libp2p's identify, with which gossip is repaired after a duplicate connection. */
export interface IdentifyPort {
  identify(connection: Connection, options?: NewStreamOptions): Promise<unknown>
}

/** Services that may stand beside `peers` in a node, by their keys. */
export interface Siblings {
  chain: ChainPort | undefined
  status: StatusPort | undefined
  identify: IdentifyPort | undefined
}

/** Reads them when all services exist: libp2p's components throw for a name that is missing. */
export function siblings(components: object): Siblings {
  const read = <K extends keyof Siblings>(key: K): Siblings[K] => {
    try {
      return (components as Siblings)[key]
    } catch {
      return undefined
    }
  }
  return { chain: read('chain'), status: read('status'), identify: read('identify') }
}
