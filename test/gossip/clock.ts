import type { Clock } from '../../dist/src/clock.js'

/** A clock that is turned by hand. */
export class HandClock implements Clock {
  #now = 1_700_000_000_000
  readonly #timers = new Set<{ at: number; task: () => void }>()

  now(): number {
    return this.#now
  }

  after(ms: number, task: () => void): () => void {
    const timer = { at: this.#now + ms, task }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Timers that have not run. */
  get waiting(): number {
    return this.#timers.size
  }

  /** As when the event loop was blocked: time goes by, and each timer that is due then runs once. */
  jump(ms: number): void {
    this.#now += ms
    const due = [...this.#timers].filter(({ at }) => at <= this.#now)
    for (const timer of due) {
      this.#timers.delete(timer)
      timer.task()
    }
  }

  turn(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
      if (due == null) break
      this.#timers.delete(due)
      this.#now = Math.max(this.#now, due.at)
      due.task()
    }
    this.#now = until
  }
}
