interface Flow<T> {
  /** What it may send this round, and what it saved while its next piece was too large. */
  deficit: number
  readonly waiting: { cost: number; piece: T }[]
}

/**
 * Deficit round-robin (Shreedhar and Varghese, 1995): in each round every peer that has something waiting may send `quantum` more,
 * however large its pieces are, and however many it has. Pure; a step takes constant time where no piece costs more than a quantum.
 * Holds what is waiting and a number for each peer that has not left.
 */
export class DeficitRoundRobin<T> {
  readonly #flows = new Map<string, Flow<T>>()
  /** Those that have something waiting; the first is next. */
  readonly #ring: Flow<T>[] = []

  constructor(private readonly quantum: number) {}

  /** Peers with something waiting. */
  get size(): number {
    return this.#ring.length
  }

  add(peer: string, cost: number, piece: T): void {
    let flow = this.#flows.get(peer)
    if (flow == null) {
      flow = { deficit: 0, waiting: [] }
      this.#flows.set(peer, flow)
    }
    if (flow.waiting.push({ cost, piece }) === 1) this.#ring.push(flow)
  }

  /** The piece whose turn it is, with its cost. */
  next(): { cost: number; piece: T } | undefined {
    for (let flow = this.#ring[0]; flow != null; flow = this.#ring[0]) {
      const first = flow.waiting[0]!
      if (first.cost <= flow.deficit) {
        flow.deficit -= first.cost
        flow.waiting.shift()
        if (flow.waiting.length === 0) this.#ring.shift()
        return first
      }
      flow.deficit += this.quantum
      this.#ring.push(this.#ring.shift()!)
    }
    return undefined
  }

  /** Takes a piece back that waits. False when it does not. */
  delete(peer: string, piece: T): boolean {
    const flow = this.#flows.get(peer)
    const at = flow?.waiting.findIndex((each) => each.piece === piece) ?? -1
    if (flow == null || at === -1) return false
    flow.waiting.splice(at, 1)
    if (flow.waiting.length === 0) this.#ring.splice(this.#ring.indexOf(flow), 1)
    return true
  }

  /** Forgets what a peer saved. Nothing of it may be waiting. */
  leave(peer: string): void {
    this.#flows.delete(peer)
  }
}
