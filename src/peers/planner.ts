import type { AddressBook, Entry } from './book.js'

/** First wait after a failure; doubles from there. */
export const FIRST_WAIT_MS = 1000
/** Longest wait between two attempts. */
export const LONGEST_WAIT_MS = 300_000
/** Longest wait while there is no peer at all. */
export const ALONE_WAIT_MS = 10_000
/** A connection that lasted this long was good: its peer starts again at the first wait. Hyperswarm's number. */
export const GOOD_MS = 15_000
/** Failures after which a peer is dropped from the book: never seen, or seen once. bcoin drops after 3 and 10. */
export const MAX_FAILURES = { stranger: 3, proven: 10 } as const
/** Seeds that are kept connected beside the target, so that a full node still hears of newcomers. */
export const SEED_SLOTS = 2

export interface PlannerInit {
  book: AddressBook
  /** Outbound connections wanted. */
  target: number
  /** Most dials at a time. @default 8 */
  parallel?: number
  /** [0, 1). */
  random: () => number
  /** Lowers the priority of a peer, 0 = not at all. */
  penalty?(id: string): number
}

interface Link {
  direction: 'inbound' | 'outbound'
  since: number
}

/**
 * Decides whom to dial and when. No I/O, no timer: it is told what happened and asked for a plan. Sole owner of who is being dialled
 * and who is connected in which direction, as far as dialling is concerned.
 */
export class Planner {
  readonly #book: AddressBook
  readonly #target: number
  readonly #parallel: number
  readonly #random: () => number
  readonly #penalty: (id: string) => number
  readonly #links = new Map<string, Link>()
  readonly #dials = new Set<string>()
  /** Peers being dialled whose own dial we turned away meanwhile. */
  readonly #denied = new Set<string>()
  /** Peers that we could not reach while they could reach us: their dial is let in whatever the tie-break says. */
  readonly #yields = new Set<string>()

  constructor(init: PlannerInit) {
    this.#book = init.book
    this.#target = init.target
    this.#parallel = init.parallel ?? 8
    this.#random = init.random
    this.#penalty = init.penalty ?? (() => 0)
  }

  /** No connection to anyone. */
  get alone(): boolean {
    return this.#links.size === 0
  }

  get outbound(): number {
    let n = 0
    for (const link of this.#links.values()) if (link.direction === 'outbound') n++
    return n
  }

  get inbound(): number {
    return this.#links.size - this.outbound
  }

  get satisfied(): boolean {
    return this.outbound >= this.#target
  }

  isDialling(id: string): boolean {
    return this.#dials.has(id)
  }

  isLinked(id: string): boolean {
    return this.#links.has(id)
  }

  get linked(): Iterable<string> {
    return this.#links.keys()
  }

  directionOf(id: string): 'inbound' | 'outbound' | undefined {
    return this.#links.get(id)?.direction
  }

  /** Forgets connections and dials, when all are closed; the book stays. */
  clear(): void {
    this.#links.clear()
    this.#dials.clear()
    this.#denied.clear()
    this.#yields.clear()
  }

  /**
   * Whom to dial now, most wanted first. `allowed` leaves out the banned and the refused. Seeds come first up to SEED_SLOTS of them,
   * then who failed least, then the remaining seeds.
   */
  plan(now: number, allowed: (id: string) => boolean = () => true): string[] {
    const room = this.#parallel - this.#dials.size
    if (room <= 0) return []
    const seeds: { id: string; key: number }[] = []
    const others: { id: string; key: number }[] = []
    let seedSlots = SEED_SLOTS
    for (const entry of this.#book.entries.values()) {
      const busy = this.#links.has(entry.id) || this.#dials.has(entry.id)
      if (busy) {
        if (entry.seed) seedSlots--
        continue
      }
      if (this.#dueAt(entry) > now || !allowed(entry.id)) continue
      const key = entry.failures + this.#penalty(entry.id) + this.#random() / 2
      ;(entry.seed ? seeds : others).push({ id: entry.id, key })
    }
    for (const list of [seeds, others]) list.sort((a, b) => a.key - b.key)
    const reserved = seeds.splice(0, Math.max(0, seedSlots))
    const free = Math.max(0, this.#target - this.outbound - this.#dials.size - reserved.length)
    return [...reserved, ...[...others, ...seeds].slice(0, free)].slice(0, room).map(({ id }) => id)
  }

  /** When this peer may be dialled next; undefined while it is connected, being dialled or unknown. */
  dueAt(id: string): number | undefined {
    const entry = this.#book.get(id)
    return entry == null || this.#links.has(id) || this.#dials.has(id) ? undefined : this.#dueAt(entry)
  }

  /** A dial begins. */
  dialling(id: string): void {
    this.#dials.add(id)
  }

  /** The dial ended well; the connection itself is told by `opened`. */
  dialled(id: string): void {
    this.#dials.delete(id)
    this.#denied.delete(id)
    this.#yields.delete(id)
  }

  /** The dial failed. A peer that meanwhile called us is there for sure, and is tried again soon. */
  failed(id: string, now: number, error: string): void {
    this.#dials.delete(id)
    const present = this.#denied.delete(id)
    if (this.#links.has(id)) return
    if (present) this.#yields.add(id)
    this.#punish(id, now, error, present)
  }

  /** A connection is open; of several to the same peer the last word counts. */
  opened(id: string, direction: 'inbound' | 'outbound', now: number): void {
    const link = this.#links.get(id)
    if (link == null) this.#links.set(id, { direction, since: now })
    else link.direction = direction
    if (direction === 'inbound') this.#yields.delete(id)
  }

  /** It proved to be a peer of ours (status accepted, or identified). */
  proved(id: string): void {
    const entry = this.#book.get(id)
    if (entry == null) return
    entry.proven = true
    entry.error = undefined
  }

  /** The last connection to it is closed. */
  closed(id: string, now: number, reason: string): void {
    const link = this.#links.get(id)
    if (link == null) return
    this.#links.delete(id)
    const entry = this.#book.get(id)
    if (entry == null) return
    if (now - link.since >= GOOD_MS && entry.proven) {
      entry.failures = 0
      entry.endedAt = now
      entry.waitMs = this.#jitter(FIRST_WAIT_MS)
      entry.error = reason
    } else {
      this.#punish(id, now, reason, false)
    }
  }

  /** Leave it alone for at least `ms`. */
  hold(id: string, now: number, ms: number): void {
    const entry = this.#book.get(id)
    if (entry != null) entry.heldUntil = Math.max(entry.heldUntil, now + ms)
  }

  /** Whether our own dial or connection to a peer outranks one that it opens to us, given that our ID is the lower one. */
  outranks(id: string): boolean {
    return !this.#yields.has(id)
  }

  /** Its dial was turned away in favour of ours. */
  deniedInbound(id: string): void {
    if (this.#dials.has(id)) this.#denied.add(id)
  }

  #dueAt(entry: Entry): number {
    const waitMs = this.alone && entry.seed ? Math.min(entry.waitMs, ALONE_WAIT_MS) : entry.waitMs
    return Math.max(entry.endedAt + waitMs, entry.heldUntil)
  }

  #punish(id: string, now: number, error: string, soon: boolean): void {
    const entry = this.#book.get(id)
    if (entry == null) return
    entry.failures++
    entry.endedAt = now
    entry.error = error
    entry.waitMs = this.#jitter(
      soon ? FIRST_WAIT_MS : Math.min(FIRST_WAIT_MS * 2 ** (entry.failures - 1), LONGEST_WAIT_MS)
    )
    // who has just called us is there; and while nobody at all answers it is more likely us than them
    const limit = entry.proven ? MAX_FAILURES.proven : MAX_FAILURES.stranger
    if (entry.failures >= limit && !soon && !this.alone) this.#forget(id)
  }

  #forget(id: string): void {
    this.#book.remove(id)
    if (this.#book.get(id) == null) this.#yields.delete(id)
  }

  /** Half to the whole of it: never longer, so that the bounds above hold. */
  #jitter(ms: number): number {
    return ms * (0.5 + this.#random() / 2)
  }
}
