/** Things that wait, by the peer that brought them: one of each in turn, so that who brings most waits longest. Pure. */
export class Turns<T extends { readonly peer: string }> {
  readonly #lanes = new Map<string, T[]>()

  get empty(): boolean {
    return this.#lanes.size === 0
  }

  put(item: T): void {
    const lane = this.#lanes.get(item.peer)
    if (lane == null) this.#lanes.set(item.peer, [item])
    else lane.push(item)
  }

  /** The next one; its peer goes to the end. */
  take(): T | undefined {
    for (const [peer, lane] of this.#lanes) {
      const item = lane.shift()
      this.#lanes.delete(peer)
      if (lane.length > 0) this.#lanes.set(peer, lane)
      return item
    }
    return undefined
  }

  /** Takes out all of them. */
  clear(): T[] {
    const all = [...this.#lanes.values()].flat()
    this.#lanes.clear()
    return all
  }
}
