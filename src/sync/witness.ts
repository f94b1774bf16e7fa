import { toHex } from '../hex.js'
import { beats, type ChainView, type Source } from './source.js'

/** A full peer that has not followed our head for so long contradicts it. */
export const CONTRADICTION_MS = 60_000

/** A full peer whose head speaks against ours. */
export interface Contradiction {
  peer: string
  /** Of its head. */
  height: number
  /** Of the head that it has, in hex. */
  hash: string
  why: string
  /** For how long already. */
  forMs: number
}

/** Full peers, who know the state, do not follow the head that we follow. */
export interface SyncWarning {
  /** One sentence. */
  message: string
  contradictedBy: Contradiction[]
}

/**
 * Watches whether full peers, who know the state, follow the head that we follow for its work alone. One contradicts when its head has
 * less work than ours and stays off our chain, or stays where it is on it; and when it claims more work, and its headers do not prove
 * it. Pure. A look costs a few comparisons a peer; nothing is remembered of peers that are gone.
 */
export class Witness {
  /** Since when, by peer; and which claim, where only that it does not move speaks against us. */
  readonly #since = new Map<string, { what: string; at: number }>()
  #warned = false

  constructor(private readonly view: ChainView) {}

  /** Those that have contradicted for long enough. */
  contradictions(sources: Iterable<Source>, now: number): Contradiction[] {
    const found: Contradiction[] = []
    const seen = new Set<string>()
    for (const source of sources) {
      const objection = source.role === 'full' ? this.#objection(source) : undefined
      if (objection == null) continue
      seen.add(source.id)
      const before = this.#since.get(source.id)
      const since = before?.what === objection.what ? before : { what: objection.what, at: now }
      this.#since.set(source.id, since)
      const forMs = now - since.at
      if (forMs < CONTRADICTION_MS) continue
      const { height, hash } = source.claim!
      found.push({ peer: source.id, height, hash: toHex(hash), why: objection.why, forMs })
    }
    for (const id of this.#since.keys()) if (!seen.has(id)) this.#since.delete(id)
    return found
  }

  /** Comes once when half of the full peers, or more, contradict; again when that was over in between. */
  warning(sources: Source[], now: number): SyncWarning | undefined {
    const full = sources.filter(({ role, claim }) => role === 'full' && claim != null).length
    const contradictedBy = this.contradictions(sources, now)
    const many = contradictedBy.length > 0 && contradictedBy.length * 2 >= full
    const told = this.#warned
    this.#warned = many
    if (!many || told) return undefined
    const who = `${contradictedBy.length} of ${full} full peers`
    return {
      message: `${who} do not follow our head, which has the most header work: it may be invalid`,
      contradictedBy
    }
  }

  #objection({ claim, doubt }: Source): { what: string; why: string } | undefined {
    if (claim == null) return undefined
    const { head } = this.view
    if (beats(this.view, claim, head)) {
      return doubt == null ? undefined : { what: 'unproven', why: `claims more work than our head has, but ${doubt}` }
    }
    // a tie says nothing: it lasts as long as the next block
    if (claim.work === head.work) return undefined
    if (this.view.has(claim.hash) !== 'valid') return { what: 'off', why: 'follows another branch, of less work' }
    // one that catches up moves
    return { what: `stays ${claim.key}`, why: 'stays below our head' }
  }
}
