import type { Connection } from '@libp2p/interface'
import type { Clock } from '../clock.js'
import { Liveness, type LivenessInit } from './liveness.js'
import { isOurs, ping } from './ping.js'

export interface HeartbeatInit extends LivenessInit {
  clock: Clock
  /** The connection over which a peer is asked. */
  connection(id: string): Connection | undefined
  /** It did not answer often enough. */
  onSilent(id: string): void
}

/** Pings whom `Liveness` says. */
export class Heartbeat {
  readonly liveness: Liveness
  readonly #init: HeartbeatInit

  constructor(init: HeartbeatInit) {
    this.#init = init
    this.liveness = new Liveness(init)
  }

  /** Pings all that are due. Answers what goes on by itself and does not reject. */
  beat(signal: AbortSignal): Promise<void>[] {
    return this.liveness.due(this.#init.clock.now()).map((id) => this.#ping(id, signal))
  }

  /** Pings one peer now, if that is not being done already. */
  probe(id: string, signal: AbortSignal): Promise<void> {
    return this.liveness.isWaiting(id) ? Promise.resolve() : this.#ping(id, signal)
  }

  async #ping(id: string, signal: AbortSignal): Promise<void> {
    const { clock, timeoutMs, connection, onSilent } = this.#init
    const { liveness } = this
    const link = connection(id)
    if (link == null) return
    const sentAt = clock.now()
    liveness.sent(id, sentAt)
    const deadline = new AbortController()
    const cancel = clock.after(timeoutMs, () => {
      const now = clock.now()
      liveness.lag(now - sentAt - timeoutMs, now)
      deadline.abort(new Error(`no answer within ${timeoutMs} ms`))
    })
    try {
      await ping(link, AbortSignal.any([signal, deadline.signal]))
      liveness.answered(id, clock.now())
    } catch (err) {
      if (signal.aborted || isOurs(err)) liveness.skipped(id)
      else if (liveness.missed(id, clock.now())) onSilent(id)
    } finally {
      cancel()
    }
  }
}
