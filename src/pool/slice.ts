import { turn } from '../clock.js'

/** How long to try transactions, in ms, before others have a turn of the event loop. */
const SLICE_MS = 4

/** A slice of the event loop's time. */
export class Slice {
  #since = performance.now()

  get over(): boolean {
    return performance.now() - this.#since > SLICE_MS
  }

  /** Lets the event loop go round once. */
  async turn(): Promise<void> {
    await turn()
    this.#since = performance.now()
  }
}
