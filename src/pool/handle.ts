import { AbortError } from '@libp2p/interface'
import { RefusedError } from '../errors.js'
import { toHex } from '../hex.js'

/** Where a transaction stands. */
export type TxStatus =
  | { state: 'pending' }
  /** In this block of the head chain; `depth` 1 is the head itself. */
  | { state: 'included'; height: number; hash: Uint8Array; depth: number }
  /**
   * Not in the pool any more, and in no block that we follow. One of ours that the state refuses (`state`) is tried again on each new head, for
   * as long as `lifetimeMs`: a reorganisation may make it `pending` again.
   */
  | { state: 'dropped'; why: string }

/** Follows one transaction of ours. */
export interface TxHandle {
  readonly id: Uint8Array
  status(): TxStatus
  /**
   * Resolves when it is `depth` blocks deep in the head chain. A reorganisation that drops its block makes it wait on.
   *
   * @param depth 1 is in the head block. @default 1
   * @throws RefusedError when the pool drops it, AbortError when `signal` aborts or the node stops
   */
  included(depth?: number, options?: { signal?: AbortSignal }): Promise<{ height: number; hash: Uint8Array }>
}

interface Waiter {
  depth: number
  resolve(place: { height: number; hash: Uint8Array }): void
  reject(err: Error): void
}

type Place =
  | { state: 'pending' }
  | { state: 'included'; height: number; hash: Uint8Array }
  | { state: 'dropped'; why: string }

class Watch implements TxHandle {
  place: Place = { state: 'pending' }
  readonly waiters = new Set<Waiter>()

  constructor(
    readonly id: Uint8Array,
    private readonly tracker: Tracker
  ) {}

  status(): TxStatus {
    const { place } = this
    return place.state === 'included' ? { ...place, depth: this.tracker.height - place.height + 1 } : place
  }

  included(depth = 1, options: { signal?: AbortSignal } = {}): Promise<{ height: number; hash: Uint8Array }> {
    const { signal } = options
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(new AbortError())
        return
      }
      const end = (): void => {
        this.waiters.delete(waiter)
        signal?.removeEventListener('abort', abort)
      }
      const abort = (): void => waiter.reject(new AbortError())
      const waiter: Waiter = {
        depth,
        resolve: (place) => {
          end()
          resolve(place)
        },
        reject: (err) => {
          end()
          reject(err)
        }
      }
      this.waiters.add(waiter)
      signal?.addEventListener('abort', abort)
      this.answer()
    })
  }

  /** Answers those who wait, where it can. */
  answer(): void {
    const status = this.status()
    for (const waiter of [...this.waiters]) {
      if (status.state === 'dropped') {
        waiter.reject(new RefusedError(status.why, `the pool dropped transaction ${toHex(this.id)}: ${status.why}`))
      } else if (status.state === 'included' && status.depth >= waiter.depth) {
        waiter.resolve({ height: status.height, hash: status.hash })
      }
    }
  }
}

/** Handles that are remembered; over it the oldest one whose transaction is settled is forgotten, and stays as it is. */
const MAX_WATCHES = 10_000

/** Follows the transactions of ours through blocks and reorganisations. */
export class Tracker {
  readonly #watches = new Map<string, Watch>()
  /** Of the head. */
  height = 0

  get size(): number {
    return this.#watches.size
  }

  get(key: string): TxHandle | undefined {
    return this.#watches.get(key)
  }

  /** Begins to follow a transaction, which was just pooled or is in a block. */
  watch(key: string, id: Uint8Array, block?: { height: number; hash: Uint8Array }): TxHandle {
    const watch = this.#watches.get(key) ?? new Watch(id, this)
    watch.place = block == null ? { state: 'pending' } : { state: 'included', ...block }
    this.#watches.set(key, watch)
    if (this.#watches.size > MAX_WATCHES) this.#forgetOne()
    return watch
  }

  mined(key: string, height: number, hash: Uint8Array): void {
    const watch = this.#watches.get(key)
    if (watch != null) watch.place = { state: 'included', height, hash }
  }

  /** It is pooled again: what refused it is gone. */
  revived(key: string): void {
    const watch = this.#watches.get(key)
    if (watch?.place.state === 'dropped') watch.place = { state: 'pending' }
  }

  dropped(key: string, why: string): void {
    const watch = this.#watches.get(key)
    if (watch == null) return
    watch.place = { state: 'dropped', why }
    watch.answer()
  }

  /** These blocks left the head chain. */
  unwound(hashes: Uint8Array[]): void {
    const gone = new Set(hashes.map(toHex))
    for (const watch of this.#watches.values()) {
      if (watch.place.state === 'included' && gone.has(toHex(watch.place.hash))) watch.place = { state: 'pending' }
    }
  }

  /** The head has moved, after all its blocks were told. */
  moved(height: number): void {
    this.height = height
    for (const watch of this.#watches.values()) if (watch.waiters.size > 0) watch.answer()
  }

  /** Those that are in no block. */
  pending(): string[] {
    return [...this.#watches].filter(([, watch]) => watch.place.state === 'pending').map(([key]) => key)
  }

  /** Ends every wait. */
  stop(): void {
    for (const watch of this.#watches.values()) {
      for (const waiter of [...watch.waiters]) waiter.reject(new AbortError('the node stopped'))
    }
  }

  #forgetOne(): void {
    for (const [key, watch] of this.#watches) {
      if (watch.place.state === 'pending' || watch.waiters.size > 0) continue
      this.#watches.delete(key)
      return
    }
  }
}
