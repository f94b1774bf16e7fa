import type { Clock } from '../clock.js'
import { BATCH_BYTES, encodeBatch, entryBytes } from './batch.js'

/** Own transactions wait so long for company in one message, in ms. */
export const BATCH_MS = 10

/** Gathers transactions into batches. Never waits longer than 10 ms, never makes a batch over 64 KiB of more than one. */
export class Outbox {
  #txs: Uint8Array[] = []
  #bytes = 0
  #cancelTimer: () => void = () => {}

  constructor(
    private readonly clock: Clock,
    private readonly send: (batch: Uint8Array) => void
  ) {}

  put(tx: Uint8Array): void {
    const size = entryBytes(tx)
    if (this.#bytes + size > BATCH_BYTES) this.flush()
    if (this.#txs.length === 0) this.#cancelTimer = this.clock.after(BATCH_MS, () => this.flush())
    this.#txs.push(tx)
    this.#bytes += size
  }

  flush(): void {
    const txs = this.#txs
    this.clear()
    if (txs.length > 0) this.send(encodeBatch(txs))
  }

  /** Forgets what waits. */
  clear(): void {
    this.#cancelTimer()
    this.#txs = []
    this.#bytes = 0
  }
}
