import { toHex } from '../hex.js'
import type { Action } from './action.js'
import { Allotment } from './allotment.js'
import { fruitless, holdsUp, outOfReach, type Standing, settle, splitReason } from './claims.js'
import { Credit } from './credit.js'
import { HeaderPhase, type HeadersAsked, type HeadersPage } from './header-phase.js'
import { type Imported, ImportStage } from './import-stage.js'
import {
  GOSSIP_MS,
  HEADERS_LEAD,
  HEADERS_PATIENCE_MS,
  MAX_BLOCKS_BYTES,
  MAX_IN_FLIGHT,
  PARK_DENIALS,
  REQUEST_MS,
  REST_MS,
  STALLED_MS
} from './limit.js'
import { ParkedBranches } from './parked.js'
import { beats, type ChainView, type Offer, Source, shortOf } from './source.js'
import { type BodiesAsked, type Received, Window } from './window.js'

export type SyncState = 'idle' | 'no-peers' | 'headers' | 'bodies' | 'live' | 'stalled'

/**
 * Decides what the downloading side does next. A state machine without I/O: it is told what happened, and `evaluate()` answers
 * what to do. It looks at levels, never at edges: calling it once more is always right.
 */
export class Planner {
  readonly sources = new Map<string, Source>()
  readonly window = new Window()
  readonly allotment = new Allotment(this.window)
  readonly parked = new ParkedBranches((slot) => this.window.take([slot]))
  readonly #headers: HeaderPhase
  readonly #imports: ImportStage
  readonly #credit = new Credit()
  #out: Action[] = []
  #ids = 0
  #state: SyncState = 'idle'
  #reason: string | undefined
  #progressAt: number
  /** Goes up with each change of the chain. */
  #version = 0
  #bodiesAt = Number.NEGATIVE_INFINITY
  #behindSince: number | undefined

  constructor(
    readonly view: ChainView,
    readonly now: () => number,
    /** Headers are all that is downloaded, and nobody brings them by gossip. */
    readonly light = false
  ) {
    this.#headers = new HeaderPhase(view, this.#credit)
    this.#imports = new ImportStage(view, this.window, this.parked)
    this.#progressAt = now()
  }

  get state(): SyncState {
    return this.#state
  }

  /** Why, where the state alone does not say it. */
  get reason(): string | undefined {
    return this.#reason
  }

  /** What is waited for beside the window's bodies: headers, and the time at which an import is tried again. */
  get waits(): { headers: Iterable<HeadersAsked>; rest: ImportStage['rest'] } {
    return { headers: this.#headers.requests.values(), rest: this.#imports.rest }
  }

  /** A peer told its head, for the first time or again. */
  offer(offer: Offer): void {
    const source = this.sources.get(offer.id) ?? new Source(offer, this.light)
    this.sources.set(offer.id, source)
    const near = !this.light && offer.head != null && offer.head.height <= this.view.target.height + 2
    const ahead = offer.head != null && beats(this.view, offer.head, this.view.head)
    source.offer(offer, offer.head == null ? undefined : toHex(offer.head.hash), this.now(), near, ahead)
  }

  leave(peer: string): void {
    for (const [id, request] of this.#headers.requests) if (request.peer === peer) this.#cancel(id)
    for (const [id, request] of this.window.requests) if (request.peer === peer) this.#cancel(id)
    this.sources.delete(peer)
    this.parked.leave(peer)
  }

  /** The chain's head or target is another than before. */
  changed(): void {
    this.window.dirty = true
    this.#version++
  }

  /** Takes one of a peer's two places for a request that is made elsewhere. `free` gives it back. */
  take(peer: string): boolean {
    const source = this.sources.get(peer)
    if (source == null || source.inFlight >= MAX_IN_FLIGHT) return false
    source.inFlight++
    return true
  }

  free(peer: string): void {
    this.sources.get(peer)?.free()
  }

  /** Is the request still wanted? */
  open(id: number): boolean {
    return this.#headers.requests.has(id) || this.window.requests.has(id)
  }

  headers(id: number, page: HeadersPage): void {
    const request = this.#headers.requests.get(id)
    const source = request && this.sources.get(request.peer)
    if (request == null || source == null) return
    source.pace.heard(page.bytes - request.heard, this.now())
    request.heard = 0
    if (page.added > 0 || page.presync === 'more') this.#progressAt = this.now()
    this.changed()
    const outcome = this.#headers.page(request, source, page, this.now())
    if (outcome == null) return
    this.#cancel(id)
    if (outcome !== 'stop') this.#out.push(outcome)
  }

  /** So many bytes of headers of this request are being checked, or no longer. */
  taking(id: number, taking: boolean, bytes = 0): void {
    const request = this.#headers.requests.get(id)
    if (request == null) return
    // while they are, bodies are asked for already: its peer is known to answer
    this.sources.get(request.peer)?.pace.heard(bytes, this.now())
    request.heard += bytes
    request.taking = taking
    request.movedAt = this.now()
  }

  /** Bodies in the order in which they came. */
  bodies(id: number, blocks: Received[]): void {
    const request = this.window.requests.get(id)
    if (request == null) return
    const now = this.now()
    let bytes = 0
    for (const received of blocks) bytes += received.bytes.length
    this.sources.get(request.peer)?.pace.heard(bytes, now)
    this.window.moved(request.peer, now)
    for (const received of blocks) {
      if (this.window.receive(request, received)) {
        this.#progressAt = this.#bodiesAt = now
        continue
      }
      const source = this.sources.get(request.peer)
      this.#cancel(id)
      if (source == null) return
      // by height it may honestly be on another branch; a hash leaves no doubt
      if (request.by === 'range' && received.key !== '') source.byHash = true
      else {
        const reason = received.key === '' ? 'a body without a header' : 'a block that was not asked for'
        this.#out.push({ do: 'fault', peer: source.id, fault: 'protocol', reason })
        this.#deny(source, request, PARK_DENIALS, now)
        source.spoil(now)
      }
      return
    }
  }

  /** The answer is whole; `more`: the server stopped at a limit of its own. */
  done(id: number, more: boolean): void {
    const now = this.now()
    const { source, headers, bodies } = this.#finish(id)
    if (source == null) return
    if (headers != null) this.#headers.done(headers, source, more, now)
    if (bodies == null) return
    if (bodies.got > 0) source.delivered(bodies.got, bodies.slots[bodies.got - 1]!.place.height)
    if (bodies.got === bodies.slots.length) return
    // the server may stop at its byte limit, or at the first block that it has not
    if (!more || bodies.bytes < MAX_BLOCKS_BYTES / 2) this.#deny(source, bodies, 1, now)
  }

  /** The request failed. `none`: nobody's fault, ask again after `retryMs`. */
  failed(id: number, error: { name: string; retryMs?: number | undefined }): void {
    const now = this.now()
    const { source, bodies } = this.#finish(id)
    if (source == null) return
    if (error.name === 'BusyError') {
      source.restUntil = Math.max(source.restUntil, now + Math.min(error.retryMs ?? REST_MS, 10 * REST_MS))
    } else if (error.name !== 'NotFoundError') {
      source.rest(now, bodies?.got)
    } else if (bodies != null) {
      this.#deny(source, bodies, 1, now)
    } else {
      fruitless(source, now, 'it does not know where our chains meet')
    }
  }

  imported(result: Imported): void {
    const now = this.now()
    const { added, actions } = this.#imports.done(result, this.sources, now)
    this.changed()
    this.#out.push(...actions)
    if (added === 0) return
    this.#progressAt = now
    this.allotment.relax()
  }

  /** Looks at everything and answers what to do. To be called again at once when a branch is to be parked. */
  evaluate(): Action[] {
    const now = this.now()
    const sources = [...this.sources.values()]
    const standings = new Map(sources.map((source) => [source, settle(source, this.view, now, this.#version)]))
    for (const request of this.window.refresh(this.view)) this.#dropped(request)
    this.parked.recall(this.window.front)
    this.#expire(now)
    const stuck = this.window.verdict(sources, now)
    if (stuck != null && 'park' in stuck) {
      // the branch is parked first: then all looks different
      this.#park(stuck.park, now, sources)
      return this.#out.splice(0)
    }
    const source = this.#headers.next(sources, now, !this.#mayLead(now))
    if (source != null) this.#out.push(this.#headers.ask(source, ++this.#ids, now))
    this.#askBodies(sources, now)
    const batch = this.#imports.next(now)
    if (batch != null) this.#out.push(batch)
    this.#settleState(standings, stuck?.wait, now)
    return this.#out.splice(0)
  }

  /** When something falls due that no event will announce. */
  wakeAt(): number {
    const now = this.now()
    const behind = this.#behindSince == null ? undefined : this.#behindSince + GOSSIP_MS
    const times = [this.#imports.rest?.until, behind, this.allotment.takeOverAt, this.#headers.nextAt]
    for (const { claim, restUntil, nextTry } of this.sources.values()) times.push(claim?.due, restUntil, nextTry)
    let next = Number.POSITIVE_INFINITY
    for (const at of times) if (at != null && at > now && at < next) next = at
    return next
  }

  /** Headers are far ahead, and bodies come: they lead to where headers lead. When they stop coming other branches are looked at. */
  #mayLead(now: number): boolean {
    const lead = this.view.target.height - this.view.head.height
    return lead < HEADERS_LEAD || now - this.#bodiesAt > HEADERS_PATIENCE_MS
  }

  #askBodies(sources: Source[], now: number): void {
    const stalled = this.allotment.stalled(sources, now)
    if (stalled != null) {
      // with what it has not begun: that would hold up the window next
      for (const request of [...this.window.requests.values()])
        if (request === stalled || (request.peer === stalled.peer && request.got === 0)) this.#cancel(request.id)
      this.sources.get(stalled.peer)?.rest(now)
    }
    for (const request of this.allotment.beaten()) {
      this.#cancel(request.id)
      if (request.got === 0) this.sources.get(request.peer)?.rest(now)
    }
    for (const request of this.window.overflowing()) this.#cancel(request.id)
    const given = this.#settling(now) ? [] : this.allotment.assign(sources, now, () => ++this.#ids)
    const probe = this.parked.next(sources, this.view, now)
    if (probe != null) given.push(this.window.ask(probe.source, [probe.slot], now, ++this.#ids))
    for (const { id, peer, by, slots } of given) {
      this.#out.push({ do: 'bodies', id, peer, by, places: slots.map((slot) => slot.place) })
    }
  }

  #park(why: string, now: number, sources: Source[]): void {
    const front = this.window.front!
    for (const request of [...this.window.requests.values()]) {
      if (request.slots.includes(front)) this.#cancel(request.id)
    }
    this.parked.add(front.place, why, now, sources)
    this.#out.push({ do: 'park', hash: front.place.hash })
    this.changed()
  }

  #deny(source: Source, request: BodiesAsked, weight: number, now: number): void {
    const slot = request.slots[request.got]
    if (slot == null) return
    slot.deny(source.id, weight)
    source.lack(slot.place.height, now)
  }

  #expire(now: number): void {
    for (const [id, request] of [...this.#headers.requests, ...this.window.requests]) {
      if (now - request.at < REQUEST_MS && !('claim' in request && this.#headers.late(request, now))) continue
      this.failed(id, { name: 'TimeoutError' })
      this.#out.push({ do: 'cancel', id })
    }
  }

  #cancel(id: number): void {
    if (!this.open(id)) return
    this.#finish(id)
    this.#out.push({ do: 'cancel', id })
  }

  /** The request is over; its peer has a place free again. */
  #finish(id: number): { source?: Source | undefined; headers?: HeadersAsked; bodies?: BodiesAsked } {
    const headers = this.#headers.requests.get(id)
    const bodies = this.window.requests.get(id)
    const request = headers ?? bodies
    if (request == null) return {}
    this.#headers.requests.delete(id)
    if (bodies != null) this.window.forget(bodies)
    this.sources.get(request.peer)?.end(this.now())
    return { source: this.sources.get(request.peer), ...(headers && { headers }), ...(bodies && { bodies }) }
  }

  #dropped(request: BodiesAsked): void {
    this.sources.get(request.peer)?.end(this.now())
    this.#out.push({ do: 'cancel', id: request.id })
  }

  #settleState(standings: Map<Source, Standing>, wait: string | undefined, now: number): void {
    const full = [...standings.keys()].filter((source) => source.full)
    const short = shortOf(this.view, this.view.head)
    const open = full.filter((source) => holdsUp(source, standings.get(source)!, now, short != null))
    const split = splitReason(this.view, full)
    const missing = this.window.slots.length > 0 || this.#imports.busy
    // where there is no chain yet, whatever might be one is waited for
    const granted = this.#credit.grants(open.length > 0 && !missing && short == null, now)
    const held = granted || missing || short != null ? open : []
    const beyond = missing ? wait : this.#outOfReach(standings)
    const stuck = this.#imports.rest?.why ?? beyond
    const done = !missing && held.length === 0 && beyond == null
    if (full.length === 0)
      this.#become('no-peers', `no connected peer serves ${this.light ? 'headers' : 'blocks'}`, now)
    else if (split != null && !missing) this.#become('stalled', split, now)
    else if (done && short == null) this.#become('live', undefined, now)
    else if (done) this.#become('stalled', `the best chain known ${short}`, now)
    else if (stuck != null) this.#become('stalled', stuck, now)
    else this.#behind(missing, held, now)
  }

  /** Of headers alone a node may serve more than of blocks. */
  #outOfReach(standings: Map<Source, Standing>): string | undefined {
    const full = [...standings].filter(([source]) => source.full)
    return this.light ? undefined : outOfReach(full, this.view.head.height + 1)
  }

  #behind(missing: boolean, held: Source[], now: number): void {
    this.#behindSince ??= now
    if (held.length === 0 && this.#settling(now)) return
    const state = missing ? 'bodies' : 'headers'
    if (this.#state !== state && this.#state !== 'stalled') this.#progressAt = now
    if (now - this.#progressAt <= STALLED_MS) {
      const presync = !missing && held.some((source) => source.presync != null)
      this.#become(state, presync ? 'headers are checked for enough work before any is kept' : undefined, now)
      return
    }
    const names = held.map(({ id }) => id).join(', ')
    const what = missing ? `block ${this.window.front?.place.height}` : `headers of ${names}`
    this.#become('stalled', `no progress for ${STALLED_MS / 1_000} s: waiting for ${what}`, now)
  }

  /** A block that comes by gossip is known by its header for a moment before it is applied: that is no reason to fetch it. */
  #settling(now: number): boolean {
    return this.#state === 'live' && now - (this.#behindSince ?? now) < GOSSIP_MS
  }

  #become(state: SyncState, reason: string | undefined, now: number): void {
    if (state === 'live' || state === 'no-peers') this.#behindSince = undefined
    if (state === 'live') this.#progressAt = now
    this.#state = state
    this.#reason = reason
  }
}
