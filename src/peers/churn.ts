/** A peer that may be replaced by another. */
export interface Settled {
  id: string
  direction: 'inbound' | 'outbound'
  /** When it joined. */
  since: number
  /** How much that was new came from it lately. */
  useful: number
}

/** Between two replacements, in ms; and how old a peer must be. geth's eth/dropper.go. */
export const CHURN_MS = { least: 180_000, most: 420_000 } as const
export const OLD_MS = 600_000
/** The most useful tenth of each direction stays. */
const USEFUL_SHARE = 10

/**
 * Replaces one peer at random now and then while a direction is full. Without that a network that is full stays as it once was:
 * newcomers find no place, and whoever has surrounded a node keeps it.
 */
export class Churn {
  readonly #random: () => number
  #nextAt: number

  constructor(now: number, random: () => number) {
    this.#random = random
    this.#nextAt = this.#after(now)
  }

  get nextAt(): number {
    return this.#nextAt
  }

  /** Whom to replace now, if anyone: of the directions that are full, one that is old and not among the useful ones. */
  choose(now: number, peers: readonly Settled[], full: { inbound: boolean; outbound: boolean }): string | undefined {
    if (now < this.#nextAt) return undefined
    this.#nextAt = this.#after(now)
    const spare = (['inbound', 'outbound'] as const)
      .filter((direction) => full[direction])
      .flatMap((direction) => droppable(peers.filter((peer) => peer.direction === direction)))
      .filter(({ since }) => now - since >= OLD_MS)
    return spare[Math.floor(this.#random() * spare.length)]?.id
  }

  #after(now: number): number {
    return now + CHURN_MS.least + this.#random() * (CHURN_MS.most - CHURN_MS.least)
  }
}

function droppable(peers: readonly Settled[]): Settled[] {
  const safe = Math.ceil(peers.length / USEFUL_SHARE)
  const useful = peers.filter((peer) => peer.useful > 0).sort((a, b) => b.useful - a.useful)
  return peers.filter((peer) => !useful.slice(0, safe).includes(peer))
}
