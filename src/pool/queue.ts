/** Runs tasks one at a time, in order. */
export class Queue {
  #tail: Promise<unknown> = Promise.resolve()
  #length = 0

  constructor(
    private readonly max: number,
    /** Told of what a task threw. */
    private readonly failed: (err: unknown) => void
  ) {}

  /** Is there no room for one more of those that strangers and the app can cause? */
  get full(): boolean {
    return this.#length >= this.max
  }

  /** Resolves when all that was asked for so far is done. */
  get idle(): Promise<unknown> {
    return this.#tail
  }

  /** What the task answers; undefined when it threw. */
  run<R>(task: () => Promise<R>): Promise<R | undefined> {
    this.#length++
    const result = this.#tail
      .then(task)
      .catch((err) => {
        this.failed(err)
        return undefined
      })
      .finally(() => {
        this.#length--
      })
    this.#tail = result
    return result
  }
}
