/** Who won which block of the chain that all agree on, from the events of the nodes. Pure. */
import type { NodeEvent } from '../mining-node/event.js'

interface Won {
  hash: string
  miner: string
}

export class Tally {
  /** Each node's own view of its chain, by height. */
  readonly #views = new Map<string, Map<number, Won>>()
  /** All blocks that were mined, by height: some of them lost. */
  readonly #mined = new Map<number, Won[]>()

  /** Notes what a node said. */
  note(name: string, event: NodeEvent): void {
    const view = this.#views.get(name) ?? new Map<number, Won>()
    this.#views.set(name, view)
    if (event.event === 'head') {
      view.set(event.height, { hash: event.hash, miner: event.miner })
      for (const height of view.keys()) if (height > event.height) view.delete(height)
    } else if (event.event === 'reorg') {
      const top = Math.max(0, ...view.keys())
      for (const height of view.keys()) if (height > top - event.depth) view.delete(height)
    } else if (event.event === 'mined') {
      const others = this.#mined.get(event.height) ?? []
      this.#mined.set(event.height, [...others, { hash: event.hash, miner: name }])
    }
  }

  /**
   * Blocks won per miner from height `from` to `to`. A height that came in the middle of a batch is taken from another node's view, or
   * from the one block that was mined there.
   */
  wins(to: number, from = 1): Record<string, number> {
    const wins: Record<string, number> = {}
    for (let height = Math.max(1, from); height <= to; height++) {
      const seen = [...this.#views.values()].map((view) => view.get(height)).find((won) => won != null)
      const mined = this.#mined.get(height)
      const miner = (seen ?? (mined?.length === 1 ? mined[0] : undefined))?.miner ?? 'unknown'
      wins[miner] = (wins[miner] ?? 0) + 1
    }
    return wins
  }
}

/** The head that all share, or undefined while they differ or one has none. */
export function sharedHead(
  heads: ({ height: number; hash: string } | undefined)[]
): { height: number; hash: string } | undefined {
  const [first, ...others] = heads
  return first != null && others.every((head) => head?.hash === first.hash) ? first : undefined
}
