import { CLAIM_MS } from './limit.js'

/** Of the time that passes without a claim in the way, so much comes back. */
const REFILL = 0.1
/** What must have come back before claims hold up `live` again. */
const LEAST_MS = CLAIM_MS / 6
/** Counted at most from one look to the next: we may have slept. */
const STEP_MS = 2_000

/**
 * How long claims that nobody proves may hold up `live`, those of all peers together: whoever leaves and comes back, or comes under
 * ever new names, gains nothing by it. Pure.
 */
export class Credit {
  #left = CLAIM_MS
  #spent = false
  #holding = false
  #at: number | undefined

  /** Headers with more work than ours have come: there is something in a claim. */
  renew(): void {
    this.#left = CLAIM_MS
    this.#spent = false
  }

  /** Whether claims hold up `live` now, if there are any that would. */
  grants(held: boolean, now: number): boolean {
    const ms = Math.min(STEP_MS, now - (this.#at ?? now))
    this.#at = now
    this.#left = this.#holding ? this.#left - ms : Math.min(CLAIM_MS, this.#left + ms * REFILL)
    if (this.#left <= 0) this.#spent = true
    else if (this.#left >= LEAST_MS) this.#spent = false
    this.#holding = held && !this.#spent
    return this.#holding
  }
}
