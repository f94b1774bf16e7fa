import type { Logger, PeerId } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import { type Clock, pause } from '../clock.js'
import type { GoodbyeCode } from '../status/index.js'
import { textOf } from './dialler.js'
import type { Links } from './links.js'
import type { StatusPort } from './siblings.js'

/** How long a goodbye may hold up the closing. docs/wire.md, section 1. */
const GOODBYE_MS = 500

export interface FarewellInit {
  clock: Clock
  log: Logger
  connectionManager: ConnectionManager
  links: Links
  /** Who has the stream that a goodbye goes by. */
  status(): StatusPort | undefined
  /** Aborts when the service stops. */
  signal(): AbortSignal
}

/** Parts from peers. Owns the reasons while that goes on. */
export class Farewell {
  readonly #init: FarewellInit
  readonly #reasons = new Map<string, string>()

  constructor(init: FarewellInit) {
    this.#init = init
  }

  /** Why this peer is being disconnected, if it is. */
  reasonOf(id: string): string | undefined {
    return this.#reasons.get(id)
  }

  /** Says goodbye, then closes all connections. Resolves when they are closed; at once without any. */
  async disconnect(peer: PeerId, code: GoodbyeCode, reason: string): Promise<void> {
    const { connectionManager, links } = this.#init
    const id = peer.toString()
    if (connectionManager.getConnections(peer).length === 0) return
    this.#reasons.set(id, reason)
    try {
      await this.#goodbye(peer, code)
      await Promise.all(connectionManager.getConnections(peer).map((connection) => links.close(connection)))
    } finally {
      this.#reasons.delete(id)
    }
  }

  async #goodbye(peer: PeerId, code: GoodbyeCode): Promise<void> {
    const { clock, log, signal } = this.#init
    const status = this.#init.status()
    if (status == null) return
    const done = new AbortController()
    try {
      const tooLong = pause(clock, GOODBYE_MS, AbortSignal.any([signal(), done.signal]))
      await Promise.race([status.goodbye(peer, code), tooLong])
    } catch (err) {
      log('no goodbye to %p: %s', peer, textOf(err))
    } finally {
      done.abort()
    }
  }
}
