import type { Entry } from './entry.js'

/** The branch from the head chain up to the target, kept so that nobody has to walk it. Empty while the target is the head. */
export class Path<Header> {
  #target: Entry<Header>
  #entries: Entry<Header>[] = []
  /** Those before joined the head chain meanwhile. */
  #from = 0

  constructor(target: Entry<Header>) {
    this.#target = target
  }

  get target(): Entry<Header> {
    return this.#target
  }

  /** Of the last block that the branch shares with the head chain. */
  get forkHeight(): number {
    return (this.#entries[this.#from]?.at.height ?? this.#target.at.height + 1) - 1
  }

  reset(target: Entry<Header>): void {
    this.#target = target
    this.#entries = []
    this.#from = 0
  }

  /** A new target. */
  lead(target: Entry<Header>): void {
    const grows = target.parent === this.#target && !target.main
    this.#target = target
    if (grows) this.#entries.push(target)
    else this.#walk()
  }

  /** The head moved. */
  follow(): void {
    while (this.#entries[this.#from]?.main) this.#from++
    const first = this.#entries[this.#from]
    if (first == null ? !this.#target.main : !first.parent?.main) {
      this.#walk()
      return
    }
    if (this.#from > 4_096 || this.#from === this.#entries.length) {
      this.#entries.splice(0, this.#from)
      this.#from = 0
    }
  }

  at(height: number): Entry<Header> | undefined {
    const first = this.#entries[this.#from]
    return first == null ? undefined : this.#entries[this.#from + height - first.at.height]
  }

  /** Those without a body, ascending, from a height on. */
  missing(limit: number, from = this.forkHeight + 1): Entry<Header>[] {
    const missing: Entry<Header>[] = []
    for (let height = from; missing.length < limit; height++) {
      const entry = this.at(height)
      if (entry == null) break
      if (!entry.body) missing.push(entry)
    }
    return missing
  }

  *[Symbol.iterator](): Generator<Entry<Header>> {
    for (let i = this.#from; i < this.#entries.length; i++) yield this.#entries[i]!
  }

  #walk(): void {
    this.#entries = []
    this.#from = 0
    for (let at: Entry<Header> | undefined = this.#target; at != null && !at.main; at = at.parent)
      this.#entries.push(at)
    this.#entries.reverse()
  }
}
