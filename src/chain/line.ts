/** Runs tasks one after another, in the order in which they came. */
export class WaitingLine {
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #length = 0

  /** Tasks whose turn has not come. */
  get waiting(): number {
    return this.#waiting
  }

  /** Tasks that run or wait. */
  get length(): number {
    return this.#length
  }

  /** A task whose signal aborts before its turn never runs: the promise rejects with the signal's reason. */
  run<R>(task: () => R | Promise<R>, signal?: AbortSignal): Promise<R> {
    this.#waiting++
    const result = this.#last.then(() => {
      this.#waiting--
      signal?.throwIfAborted()
      return task()
    })
    this.#length++
    const done = (): void => void this.#length--
    this.#last = result.then(done, done)
    return result
  }
}
