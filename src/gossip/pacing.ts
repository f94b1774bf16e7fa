import type { Clock } from '../clock.js'

/** One peer's outbound gossip stream, as far as pacing sees it. */
export interface Link {
  readonly peer: string
  readonly stream: EventTarget & { readonly writeBufferLength: number }
  /** Drops the peer: it does not read what we send. */
  cut(reason: string): void
}

/** Something to send. Exactly one of `go` and `drop` is called, once. */
export interface Turn {
  /** Higher goes first; equal ones go in order. */
  priority: number
  bytes: number
  /** A promise: the bytes are on no link before it settles. It never rejects. */
  go(): void | Promise<void>
  /** The service stops. */
  drop(): void
}

export interface PacerInit {
  /** Those that exist now. */
  links(): Iterable<Link>
  clock: Clock
}

/** Sending waits while a link holds more. Measured: without it 15 of 1,000 messages of 64 KiB arrived, with it all. */
export const HIGH_WATER_BYTES = 1_048_576
/** A link that stays over the mark for so long without getting a quarter shorter is cut. */
export const PATIENCE_MS = 2_000
/** What may wait for its turn. */
export const MAX_WAITING_BYTES = 64 * 1_048_576
/** Links are looked at once per so many bytes sent. */
const LOOK_BYTES = 65_536
/** And at least so often while something waits: a drain event can be missed. */
const LOOK_MS = 50

/**
 * Lets sends through while every link takes what it is given, and makes them wait while one does not: gossipsub itself has no
 * back-pressure, and a burst of its own publishes resets the stream.
 */
export class Pacer {
  readonly #waiting: Turn[] = []
  #waitingBytes = 0
  #sentSinceLook = LOOK_BYTES
  /** Bytes of those that are gone but on no link yet. */
  #flying = 0
  /** Since when a stream is over the mark, and what it held then. */
  readonly #slow = new Map<Link['stream'], { since: number; held: number }>()
  readonly #cut = new WeakSet<Link['stream']>()
  #stopWaiting: (() => void) | undefined

  constructor(private readonly init: PacerInit) {}

  /** Bytes that wait for their turn. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Calls `go` now or when its turn has come. False, and neither is called, when too much waits already. */
  run(turn: Turn): boolean {
    if (this.#waiting.length === 0 && this.#free()) {
      this.#send(turn)
      return true
    }
    if (this.#waitingBytes + turn.bytes > MAX_WAITING_BYTES) return false
    let at = this.#waiting.length
    while (at > 0 && this.#waiting[at - 1]!.priority < turn.priority) at--
    this.#waiting.splice(at, 0, turn)
    this.#waitingBytes += turn.bytes
    this.#wait()
    return true
  }

  /** Drops all that waits. The pacer can be used again. */
  clear(): void {
    this.#stopWaiting?.()
    this.#slow.clear()
    this.#sentSinceLook = LOOK_BYTES
    this.#waitingBytes = 0
    for (const turn of this.#waiting.splice(0)) turn.drop()
  }

  #send(turn: Turn): void {
    this.#sentSinceLook += turn.bytes
    const sending = turn.go()
    if (!(sending instanceof Promise)) return
    this.#flying += turn.bytes
    void sending.then(() => {
      this.#flying -= turn.bytes
      if (this.#waiting.length > 0) this.#pump()
    })
  }

  #free(): boolean {
    if (this.#flying >= LOOK_BYTES) return false
    if (this.#sentSinceLook < LOOK_BYTES && this.#slow.size === 0) return true
    this.#sentSinceLook = 0
    return this.#congested().length === 0
  }

  /** The links over the mark, without those that were cut for it. */
  #congested(): Link[] {
    const now = this.init.clock.now()
    const over: Link[] = []
    const seen = new Set<Link['stream']>()
    for (const link of this.init.links()) {
      const held = link.stream.writeBufferLength
      if (held <= HIGH_WATER_BYTES || this.#cut.has(link.stream)) continue
      seen.add(link.stream)
      const slow = this.#slow.get(link.stream)
      if (slow == null || held <= slow.held * 0.75) {
        this.#slow.set(link.stream, { since: now, held })
      } else if (now - slow.since >= PATIENCE_MS) {
        this.#cut.add(link.stream)
        link.cut(`took less than a quarter of ${slow.held} bytes in ${now - slow.since} ms`)
        continue
      }
      over.push(link)
    }
    for (const stream of this.#slow.keys()) if (!seen.has(stream)) this.#slow.delete(stream)
    return over
  }

  #wait(): void {
    // what is flying wakes us when it has landed
    if (this.#stopWaiting != null || this.#flying >= LOOK_BYTES) return
    const streams = this.#congested().map((link) => link.stream)
    const wake = (): void => {
      this.#stopWaiting?.()
      this.#pump()
    }
    for (const stream of streams) {
      stream.addEventListener('drain', wake)
      stream.addEventListener('close', wake)
    }
    const cancel = this.init.clock.after(streams.length === 0 ? 0 : LOOK_MS, wake)
    this.#stopWaiting = () => {
      this.#stopWaiting = undefined
      cancel()
      for (const stream of streams) {
        stream.removeEventListener('drain', wake)
        stream.removeEventListener('close', wake)
      }
    }
  }

  #pump(): void {
    while (this.#waiting.length > 0) {
      if (!this.#free()) {
        this.#wait()
        return
      }
      const turn = this.#waiting.shift()!
      this.#waitingBytes -= turn.bytes
      this.#send(turn)
    }
  }
}
