import type { AddressBook, Entry } from './book.js'

/** Seeds that are kept connected beside the target, so that a full node still hears of newcomers. */
export const SEED_SLOTS = 2
/** With nobody of another group of addresses left, one of a group that we have is chosen after this time. */
export const RELAX_MS = 60_000
/** A peer that failed n times is drawn with this to the power of n, at most 8. Bitcoin Core's number. */
const FAILED_CHANCE = 0.66

export interface ChoiceInit {
  book: AddressBook
  random: () => number
  /** Lowers the priority of a peer, 0 = not at all. */
  penalty(id: string): number
}

/** How things stand when somebody is to be chosen. */
export interface Situation {
  now: number
  /** Outbound connections that are missing. */
  wanted: number
  /** Whom it makes sense to dial now. */
  isDue(entry: Entry): boolean
  /** Connected or being dialled. */
  isBusy(id: string): boolean
  /** Groups of the addresses that we chose to dial. */
  groups: ReadonlySet<string>
}

/**
 * Whom to dial, of those that are due. Anchors come first, then seeds up to SEED_SLOTS of them, then what the book draws, from groups of
 * addresses that we have no connection to, then the remaining seeds.
 */
export class Choice {
  readonly #init: ChoiceInit
  #anchors: string[] = []
  /** Since when we want more peers and know none of a new group. */
  #starvingSince: number | undefined

  constructor(init: ChoiceInit) {
    this.#init = init
  }

  /** These come first, once each: who stood by us when we last stopped. */
  anchor(ids: readonly string[]): void {
    this.#anchors = [...ids]
  }

  isAnchor(id: string): boolean {
    return this.#anchors.includes(id)
  }

  /** Its turn has come. */
  tried(id: string): void {
    this.#anchors = this.#anchors.filter((anchor) => anchor !== id)
  }

  clear(): void {
    this.#anchors = []
    this.#starvingSince = undefined
  }

  /** Most wanted first. */
  choose(situation: Situation): string[] {
    const { wanted, isDue, isBusy } = situation
    const { book } = this.#init
    const seeds = book.seeds
      .filter(isDue)
      .map((entry) => ({ id: entry.id, key: this.#reluctance(entry) + this.#init.random() / 2 }))
    const due = seeds.sort((a, b) => a.key - b.key).map(({ id }) => id)
    const busy = book.seeds.filter(({ id }) => isBusy(id)).length
    const reserved = due.splice(0, Math.max(0, SEED_SLOTS - busy))
    const free = Math.max(0, wanted - reserved.length)
    const anchors = this.#anchors.flatMap((id) => book.get(id) ?? []).filter((entry) => !entry.seed && isDue(entry))
    const first = anchors.slice(0, free).map(({ id }) => id)
    const drawn = this.#draw(free - first.length, first, situation)
    return [...first, ...reserved, ...[...drawn, ...due].slice(0, free - first.length)]
  }

  /** Up to `count` peers of groups that we have no connection to, or of any once nobody else has been left for a minute. */
  #draw(count: number, taken: readonly string[], { now, isDue, groups: linked }: Situation): string[] {
    if (count <= 0) {
      this.#starvingSince = undefined
      return []
    }
    const drawn = new Set(taken)
    const groups = new Set(linked)
    const draw = (fits: (entry: Entry) => boolean): Entry | undefined =>
      this.#init.book.draw(this.#init.random, (entry) =>
        !entry.seed && !drawn.has(entry.id) && fits(entry) && isDue(entry)
          ? FAILED_CHANCE ** this.#reluctance(entry)
          : 0
      )
    const isRelaxed = this.#starvingSince != null && now - this.#starvingSince >= RELAX_MS
    let isStarving = false
    while (drawn.size - taken.length < count) {
      let entry = draw(({ group }) => !groups.has(group))
      isStarving ||= entry == null
      if (entry == null && isRelaxed) entry = draw(() => true)
      if (entry == null) break
      drawn.add(entry.id)
      groups.add(entry.group)
    }
    this.#starvingSince = isStarving ? (this.#starvingSince ?? now) : undefined
    return [...drawn].slice(taken.length)
  }

  /** How little we want this one: failures count, and what it did. */
  #reluctance(entry: Entry): number {
    return Math.min(8, entry.failures + this.#init.penalty(entry.id))
  }
}
