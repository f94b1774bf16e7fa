import type { Connection, PeerId } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import { type Clock, pause } from '../clock.js'
import type { IdentifyPort } from './siblings.js'
import { isDirect, survivorOf } from './survivor.js'

/** Whose connection has not led to a peer of ours by then is a stranger and is closed. identify gives up after 5 s, status after 10. */
export const IDENTIFY_MS = 15_000
/** How long closing may take before a connection is cut. */
const CLOSE_MS = 1000
/**
 * A duplicate is closed this long after the one that stays was identified. At once would be too early: gossipsub opens its stream right
 * after identify, and one whose connection closes meanwhile stays in its books for ever, so that no other is opened (seen in memory).
 */
const SETTLE_MS = 1000
const REPAIR_TRIES = 3
const REPAIR_AGAIN_MS = 500

export interface LinksInit {
  clock: Clock
  self: PeerId
  connectionManager: ConnectionManager
  /** libp2p's identify, when it stands beside us. */
  identify(): IdentifyPort | undefined
  /** Aborts when the service stops. */
  signal(): AbortSignal
  /** Takes care of work that goes on by itself. It does not reject. */
  spawn(task: Promise<unknown>): void
  isMember(id: string): boolean
  /** This one stays, the others to the same peer are being closed. */
  onSurvivor(connection: Connection): void
}

/**
 * One connection per peer. The connection gater decides that before an upgrade; what slips through is settled here: both ends keep the
 * lower ID's dial, close the other, and identify what stays once more, which opens gossip's streams on it again. Without that gossip
 * would be dead one way, for ever and silently, as soon as an identified duplicate closes.
 */
export class Links {
  readonly #init: LinksInit
  readonly #identified = new WeakSet<Connection>()
  readonly #strangers = new Map<Connection, number>()
  readonly #settling = new Set<string>()

  constructor(init: LinksInit) {
    this.#init = init
  }

  opened(connection: Connection): void {
    this.#strangers.set(connection, this.#init.clock.now())
  }

  identified(connection: Connection): void {
    this.#identified.add(connection)
    this.#settle(connection.remotePeer)
  }

  /** Answers the direct connection that is left to that peer, if one is. */
  closed(connection: Connection): Connection | undefined {
    this.#strangers.delete(connection)
    const { connectionManager, self, spawn } = this.#init
    const left = connectionManager
      .getConnections(connection.remotePeer)
      .filter((other) => other !== connection && isDirect(other))
    const survivor = survivorOf(left, self)
    if (survivor != null && this.#identified.has(connection)) {
      if (this.#identified.has(survivor)) this.#init.onSurvivor(survivor)
      spawn(this.identify(survivor))
    }
    return survivor
  }

  /** A direct connection has proved itself: those through relays have done their work. */
  direct(peer: PeerId): void {
    for (const other of this.#init.connectionManager.getConnections(peer)) {
      if (other.limits != null) this.#init.spawn(this.close(other))
    }
  }

  /** Closes what has not been identified in time, or to somebody who has not joined. A link through a relay need not join. */
  sweep(): void {
    const { clock, isMember, spawn } = this.#init
    const limit = clock.now() - IDENTIFY_MS
    for (const [connection, since] of this.#strangers) {
      const hasJoined = connection.limits != null || isMember(connection.remotePeer.toString())
      if (connection.status !== 'open' || (hasJoined && this.#identified.has(connection))) {
        this.#strangers.delete(connection)
      } else if (since <= limit) {
        this.#strangers.delete(connection)
        spawn(this.close(connection))
      }
    }
  }

  isIdentified(connection: Connection): boolean {
    return this.#identified.has(connection)
  }

  clear(): void {
    this.#strangers.clear()
  }

  /** Closes a connection, and cuts it when that takes too long. */
  async close(connection: Connection): Promise<void> {
    try {
      await connection.close({ signal: AbortSignal.timeout(CLOSE_MS) })
    } catch (err) {
      connection.abort(err instanceof Error ? err : new Error('could not be closed'))
    }
  }

  /** Identifies a connection once more. Another round may be under way, so it is tried a few times. */
  async identify(connection: Connection): Promise<void> {
    const { clock } = this.#init
    const identify = this.#init.identify()
    const signal = this.#init.signal()
    if (identify == null) return
    for (let i = 0; i < REPAIR_TRIES && connection.status === 'open' && !signal.aborted; i++) {
      try {
        await identify.identify(connection, { signal: AbortSignal.any([signal, AbortSignal.timeout(IDENTIFY_MS)]) })
        return
      } catch {
        await pause(clock, REPAIR_AGAIN_MS, signal)
      }
    }
  }

  #settle(peer: PeerId): void {
    const survivor = this.#survivor(peer)
    if (survivor != null && this.#identified.has(survivor)) this.#init.onSurvivor(survivor)
    const id = peer.toString()
    if (this.#open(peer).length < 2 || this.#settling.has(id)) return
    this.#settling.add(id)
    this.#init.spawn(this.#closeDuplicates(peer).finally(() => this.#settling.delete(id)))
  }

  /** Closes all but the one that stays, once that is identified; until then it is called again. */
  async #closeDuplicates(peer: PeerId): Promise<void> {
    const { clock, signal } = this.#init
    await pause(clock, SETTLE_MS, signal())
    const survivor = this.#survivor(peer)
    if (survivor == null || !this.#identified.has(survivor) || signal().aborted) return
    await Promise.all(this.#open(peer).map((other) => (other === survivor ? undefined : this.close(other))))
  }

  #open(peer: PeerId): Connection[] {
    return this.#init.connectionManager.getConnections(peer).filter(isDirect)
  }

  #survivor(peer: PeerId): Connection | undefined {
    return survivorOf(this.#open(peer), this.#init.self)
  }
}
