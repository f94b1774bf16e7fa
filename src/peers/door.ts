import type { MultiaddrConnection, PeerId } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Guard } from './gater.js'
import { ipOf } from './ip.js'
import type { Judge } from './judge.js'
import type { Planner } from './planner.js'
import { scopeOf } from './scope.js'
import { isDirect, weAreLower } from './survivor.js'

/** Inbound connections from one public address that have not joined yet: so that one host does not hold all places before the door. */
export const MAX_STRANGERS_PER_ADDRESS = 8

export interface DoorInit {
  self: PeerId
  connectionManager: ConnectionManager
  judge: Judge
  planner: Planner
  /** Inbound connections at which the door is shut before any cryptography. */
  limit: number
  /** Nobody comes in, and nobody is dialled. */
  isShut(): boolean
  isMember(id: string): boolean
  /** A peer called although a connection to it stands: is that one dead? */
  onDoubt(peer: PeerId): void
}

/**
 * Whom the connection gater lets in: nobody who is banned, by peer ID or address, or against the operator's rules. Of two dials that
 * cross, the lower ID's wins: with the lower ID here, the other's is turned away before it is upgraded, as long as ours is under way or
 * stands.
 */
export class Door implements Guard {
  readonly #init: DoorInit

  constructor(init: DoorInit) {
    this.#init = init
  }

  denyDialPeer(peer: PeerId): boolean {
    const { isShut, judge } = this.#init
    return isShut() || judge.isBanned(peer.toString())
  }

  denyDialMultiaddr(address: Multiaddr): boolean {
    return this.#init.judge.objection(address) != null
  }

  denyInboundConnection({ remoteAddr }: MultiaddrConnection): boolean {
    const { isShut, judge, planner, limit } = this.#init
    if (isShut() || planner.inbound >= limit || judge.objection(remoteAddr) != null) return true
    return scopeOf(remoteAddr) === 'public' && this.#strangersAt(ipOf(remoteAddr)) >= MAX_STRANGERS_PER_ADDRESS
  }

  denyOutboundConnection(_peer: PeerId, { remoteAddr }: MultiaddrConnection): boolean {
    return this.denyDialMultiaddr(remoteAddr)
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

  /** Many may have been on their way when the last place was taken. */
  denyInboundUpgradedConnection(peer: PeerId): boolean {
    const { planner, limit } = this.#init
    return planner.inbound >= limit && !planner.isLinked(peer.toString())
  }

  #strangersAt(ip: string | undefined): number {
    const { connectionManager, isMember } = this.#init
    return connectionManager
      .getConnections()
      .filter(({ direction, remoteAddr }) => direction === 'inbound' && ip != null && ipOf(remoteAddr) === ip)
      .filter(({ remotePeer }) => !isMember(remotePeer.toString())).length
  }
}
