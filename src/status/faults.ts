import type { PeerId } from '@libp2p/interface'
import type { Fault } from '../errors.js'

/** What `status` tells `peers`, where that service exists. */
export interface FaultPort {
  fault(peer: PeerId, fault: Fault, reason: string): void
  /** The peer is alive. */
  heard?(peer: PeerId): void
}

/** libp2p's components throw for a name that is missing. */
export function faultPort(components: object): FaultPort | undefined {
  try {
    return (components as { peers?: FaultPort }).peers
  } catch {
    return undefined
  }
}
