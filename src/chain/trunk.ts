import { type Entry, makeEntry } from './entry.js'
import type { Located } from './rules.js'

/** The head chain as far down as it is in memory. */
export class Trunk<Header> {
  #entries: Entry<Header>[]
  #base: number

  /** Ascending, at least one. */
  constructor(chain: Located<Header>[]) {
    this.#base = chain[0]!.height
    this.#entries = linked(chain)
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

  /** Those from a height up. */
  from(height: number): Entry<Header>[] {
    return this.#entries.slice(Math.max(0, height - this.#base))
  }

  push(entry: Entry<Header>): void {
    entry.main = entry.body = entry.complete = true
    entry.at.bytes = undefined
    this.#entries.push(entry)
  }

  /** Takes off what lies above an entry. Answers that, ascending. */
  popTo(entry: Entry<Header>): Entry<Header>[] {
    const gone = this.#entries.splice(entry.at.height - this.#base + 1)
    for (const each of gone) each.main = false
    return gone
  }

  /** Forgets what lies below a height. Answers what that was. */
  forget(height: number): Entry<Header>[] {
    if (height <= this.#base) return []
    const gone = this.#entries.splice(0, height - this.#base)
    this.#base = height
    return gone
  }

  /** Takes up again what lies below, ascending, up to the lowest that is here. Answers the new entries. */
  deepen(chain: Located<Header>[]): Entry<Header>[] {
    if (chain.length === 0) return []
    const below = linked(chain)
    const first = this.#entries[0]!
    const last = below.at(-1)!
    first.parent = last
    last.child = first
    this.#entries = [...below, ...this.#entries]
    this.#base = below[0]!.at.height
    return below
  }
}

/** Entries of the head chain, each the child of the one before. */
function linked<Header>(chain: Located<Header>[]): Entry<Header>[] {
  let parent: Entry<Header> | undefined
  return chain.map((at) => {
    const entry = makeEntry(at, parent)
    entry.main = entry.body = entry.complete = true
    if (parent != null) parent.child = entry
    parent = entry
    return entry
  })
}
