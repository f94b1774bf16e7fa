import type { Entry } from './entry.js'
import type { Ancestors, Located } from './rules.js'

/** The blocks before one that is checked, as the app sees them. */
class Line<Header> implements Ancestors<Header> {
  readonly parent: Located<Header>
  readonly #entry: Entry<Header>
  readonly #lookback: number
  readonly #before: (entry: Entry<Header>) => Entry<Header> | undefined

  constructor(entry: Entry<Header>, lookback: number, before: (entry: Entry<Header>) => Entry<Header> | undefined) {
    this.parent = entry.at
    this.#entry = entry
    this.#lookback = lookback
    this.#before = before
  }

  last(n: number): Located<Header>[] {
    const count = Math.floor(n)
    if (!(count >= 0 && count <= this.#lookback))
      throw new RangeError(`last(${n}): from 0 to Rules.lookback, ${this.#lookback}`)
    const blocks: Located<Header>[] = []
    let at: Entry<Header> | undefined = this.#entry
    while (at != null && blocks.length < count) {
      blocks.push(at.at)
      at = this.#before(at)
    }
    return blocks
  }

  back(n: number): Located<Header> | undefined {
    if (!Number.isInteger(n) || n < 1 || n > this.#lookback)
      throw new RangeError(`back(${n}): from 1 to Rules.lookback, ${this.#lookback}`)
    let at: Entry<Header> | undefined = this.#entry
    for (let i = 1; i < n && at != null; i++) at = this.#before(at)
    return at?.at
  }
}

/** What the app's rules see while a block is checked or proposed. */
export function ancestorsOf<Header>(
  entry: Entry<Header>,
  lookback: number,
  before: (entry: Entry<Header>) => Entry<Header> | undefined
): Ancestors<Header> {
  return new Line(entry, lookback, before)
}
