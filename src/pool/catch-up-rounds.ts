/** Peers that were asked are remembered over reconnections, so many of them. */
const MAX_ASKED = 1_024

/** Whose pending transactions are to be fetched next: one peer after another, at random, each at most once in so long a time. Pure. */
export class Rounds {
  /** Those whose turn is to come. */
  readonly #waiting = new Set<string>()
  /** When each was asked last, the latest last. */
  readonly #asked = new Map<string, number>()

  constructor(private readonly everyMs: number) {}

  /** A peer is there. */
  join(peer: string): void {
    this.#waiting.add(peer)
  }

  leave(peer: string): void {
    this.#waiting.delete(peer)
  }

  /** One whose turn it is; it has had it then. `random`: 0 to below 1. */
  take(now: number, random: number): string | undefined {
    const due = [...this.#waiting].filter((peer) => this.#due(peer) <= now)
    const peer = due[Math.floor(random * due.length)]
    if (peer == null) return undefined
    this.#waiting.delete(peer)
    this.#asked.delete(peer)
    this.#asked.set(peer, now)
    for (const [other, at] of this.#asked) {
      if (this.#asked.size <= MAX_ASKED && now - at < this.everyMs) break
      this.#asked.delete(other)
    }
    return peer
  }

  /** When the next turn comes; undefined when nobody waits. */
  get nextDue(): number | undefined {
    let next: number | undefined
    for (const peer of this.#waiting) next = Math.min(next ?? Number.POSITIVE_INFINITY, this.#due(peer))
    return next
  }

  #due(peer: string): number {
    return (this.#asked.get(peer) ?? Number.NEGATIVE_INFINITY) + this.everyMs
  }
}
