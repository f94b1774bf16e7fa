import type { Clock } from '../clock.js'

const KEEP_MS = 120_000
const MAX_BYTES = 64 * 1_048_576
/** Blocks whose bodies had to go are remembered all the same. */
const MAX_BLOCKS = 1_024

interface Kept {
  readonly until: number
  /** Undefined when it had to go for others. */
  bytes: Uint8Array | undefined
}

/**
 * Bodies of the blocks that we passed on in the last 2 minutes, the newest 64 MiB: whoever was told of one by its short IDs asks for what
 * it lacks before we have applied it. Keys are hex of hashes.
 */
export class Recent {
  readonly #kept = new Map<string, Kept>()
  #bytes = 0
  #cancelTimer: () => void = () => {}

  constructor(private readonly clock: Clock) {}

  /** Of the bodies. */
  get bytes(): number {
    return this.#bytes
  }

  /** Was it passed on? */
  has(key: string): boolean {
    return this.#kept.has(key)
  }

  get(key: string): Uint8Array | undefined {
    return this.#kept.get(key)?.bytes
  }

  add(key: string, bytes: Uint8Array): void {
    if (this.#kept.has(key)) return
    this.#kept.set(key, { until: this.clock.now() + KEEP_MS, bytes })
    this.#bytes += bytes.length
    for (const [other, kept] of this.#kept) {
      if (this.#kept.size > MAX_BLOCKS) this.#delete(other, kept)
      else if (this.#bytes > MAX_BYTES) this.#strip(kept)
      else break
    }
    if (this.#kept.size === 1) this.#schedule()
  }

  clear(): void {
    this.#cancelTimer()
    this.#kept.clear()
    this.#bytes = 0
  }

  #schedule(): void {
    this.#cancelTimer()
    for (const { until } of this.#kept.values()) {
      this.#cancelTimer = this.clock.after(Math.max(0, until - this.clock.now()), () => this.#expire())
      return
    }
  }

  #expire(): void {
    const now = this.clock.now()
    for (const [key, kept] of this.#kept) {
      if (kept.until > now) break
      this.#delete(key, kept)
    }
    this.#schedule()
  }

  #delete(key: string, kept: Kept): void {
    this.#strip(kept)
    this.#kept.delete(key)
  }

  #strip(kept: Kept): void {
    this.#bytes -= kept.bytes?.length ?? 0
    kept.bytes = undefined
  }
}
