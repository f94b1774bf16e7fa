import { standing } from './claims.js'
import { PARK_DENIALS, REST_MS, RETRY_MAX_MS } from './limit.js'
import { Slot } from './slot.js'
import type { ChainView, Place, Source } from './source.js'

/** Branches remembered at most; the oldest is forgotten first. */
const MAX_PARKED = 64

interface Parked {
  slot: Slot
  why: string
  /** By peer: how often it was tried, and when it may be again. */
  tried: Map<string, { times: number; next: number }>
}

/**
 * Branches given up because nobody delivered a body. Whoever still claims one is asked for just that body now and then; when it
 * comes, the chain takes the branch up again.
 */
export class ParkedBranches {
  readonly #branches = new Map<string, Parked>()

  /** `release`: a body is not waited for any more, and what came of it may go. */
  constructor(private readonly release: (slot: Slot) => void) {}

  get size(): number {
    return this.#branches.size
  }

  add(place: Place, why: string, now: number, sources: Source[]): void {
    const slot = new Slot(place)
    for (const source of sources) if (source.claims(place.height)) slot.deny(source.id, PARK_DENIALS)
    const tried = new Map(sources.map((source) => [source.id, { times: 1, next: now + 4 * REST_MS }]))
    this.#forget(slot.key)
    this.#branches.set(slot.key, { slot, why, tried })
    for (const oldest of this.#branches.keys()) {
      if (this.#branches.size <= MAX_PARKED) break
      this.#forget(oldest)
    }
  }

  /** The next body to try, and of whom. */
  next(sources: Source[], view: ChainView, now: number): { source: Source; slot: Slot } | undefined {
    for (const [key, branch] of this.#branches) {
      const here = view.has(branch.slot.place.hash)
      if (here !== 'header') this.#forget(key)
      else if (branch.slot.state === 'wanted') {
        for (const source of sources) {
          if (!source.ready(now) || !source.claims(branch.slot.place.height)) continue
          const tried = branch.tried.get(source.id) ?? { times: 0, next: 0 }
          if (tried.next > now || standing(source, view) !== 'parked') continue
          tried.times++
          tried.next = now + Math.min(RETRY_MAX_MS, 2 * REST_MS * 2 ** tried.times)
          branch.tried.set(source.id, tried)
          return { source, slot: branch.slot }
        }
      }
    }
    return undefined
  }

  #forget(key: string): void {
    const branch = this.#branches.get(key)
    this.#branches.delete(key)
    // what is being imported is let go of when that is done
    if (branch != null && branch.slot.state !== 'importing') this.release(branch.slot)
  }

  /** A body that has come and waits to be imported. */
  takeImport(): Slot | undefined {
    for (const { slot } of this.#branches.values()) {
      if (slot.state !== 'here') continue
      slot.state = 'importing'
      return slot
    }
    return undefined
  }

  /** A new header on a parked branch takes it up again: who had not the body then is not asked again now. */
  recall(slot: Slot | undefined): void {
    if (slot == null || this.#branches.size === 0) return
    const parked = this.#branches.get(slot.key)
    if (parked != null) slot.recall(parked.slot)
  }

  leave(peer: string): void {
    for (const { tried, slot } of this.#branches.values()) {
      tried.delete(peer)
      slot.pardon(peer)
    }
  }

  explain(): string[] {
    return [...this.#branches.values()].map(
      ({ slot, why }) => `${slot.key.slice(0, 16)} at ${slot.place.height}: ${why}`
    )
  }
}
