/** What of the past counts, in ms. */
const WINDOW_MS = 5_000

/** How fast a number grows. Pure: it is told the time. */
export class Pace {
  #samples: { at: number; done: number }[] = []

  /** Notes where it stands. Growing less than before begins anew. */
  note(at: number, done: number): void {
    const last = this.#samples.at(-1)
    if (last != null && done < last.done) this.#samples = []
    this.#samples.push({ at, done })
    // one from before the window stays, so that there are two
    while (this.#samples.length > 2 && this.#samples[1]!.at <= at - WINDOW_MS) this.#samples.shift()
  }

  reset(): void {
    this.#samples = []
  }

  /** A second, over the last ones; 0 while that is not known. */
  get perSecond(): number {
    const [first] = this.#samples
    const last = this.#samples.at(-1)
    if (first == null || last == null || last.at <= first.at) return 0
    return ((last.done - first.done) * 1000) / (last.at - first.at)
  }

  /** Milliseconds until it stands at `all`; undefined while nothing moves. */
  left(all: number): number | undefined {
    const rate = this.perSecond
    const last = this.#samples.at(-1)
    return last == null || rate <= 0 ? undefined : (Math.max(0, all - last.done) / rate) * 1000
  }
}
