import type { Connection, PeerId } from '@libp2p/interface'
import type { Clock } from '../clock.js'
import type { JoinedPeer } from './index.js'

/** How long one over the cap may take to say hello, so that our goodbye has a stream to go by. */
const SURPLUS_MS = 3000

type Member = { -readonly [K in keyof JoinedPeer]: JoinedPeer[K] }

export interface RosterInit {
  clock: Clock
  onJoin(member: JoinedPeer): void
  onLeave(member: JoinedPeer, reason: string): void
  /** An inbound peer over the cap is to be told so and closed. */
  onSurplus(id: string): void
}

/** Sole owner of who has joined, and of who came although there was no room. */
export class Roster {
  readonly #init: RosterInit
  readonly #members = new Map<string, Member>()
  readonly #surplus = new Map<string, () => void>()

  constructor(init: RosterInit) {
    this.#init = init
  }

  get members(): ReadonlyMap<string, JoinedPeer> {
    return this.#members
  }

  /** This one came over the cap: it is not let in, and has to go soon. */
  turnAway(id: string): void {
    const { clock, onSurplus } = this.#init
    if (this.#members.has(id) || this.#surplus.has(id)) return
    this.#surplus.set(
      id,
      clock.after(SURPLUS_MS, () => onSurplus(id))
    )
  }

  join(peer: PeerId, connection: Connection, role?: JoinedPeer['role']): void {
    const { clock, onJoin, onSurplus } = this.#init
    const id = peer.toString()
    if (this.#surplus.has(id)) onSurplus(id)
    else if (!this.#members.has(id)) {
      const { direction } = connection
      const member = { peer, connection, direction, since: clock.now(), ...(role == null ? {} : { role }) }
      this.#members.set(id, member)
      onJoin(member)
    }
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

  /** No connection to it is left. */
  gone(id: string): void {
    this.#surplus.get(id)?.()
    this.#surplus.delete(id)
  }

  /** Nobody is turned away any more: the node stops. */
  close(): void {
    for (const id of [...this.#surplus.keys()]) this.gone(id)
  }

  clear(reason: string): void {
    for (const id of [...this.#members.keys()]) this.leave(id, reason)
  }
}
