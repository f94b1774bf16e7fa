import type { Connection } from '@libp2p/interface'
import { equalBytes } from '../hex.js'
import type { Greeting, PeerHead } from './hello.js'
import type { PeerStatus, StatusLeave } from './index.js'

export interface RosterListener {
  joined(status: PeerStatus): void
  headChanged(status: PeerStatus): void
  left(detail: StatusLeave): void
}

/** The peers whose hello was accepted, and what they last said. */
export class Roster {
  readonly peers = new Map<string, PeerStatus>()

  constructor(private readonly listener: RosterListener) {}

  /** A hello was accepted: of a new peer, or of one that has moved to another stream. */
  accept(connection: Connection, greeting: Greeting): void {
    const key = connection.remotePeer.toString()
    const before = this.peers.get(key)
    const status = statusOf(connection, greeting)
    this.peers.set(key, status)
    if (before == null) this.listener.joined(status)
    else if (!sameHead(before.head, status.head)) this.listener.headChanged(status)
  }

  setHead(key: string, head: PeerHead | undefined): void {
    const before = this.peers.get(key)
    if (before == null || head == null || sameHead(before.head, head)) return
    const status = { ...before, head }
    this.peers.set(key, status)
    this.listener.headChanged(status)
  }

  /** Another connection carries the stream from now on. */
  move(key: string, connection: Connection): void {
    const status = this.peers.get(key)
    if (status != null) this.peers.set(key, { ...status, connection })
  }

  leave(key: string, reason: string, code?: number): void {
    const status = this.peers.get(key)
    if (status == null) return
    this.peers.delete(key)
    this.listener.left({ peer: status.peer, reason, ...(code == null ? {} : { code }) })
  }
}

function statusOf(connection: Connection, { role, lowest, head, txIndex, version, params }: Greeting): PeerStatus {
  const peer = connection.remotePeer
  return { peer, connection, role, lowest, txIndex, version, params, ...(head == null ? {} : { head }) }
}

function sameHead(a: PeerHead | undefined, b: PeerHead | undefined): boolean {
  if (a == null || b == null) return a === b
  return a.work === b.work && a.height === b.height && equalBytes(a.hash, b.hash)
}
