import type { PeerId, TypedEventTarget } from '@libp2p/interface'
import type { Verdict } from '../chain/index.js'
import { type Fault, PeerError } from '../errors.js'
import type { PeerStatus, Status } from '../status/index.js'

/** What `sync` tells the `peers` service. */
export interface PeersPort {
  heard(peer: PeerId): void
  /** It served us something that we needed. */
  useful?(peer: PeerId): void
  fault(peer: PeerId, fault: Fault, reason: string): void
  judge(peer: PeerId, verdict: Verdict, via: 'sync' | 'headers'): void
}

/** What `sync` reads of the `status` service. */
export type StatusPort = Pick<Status, 'peers'> &
  Pick<TypedEventTarget<StatusPortEvents>, 'addEventListener' | 'removeEventListener'>

interface StatusPortEvents {
  join: CustomEvent<PeerStatus>
  head: CustomEvent<PeerStatus>
  leave: CustomEvent<{ peer: PeerId; reason: string }>
}

/** Who is connected, and who is told what they did. */
export class Neighbours implements PeersPort {
  constructor(
    private readonly status: StatusPort,
    /** Undefined where the node has no `peers` service: then nobody is charged. */
    private readonly peers: PeersPort | undefined
  ) {}

  peer(id: string): PeerStatus | undefined {
    return this.status.peers.get(id)
  }

  heard(peer: PeerId): void {
    this.peers?.heard(peer)
  }

  useful(peer: PeerId): void {
    this.peers?.useful?.(peer)
  }

  fault(peer: PeerId, fault: Fault, reason: string): void {
    this.peers?.fault(peer, fault, reason)
  }

  judge(peer: PeerId, verdict: Verdict, via: 'sync' | 'headers'): void {
    this.peers?.judge(peer, verdict, via)
  }

  /** A request failed: the error says whose fault it is. Anything but a `PeerError` is a connection that is gone. */
  failed(peer: PeerId, err: unknown): void {
    if (err instanceof PeerError && err.fault !== 'none') this.fault(peer, err.fault, err.message)
  }
}
