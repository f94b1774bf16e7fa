import type { PeerId } from '@libp2p/interface'
import type { Goodbye } from '../pb/status.js'
import { cleanText, GoodbyeCode } from './goodbye.js'
import type { Difference } from './hello.js'

/** A peer that follows another chain. */
export interface Refusal extends Difference {
  peer: PeerId
  /** They refused us; else we them. */
  byThem: boolean
}

const MAX_REFUSALS = 1_000
/** That the other side's values have changed, e.g. those of a seed that was set right, shows only when it is dialled. */
export const REFUSAL_MS = 600_000

/**
 * Whom not to dial again: peers of other chains. One is forgotten when our values change, when it shows other values or dials us,
 * after ten minutes, when 1,000 newer ones are remembered, and on restart.
 */
export class Refusals {
  readonly #byPeer = new Map<string, { refusal: Refusal; ours: string; until: number }>()

  /** `ours`: our values at that time, as one text. */
  set(refusal: Refusal, ours: string, now: number): void {
    const key = refusal.peer.toString()
    this.#byPeer.delete(key)
    this.#byPeer.set(key, { refusal, ours, until: now + REFUSAL_MS })
    if (this.#byPeer.size > MAX_REFUSALS) this.#byPeer.delete(this.#byPeer.keys().next().value!)
  }

  get(peer: PeerId, ours: string, now: number): Refusal | undefined {
    const known = this.#byPeer.get(peer.toString())
    if (known == null) return undefined
    if (known.ours === ours && now < known.until) return known.refusal
    this.#byPeer.delete(peer.toString())
    return undefined
  }

  forget(peer: PeerId): void {
    this.#byPeer.delete(peer.toString())
  }

  clear(): void {
    this.#byPeer.clear()
  }
}

const CODES: Record<number, Difference['code'] | undefined> = {
  [GoodbyeCode.network]: 'network',
  [GoodbyeCode.genesis]: 'genesis',
  [GoodbyeCode.fork]: 'fork'
}

/** The difference that a goodbye names, seen from our side: what is theirs there is ours here. */
export function differenceTold({ code, field, ours, theirs }: Goodbye): Difference | undefined {
  const known = CODES[code]
  if (known == null) return undefined
  return { code: known, field: cleanText(field), ours: cleanText(theirs), theirs: cleanText(ours) }
}
