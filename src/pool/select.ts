/** What is looked at of one that may go into a block. */
export interface Selectable {
  /** Bytes that it takes in a block, its length included. */
  readonly size: number
  /** Fee per byte. */
  readonly rate: number
  /** Counts up as they come. */
  readonly arrival: number
  readonly order: { readonly sender: string; readonly sequence: bigint } | undefined
}

/**
 * Fills a block: always the one that pays most per byte among the next of each sender, at equal pay the one that came first. One that does
 * not fit any more is left out, and so are its sender's later ones, which would fail without it.
 */
export function selectFor<S extends Selectable>(pooled: Iterable<S>, maxBytes: number): S[] {
  const chains = new Map<string, S[]>()
  const next = new Heap<S>(isBetter)
  for (const one of pooled) {
    if (one.order == null) {
      next.push(one)
      continue
    }
    const chain = chains.get(one.order.sender)
    if (chain == null) chains.set(one.order.sender, [one])
    else chain.push(one)
  }
  for (const chain of chains.values()) {
    // the next one last, to be popped
    chain.sort((a, b) => (a.order!.sequence < b.order!.sequence ? 1 : -1))
    next.push(chain.pop()!)
  }
  const chosen: S[] = []
  let left = maxBytes
  for (let one = next.pop(); one != null; one = next.pop()) {
    if (one.size > left) continue
    chosen.push(one)
    left -= one.size
    const following = one.order == null ? undefined : chains.get(one.order.sender)?.pop()
    if (following != null) next.push(following)
  }
  return chosen
}

function isBetter(a: Selectable, b: Selectable): boolean {
  return a.rate === b.rate ? a.arrival < b.arrival : a.rate > b.rate
}

/** A binary heap: `pop` gives the best. */
class Heap<T> {
  readonly #items: T[] = []

  constructor(private readonly better: (a: T, b: T) => boolean) {}

  push(item: T): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.better(item, items[parent]!)) break
      items[at] = items[parent]!
      at = parent
    }
    items[at] = item
  }

  pop(): T | undefined {
    const items = this.#items
    const best = items[0]
    const last = items.pop()
    if (items.length === 0 || last == null) return best
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && this.better(items[child + 1]!, items[child]!)) child++
      if (!this.better(items[child]!, last)) break
      items[at] = items[child]!
      at = child
    }
    items[at] = last
    return best
  }
}
