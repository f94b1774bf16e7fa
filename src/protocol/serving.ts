import { type Clock, steady, systemClock } from '../clock.js'
import { DeficitRoundRobin } from './deficit.js'

/** An ordinary frame: each peer that waits sends one in a round. */
const QUANTUM = 65_536
/** What is sent before everything else in the process has a turn. */
const BURST_BYTES = 262_144
/** What one who asks alone is sent before that: a transport that never makes us wait must not keep the event loop for itself. */
const ALONE_BYTES = 1_048_576
/** What all answers together may hold in memory. */
const HELD_BYTES = 402_653_184
/** Where that is not enough for one more, the slowest answer that has taken this long is cut. */
const SLOW_MS = 5_000

export interface ServingInit {
  clock?: Clock
  /** Something waits that matters more: answers then take at most half of the event loop. @default nothing does */
  urgent?(): boolean
  /** What all answers together may hold in memory, in bytes; over it new requests are answered `Busy`. @default 402_653_184 */
  heldBytes?: number
  /** Runs a task once everything that waits now has run. @default setImmediate */
  defer?(task: () => void): void
}

/** The turns of one answer. */
export interface Turns {
  /**
   * Asks for a turn that costs so many bytes, one at a time. Undefined: go on at once. Resolves when it has come, or when the answer
   * has ended.
   */
  take(cost: number): Promise<void> | undefined
  /** The answer has ended: its place is free. Calling it again does nothing. */
  end(): void
}

interface Answering {
  readonly peer: string
  /** What it may hold. */
  readonly bytes: number
  readonly since: number
  readonly cut: () => void
  /** Cost of all its turns. */
  taken: number
  /** While it waits for its turn. */
  go: (() => void) | undefined
}

/**
 * Shares this process among the peers that ask it. Who asks alone goes on at once. Several take turns by deficit round-robin, by what their
 * answers cost in bytes, so that each gets as much as any other, however many or large its requests are; who does not read, or waits for
 * the disk, is passed over meanwhile. At most 256 KiB are sent in a turn of the event loop.
 *
 * Give the same one to all protocols that are to take turns with each other.
 */
export class Serving {
  readonly #clock: Clock
  readonly #urgent: () => boolean
  readonly #defer: (task: () => void) => void
  readonly #maxHeld: number
  readonly #line = new DeficitRoundRobin<Answering>(QUANTUM)
  readonly #answers = new Set<Answering>()
  /** Answers under way, by peer. */
  readonly #peers = new Map<string, number>()
  #held = 0
  /** Sent without a turn of the event loop, as far as we know. */
  #atOnce = 0
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
   * An answer begins that may hold `bytes` in memory. Undefined when there is no room: then the slowest of those that have taken over
   * 5 s is told to end, through its `cut`. A lone answer always has room.
   */
  begin(peer: string, bytes: number, cut: () => void): Turns | undefined {
    if (this.#held > 0 && this.#held + bytes > this.#maxHeld) {
      this.#slowest()?.cut()
      return undefined
    }
    const answer: Answering = { peer, bytes, since: this.#clock.now(), cut, taken: 0, go: undefined }
    this.#answers.add(answer)
    this.#held += bytes
    this.#peers.set(peer, (this.#peers.get(peer) ?? 0) + 1)
    return { take: (cost) => this.#take(answer, cost), end: () => this.#end(answer) }
  }

  #take(answer: Answering, cost: number): Promise<void> | undefined {
    answer.taken += cost
    if (!this.#answers.has(answer)) return undefined
    this.#atOnce += cost
    if (this.#peers.size < 2 && this.#atOnce <= ALONE_BYTES && !this.#urgent()) return undefined
    this.#atOnce = 0
    const { promise, resolve } = Promise.withResolvers<void>()
    answer.go = resolve
    this.#line.add(answer.peer, cost, answer)
    this.#schedule()
    return promise
  }

  #end(answer: Answering): void {
    if (!this.#answers.delete(answer)) return
    const { peer, bytes } = answer
    this.#held -= bytes
    this.#line.delete(peer, answer)
    const left = this.#peers.get(peer)! - 1
    if (left > 0) this.#peers.set(peer, left)
    else {
      this.#peers.delete(peer)
      this.#line.leave(peer)
    }
    answer.go?.()
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

  /**
   * Lets those go on whose turn it is: the rest of a round at most, since who goes now comes for its next turn a moment later. Rounds in
   * which all only save are passed at once.
   */
  #step(): void {
    for (let sent = 0; sent < BURST_BYTES && this.#line.size > 0; ) {
      const next = this.#line.next()
      if (next == null && sent > 0) break
      if (next == null) continue
      sent += next.cost
      next.piece.go?.()
      next.piece.go = undefined
    }
  }

  #rest(begin: number): void {
    this.#scheduled = false
    const now = this.#clock.now()
    if (this.#urgent()) this.#restUntil = now + (now - begin)
    if (this.#line.size > 0) this.#schedule()
  }

  #slowest(): Answering | undefined {
    const now = this.#clock.now()
    let slowest: Answering | undefined
    let least = Number.POSITIVE_INFINITY
    for (const answer of this.#answers) {
      const ms = now - answer.since
      if (ms < SLOW_MS || answer.taken / ms >= least) continue
      slowest = answer
      least = answer.taken / ms
    }
    return slowest
  }
}
