import type { Clock } from '../clock.js'

/** Runs a task when asked, at once but at most once per `ms`: what is asked for in between runs once, at the end of it. */
export class Pace {
  #cancel: (() => void) | undefined
  #asked = false

  constructor(
    private readonly ms: number,
    private readonly clock: Clock,
    private readonly task: () => void
  ) {}

  readonly ask = (): void => {
    if (this.#cancel != null) {
      this.#asked = true
      return
    }
    this.task()
    this.#cancel = this.clock.after(this.ms, () => {
      this.#cancel = undefined
      if (!this.#asked) return
      this.#asked = false
      this.ask()
    })
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#asked = false
  }
}
