import type { Clock } from '../clock.js'

/** Keeps costly work to a share of the time: after it took so long, it is not done again before `rest` times as long has passed. */
export class Budget {
  #freeAt = Number.NEGATIVE_INFINITY

  constructor(
    private readonly clock: Clock,
    private readonly rest = 9
  ) {}

  get free(): boolean {
    return this.clock.now() >= this.#freeAt
  }

  /** Work that began at `began`, in ms, is done. */
  spent(began: number): void {
    const now = this.clock.now()
    this.#freeAt = now + this.rest * Math.max(0, now - began)
  }
}
