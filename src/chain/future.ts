import type { Clock } from '../clock.js'

/** Blocks whose time has not come, at most. */
const MAX_BLOCKS = 64
const MAX_BYTES = 16 * 1_048_576
/** Later than this a block is not kept; it will be offered again. */
const MAX_WAIT_MS = 3_600_000

interface Parked {
  bytes: Uint8Array
  /** When it may be added. */
  due: number
}

/** Blocks that are good but for a time ahead of our clock, until it has come. Bounded; the latest make room for earlier ones. */
export class Waiting {
  readonly #clock: Clock
  readonly #futureMs: number
  readonly #deliver: (bytes: Uint8Array) => void
  readonly #parked = new Map<string, Parked>()
  #bytes = 0
  #cancel: () => void = () => {}

  constructor(clock: Clock, futureMs: number, deliver: (bytes: Uint8Array) => void) {
    this.#clock = clock
    this.#futureMs = futureMs
    this.#deliver = deliver
  }

  get size(): number {
    return this.#parked.size
  }

  park(key: string, bytes: Uint8Array, time: number): void {
    const due = time - this.#futureMs
    if (this.#parked.has(key) || due - this.#clock.now() > MAX_WAIT_MS) return
    while (this.#parked.size >= MAX_BLOCKS || this.#bytes + bytes.length > MAX_BYTES) {
      const latest = [...this.#parked].reduce<[string, Parked] | undefined>(
        (last, each) => (last == null || each[1].due > last[1].due ? each : last),
        undefined
      )
      if (latest == null || latest[1].due <= due) return
      this.#drop(latest[0], latest[1])
    }
    this.#parked.set(key, { bytes, due })
    this.#bytes += bytes.length
    this.#arm()
  }

  clear(): void {
    this.#cancel()
    this.#parked.clear()
    this.#bytes = 0
  }

  #drop(key: string, parked: Parked): void {
    this.#parked.delete(key)
    this.#bytes -= parked.bytes.length
  }

  #arm(): void {
    this.#cancel()
    if (this.#parked.size === 0) return
    const first = Math.min(...[...this.#parked.values()].map(({ due }) => due))
    this.#cancel = this.#clock.after(Math.max(1, first - this.#clock.now()), () => this.#release())
  }

  #release(): void {
    const now = this.#clock.now()
    const ready = [...this.#parked].filter(([, { due }]) => due <= now).sort((a, b) => a[1].due - b[1].due)
    for (const [key, parked] of ready) {
      this.#drop(key, parked)
      this.#deliver(parked.bytes)
    }
    this.#arm()
  }
}
