import type { TypedEventTarget } from 'main-event'
import type { SyncProgress } from './progress.js'

export interface SyncWatchOptions {
  /** Aborting it makes the loop throw its reason. */
  signal?: AbortSignal
  /** Ends the loop after the first progress that it is given in this state. @default it ends with sync */
  until?: 'live'
}

type Watched = Pick<
  TypedEventTarget<{ progress: CustomEvent<SyncProgress> }>,
  'addEventListener' | 'removeEventListener'
> & {
  readonly progress: SyncProgress
}

/** See `Sync.watch`. Holds one progress at most; listens from the first `next` until it is over. */
export class Watch implements AsyncIterableIterator<SyncProgress, void, undefined> {
  #state: 'new' | 'open' | 'over' = 'new'
  /** What the loop has not taken yet. */
  #latest: SyncProgress | undefined
  #wake = Promise.withResolvers<void>()

  constructor(
    private readonly sync: Watched,
    private readonly options: SyncWatchOptions
  ) {}

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<SyncProgress, void>> {
    const { signal } = this.options
    if (this.#state === 'new') this.#begin()
    for (;;) {
      if (this.#state === 'over') return { done: true, value: undefined }
      if (signal?.aborted) {
        this.#end()
        throw signal.reason
      }
      const value = this.#latest
      if (value != null) {
        this.#latest = undefined
        if (value.state === 'idle' || value.state === this.options.until) this.#end()
        return { done: false, value }
      }
      await this.#wake.promise
    }
  }

  async return(): Promise<IteratorResult<SyncProgress, void>> {
    this.#end()
    return { done: true, value: undefined }
  }

  #begin(): void {
    this.#state = 'open'
    this.#latest = this.sync.progress
    this.sync.addEventListener('progress', this.#onProgress)
    this.options.signal?.addEventListener('abort', this.#look)
  }

  #end(): void {
    this.#state = 'over'
    this.sync.removeEventListener('progress', this.#onProgress)
    this.options.signal?.removeEventListener('abort', this.#look)
    this.#look()
  }

  readonly #onProgress = ({ detail }: CustomEvent<SyncProgress>): void => {
    this.#latest = detail
    this.#look()
  }

  /** Whoever waits looks again. */
  readonly #look = (): void => {
    const { resolve } = this.#wake
    this.#wake = Promise.withResolvers()
    resolve()
  }
}
