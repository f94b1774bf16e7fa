import type { Clock } from '../clock.js'
import { HIGH_WATER_BYTES } from './patience.js'
import type { RawGossipsub, RawMessage } from './raw.js'

/** What waits too long is not wanted any more: gossipsub asks another after 3 s, and forgets a message after 30 s. */
const GIVE_UP_MS = 10_000
const LOOK_MS = 50

export interface AnswersInit {
  clock: Clock
  /** What may wait for one peer; what it asks beyond that is not answered. */
  maxBytes: number
  /** Those of higher priority are sent first. */
  priority(topic: string): number
}

interface Waiting {
  message: RawMessage
  bytes: number
}

interface Lane {
  queue: Waiting[]
  bytes: number
  /** When something was sent last, or the lane began. */
  since: number
  stopWaiting: () => void
}

/**
 * What peers ask for by ID, one message at a time, as their streams take it. gossipsub by itself answers with all of it in one RPC,
 * which the asker refuses when it is too large: it would have ended its own link by asking for three blocks. Each peer waits for itself.
 */
export class Answers {
  readonly #lanes = new Map<string, Lane>()

  constructor(
    private readonly pubsub: RawGossipsub,
    private readonly init: AnswersInit
  ) {
    const find = pubsub.handleIWant.bind(pubsub)
    pubsub.handleIWant = (peer, iwant) => {
      this.#add(peer, find(peer, iwant))
      return []
    }
  }

  /** Peers that wait for something. */
  get size(): number {
    return this.#lanes.size
  }

  clear(): void {
    for (const peer of [...this.#lanes.keys()]) this.#end(peer)
  }

  #add(peer: string, messages: RawMessage[]): void {
    if (messages.length === 0) return
    const { clock, maxBytes, priority } = this.init
    let lane = this.#lanes.get(peer)
    if (lane == null) {
      lane = { queue: [], bytes: 0, since: clock.now(), stopWaiting: () => {} }
      this.#lanes.set(peer, lane)
    }
    for (const message of messages) {
      const bytes = message.data?.byteLength ?? 0
      if (lane.bytes + bytes > maxBytes) continue
      lane.bytes += bytes
      lane.queue.push({ message, bytes })
    }
    lane.queue.sort((a, b) => priority(b.message.topic) - priority(a.message.topic))
    this.#go(peer, lane)
  }

  #go(peer: string, lane: Lane): void {
    const { clock } = this.init
    lane.stopWaiting()
    while (lane.queue.length > 0) {
      const stream = this.pubsub.streamsOutbound.get(peer)?.rawStream
      if (stream == null || stream.status !== 'open') break
      const held = stream.writeBufferLength
      const next = lane.queue[0]!
      // others wait for a link that holds more than the mark: one that is larger goes alone
      if (held > 0 && held + next.bytes > HIGH_WATER_BYTES) {
        if (clock.now() - lane.since >= GIVE_UP_MS) break
        this.#wait(peer, lane, stream)
        return
      }
      lane.queue.shift()
      lane.bytes -= next.bytes
      lane.since = clock.now()
      this.pubsub.sendRpc(peer, { subscriptions: [], messages: [next.message] })
    }
    this.#end(peer)
  }

  #wait(peer: string, lane: Lane, stream: EventTarget): void {
    const wake = (): void => this.#go(peer, lane)
    const cancel = this.init.clock.after(LOOK_MS, wake)
    stream.addEventListener('idle', wake)
    stream.addEventListener('close', wake)
    lane.stopWaiting = () => {
      lane.stopWaiting = () => {}
      cancel()
      stream.removeEventListener('idle', wake)
      stream.removeEventListener('close', wake)
    }
  }

  #end(peer: string): void {
    this.#lanes.get(peer)?.stopWaiting()
    this.#lanes.delete(peer)
  }
}
