import type { Connection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../clock.js'
import type { JoinedPeer } from './index.js'

type Member = { -readonly [K in keyof JoinedPeer]: JoinedPeer[K] }

export interface RosterInit {
  clock: Clock
  /** Whether an inbound newcomer finds a place. */
  hasRoom(id: string, remote: Multiaddr): boolean
  onJoin(member: JoinedPeer): void
  onLeave(member: JoinedPeer, reason: string): void
  /** An inbound peer that found no place is to be told so and closed. */
  onSurplus(id: string): void
}

/** Sole owner of who has joined. */
export class Roster {
  readonly #init: RosterInit
  readonly #members = new Map<string, Member>()

  constructor(init: RosterInit) {
    this.#init = init
  }

  get members(): ReadonlyMap<string, JoinedPeer> {
    return this.#members
  }

  join(peer: PeerId, connection: Connection, role?: JoinedPeer['role']): void {
    const { clock, hasRoom, onJoin, onSurplus } = this.#init
    const id = peer.toString()
    if (this.#members.has(id)) return
    const { direction } = connection
    if (direction === 'inbound' && !hasRoom(id, connection.remoteAddr)) {
      onSurplus(id)
      return
    }
    const member = { peer, connection, direction, since: clock.now(), ...(role == null ? {} : { role }) }
    this.#members.set(id, member)
    onJoin(member)
  }

  leave(id: string, reason: string): void {
    const member = this.#members.get(id)
    if (member == null) return
    this.#members.delete(id)
    this.#init.onLeave(member, reason)
  }

  /** Of several connections this one stays. */
  follow(connection: Connection): void {
    const member = this.#members.get(connection.remotePeer.toString())
    if (member == null) return
    member.connection = connection
    member.direction = connection.direction
  }

  clear(reason: string): void {
    for (const id of [...this.#members.keys()]) this.leave(id, reason)
  }
}
