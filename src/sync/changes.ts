/** Lets tasks wait for the next time that anything happens. */
export class Changes {
  readonly #waiting = new Set<() => void>()

  /** Something happened: whoever waits looks again. */
  readonly wake = (): void => {
    for (const resolve of this.#waiting) resolve()
  }

  /** Resolves with the next `wake`, and when the signal aborts. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#waiting.add(done)
      signal.addEventListener('abort', done)
      if (signal.aborted) done()
    })
  }
}
