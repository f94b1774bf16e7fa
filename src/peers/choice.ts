import type { AddressBook, Entry } from './book.js'

/** Seeds that are kept connected beside the target, so that a full node still hears of newcomers. */
export const SEED_SLOTS = 2
/** With nobody of another group of addresses left, one of a group that we have is chosen after this time. */
export const RELAX_MS = 60_000
/** A peer that failed n times is drawn with this to the power of n, at most 8. Bitcoin Core's number. */
const FAILED_CHANCE = 0.66
/** So many that may not be dialled are drawn at a time. */
const MAX_REFUSED = 50

export interface ChoiceInit {
  book: AddressBook
  random: () => number
  /** Lowers the priority of a peer, 0 = not at all. */
  penalty(id: string): number
}

/** How things stand when somebody is to be chosen. */
export interface Situation {
  now: number
  /** Dials that are to be begun. */
  wanted: number
  /** All outbound connections that we want are there. */
  isMet: boolean
  /** Outbound connections that there are to be. */
  target: number
  /** Whom it makes sense to dial now. Cheap: it is asked of everyone known. */
  isDue(entry: Entry): boolean
  /** Whether it may be dialled at all. Asked of those only who would be. */
  allowed(id: string): boolean
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
  /** When we last gained a peer, or wanted none. */
  #contentAt: number | undefined

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

  /** A dial led to a peer. */
  gained(now: number): void {
    this.#contentAt = now
  }

  clear(): void {
    this.#anchors = []
    this.#starvingSince = undefined
    this.#contentAt = undefined
  }

  /** Most wanted first. */
  choose(situation: Situation): string[] {
    const { wanted, target, isDue, isBusy, allowed } = situation
    const { book, random } = this.#init
    const isWanted = (entry: Entry): boolean => isDue(entry) && allowed(entry.id)
    const rated = book.seeds
      .filter(isWanted)
      .map((entry) => ({ id: entry.id, key: this.#reluctance(entry) + random() / 2 }))
    const seeds = rated.sort((a, b) => a.key - b.key).map(({ id }) => id)
    const busy = book.seeds.filter(({ id }) => isBusy(id)).length
    const reserved = seeds.splice(0, Math.max(0, SEED_SLOTS - busy))
    const anchors = this.#anchors.flatMap((id) => book.get(id) ?? []).filter((entry) => !entry.seed && isWanted(entry))
    const first = anchors.slice(0, wanted).map(({ id }) => id)
    const drawn = this.#draw(wanted - first.length, first, situation)
    // further seeds fill half of the target at most: who only knows seeds hears of nobody else
    const extra = Math.max(0, Math.ceil(target / 2) - Math.max(0, busy + reserved.length - SEED_SLOTS))
    return [...first, ...reserved, ...[...drawn, ...seeds.slice(0, extra)].slice(0, wanted - first.length)]
  }

  /**
   * Up to `count` peers of groups that we have no connection to. Of any once nobody else has been left for a minute; and one of any when
   * for a minute no dial has led to a peer: whoever makes up peers of ever new groups is not to keep us from those who are there.
   */
  #draw(count: number, taken: readonly string[], { now, isMet, isDue, allowed, groups: linked }: Situation): string[] {
    if (isMet) {
      this.#starvingSince = undefined
      this.#contentAt = now
    }
    if (count <= 0) return []
    const passed = new Set(taken)
    const groups = new Set([...linked, ...taken.flatMap((id) => this.#init.book.get(id)?.group ?? [])])
    const chosen: string[] = []
    const draw = (fits: (entry: Entry) => boolean): Entry | undefined => {
      for (let refused = 0; refused < MAX_REFUSED; refused++) {
        const entry = this.#init.book.draw(this.#init.random, (candidate) =>
          !candidate.seed && !passed.has(candidate.id) && fits(candidate) && isDue(candidate)
            ? FAILED_CHANCE ** this.#reluctance(candidate)
            : 0
        )
        if (entry == null) return undefined
        passed.add(entry.id)
        if (allowed(entry.id)) return entry
      }
      return undefined
    }
    const take = (entry: Entry): void => {
      chosen.push(entry.id)
      groups.add(entry.group)
    }
    this.#contentAt ??= now
    if (now - this.#contentAt >= RELAX_MS) {
      const known = draw(({ group }) => groups.has(group))
      if (known != null) {
        take(known)
        this.#contentAt = now
      }
    }
    const isRelaxed = this.#starvingSince != null && now - this.#starvingSince >= RELAX_MS
    let isStarving = false
    while (chosen.length < count) {
      let entry = draw(({ group }) => !groups.has(group))
      isStarving ||= entry == null
      if (entry == null && isRelaxed) entry = draw(() => true)
      if (entry == null) break
      take(entry)
    }
    this.#starvingSince = isStarving ? (this.#starvingSince ?? now) : undefined
    return chosen
  }

  /** How little we want this one: failures count, and what it did. */
  #reluctance(entry: Entry): number {
    return Math.min(8, entry.failures + this.#init.penalty(entry.id))
  }
}
