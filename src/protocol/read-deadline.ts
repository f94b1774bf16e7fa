import type { Clock } from '../clock.js'
import { TimeoutError } from '../errors.js'

/** How long the other side may take to close after its last frame. */
const LAST_MS = 1_000

export interface ReadLimits {
  firstMs?: number
  nextMs?: number
  totalMs?: number
}

/** How long a frame may be waited for: the first, each further one, and all together. Only waiting counts. */
export class ReadDeadline {
  /** Nothing more is expected. */
  last = false
  #first = true
  #waited = 0
  #started: number | undefined
  #cancel: (() => void) | undefined

  constructor(
    private readonly limits: ReadLimits,
    private readonly clock: Clock,
    private readonly onLate: (err: TimeoutError) => void
  ) {}

  /** A frame is waited for. Does nothing while it already is. */
  begin(): void {
    if (this.#started != null) return
    this.#started = this.clock.now()
    this.#arm()
  }

  /** It has come, or never will. */
  end(): void {
    this.#cancel?.()
    this.#cancel = undefined
    if (this.#started != null) this.#waited += Math.max(0, this.clock.now() - this.#started)
    this.#started = undefined
    this.#first = false
  }

  /** What is waited for, now or next, is nothing but the end. */
  expectEnd(): void {
    this.last = true
    if (this.#started != null) this.#arm()
  }

  #arm(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const frameMs = (this.#first ? this.limits.firstMs : this.limits.nextMs) ?? Number.POSITIVE_INFINITY
    const leftMs = (this.limits.totalMs ?? Number.POSITIVE_INFINITY) - this.#waited
    const ms = this.last ? LAST_MS : Math.max(0, Math.min(frameMs, leftMs))
    if (ms === Number.POSITIVE_INFINITY) return
    const what = leftMs <= frameMs ? `all within ${this.limits.totalMs} ms` : `a frame within ${frameMs} ms`
    this.#cancel = this.clock.after(ms, () => this.onLate(new TimeoutError(`did not send ${what}`)))
  }
}
