interface Flow<T> {
  /** What it may still send. */
  deficit: number
  readonly waiting: { cost: number; piece: T }[]
}

/**
 * Deficit round-robin (Shreedhar and Varghese, 1995): in each round every peer that has something waiting may send `quantum` more,
 * however large its pieces are and however many it has; what a piece is too large for is saved for the next round. Pure, constant time a
 * step. Holds what is waiting, and a number for each peer that has not left.
 */
export class DeficitRoundRobin<T> {
  readonly #flows = new Map<string, Flow<T>>()
  /** Those that have something waiting; the first is next. */
  readonly #ring: Flow<T>[] = []
  /** How many of them are still to be visited in this round; -1 between rounds. */
  #left = -1
  /** The first is being visited. */
  #visiting = false

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

  /** The piece whose turn it is, with its cost. Undefined at the end of a round: more may be waiting for the next. */
  next(): { cost: number; piece: T } | undefined {
    if (this.#left < 0) this.#left = this.#ring.length
    while (this.#left > 0) {
      const flow = this.#ring[0]!
      if (!this.#visiting) flow.deficit += this.quantum
      this.#visiting = true
      const first = flow.waiting[0]!
      if (first.cost <= flow.deficit) {
        flow.deficit -= first.cost
        flow.waiting.shift()
        if (flow.waiting.length === 0) this.#remove(flow)
        return first
      }
      this.#ring.push(this.#ring.shift()!)
      this.#left--
      this.#visiting = false
    }
    this.#left = -1
    return undefined
  }

  /** Takes a piece back. False when it does not wait. */
  delete(peer: string, piece: T): boolean {
    const flow = this.#flows.get(peer)
    const at = flow?.waiting.findIndex((each) => each.piece === piece) ?? -1
    if (flow == null || at === -1) return false
    flow.waiting.splice(at, 1)
    if (flow.waiting.length === 0) this.#remove(flow)
    return true
  }

  /** Forgets what a peer saved. Nothing of it may be waiting. */
  leave(peer: string): void {
    this.#flows.delete(peer)
  }

  /** Nothing of it waits any more. Its next piece is on its way perhaps, so it keeps what it saved, up to one quantum. */
  #remove(flow: Flow<T>): void {
    const at = this.#ring.indexOf(flow)
    this.#ring.splice(at, 1)
    if (at < this.#left) this.#left--
    if (at === 0) this.#visiting = false
    flow.deficit = Math.min(flow.deficit, this.quantum)
  }
}
