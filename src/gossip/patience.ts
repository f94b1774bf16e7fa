import type { Clock } from '../clock.js'

/** One peer's outbound gossip stream, as far as pacing sees it. */
export interface Link {
  readonly peer: string
  readonly stream: EventTarget & { readonly writeBufferLength: number }
  /** Drops the peer: it does not read what we send. */
  cut(reason: string): void
}

/** Sending waits while a link holds more. Measured: without it 15 of 1,000 messages of 64 KiB arrived, with it all. */
export const HIGH_WATER_BYTES = 1_048_576
/** A full link that takes less than `STUCK_BYTES` for so long is cut. */
export const PATIENCE_MS = 2_000
export const STUCK_BYTES = 65_536
/** One that took less than this in so long a time of waiting, or less than half of what it held, is slow: it is not waited for. */
export const SLOW_BYTES = 1_048_576
/** How long a slow peer stays slow, over reconnections too. */
export const SLOW_MS = 300_000
/** So many newly slow peers within a minute are an attack by one who comes under ever new names: then new ones get less patience. */
const MANY_SLOW = 3
const MANY_SLOW_MS = 60_000
const SHORT_PATIENCE_MS = 250
const MAX_SLOW_PEERS = 1_024
/** At most this counts between two looks: when our own event loop was late, that is not the link's fault. */
const MAX_STEP_MS = 100

interface Window {
  /** What it held at the last look, and when that was. */
  held: number
  at: number
  /** Was it over the mark then? */
  over: boolean
  /** What it held when the window began; and since then: for how long sends waited for it, and what it took. */
  start: number
  waited: number
  taken: number
  /** For how long it has been over the mark since it took something, and what it took in that time. */
  idle: number
  idleTaken: number
}

/** What to do about a link: `free` is under the mark, `wait` for it, `pass` it over, `cut` it. */
export type Ruling = 'free' | 'wait' | 'pass' | 'cut'

/**
 * Decides which full links are worth waiting for. A window of waiting goes on when the link is under the mark for a moment: who
 * reads just enough to be waited for again and again is found slow all the same.
 */
export class Patience {
  readonly #windows = new Map<Link['stream'], Window>()
  /** Until when a peer is slow; the latest finding is last. */
  readonly #slow = new Map<string, number>()

  constructor(private readonly clock: Clock) {}

  /** Was any link over the mark at its last look? */
  get busy(): boolean {
    for (const window of this.#windows.values()) if (window.over) return true
    return false
  }

  isSlow(peer: string): boolean {
    return (this.#slow.get(peer) ?? 0) > this.clock.now()
  }

  /** Looks at all links that there are; those that are gone are forgotten, slow peers are not. `waiting`: has something waited? */
  look(links: Iterable<Link>, waiting: boolean): { link: Link; ruling: Ruling }[] {
    const rulings: { link: Link; ruling: Ruling }[] = []
    const seen = new Set<Link['stream']>()
    for (const link of links) {
      seen.add(link.stream)
      rulings.push({ link, ruling: this.#rule(link, waiting) })
    }
    for (const stream of this.#windows.keys()) if (!seen.has(stream)) this.#windows.delete(stream)
    return rulings
  }

  clear(): void {
    this.#windows.clear()
  }

  #rule({ peer, stream }: Link, waiting: boolean): Ruling {
    const now = this.clock.now()
    const held = stream.writeBufferLength
    const over = held > HIGH_WATER_BYTES
    let window = this.#windows.get(stream)
    if (window == null) {
      if (!over) return 'free'
      window = { held, at: now, over: false, start: held, waited: 0, taken: 0, idle: 0, idleTaken: 0 }
      this.#windows.set(stream, window)
    }
    this.#note(window, held, now, waiting)
    if (held === 0) this.#windows.delete(stream)
    if (!over) return 'free'
    if (window.idle >= PATIENCE_MS) {
      this.#remember(peer, now)
      return 'cut'
    }
    const share = Math.min(1, window.waited / PATIENCE_MS)
    const little = window.taken < Math.max(SLOW_BYTES, window.start / 2) * share
    if (little && window.waited >= this.#patience(now)) this.#remember(peer, now)
    if (window.waited >= PATIENCE_MS) Object.assign(window, { start: held, waited: 0, taken: 0 })
    return this.isSlow(peer) ? 'pass' : 'wait'
  }

  #note(window: Window, held: number, now: number, waiting: boolean): void {
    const step = window.over ? Math.min(now - window.at, MAX_STEP_MS) : 0
    const taken = Math.max(0, window.held - held)
    window.held = held
    window.at = now
    window.over = held > HIGH_WATER_BYTES
    if (waiting) window.waited += step
    window.taken += taken
    window.idle += step
    window.idleTaken += taken
    if (window.idleTaken >= STUCK_BYTES) Object.assign(window, { idle: 0, idleTaken: 0 })
  }

  #patience(now: number): number {
    let found = 0
    for (const until of this.#slow.values()) if (until - SLOW_MS > now - MANY_SLOW_MS) found++
    return found >= MANY_SLOW ? SHORT_PATIENCE_MS : PATIENCE_MS
  }

  #remember(peer: string, now: number): void {
    if (this.isSlow(peer)) return
    this.#slow.delete(peer)
    this.#slow.set(peer, now + SLOW_MS)
    for (const [other, until] of this.#slow) {
      if (until > now && this.#slow.size <= MAX_SLOW_PEERS) break
      this.#slow.delete(other)
    }
  }
}
