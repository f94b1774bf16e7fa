/** Where a pooled transaction stands among the others. */
export interface Rank {
  /** Fee per byte. */
  readonly rate: number
  /** Our own: it is never evicted. */
  own: boolean
  /** Counts up as they come. */
  readonly arrival: number
  /** The least rate among it and what its sender has to have mined before it. */
  effective: number
  /** Its own sender's later one is ours, or it is: it stays. */
  kept: boolean
}

/** Worst first: the least effective rate; among equals the one that came last. So a sender's last one goes before those it needs. */
export function compareRanks(a: Rank, b: Rank): number {
  return a.effective - b.effective || b.arrival - a.arrival
}

/** What `effective` and `kept` of the one at `index` of a sender's chain must be, given its neighbours'. */
export function rankAt(chain: Rank[], index: number): { effective: number; kept: boolean } {
  const { rate, own } = chain[index]!
  const before = chain[index - 1]?.effective ?? Number.POSITIVE_INFINITY
  return { effective: Math.min(rate, before), kept: own || chain[index + 1]?.kept === true }
}
