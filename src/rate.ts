/** Counts events against a rate, on average over a window. Pure. */
export class Rate {
  #tokens: number
  #at: number

  /** `perSecond` on average over `windowMs`, beginning at `now`. */
  constructor(
    private readonly perSecond: number,
    private readonly windowMs: number,
    now: number
  ) {
    this.#tokens = (perSecond * windowMs) / 1_000
    this.#at = now
  }

  /** Counts one; false when it is over the rate. */
  take(now: number): boolean {
    const gained = (Math.max(0, now - this.#at) * this.perSecond) / 1_000
    this.#tokens = Math.min((this.perSecond * this.windowMs) / 1_000, this.#tokens + gained)
    this.#at = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
