/** What of the past counts, and how finely it is kept, in ms. */
const WINDOW_MS = 10_000
const STEP_MS = 250
/** Less time than this tells nothing of a speed. */
const LEAST_MS = 1_000

/**
 * How fast a height grows, on average over the last 10 s. Imports bring hundreds of blocks at once: each counts for the whole window, so
 * that one more moves the average by a tenth of it at most. Only a growth that has just begun is measured over the time since then, and
 * over a second at least. Pure: it is told the time.
 */
export class Speed {
  #height: number | undefined
  /** Blocks that came, at most one entry a step, oldest first. */
  #steps: { at: number; count: number }[] = []
  #count = 0
  #now = Number.NEGATIVE_INFINITY
  #phase: string | undefined
  /** Since when it was expected to grow, where that is known. */
  #since = Number.NEGATIVE_INFINITY

  /**
   * Where the height is, and in which phase of a growth it is, if in any: each one begins to count anew while nothing has come. To be
   * told at each change of either; more often does no harm.
   */
  note(now: number, height: number, phase: string | undefined): void {
    this.#pass(now)
    if (this.#count === 0 && phase !== this.#phase) this.#since = phase == null ? Number.NEGATIVE_INFINITY : now
    this.#phase = phase
    const grown = height - (this.#height ?? height)
    this.#height = height
    if (grown <= 0) return
    this.#count += grown
    const last = this.#steps.at(-1)
    if (last != null && now - last.at < STEP_MS) last.count += grown
    else this.#steps.push({ at: now, count: grown })
  }

  /** Blocks a second, 0 when none came. */
  perSecond(now: number): number {
    this.#pass(now)
    return (this.#count * 1_000) / Math.min(WINDOW_MS, Math.max(LEAST_MS, now - this.#since))
  }

  /** Milliseconds until so many more have come; undefined while nothing comes, and in the first second of it. */
  left(now: number, blocks: number): number | undefined {
    const perSecond = this.perSecond(now)
    if (perSecond === 0 || now - this.#since < LEAST_MS) return undefined
    return Math.round((Math.max(0, blocks) * 1_000) / perSecond)
  }

  #pass(now: number): void {
    // the machine's clock was set back: what was measured has no place in time any more
    if (now < this.#now) {
      this.#steps = []
      this.#count = 0
      this.#since = now
    }
    this.#now = now
    while (this.#steps.length > 0 && this.#steps[0]!.at <= now - WINDOW_MS) this.#count -= this.#steps.shift()!.count
  }
}
