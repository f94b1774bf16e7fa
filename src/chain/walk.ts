import { equalBytes } from '../hex.js'
import type { Core } from './core.js'
import { type Entry, makeEntry } from './entry.js'
import { MEDIAN } from './inspector.js'
import type { BaseHeader, Located } from './rules.js'
import { objectionTo } from './standing.js'
import { ACCEPT, ignore, reject, type Verdict } from './verdict.js'

/**
 * Checks headers one after another as `addHeaders` does, and keeps none of them but the last few that the rules may look back at
 * (`lookback`, and 11 for the median time). For chains of which it is not known yet whether they are worth keeping.
 */
export class HeaderWalk<Header extends BaseHeader = BaseHeader> {
  readonly #core: Core<Header, unknown>
  #last: Entry<Header>
  /** Those of the walk's own that are kept, oldest first. */
  readonly #kept: Entry<Header>[] = []
  readonly #keep: number

  constructor(core: Core<Header, unknown>, from: Entry<Header>) {
    this.#core = core
    this.#last = from
    this.#keep = Math.max(core.terms.lookback, MEDIAN)
  }

  /** The last header that was accepted; before the first one, the block that the walk begins behind. */
  get last(): Located<Header> {
    return this.#last.at
  }

  /** Checks the next header. Anything but `accept` leaves the walk where it was. */
  add(bytes: Uint8Array): Verdict {
    const { inspector, tree } = this.#core
    const named = inspector.header(new Uint8Array(bytes))
    if (!('hash' in named)) return named
    const { header, hash } = named
    if (!equalBytes(header.parent, this.#last.at.hash)) return ignore('unknown-parent', 'not the next one')
    const invalid = tree.get(hash)?.invalid
    if (invalid != null) return reject('known-invalid', invalid)
    const { verdict, height, work } = inspector.place(header, hash, this.#last)
    if (verdict.result !== 'accept') return verdict
    const objection = objectionTo(this.#core, hash, height)
    if (objection != null) return objection
    this.#last = makeEntry({ hash, height, work, header }, this.#last)
    this.#kept.push(this.#last)
    // whoever looks back further than this is refused by `Ancestors`
    if (this.#kept.length > this.#keep) this.#kept.shift()!.parent = undefined
    return ACCEPT
  }
}

/** A walk behind the parent of these header bytes. Undefined when they cannot be read, or the parent is not here, or is invalid. */
export function walkFrom<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  header: Uint8Array
): HeaderWalk<Header> | undefined {
  const named = core.inspector.header(header)
  const parent = 'hash' in named ? core.entry(named.header.parent) : undefined
  return parent == null || parent.invalid != null ? undefined : new HeaderWalk<Header>(core as never, parent)
}
