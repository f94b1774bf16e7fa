/** Those who wait until nothing is under way any more. */
export class Settling {
  readonly #isSettled: () => boolean
  readonly #waiting = new Set<() => void>()

  constructor(isSettled: () => boolean) {
    this.#isSettled = isSettled
  }

  /** Resolves when it is settled, now or at a later look. Rejects with the reason of the signal. */
  wait(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const done = (): void => {
        this.#waiting.delete(done)
        signal?.removeEventListener('abort', stop)
        resolve()
      }
      const stop = (): void => {
        this.#waiting.delete(done)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', stop, { once: true })
      this.#waiting.add(done)
      this.look()
    })
  }

  /** Something has ended. */
  look(): void {
    if (this.#waiting.size > 0 && this.#isSettled()) this.release()
  }

  /** Nobody waits any more. */
  release(): void {
    for (const done of [...this.#waiting]) done()
  }
}
