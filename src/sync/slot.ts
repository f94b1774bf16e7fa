import { toHex } from '../hex.js'
import type { Place } from './source.js'
import type { BodiesAsked } from './window.js'

/** One body that is wanted, asked for, here, or on its way into the chain. */
export class Slot {
  /** `gone`: not needed any more. */
  state: 'wanted' | 'asked' | 'here' | 'importing' | 'gone' = 'wanted'
  bytes: Uint8Array | undefined
  /** While it is asked for: the request that is to bring it. Others may bring it too. */
  holder: BodiesAsked | undefined
  /** Who sent the last body, and whether as its own chain. Kept when the body is dropped: an import may yet fail. */
  from: string | undefined
  asOwn = false
  /** Imports that left it where it was. */
  imports = 0
  /** When it was last found missing. */
  round = 0
  #key: string | undefined
  #denials: Map<string, number> | undefined

  constructor(readonly place: Place) {}

  /** Its hash, in hex. */
  get key(): string {
    this.#key ??= toHex(this.place.hash)
    return this.#key
  }

  /** How often a peer had no such body, or a wrong one. */
  denied(peer: string): number {
    return this.#denials?.get(peer) ?? 0
  }

  deny(peer: string, times: number): void {
    this.#denials ??= new Map()
    this.#denials.set(peer, this.denied(peer) + times)
  }

  pardon(peer: string): void {
    this.#denials?.delete(peer)
  }

  /** Denials of the same block, noted elsewhere. */
  recall({ denials }: Slot): void {
    for (const [peer, times] of denials) this.deny(peer, Math.max(0, times - this.denied(peer)))
  }

  get denials(): Iterable<[string, number]> {
    return this.#denials ?? []
  }
}
