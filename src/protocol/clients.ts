import { type Clock, steady } from '../clock.js'

/** What one peer may ask for and get in `WINDOW_MS`: no limit for one that syncs at full speed, and bearable. */
const REQUESTS = 2_000
const BYTES = 2 ** 31
const WINDOW_MS = 10_000
/** What a request counts that comes while as many are served as may be. Nobody who keeps to that sends many. */
const SURPLUS_COST = 20
/** How long whoever is over it has to wait, at least. */
const WAIT_MS = 1_000
/** Requests of one that was told to wait, before they count as a fault. An honest one has a few on their way when it is told. */
const DEAF_AFTER = 100
/** Peers that are remembered without a stream. */
const MAX_REMEMBERED = 1_000

/**
 * A peer that asks, and the guard against a flood from it (GCRA: ITU-T I.371, as in Lodestar's rate limiter): each request and each byte
 * costs time at its average rate, and nobody may be further ahead of the clock than the window.
 */
export class Client {
  /** Its streams. */
  open = 0
  /** Its requests that are served. */
  serving = 0
  /** Requests in a row that came although it had been told to wait. */
  ignored = 0
  /** Until when its requests and its bytes are paid for. */
  #requests = 0
  #bytes = 0
  #waitUntil = 0

  constructor(private readonly clock: Clock) {}

  /** It asks; `surplus` when it may not have that many requests at once. 0, or in how many ms it may ask again. */
  ask(surplus: boolean): number {
    const now = this.clock.now()
    if (now < this.#waitUntil) {
      this.ignored++
      return this.#waitUntil - now
    }
    this.ignored = 0
    const paid = Math.max(this.#requests, now) + ((surplus ? SURPLUS_COST : 1) * WINDOW_MS) / REQUESTS
    const over = Math.ceil(Math.max(paid, this.#bytes) - now - WINDOW_MS)
    if (over <= 0) {
      this.#requests = paid
      return 0
    }
    this.#waitUntil = now + Math.max(over, WAIT_MS)
    return this.#waitUntil - now
  }

  /** It has just earned itself a fault. */
  get deaf(): boolean {
    return this.ignored > 0 && this.ignored % DEAF_AFTER === 0
  }

  /** Bytes were sent to it. */
  spend(bytes: number): void {
    this.#bytes = Math.max(this.#bytes, this.clock.now()) + (bytes * WINDOW_MS) / BYTES
  }

  /** Nothing would be lost with it. */
  get idle(): boolean {
    return this.open === 0 && Math.max(this.#requests, this.#bytes, this.#waitUntil) <= this.clock.now()
  }
}

/** All that ask, by peer: a new connection is no new beginning. */
export class Clients {
  readonly #clients = new Map<string, Client>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = steady(clock)
  }

  get size(): number {
    return this.#clients.size
  }

  get(peer: string): Client {
    const known = this.#clients.get(peer)
    if (known != null) return known
    if (this.#clients.size >= MAX_REMEMBERED) this.#forget()
    const client = new Client(this.#clock)
    this.#clients.set(peer, client)
    return client
  }

  /** Those who are quits with us, or else the oldest without a stream. */
  #forget(): void {
    let oldest: string | undefined
    for (const [peer, client] of this.#clients) {
      if (client.idle) this.#clients.delete(peer)
      else if (client.open === 0) oldest ??= peer
    }
    if (this.#clients.size >= MAX_REMEMBERED && oldest != null) this.#clients.delete(oldest)
  }
}
