import { turn } from './clock.js'

/** Lets long work share the event loop: it goes on until `over`, and then ends its slice, in which others have their turn. */
export class Slice {
  #since = performance.now()

  constructor(private readonly ms: number) {}

  /** The event loop was kept for longer than its time. */
  get over(): boolean {
    return performance.now() - this.#since > this.ms
  }

  /** Lets the event loop go round once; the next slice begins then. */
  async end(): Promise<void> {
    await turn()
    this.#since = performance.now()
  }
}
