import type { Clock } from '../clock.js'

interface Timer {
  at: number
  task: () => void
}

/** A clock that stands still until it is turned, for tests of whatever takes a `clock`. */
export class HandClock implements Clock {
  #now: number
  readonly #timers = new Set<Timer>()

  /** @param now where it stands at first, in milliseconds since 1970 */
  constructor(now = 1_700_000_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  after(ms: number, task: () => void): () => void {
    const timer = { at: this.#now + ms, task }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** Timers that are set and have not run. */
  get pending(): number {
    return this.#timers.size
  }

  /** In how many ms each of them is due, soonest first. */
  get due(): number[] {
    return [...this.#timers].map(({ at }) => at - this.#now).sort((a, b) => a - b)
  }

  /** Turns it, running each timer at its time, those that a timer sets included. */
  turn(ms: number): void {
    const end = this.#now + ms
    for (let next = this.#next(end); next != null; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.at)
      this.#timers.delete(next)
      next.task()
    }
    this.#now = end
  }

  /** What a blocked event loop looks like: time has passed, and every timer runs late. */
  jump(ms: number): void {
    this.#now += ms
    this.turn(0)
  }

  #next(end: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) if (timer.at <= end && (first == null || timer.at < first.at)) first = timer
    return first
  }
}
