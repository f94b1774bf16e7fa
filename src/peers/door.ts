import type { MultiaddrConnection, PeerId } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import type { Clock } from '../clock.js'
import type { Ledger } from './faults.js'
import type { Guard } from './gater.js'
import type { Planner } from './planner.js'
import { isDirect, weAreLower } from './survivor.js'

export interface DoorInit {
  clock: Clock
  self: PeerId
  connectionManager: ConnectionManager
  ledger: Ledger
  planner: Planner
  /** Inbound connections at which the door is shut before any cryptography. */
  limit: number
  /** A peer called although a connection to it stands: is that one dead? */
  onDoubt(peer: PeerId): void
}

/**
 * Whom the connection gater lets in. Bans are by peer ID. Of two dials that cross, the lower ID's wins: with the lower ID here, the
 * other's is turned away before it is upgraded, as long as ours is under way or stands.
 */
export class Door implements Guard {
  readonly #init: DoorInit

  constructor(init: DoorInit) {
    this.#init = init
  }

  denyDialPeer(peer: PeerId): boolean {
    return this.#init.ledger.isBanned(peer.toString(), this.#init.clock.now())
  }

  denyInboundConnection(): boolean {
    return this.#init.planner.inbound >= this.#init.limit
  }

  denyOutboundEncryptedConnection(peer: PeerId): boolean {
    return this.denyDialPeer(peer)
  }

  denyInboundEncryptedConnection(peer: PeerId, _connection?: MultiaddrConnection): boolean {
    if (this.denyDialPeer(peer)) return true
    const { self, connectionManager, planner, onDoubt } = this.#init
    const id = peer.toString()
    if (!weAreLower(self, peer)) return false
    if (connectionManager.getConnections(peer).some((link) => isDirect(link) && link.direction === 'outbound')) {
      onDoubt(peer)
      return true
    }
    if (!planner.outranks(id)) return false
    const dialling =
      planner.isDialling(id) || connectionManager.getDialQueue().some((dial) => dial.peerId?.equals(peer) === true)
    if (dialling) planner.deniedInbound(id)
    return dialling
  }
}
