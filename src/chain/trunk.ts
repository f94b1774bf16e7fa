import type { Entry } from './entry.js'

/** The head chain as far down as it is in memory. */
export class Trunk<Header> {
  #entries: Entry<Header>[]
  #base: number

  constructor(lowest: Entry<Header>) {
    this.#entries = [lowest]
    this.#base = lowest.at.height
  }

  get head(): Entry<Header> {
    return this.#entries[this.#entries.length - 1]!
  }

  /** Lowest height in memory. */
  get base(): number {
    return this.#base
  }

  at(height: number): Entry<Header> | undefined {
    return height < this.#base ? undefined : this.#entries[height - this.#base]
  }

  push(entry: Entry<Header>): void {
    entry.main = entry.body = entry.complete = true
    entry.at.bytes = undefined
    this.#entries.push(entry)
  }

  pop(): Entry<Header> {
    const entry = this.#entries.pop()!
    entry.main = false
    return entry
  }

  /** Forgets what lies below a height. Answers what that was. */
  forget(height: number): Entry<Header>[] {
    if (height <= this.#base) return []
    const gone = this.#entries.splice(0, height - this.#base)
    this.#base = height
    return gone
  }
}
