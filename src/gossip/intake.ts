import type { PeerId } from '@libp2p/interface'
import { type Clock, turn } from '../clock.js'
import { Rate } from '../rate.js'
import type { RawGossipsub, RawMessage, RawRpc } from './raw.js'

/** For how long what peers send is taken in before the event loop goes round, in ms. */
const SLICE_MS = 5
/** Room for all that a peer may send before it sees that we have paused: 16 MiB is the largest window of yamux by default. */
const READ_BYTES = 17 * 1_048_576

/**
 * Messages a second of one peer, on average over 5 s, those of urgent topics not counted. gossipsub remembers each for two minutes, at some
 * 200 B: without it a flood of small ones fills memory. A peer that sends on what a hundred others make in batches sends less.
 */
const MESSAGES_PER_SECOND = 2_000
const RATE_WINDOW_MS = 5_000
/** Over so many peers those are forgotten that are gone. */
const MAX_RATES = 512

/** One RPC that waits for its turn. */
interface Waiting {
  /** Takes it in, and lets gossipsub go on to the peer's next. */
  run(): Promise<void>
  /** Lets it go on without. */
  drop(): void
}

/**
 * Takes in what peers send in slices of time, each peer in turn, those first that bring something urgent. gossipsub by itself goes through
 * all that a socket holds before any other is looked at: 2 MiB of small messages keep a block waiting for half a second. A peer that has
 * to wait is not read from, so that what it sends on stays with it.
 */
export class Intake {
  readonly #waiting = { urgent: new Map<string, Waiting>(), other: new Map<string, Waiting>() }
  /** Peers that are not read from. */
  readonly #paused = new Set<string>()
  readonly #rates = new Map<string, Rate>()
  /** Of the present slice, in ms. */
  #spent = 0
  #running = false

  constructor(
    private readonly pubsub: RawGossipsub,
    private readonly isUrgent: (topic: string) => boolean,
    private readonly clock: Clock
  ) {
    const handle = pubsub.handleReceivedRpc.bind(pubsub)
    pubsub.handleReceivedRpc = (peer, rpc) => {
      rpc.messages = this.#limited(peer.toString(), rpc.messages)
      const run = (): Promise<void> => this.#measured(() => handle(peer, rpc))
      return this.#spent < SLICE_MS && this.#idle ? run() : this.#wait(peer, rpc, run)
    }
  }

  /** Peers that wait for their turn. */
  get waiting(): number {
    return this.#waiting.urgent.size + this.#waiting.other.size
  }

  /** Drops what waits. */
  clear(): void {
    for (let next = this.#take(); next != null; next = this.#take()) next.drop()
    this.#resume()
  }

  get #idle(): boolean {
    return this.waiting === 0
  }

  /** What is over the rate is not seen at all, so that it may still come from somebody else. */
  #limited(peer: string, messages: RawMessage[]): RawMessage[] {
    if (messages.length === 0) return messages
    const now = this.clock.now()
    let rate = this.#rates.get(peer)
    if (rate == null) {
      if (this.#rates.size >= MAX_RATES) {
        for (const id of this.#rates.keys()) if (!this.pubsub.streamsInbound.has(id)) this.#rates.delete(id)
      }
      rate = new Rate(MESSAGES_PER_SECOND, RATE_WINDOW_MS, now)
      this.#rates.set(peer, rate)
    }
    const within = rate
    return messages.filter(({ topic }) => this.isUrgent(topic) || within.take(now))
  }

  async #measured(work: () => Promise<void>): Promise<void> {
    const from = performance.now()
    if (!this.#running) void this.#run()
    try {
      await work()
    } finally {
      this.#spent += performance.now() - from
    }
  }

  /** gossipsub hands us the next RPC of a stream when we are done with this one: what still waits of a peer came by a stream that was replaced. */
  #wait(peer: PeerId, rpc: RawRpc, run: () => Promise<void>): Promise<void> {
    const id = peer.toString()
    const urgent = rpc.messages.some(({ topic }) => this.isUrgent(topic))
    if (!this.#running) void this.#run()
    this.#pause(id)
    return new Promise((resolve, reject) => {
      const queue = this.#waiting[urgent ? 'urgent' : 'other']
      queue.get(id)?.drop()
      queue.set(id, { run: () => run().then(resolve, reject), drop: resolve })
    })
  }

  /** Goes on as long as anything happens: a turn of the event loop, then a slice. */
  async #run(): Promise<void> {
    this.#running = true
    do {
      await turn()
      this.#spent = 0
      this.#resume()
      while (this.#spent < SLICE_MS) {
        const next = this.#take()
        if (next == null) break
        await next.run()
      }
    } while (!this.#idle || this.#paused.size > 0)
    this.#running = false
  }

  #take(): Waiting | undefined {
    for (const queue of [this.#waiting.urgent, this.#waiting.other]) {
      for (const [peer, waiting] of queue) {
        queue.delete(peer)
        return waiting
      }
    }
    return undefined
  }

  #pause(peer: string): void {
    const stream = this.pubsub.streamsInbound.get(peer)?.rawStream
    if (stream == null || this.#paused.has(peer)) return
    this.#paused.add(peer)
    stream.maxReadBufferLength = Math.max(stream.maxReadBufferLength, READ_BYTES)
    // in the very event that a former `resume` led to, the muxer would not notice
    queueMicrotask(() => {
      if (this.#paused.has(peer) && stream.status === 'open') stream.pause()
    })
  }

  /** Whoever waits no more has nothing left that was read: what it sent since may come. */
  #resume(): void {
    for (const peer of this.#paused) {
      if (this.#waiting.urgent.has(peer) || this.#waiting.other.has(peer)) continue
      this.#paused.delete(peer)
      try {
        this.pubsub.streamsInbound.get(peer)?.rawStream.resume()
      } catch {
        // it tells the other end that it may send, which fails where the connection is gone
      }
    }
  }
}
