import { unserved } from './claims.js'
import {
  IMPORT_BLOCKS,
  IMPORT_BYTES,
  ORPHANED_MS,
  PARK_DENIALS,
  PARK_MS,
  WINDOW_BLOCKS,
  WINDOW_BYTES
} from './limit.js'
import { Slot } from './slot.js'
import type { ChainView, Place, Source } from './source.js'

/** A request for bodies that is under way. */
export interface BodiesAsked {
  readonly id: number
  readonly peer: string
  readonly by: 'range' | 'hashes'
  readonly slots: Slot[]
  readonly at: number
  /** When its peer sent something last, for this or another. */
  movedAt: number
  /** Bodies received, which are the first of `slots`. */
  got: number
  bytes: number
  /** What it is to bring goes to others: it holds nothing any more. */
  late: boolean
}

/** A body as it came. */
export interface Received {
  /** Hash of its header in hex, empty when it has none; undefined: that which was asked for. */
  key?: string
  bytes: Uint8Array
}

/** From so many slots on only what came and what is new is looked at. */
const MANY_SLOTS = 256
/** Ranges shorter than this are asked for by hash, which cannot be misunderstood. */
const MIN_RANGE = 8

/**
 * The bodies that are downloaded next: the oldest missing ones, as many as fit, and the requests for them. Decides what is imported and
 * which branch is given up. Pure: time and peers are passed in.
 */
export class Window {
  slots: Slot[] = []
  readonly requests = new Map<number, BodiesAsked>()
  /** The chain moved: look again at what is missing. */
  dirty = true
  /** Bytes here that are not imported yet. */
  held = 0
  #average = 16 << 10
  /** Since when the oldest missing block is waited for, and in what case. */
  #wait: { why: string; since: number } | undefined
  /** Of the window. Chains give the same object for the same block, as a rule: then nothing has to be written as hex. */
  readonly #byPlace = new Map<Place, Slot>()
  #round = 0
  /** No slot before this one is wanted. */
  #from = 0

  /** Of a block, on average over the last that came. */
  get blockBytes(): number {
    return this.#average
  }

  /** The oldest that is wanted. */
  get wanted(): Slot | undefined {
    while (this.#from < this.slots.length && this.slots[this.#from]!.state !== 'wanted') this.#from++
    return this.slots[this.#from]
  }

  get front(): Slot | undefined {
    return this.slots[0]
  }

  /** Looks at what is missing now. Answers the requests that are not needed any more; they are forgotten here. */
  refresh(view: ChainView): BodiesAsked[] {
    if (!this.dirty) return []
    this.dirty = false
    if (this.slots.length >= MANY_SLOTS && this.#slide(view)) return []
    const missing = view.missing(WINDOW_BLOCKS)
    const before = this.slots
    // the same way from the same block to the same block
    const same = missing.length === before.length && missing[0] === this.front?.place && this.front?.state !== 'gone'
    if (same && missing.at(-1) === before.at(-1)?.place) return []
    this.#round++
    this.#from = 0
    const known = new Map(before.map((slot) => [slot.key, slot]))
    this.slots = missing.map((place) => this.#slotOf(place, known))
    for (const slot of before) if (slot.round !== this.#round) this.#release(slot)
    if (this.front !== before[0]) this.#wait = undefined
    const gone = [...this.requests.values()].filter(({ slots, got }) => {
      return got < slots.length && slots.every((slot, i) => i < got || slot.state === 'gone')
    })
    for (const request of gone) this.forget(request)
    return gone
  }

  /** The chain took these, or they are not wanted any more: they leave the window. */
  take(slots: Slot[]): void {
    for (const slot of slots) this.#release(slot)
  }

  /** Drops what the chain took from the front and fills up at the end. False when the way is another than before. */
  #slide(view: ChainView): boolean {
    let gone = 0
    while (gone < this.slots.length && this.slots[gone]!.state === 'gone') gone++
    const last = this.slots.at(-1)
    if (last == null || last.state === 'gone') return false
    // it came another way
    const front = this.slots[gone]!
    if (front.state === 'wanted' && view.has(front.place.hash) !== 'header') return false
    const more = view.missingAfter?.(last.place, WINDOW_BLOCKS - this.slots.length + gone)
    if (more == null) return false
    if (gone > 0) {
      this.slots = this.slots.slice(gone)
      this.#from = Math.max(0, this.#from - gone)
      this.#wait = undefined
    }
    for (const place of more) this.slots.push(this.#slotOf(place))
    return true
  }

  /** `firm`: they are not wanted any more until the request is over. */
  ask(source: Source, slots: Slot[], now: number, id: number, firm = true): BodiesAsked {
    const linked = slots.every((slot, i) => slot.place.height === slots[0]!.place.height + i)
    const by = linked && slots.length >= MIN_RANGE && !source.byHash ? 'range' : 'hashes'
    const request: BodiesAsked = {
      id,
      peer: source.id,
      by,
      slots,
      at: now,
      movedAt: now,
      got: 0,
      bytes: 0,
      late: false
    }
    for (const slot of firm ? slots : []) {
      slot.state = 'asked'
      slot.holder = request
    }
    source.begin(now)
    this.requests.set(id, request)
    return request
  }

  /** The next body of an answer. False when it is not the block that was asked for. */
  receive(request: BodiesAsked, { key, bytes }: Received): boolean {
    const slot = request.slots[request.got]
    if (slot == null || (key != null && slot.key !== key)) return false
    request.got++
    request.bytes += bytes.length
    this.#average += (bytes.length - this.#average) * 0.05
    if (slot.state !== 'asked' && slot.state !== 'wanted') return true
    slot.state = 'here'
    slot.holder = undefined
    slot.bytes = bytes
    slot.from = request.peer
    slot.asOwn = request.by === 'range'
    this.held += bytes.length
    return true
  }

  /** Is a peer asked for anything, or for anything of this kind? */
  isAsked(peer: string, kind: (request: BodiesAsked) => boolean = () => true): boolean {
    for (const request of this.requests.values()) if (request.peer === peer && kind(request)) return true
    return false
  }

  moved(peer: string, now: number): void {
    for (const request of this.requests.values()) if (request.peer === peer) request.movedAt = now
  }

  /** The request is over: what did not come is wanted again. */
  forget(request: BodiesAsked): void {
    if (this.requests.delete(request.id)) this.release(request)
  }

  /** What the request is to bring is wanted of others. It may yet come. */
  release(request: BodiesAsked): void {
    request.late = true
    for (let i = request.got; i < request.slots.length; i++) {
      const slot = request.slots[i]!
      if (slot.holder !== request) continue
      slot.holder = undefined
      if (slot.state === 'asked') slot.state = 'wanted'
    }
    this.#from = 0
  }

  /** More is here than there is room for: requests that do not bring the oldest block. */
  overflowing(): BodiesAsked[] {
    if (this.held <= WINDOW_BYTES) return []
    return [...this.requests.values()].filter((request) => !request.slots.includes(this.front!))
  }

  /** Bodies to import now: the oldest, without a gap. */
  takeImport(): Slot[] {
    const slots: Slot[] = []
    let bytes = 0
    for (const slot of this.slots) {
      if (slot.state !== 'here' || slots.length === IMPORT_BLOCKS || bytes > IMPORT_BYTES) break
      bytes += slot.bytes!.length
      slots.push(slot)
    }
    for (const slot of slots) slot.state = 'importing'
    return slots
  }

  /** A body was wrong: it, and all else of that peer that waits here, is fetched again. */
  discard(peer: string): void {
    for (const slot of this.slots) if (slot.from === peer && slot.state === 'here') this.empty(slot)
  }

  empty(slot: Slot): void {
    this.#drop(slot)
    slot.state = 'wanted'
    this.#from = 0
  }

  /**
   * Whether the branch of the oldest missing block is to be given up, and if not, why nobody can serve it.
   * A branch is parked when each peer that should have the body denied it, when it did not come for `PARK_MS`, or when nobody
   * claims it any more. If all peers begin above it, it is not the branch's fault.
   */
  verdict(sources: Source[], now: number): { park: string } | { wait: string } | undefined {
    const front = this.front
    const full = sources.filter((source) => source.full)
    if (front == null || front.bytes != null || full.length === 0) {
      this.#wait = undefined
      return undefined
    }
    const { height } = front.place
    const claimants = full.filter((source) => source.claims(height))
    if (claimants.length > 0) {
      if (claimants.every((source) => front.denied(source.id) >= PARK_DENIALS)) {
        return { park: `none of ${claimants.length} peers has block ${height}` }
      }
      const waited = this.#waited('delivery', now)
      return waited > PARK_MS ? { park: `nobody delivered block ${height} in ${PARK_MS / 1_000} s` } : undefined
    }
    const lowest = Math.min(...full.map((source) => source.lowest))
    if (lowest > height) {
      this.#wait = undefined
      return { wait: unserved(height, lowest) }
    }
    const why = `no connected peer claims block ${height} any more`
    return this.#waited('claim', now) > ORPHANED_MS ? { park: why } : { wait: why }
  }

  #waited(why: string, now: number): number {
    if (this.#wait?.why !== why) this.#wait = { why, since: now }
    return now - this.#wait.since
  }

  /** A run of the oldest wanted bodies that `may` be asked of this source, and for which there is room. */
  oldest(source: Source, most: number, may: (slot: Slot) => boolean): Slot[] {
    const run: Slot[] = []
    let room = this.#room()
    for (let i = this.#from; i < this.slots.length && run.length < most; i++) {
      const slot = this.slots[i]!
      if (slot.place.height > source.claim!.height) break
      const fits = slot.state === 'wanted' && may(slot)
      if (!fits && run.length > 0) break
      if (!fits) continue
      room -= this.#average
      if (room < 0 && slot !== this.front) break
      run.push(slot)
    }
    return run
  }

  /** The same of the newest, without those that somebody is asked for although they are wanted. */
  newest(most: number, may: (slot: Slot) => boolean): Slot[] {
    const run: Slot[] = []
    const tried = new Set<Slot>()
    for (const { slots } of this.requests.values())
      for (const slot of slots) if (slot.state === 'wanted') tried.add(slot)
    const room = this.#room()
    for (let i = this.slots.length - 1; i >= this.#from && run.length < most; i--) {
      const slot = this.slots[i]!
      const fits = slot.state === 'wanted' && !tried.has(slot) && may(slot)
      if (!fits && run.length > 0) break
      if (!fits) continue
      if ((run.length + 1) * this.#average > room) break
      run.push(slot)
    }
    return run.reverse()
  }

  #room(): number {
    let room = WINDOW_BYTES - this.held
    for (const request of this.requests.values()) room -= (request.slots.length - request.got) * this.#average
    return room
  }

  #slotOf(place: Place, known?: Map<string, Slot>): Slot {
    let slot = this.#byPlace.get(place)
    if (slot == null) {
      slot = new Slot(place)
      slot = known?.get(slot.key) ?? slot
      if (slot.state === 'gone') slot = new Slot(place)
      this.#byPlace.set(slot.place, slot)
    }
    slot.round = this.#round
    return slot
  }

  #release(slot: Slot): void {
    this.#drop(slot)
    slot.holder = undefined
    slot.state = 'gone'
    this.#byPlace.delete(slot.place)
  }

  #drop(slot: Slot): void {
    if (slot.bytes != null) this.held -= slot.bytes.length
    slot.bytes = undefined
  }
}
