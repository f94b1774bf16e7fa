import {
  MAX_HASHES,
  MAX_IN_FLIGHT,
  PARK_DENIALS,
  STALL_MAX_MS,
  STALL_MS,
  TAKE_OVER_MS,
  WINDOW_BLOCKS,
  WINDOW_BYTES
} from './limit.js'
import type { Slot } from './slot.js'
import type { Source } from './source.js'
import type { BodiesAsked, Window } from './window.js'

/** Nobody waits for a peer that is so many times slower than the fastest. */
const MUCH_SLOWER = 32

/** Who is relied on, and for how many blocks at once. */
type Shares = Map<Source, number>

interface Batch {
  source: Source
  slots: Slot[]
  /** Nobody else is asked for them meanwhile. */
  firm: boolean
}

/**
 * Decides who is asked for which bodies of the window, and who loses them again. Peers that answered before get the oldest, and of the window
 * as much as is their part of what all send. Others get a few of the newest, which anybody takes who comes to them: so nobody waits for
 * a peer that may never answer, unless there is no other. Pure: time and peers are passed in.
 */
export class Allotment {
  /** How long a peer may hold up the window. */
  stallMs = STALL_MS
  /** When the oldest missing block goes to another peer unless something comes of it before. */
  takeOverAt: number | undefined
  #holding: { request: BodiesAsked; since: number } | undefined

  constructor(private readonly window: Window) {}

  /** Gives out what can be given out. */
  assign(sources: Source[], now: number, nextId: () => number): BodiesAsked[] {
    const given: BodiesAsked[] = []
    const shares = this.#shares(sources, now)
    this.takeOverAt = undefined
    for (;;) {
      const ready = sources.filter((source) => source.ready(now) && !this.#isLate(source)).sort(promise)
      const batch =
        this.#oldest(ready, shares, now) ??
        this.#newest(ready, shares, now) ??
        this.#takenOver(ready, sources, shares, now)
      if (batch == null) return given
      given.push(this.window.ask(batch.source, batch.slots, now, nextId(), batch.firm))
    }
  }

  /** Requests that lost their blocks to others, who brought them all. */
  beaten(): BodiesAsked[] {
    return [...this.window.requests.values()].filter(
      ({ late, slots, got }) =>
        late && !slots.some(({ state }, i) => i >= got && (state === 'asked' || state === 'wanted'))
    )
  }

  /** The request that holds up the window for too long while another peer could serve it. Its time doubles with each. */
  stalled(sources: Source[], now: number): BodiesAsked | undefined {
    const { front } = this.window
    const request = front?.state === 'asked' ? front.holder : undefined
    const other = request != null && sources.some((source) => this.#isRival(source, request, front!, now))
    if (request == null || !other) {
      this.#holding = undefined
      return undefined
    }
    if (this.#holding?.request !== request) this.#holding = { request, since: now }
    // who was silent all the time while others filled the window has had his chance
    if (now - Math.min(this.#holding.since, request.movedAt) < this.stallMs) return undefined
    this.#holding = undefined
    this.stallMs = Math.min(STALL_MAX_MS, this.stallMs * 2)
    return request
  }

  /** Things go well: the stall time comes down again. */
  relax(): void {
    this.stallMs = Math.max(STALL_MS, this.stallMs * 0.85)
  }

  /** Who failed before, or has not answered yet, is no better than who sends something. */
  #isRival(source: Source, { peer, movedAt }: BodiesAsked, front: Slot, now: number): boolean {
    if (source.id === peer || !source.ready(now) || !mayServe(source, front, now)) return false
    return source.tested || (this.#isIdle(source) && (source.fails === 0 || now - movedAt >= this.stallMs))
  }

  /** Each peer that answered what it was asked for last, by its part of what all send, unless it is much slower than others. */
  #shares(sources: Source[], now: number): Shares {
    const tested = sources.filter((source) => source.full && source.tested && source.restUntil <= now)
    const speeds = tested.map(({ pace }) => pace.bytesPerSecond)
    const least = Math.max(...speeds) / MUCH_SLOWER
    const all = speeds.reduce((sum, speed) => sum + speed, 0)
    const blocks = Math.min(WINDOW_BLOCKS, WINDOW_BYTES / this.window.blockBytes) / MAX_IN_FLIGHT
    const shares: Shares = new Map()
    for (const [i, source] of tested.entries()) {
      if (speeds[i]! >= least) shares.set(source, Math.max(1, Math.floor((blocks * speeds[i]!) / all)))
    }
    return shares
  }

  /** It lost blocks to others, and is still asked for them. */
  #isLate({ id }: Source): boolean {
    return this.window.isAsked(id, ({ late }) => late)
  }

  /** Whoever may never answer is asked for one thing at a time. */
  #isIdle({ id }: Source): boolean {
    return !this.window.isAsked(id)
  }

  #most(source: Source, shares: Shares): number {
    const batch = Math.min(source.batch(this.window.blockBytes), shares.get(source) ?? Number.POSITIVE_INFINITY)
    return source.byHash ? Math.min(batch, MAX_HASHES) : batch
  }

  /** The oldest that are wanted, of the peer that promises most; of others only what none of those has. */
  #oldest(ready: Source[], shares: Shares, now: number): Batch | undefined {
    const { wanted } = this.window
    if (wanted == null) return undefined
    const served = isServed(wanted, shares, now)
    for (const source of ready) {
      if (!shares.has(source) && (served || !this.#isIdle(source))) continue
      const slots = this.window.oldest(source, this.#most(source, shares), (slot) => mayServe(source, slot, now))
      if (slots.length > 0) return { source, slots, firm: true }
    }
    return undefined
  }

  /** Of one on whom nobody relies, a few of what is left over. */
  #newest(ready: Source[], shares: Shares, now: number): Batch | undefined {
    const { wanted } = this.window
    if (wanted == null || !isServed(wanted, shares, now)) return undefined
    for (const source of ready) {
      // who said of some that it has them not may have none
      if (shares.has(source) || !this.#isIdle(source) || source.isLacking(now)) continue
      const slots = this.window.newest(this.#most(source, shares), (slot) => mayServe(source, slot, now))
      if (slots.length > 0) return { source, slots, firm: false }
    }
    return undefined
  }

  /**
   * The blocks that hold up the window, of another who has nothing to do: when nothing has come for as long as they would take him, or when he
   * would have them in less than half of the time.
   */
  #takenOver(ready: Source[], sources: Source[], shares: Shares, now: number): Batch | undefined {
    const { front, blockBytes } = this.window
    const request = front?.state === 'asked' ? front.holder : undefined
    if (front == null || request == null) return undefined
    const able = ready.filter((one) => shares.has(one) && one.id !== request.peer && mayServe(one, front, now))
    const source = able.sort((a, b) => b.pace.bytesPerSecond - a.pace.bytesPerSecond)[0]
    if (source == null) return undefined
    const left = (request.slots.length - request.got) * blockBytes
    const msWith = ({ pace }: Source): number => (left * 1_000) / pace.bytesPerSecond
    const patience = Math.max(TAKE_OVER_MS, msWith(source))
    const holder = sources.find(({ id }) => id === request.peer)
    const slow = holder?.tested === true && msWith(holder) > 2 * msWith(source) + TAKE_OVER_MS
    const silent = now - request.movedAt >= patience
    if (!slow && !silent) {
      this.takeOverAt = request.movedAt + patience
      return undefined
    }
    for (const other of this.window.requests.values())
      if (other === request || (silent && other.peer === request.peer && other.got === 0)) this.window.release(other)
    const slots = this.window.oldest(source, this.#most(source, shares), (slot) => mayServe(source, slot, now))
    return { source, slots, firm: true }
  }
}

function isServed(slot: Slot, shares: Shares, now: number): boolean {
  for (const source of shares.keys()) if (mayServe(source, slot, now)) return true
  return false
}

function mayServe(source: Source, slot: Slot, now: number): boolean {
  const { height } = slot.place
  return source.claims(height) && !source.isLacking(now, height) && slot.denied(source.id) < PARK_DENIALS
}

function promise(a: Source, b: Source): number {
  return a.fails - b.fails || a.inFlight - b.inFlight || b.pace.bytesPerSecond - a.pace.bytesPerSecond
}
