import type { Connection, MultiaddrConnection, PeerId } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Guard } from './gater.js'
import { hostOf } from './group.js'
import type { Judge } from './judge.js'
import type { Planner } from './planner.js'
import { scopeOf } from './scope.js'
import { isDirect, weAreLower } from './survivor.js'

/**
 * Inbound connections from one public IPv4 address or IPv6 /64 that have not led to a peer yet: so that one host does not hold all places
 * before the door.
 */
export const MAX_STRANGERS_PER_HOST = 8
/** Connections that a peer may have open when it opens another: an old one that is dead, and one that crossed ours. */
export const MAX_PER_PEER = 2

export interface DoorInit {
  self: PeerId
  connectionManager: ConnectionManager
  judge: Judge
  planner: Planner
  /** Inbound connections at which the door is shut before any cryptography. */
  limit: number
  /** Nobody comes in, and nobody is dialled. */
  isShut(): boolean
  /** Not identified, or to somebody who has not joined. */
  isStranger(connection: Connection): boolean
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
    return scopeOf(remoteAddr) === 'public' && this.#strangersAt(hostOf(remoteAddr)) >= MAX_STRANGERS_PER_HOST
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
    const links = connectionManager.getConnections(peer).filter(isDirect)
    if (links.length >= MAX_PER_PEER) {
      onDoubt(peer)
      return true
    }
    if (!weAreLower(self, peer)) return false
    if (links.some(({ direction }) => direction === 'outbound')) {
      onDoubt(peer)
      return true
    }
    if (!planner.outranks(id)) return false
    const dialling =
      planner.isDialling(id) || connectionManager.getDialQueue().some((dial) => dial.peerId?.equals(peer) === true)
    if (dialling) planner.deniedInbound(id)
    return dialling
  }

  /** Many may have been on their way when the last place was taken, or when that peer was banned. */
  denyInboundUpgradedConnection(peer: PeerId): boolean {
    const { planner, limit } = this.#init
    return this.denyDialPeer(peer) || (planner.inbound >= limit && !planner.isLinked(peer.toString()))
  }

  denyOutboundUpgradedConnection(peer: PeerId): boolean {
    return this.denyDialPeer(peer)
  }

  #strangersAt(host: string | undefined): number {
    const { connectionManager, isStranger } = this.#init
    return connectionManager
      .getConnections()
      .filter(({ direction, remoteAddr }) => direction === 'inbound' && host != null && hostOf(remoteAddr) === host)
      .filter(isStranger).length
  }
}
