import type { Clock } from '../../dist/src/clock.js'

/** A clock that stands still until it is turned. */
export class HandClock implements Clock {
  #now: number
  #tasks = new Set<{ at: number; task: () => void }>()

  constructor(now = 1_700_000_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  after(ms: number, task: () => void): () => void {
    const entry = { at: this.#now + ms, task }
    this.#tasks.add(entry)
    return () => this.#tasks.delete(entry)
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#tasks.size
  }

  /** Turns the clock, firing each timer at its time. */
  turn(ms: number): void {
    const end = this.#now + ms
    for (let next = this.#next(end); next != null; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.at)
      this.#tasks.delete(next)
      next.task()
    }
    this.#now = end
  }

  /** What a blocked event loop looks like: time has passed, and every timer fires late. */
  jump(ms: number): void {
    this.#now += ms
    this.turn(0)
  }

  #next(end: number): { at: number; task: () => void } | undefined {
    let first: { at: number; task: () => void } | undefined
    for (const entry of this.#tasks) if (entry.at <= end && (first == null || entry.at < first.at)) first = entry
    return first
  }
}
