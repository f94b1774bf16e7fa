import type { Place } from './source.js'

/** One body that is wanted, asked for, here, or on its way into the chain. */
export interface Slot {
  readonly place: Place
  readonly key: string
  /** `gone`: not needed any more. */
  state: 'wanted' | 'asked' | 'here' | 'importing' | 'gone'
  bytes: Uint8Array | undefined
  /** Who sent the last body, and whether as its own chain. Kept when the body is dropped: an import may yet fail. */
  from: string | undefined
  asOwn: boolean
  /** How often each peer had no such body, or a wrong one. */
  readonly denials: Map<string, number>
  /** Imports that left it where it was. */
  imports: number
  /** When it was last found missing. */
  round: number
}

export function newSlot(place: Place, key: string): Slot {
  return {
    place,
    key,
    state: 'wanted',
    bytes: undefined,
    from: undefined,
    asOwn: false,
    denials: new Map(),
    imports: 0,
    round: 0
  }
}
