import type { Multiaddr } from '@multiformats/multiaddr'
import { FIRST_WAIT_MS, isHopeless, waitAfter } from './backoff.js'
import type { AddressBook, Entry } from './book.js'
import { Choice, SEED_SLOTS } from './choice.js'
import { groupOf } from './group.js'
import { type Scope, scopeOf } from './scope.js'
import { onePerHost, Victims } from './victims.js'

/** Longest wait while there is no peer at all, for seeds and those who once were peers. */
export const ALONE_WAIT_MS = 10_000
/** A connection that lasted this long was good: its peer starts again at the first wait. Hyperswarm's number. */
export const GOOD_MS = 15_000
/** How long a peer that told us it is full is left alone, at least; at most twice that. */
export const FULL_WAIT_MS = 60_000

/** While peers are missing and all wait, one that was a peer is tried so often. */
export const LOST_MS = 15_000

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
  /** It proved to be a peer of ours. */
  proved: boolean
  /** From where it can be reached, so that we could reach others there. */
  scope: Scope
  /** Of the address that was dialled; undefined for inbound ones, which we did not choose. */
  group: string | undefined
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
  readonly #choice: Choice
  readonly #victims = new Victims()
  readonly #links = new Map<string, Link>()
  readonly #dials = new Set<string>()
  /** Peers being dialled whose own dial we turned away meanwhile. */
  readonly #denied = new Set<string>()
  /** Peers that we could not reach while they could reach us: their dial is let in whatever the tie-break says. */
  readonly #yields = new Set<string>()
  /** Peers that are parting from us because they have no room. */
  readonly #full = new Set<string>()
  /** When a dial began last. */
  #triedAt = Number.NEGATIVE_INFINITY

  constructor(init: PlannerInit) {
    const { book, target, parallel = 8, random, penalty = () => 0 } = init
    this.#book = book
    this.#target = target
    this.#parallel = parallel
    this.#random = random
    this.#choice = new Choice({ book, random, penalty })
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

  /** Outbound connections that are missing, dials under way not counted. Those to a few seeds come on top of the target. */
  get missing(): number {
    const seeds = this.#book.seeds.filter(({ id }) => this.directionOf(id) === 'outbound').length
    return Math.max(0, this.#target - this.outbound + Math.min(SEED_SLOTS, seeds))
  }

  get satisfied(): boolean {
    return this.missing === 0
  }

  get dialling(): ReadonlySet<string> {
    return this.#dials
  }

  get linked(): Iterable<string> {
    return this.#links.keys()
  }

  isDialling(id: string): boolean {
    return this.#dials.has(id)
  }

  isLinked(id: string): boolean {
    return this.#links.has(id)
  }

  directionOf(id: string): 'inbound' | 'outbound' | undefined {
    return this.#links.get(id)?.direction
  }

  /** Forgets connections and dials, when all are closed; the book stays. */
  clear(): void {
    this.#links.clear()
    for (const ids of [this.#dials, this.#denied, this.#yields, this.#full]) ids.clear()
    this.#victims.clear()
    this.#choice.clear()
  }

  /** These come first, once each: who stood by us when we last stopped. */
  anchor(ids: readonly string[]): void {
    this.#choice.anchor(ids)
  }

  isAnchor(id: string): boolean {
    return this.#choice.isAnchor(id)
  }

  /** Whom to dial now, most wanted first; see `Choice`. `allowed` leaves out the banned and the refused. */
  plan(now: number, allowed: (id: string) => boolean = () => true): string[] {
    const room = this.#parallel - this.#dials.size
    if (room <= 0) return []
    const wanted = Math.max(0, this.missing - this.#dials.size)
    const chosen = this.#choice.choose({
      now,
      wanted: Math.min(wanted, room),
      isMet: this.satisfied,
      target: this.#target,
      groups: this.#groups(),
      allowed,
      isBusy: (id) => this.#isBusy(id),
      isDue: (entry) =>
        !this.#isBusy(entry.id) && this.#dueAt(entry) <= now && !this.#victims.covers(entry, now) && allowed(entry.id)
    })
    const due = onePerHost(chosen.flatMap((id) => this.#book.get(id) ?? [])).slice(0, room)
    return due.length > 0 || wanted === 0 ? due : this.#lost(now, allowed)
  }

  /**
   * Peers that are lost together wait together, and ever longer: a network that fell apart would find itself only minutes after it is
   * whole. So while peers are missing and nobody is due, one who was a peer is tried every 15 s.
   */
  #lost(now: number, allowed: (id: string) => boolean): string[] {
    if (now - this.#triedAt < LOST_MS) return []
    let best: Entry | undefined
    for (const entry of this.#book.entries.values()) {
      // longer than for its failures: it has no room, or is parting from us for another reason
      if (entry.provenAt == null || entry.heldUntil > now || entry.waitMs > waitAfter(entry.failures)) continue
      if (now - entry.endedAt < LOST_MS || this.#isBusy(entry.id) || this.#victims.covers(entry, now)) continue
      if (allowed(entry.id) && (best == null || entry.endedAt < best.endedAt)) best = entry
    }
    return best == null ? [] : [best.id]
  }

  /** Whether somebody who never failed could take the place of one whom we part from. */
  hasSpare(now: number, allowed: (id: string) => boolean): boolean {
    const isSpare = (entry: Entry): boolean =>
      !entry.seed && entry.failures === 0 && !this.#isBusy(entry.id) && this.#dueAt(entry) <= now
    return [...this.#book.entries.values()].some((entry) => isSpare(entry) && allowed(entry.id))
  }

  /** When this peer may be dialled next; undefined while it is connected, being dialled or unknown. */
  dueAt(id: string): number | undefined {
    const entry = this.#book.get(id)
    return entry == null || this.#isBusy(id) ? undefined : this.#dueAt(entry)
  }

  /** A dial begins. */
  begin(id: string, now: number): void {
    const entry = this.#book.get(id)
    if (entry != null) this.#victims.note(entry, now)
    this.#triedAt = now
    this.#dials.add(id)
    this.#choice.tried(id)
  }

  /** The dial ended well; the connection itself is told by `opened`. */
  dialled(id: string): void {
    const entry = this.#book.get(id)
    if (entry != null) this.#victims.found(entry)
    this.#dials.delete(id)
    this.#denied.delete(id)
    this.#yields.delete(id)
  }

  /** The dial was given up for reasons of ours. */
  abandoned(id: string): void {
    this.#dials.delete(id)
    this.#denied.delete(id)
  }

  /** The dial failed. A peer that meanwhile called us is there for sure, and is tried again soon. */
  failed(id: string, now: number, error: string): void {
    this.#dials.delete(id)
    const present = this.#denied.delete(id)
    if (this.#links.has(id)) return
    const entry = this.#book.get(id)
    if (present) this.#yields.add(id)
    else if (entry != null) this.#victims.note(entry, now)
    this.#book.missed(id)
    this.#punish(id, now, error, present)
  }

  /** A connection is open; of several to the same peer the last word counts. `address`: where its far end is. */
  opened(id: string, direction: 'inbound' | 'outbound', now: number, address?: Multiaddr): void {
    const { since = now, proved = false } = this.#links.get(id) ?? {}
    const group = direction === 'outbound' && address != null ? groupOf(address) : undefined
    const scope = address == null ? 'loopback' : scopeOf(address)
    this.#links.set(id, { direction, since, proved, group, scope })
    if (direction === 'inbound') this.#yields.delete(id)
  }

  /** It proved to be a peer of ours (status accepted, or identified). */
  proved(id: string, now: number): void {
    const link = this.#links.get(id)
    if (link != null) link.proved = true
    if (link?.direction === 'outbound') this.#choice.gained(now)
    this.#book.proved(id, now, link?.group)
  }

  /** It told us that it has no room, and parts from us, or has done so just now. */
  isFull(id: string): void {
    const entry = this.#book.get(id)
    if (this.#links.has(id)) this.#full.add(id)
    else if (entry != null) this.#wait(entry)
  }

  /** The last connection to it is closed; `ours`: by us, for reasons that are no failure of its. */
  closed(id: string, now: number, reason: string, ours = false): void {
    const link = this.#links.get(id)
    if (link == null) return
    this.#links.delete(id)
    const isFull = this.#full.delete(id)
    const entry = this.#book.get(id)
    if (entry == null) return
    if (link.proved) entry.seenAt = Math.max(entry.seenAt, now)
    const isGood = link.proved && now - link.since >= GOOD_MS
    if (isGood) entry.failures = 0
    if (isGood || ours) {
      entry.endedAt = now
      entry.waitMs = this.#jitter(FIRST_WAIT_MS)
      entry.error = reason
      this.#book.touch(id)
    } else {
      this.#punish(id, now, reason, false)
    }
    if (isFull) this.#wait(entry)
  }

  #wait(entry: Entry): void {
    entry.waitMs = Math.max(entry.waitMs, FULL_WAIT_MS * (1 + this.#random()))
  }

  /** Leave it alone for at least `ms`. */
  hold(id: string, now: number, ms: number): void {
    const entry = this.#book.get(id)
    if (entry != null) entry.heldUntil = Math.max(entry.heldUntil, now + ms)
  }

  /** A ban was lifted: it may be dialled again. */
  release(id: string): void {
    const entry = this.#book.get(id)
    if (entry != null) entry.heldUntil = 0
  }

  /** Everyone may be tried again, within a second, anchors at once: we are in another network, or awake again. */
  refresh(now: number): void {
    for (const entry of this.#book.entries.values()) {
      entry.endedAt = now
      entry.waitMs = this.isAnchor(entry.id) ? 0 : this.#random() * FIRST_WAIT_MS
    }
    this.#victims.clear()
  }

  /** Whether our own dial or connection to a peer outranks one that it opens to us, given that our ID is the lower one. */
  outranks(id: string): boolean {
    return !this.#yields.has(id)
  }

  /** Its dial was turned away in favour of ours. */
  deniedInbound(id: string): void {
    if (this.#dials.has(id)) this.#denied.add(id)
  }

  #isBusy(id: string): boolean {
    return this.#links.has(id) || this.#dials.has(id)
  }

  /** Groups of the addresses that we chose to dial; nobody but the app chose the seeds. */
  #groups(): Set<string> {
    const groups = new Set<string>()
    for (const [id, { group }] of this.#links) if (group != null && this.#book.get(id)?.seed !== true) groups.add(group)
    for (const id of this.#dials) {
      const entry = this.#book.get(id)
      if (entry?.seed === false) groups.add(entry.group)
    }
    return groups
  }

  #dueAt(entry: Entry): number {
    const isKnown = entry.seed || entry.provenAt != null
    const waitMs = this.alone && isKnown ? Math.min(entry.waitMs, ALONE_WAIT_MS) : entry.waitMs
    return Math.max(entry.endedAt + waitMs, entry.heldUntil)
  }

  #punish(id: string, now: number, error: string, soon: boolean): void {
    const entry = this.#book.get(id)
    if (entry == null) return
    entry.failures++
    entry.endedAt = now
    entry.error = error
    entry.waitMs = this.#jitter(soon ? FIRST_WAIT_MS : waitAfter(entry.failures))
    this.#book.touch(id)
    // who has just called us is there
    const scopes = new Set([...this.#links.values()].map(({ scope }) => scope))
    if (!soon && isHopeless(entry, now, scopes)) this.#forget(id)
  }

  #forget(id: string): void {
    this.#book.remove(id)
    if (this.#book.get(id) == null) this.#yields.delete(id)
  }

  /** Half to the whole of it: never longer, so that the bounds above hold, and spread, so that not all come at once. */
  #jitter(ms: number): number {
    return ms * (0.5 + this.#random() / 2)
  }
}
