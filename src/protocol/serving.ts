import { type Clock, steady, systemClock } from '../clock.js'
import { DeficitRoundRobin } from './deficit.js'

/** An ordinary frame: each peer that waits sends one in a round. */
const QUANTUM = 65_536
/** What is sent before everything else in the process has a turn. */
const BURST_BYTES = 262_144
/** What all answers together may hold in memory. */
const HELD_BYTES = 268_435_456
/** Where that is not enough for one more, the slowest answer that has taken this long is cut. */
const SLOW_MS = 5_000

export interface ServingInit {
  clock?: Clock
  /** Something waits that matters more: answers then take at most half of the event loop. @default nothing does */
  urgent?(): boolean
  /** What all answers together may hold in memory, in bytes; over it new requests are answered `Busy`. @default 268_435_456 */
  heldBytes?: number
  /** Runs a task once everything that waits now has run. @default setImmediate */
  defer?(task: () => void): void
}

/**
 * Shares this process among the peers that ask it. Who asks alone never waits. Several take turns by deficit round-robin, by what their
 * answers cost in bytes, so that each gets as much as any other, however many or large its requests are; who does not read, or waits for
 * the disk, is passed over meanwhile. At most 256 KiB are sent in a turn of the event loop.
 *
 * One is made for all that takes turns together: give the same one to several protocols.
 */
export class Serving {
  readonly #clock: Clock
  readonly #urgent: () => boolean
  readonly #defer: (task: () => void) => void
  readonly #maxHeld: number
  readonly #line = new DeficitRoundRobin<() => void>(QUANTUM)
  readonly #turns = new Set<Turns>()
  /** Answers under way, by peer. */
  readonly #peers = new Map<string, number>()
  #held = 0
  #scheduled = false
  /** The half of the event loop that is not ours lasts until then. */
  #restUntil = 0

  constructor(init: ServingInit = {}) {
    this.#clock = steady(init.clock ?? systemClock)
    this.#urgent = init.urgent ?? (() => false)
    this.#defer = init.defer ?? (typeof setImmediate === 'function' ? setImmediate : (task) => setTimeout(task, 0))
    this.#maxHeld = init.heldBytes ?? HELD_BYTES
  }

  /** What the answers under way may hold, in bytes. */
  get held(): number {
    return this.#held
  }

  /**
   * An answer begins that may hold `bytes` in memory. Undefined when there is no room; then the slowest of those that have taken over
   * 5 s is told through its `cut` to end. A lone answer always has room.
   */
  begin(peer: string, bytes: number, cut: () => void): Turns | undefined {
    if (this.#held > 0 && this.#held + bytes > this.#maxHeld) {
      this.#slowest()?.cut()
      return undefined
    }
    const turns = new Turns(peer, bytes, this.#clock.now(), cut, this)
    this.#turns.add(turns)
    this.#held += bytes
    this.#peers.set(peer, (this.#peers.get(peer) ?? 0) + 1)
    return turns
  }

  /** Whether an answer must wait for its turn. */
  get crowded(): boolean {
    return this.#peers.size > 1 || this.#urgent()
  }

  /** See `Turns`. */
  wait(peer: string, cost: number, go: () => void): void {
    this.#line.add(peer, cost, go)
    this.#schedule()
  }

  /** See `Turns`. */
  end(turns: Turns, waiting: (() => void) | undefined): void {
    if (!this.#turns.delete(turns)) return
    const { peer, bytes } = turns
    if (waiting != null) this.#line.delete(peer, waiting)
    this.#held -= bytes
    const left = this.#peers.get(peer)! - 1
    if (left > 0) this.#peers.set(peer, left)
    else {
      this.#peers.delete(peer)
      this.#line.leave(peer)
    }
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const rest = this.#restUntil - this.#clock.now()
    if (rest > 0) this.#clock.after(rest, this.#run)
    else this.#run()
  }

  /** Between the two tasks, those that were let go do their work, and nobody else. */
  readonly #run = (): void => {
    let begin = 0
    this.#defer(() => {
      begin = this.#clock.now()
      this.#step()
    })
    this.#defer(() => this.#rest(begin))
  }

  /** Lets those go on whose turn it is. */
  #step(): void {
    for (let sent = 0; sent < BURST_BYTES; ) {
      const next = this.#line.next()
      if (next == null) break
      sent += next.cost
      next.piece()
    }
  }

  #rest(begin: number): void {
    this.#scheduled = false
    const now = this.#clock.now()
    if (this.#urgent()) this.#restUntil = now + (now - begin)
    if (this.#line.size > 0) this.#schedule()
  }

  #slowest(): Turns | undefined {
    const now = this.#clock.now()
    let slowest: Turns | undefined
    let least = Number.POSITIVE_INFINITY
    for (const turns of this.#turns) {
      const ms = now - turns.since
      if (ms < SLOW_MS || turns.sent / ms >= least) continue
      slowest = turns
      least = turns.sent / ms
    }
    return slowest
  }
}

/** The turns of one answer. */
export class Turns {
  /** Cost of all that it was let do. */
  sent = 0
  #waiting: (() => void) | undefined
  #ended = false

  constructor(
    readonly peer: string,
    readonly bytes: number,
    readonly since: number,
    readonly cut: () => void,
    private readonly serving: Serving
  ) {}

  /** Asks for a turn that costs so much; one at a time. Undefined: go on at once. Resolves at the latest when the answer has ended. */
  take(cost: number): Promise<void> | undefined {
    this.sent += cost
    if (this.#ended || !this.serving.crowded) return undefined
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting = resolve
    this.serving.wait(this.peer, cost, resolve)
    return promise
  }

  /** The answer has ended: its place is free. Calling it again does nothing. */
  end(): void {
    this.#ended = true
    this.serving.end(this, this.#waiting)
    this.#waiting?.()
  }
}
