import type { Clock } from '../clock.js'

/** One deadline per key. */
export class Deadlines {
  readonly #cancels = new Map<string, () => void>()

  constructor(private readonly clock: Clock) {}

  has(key: string): boolean {
    return this.#cancels.has(key)
  }

  /** Runs `task` after `ms`, unless cancelled. An earlier deadline of the key stands. */
  set(key: string, ms: number, task: () => void): void {
    if (this.#cancels.has(key)) return
    const cancel = this.clock.after(ms, () => {
      this.#cancels.delete(key)
      task()
    })
    this.#cancels.set(key, cancel)
  }

  cancel(key: string): void {
    this.#cancels.get(key)?.()
    this.#cancels.delete(key)
  }

  clear(): void {
    for (const cancel of this.#cancels.values()) cancel()
    this.#cancels.clear()
  }
}
