import type { Verdict } from '../chain/verdict.js'
import type { Fault } from '../errors.js'
import { toHex } from '../hex.js'
import { fruitless, type HeadersAsked, holdsUp, nextForHeaders, refute, settle, type Standing } from './claims.js'
import {
  GOSSIP_MS,
  MAX_BLOCKS_BYTES,
  MAX_HEADERS,
  MAX_HEADERS_BYTES,
  MAX_IN_FLIGHT,
  PARK_DENIALS,
  REQUEST_MS,
  REST_MAX_MS,
  REST_MS,
  STALLED_MS
} from './limit.js'
import { ParkedBranches } from './parked.js'
import { type ChainView, type Offer, type Place, Source } from './source.js'
import { type BodiesAsked, type Slot, Window } from './window.js'

export type SyncState = 'idle' | 'no-peers' | 'headers' | 'bodies' | 'live' | 'stalled'

/** What the planner wants done. */
export type Action =
  /** `from`: the last header that this peer gave; undefined: our target. */
  | { do: 'headers'; id: number; peer: string; from: Place | undefined }
  | { do: 'bodies'; id: number; peer: string; by: 'range' | 'hashes'; places: Place[] }
  | { do: 'cancel'; id: number }
  | { do: 'import'; blocks: Uint8Array[] }
  | { do: 'park'; hash: Uint8Array }
  | { do: 'judge'; peer: string; verdict: Verdict; via: 'sync' | 'headers' }
  | { do: 'fault'; peer: string; fault: Fault; reason: string }

/** A page of headers as the chain took it. */
export interface HeadersPage {
  count: number
  bytes: number
  added: number
  verdict: Verdict
  last: (Place & { work: bigint }) | undefined
}

/** How an import ended. */
export interface Imported {
  verdict: Verdict
  added: number
  index?: number | undefined
}

/**
 * Decides what the downloading side does next. A state machine without I/O: it is told what happened, and `evaluate()` answers
 * what to do. It looks at levels, never at edges: calling it once more is always right.
 */
export class Planner {
  readonly sources = new Map<string, Source>()
  readonly window = new Window()
  readonly parked = new ParkedBranches()
  readonly #headers = new Map<number, HeadersAsked>()
  #importing: Slot[] | undefined
  #importRest: { until: number; why: string; times: number } | undefined
  #out: Action[] = []
  #ids = 0
  #state: SyncState = 'idle'
  #reason: string | undefined
  #progressAt: number
  #behindSince: number | undefined
  #bestWork = 0n

  constructor(
    readonly view: ChainView,
    readonly now: () => number
  ) {
    this.#progressAt = now()
  }

  get state(): SyncState {
    return this.#state
  }

  /** Why, where the state alone does not say it. */
  get reason(): string | undefined {
    return this.#reason
  }

  /** A peer told its head, for the first time or again. */
  offer(offer: Offer): void {
    let source = this.sources.get(offer.id)
    if (source == null) this.sources.set(offer.id, (source = new Source(offer)))
    const near = offer.head != null && offer.head.height <= this.view.target.height + 2
    const ahead = offer.head != null && offer.head.work > this.view.head.work
    source.offer(offer, offer.head == null ? undefined : toHex(offer.head.hash), this.now(), near, ahead)
  }

  leave(peer: string): void {
    for (const [id, request] of this.#headers) if (request.peer === peer) this.#cancel(id)
    for (const [id, request] of this.window.requests) if (request.peer === peer) this.#cancel(id)
    this.sources.delete(peer)
    this.parked.leave(peer)
  }

  /** The chain's head or target is another than before. */
  changed(): void {
    this.window.dirty = true
  }

  /** Takes one of a peer's two places for a request that is made elsewhere. `free` gives it back. */
  take(peer: string): boolean {
    const source = this.sources.get(peer)
    if (source == null || source.inFlight >= MAX_IN_FLIGHT) return false
    source.inFlight++
    return true
  }

  free(peer: string): void {
    const source = this.sources.get(peer)
    if (source != null) source.inFlight = Math.max(0, source.inFlight - 1)
  }

  /** Is the request still wanted? */
  open(id: number): boolean {
    return this.#headers.has(id) || this.window.requests.has(id)
  }

  headers(id: number, page: HeadersPage): void {
    const request = this.#headers.get(id)
    const source = request && this.sources.get(request.peer)
    if (request == null || source == null) return
    const now = this.now()
    request.movedAt = now
    request.count += page.count
    request.bytes += page.bytes
    request.added += page.added
    if (page.added > 0) this.#progress(now)
    if (page.last != null) {
      if (page.last.work > this.#bestWork && page.last.work > this.view.head.work) {
        this.#bestWork = page.last.work
        if (source.openSince != null) source.openSince = now
      }
      source.last = page.last
    }
    this.changed()
    const { verdict } = page
    if (verdict.result === 'accept' || verdict.reason === 'known') return
    this.#cancel(id)
    if (verdict.result === 'reject') {
      this.#out.push({ do: 'judge', peer: source.id, verdict, via: 'headers' })
      refute(source, `its headers are refused: ${verdict.reason}`, now)
    } else if (verdict.reason === 'unknown-parent') {
      this.#out.push({ do: 'fault', peer: source.id, fault: 'protocol', reason: 'headers that link to nothing' })
      refute(source, 'its headers link to nothing', now)
    } else if (verdict.reason === 'error') {
      source.nextTry = now + 5 * REST_MS
    } else {
      source.last = undefined
      fruitless(source, now, `its headers are left aside: ${verdict.reason}`)
    }
  }

  /** Bodies in the order in which they came. */
  bodies(id: number, blocks: { key: string; bytes: Uint8Array }[]): void {
    const request = this.window.requests.get(id)
    if (request == null) return
    const now = this.now()
    for (const { key, bytes } of blocks) {
      if (this.window.receive(request, key, bytes)) {
        this.#progress(now)
        continue
      }
      const source = this.sources.get(request.peer)
      this.#cancel(id)
      if (source == null) return
      // by height it may honestly be on another branch; a hash leaves no doubt
      if (request.by === 'range' && key !== '') source.byHash = true
      else {
        const reason = key === '' ? 'a body without a header' : 'a block that was not asked for'
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
    const headers = this.#headers.get(id)
    if (headers != null) {
      this.#headers.delete(id)
      const source = this.sources.get(headers.peer)
      if (source == null) return
      source.inFlight--
      if (this.#hasKey(source, headers.claim)) return
      const full = headers.count >= MAX_HEADERS || headers.bytes >= MAX_HEADERS_BYTES / 2
      const forward = source.last != null && source.last.height > (headers.from?.height ?? -1)
      source.fails = source.spoilt
      if (more && full && forward) return
      if (!more) source.last = undefined
      fruitless(source, now, 'its headers do not lead to the head it claims')
      return
    }
    const request = this.window.requests.get(id)
    if (request == null) return
    this.#finish(request)
    const source = this.sources.get(request.peer)
    if (source == null) return
    if (request.got > 0) source.measure(request.got, now - request.at)
    if (request.got === request.slots.length) return
    // the server may stop at its byte limit, or at the first block that it has not
    if (!more || request.bytes < MAX_BLOCKS_BYTES / 2) this.#deny(source, request, 1, now)
  }

  /** The request failed. `none`: nobody's fault, ask again after `retryMs`. */
  failed(id: number, error: { name: string; retryMs?: number | undefined }): void {
    const now = this.now()
    const headers = this.#headers.get(id)
    const request = this.window.requests.get(id)
    const peer = headers?.peer ?? request?.peer
    if (peer == null) return
    if (request != null) this.#finish(request)
    const source = this.sources.get(peer)
    if (headers != null) {
      this.#headers.delete(id)
      if (source != null) source.inFlight--
    }
    if (source == null) return
    if (error.name === 'BusyError') {
      source.restUntil = Math.max(source.restUntil, now + Math.min(error.retryMs ?? REST_MS, 10 * REST_MS))
    } else if (error.name === 'NotFoundError') {
      if (request != null) this.#deny(source, request, 1, now)
      else fruitless(source, now, 'it does not know where our chains meet')
    } else {
      source.rest(now)
    }
  }

  imported(result: Imported): void {
    const slots = this.#importing
    if (slots == null) return
    this.#importing = undefined
    const now = this.now()
    const { verdict } = result
    const good = verdict.result === 'accept' || verdict.reason === 'known'
    const index = good ? slots.length : Math.min(result.index ?? result.added, slots.length - 1)
    this.changed()
    if (index > 0) {
      this.#progress(now)
      this.window.relax()
    }
    slots.forEach((slot, i) => {
      slot.imports++
      if (slot.bytes == null) slot.state = 'wanted'
      else if (i < index && slot.imports > 2) this.window.empty(slot)
      else slot.state = 'here'
    })
    if (good) {
      this.#importRest = undefined
      return
    }
    this.#refused(slots[index]!, verdict, now)
  }

  /** Looks at everything and answers what to do. */
  evaluate(): Action[] {
    const now = this.now()
    const sources = [...this.sources.values()]
    const standings = new Map(sources.map((source) => [source, settle(source, this.view, now)]))
    for (const request of this.window.refresh(this.view, now)) this.#dropped(request)
    this.#expire(now)
    const stuck = this.window.verdict(sources, now)
    if (stuck != null && 'park' in stuck) this.#park(stuck.park, now, sources)
    this.#askHeaders(sources, now)
    this.#askBodies(sources, now)
    this.#import(now)
    this.#settleState(standings, stuck != null && 'wait' in stuck ? stuck.wait : undefined, now)
    return this.#out.splice(0)
  }

  /** When something falls due that no event will announce. */
  wakeAt(): number {
    const now = this.now()
    let next = this.#importRest?.until ?? Number.POSITIVE_INFINITY
    if (next <= now) next = Number.POSITIVE_INFINITY
    for (const { claim, restUntil, nextTry } of this.sources.values()) {
      for (const at of [claim?.due ?? 0, restUntil, nextTry]) if (at > now && at < next) next = at
    }
    return next
  }

  /** Everything under way is forgotten. */
  stop(): void {
    for (const id of [...this.#headers.keys(), ...this.window.requests.keys()]) this.#cancel(id)
    this.sources.clear()
    this.#out = []
    this.#state = 'idle'
    this.#reason = undefined
  }

  #askHeaders(sources: Source[], now: number): void {
    const source = nextForHeaders(sources, this.#headers.values(), this.view, now)
    if (source == null) return
    const id = ++this.#ids
    const from = source.last
    source.inFlight++
    const claim = source.claim!.key
    this.#headers.set(id, { peer: source.id, claim, from, at: now, movedAt: now, count: 0, bytes: 0, added: 0 })
    this.#out.push({ do: 'headers', id, peer: source.id, from })
  }

  #askBodies(sources: Source[], now: number): void {
    const late = this.window.stalled(sources, now)
    if (late != null) {
      this.#cancel(late.id)
      this.sources.get(late.peer)?.rest(now)
    }
    for (const request of this.window.overflowing()) this.#cancel(request.id)
    const given = this.window.assign(sources, now, () => ++this.#ids)
    const probe = this.parked.next(sources, this.view, now)
    if (probe != null) given.push(this.window.ask(probe.source, [probe.slot], now, ++this.#ids))
    for (const { id, peer, by, slots } of given) {
      this.#out.push({ do: 'bodies', id, peer, by, places: slots.map((slot) => slot.place) })
    }
  }

  #import(now: number): void {
    if (this.#importing != null || (this.#importRest?.until ?? 0) > now) return
    const probe = this.parked.takeImport()
    const slots = probe == null ? this.window.takeImport() : [probe]
    if (slots.length === 0) return
    this.#importing = slots
    this.#out.push({ do: 'import', blocks: slots.map((slot) => slot.bytes!) })
  }

  /** A block did not get into the chain. */
  #refused(slot: Slot, verdict: Verdict, now: number): void {
    if (verdict.result === 'accept') return
    const source = slot.from == null ? undefined : this.sources.get(slot.from)
    if (verdict.result === 'reject') {
      const state = verdict.reason === 'state' || verdict.reason === 'known-invalid'
      // whoever has a block beside his chain need not know that its state is bad
      const guilty = !state || slot.asOwn || (source?.claim != null && this.view.has(source.claim.hash) === 'invalid')
      const wrongBody = this.view.has(slot.place.hash) === 'header'
      if (slot.from != null && guilty) this.#out.push({ do: 'judge', peer: slot.from, verdict, via: 'sync' })
      if (source != null && (guilty || wrongBody)) {
        slot.denials.set(source.id, PARK_DENIALS)
        source.spoil(now)
        this.window.discard(source.id)
      }
      this.window.empty(slot)
    } else if (verdict.reason === 'too-deep') {
      this.#out.push({ do: 'park', hash: slot.place.hash })
      this.window.empty(slot)
    } else if (verdict.reason === 'unknown-parent') {
      // the target moved to another branch meanwhile
      if (slot.imports > 2) this.window.empty(slot)
    } else {
      const times = (this.#importRest?.times ?? 0) + 1
      const until = now + Math.min(REST_MAX_MS, REST_MS * 2 ** Math.min(times - 1, 6))
      const detail = verdict.detail == null ? '' : `: ${verdict.detail}`
      const why = `block ${slot.place.height} cannot be imported now (${verdict.reason}${detail})`
      this.#importRest = { until, why, times }
    }
  }

  #park(why: string, now: number, sources: Source[]): void {
    const front = this.window.front!
    for (const request of [...this.window.requests.values()]) {
      if (request.slots.includes(front)) this.#cancel(request.id)
    }
    this.parked.add(front.place, front.key, why, now, sources)
    this.#out.push({ do: 'park', hash: front.place.hash })
    // the caller parks before it asks again
    this.window.dirty = true
  }

  #deny(source: Source, request: BodiesAsked, weight: number, now: number): void {
    const slot = request.slots[request.got]
    if (slot == null) return
    slot.denials.set(source.id, (slot.denials.get(source.id) ?? 0) + weight)
    source.lack(slot.place.height, now)
  }

  #expire(now: number): void {
    for (const [id, { at }] of [...this.#headers, ...this.window.requests]) {
      if (now - at < REQUEST_MS) continue
      this.failed(id, { name: 'TimeoutError' })
      this.#out.push({ do: 'cancel', id })
    }
  }

  #cancel(id: number): void {
    const headers = this.#headers.get(id)
    const request = this.window.requests.get(id)
    if (headers != null) {
      this.#headers.delete(id)
      this.free(headers.peer)
    } else if (request != null) this.#finish(request)
    else return
    this.#out.push({ do: 'cancel', id })
  }

  #finish(request: BodiesAsked): void {
    this.window.forget(request)
    this.free(request.peer)
  }

  #dropped(request: BodiesAsked): void {
    this.free(request.peer)
    this.#out.push({ do: 'cancel', id: request.id })
  }

  #progress(now: number): void {
    this.#progressAt = now
  }

  #hasKey(source: Source, key: string): boolean {
    const { claim } = source
    return claim != null && claim.key === key && this.view.has(claim.hash) != null
  }

  #settleState(standings: Map<Source, Standing>, wait: string | undefined, now: number): void {
    const full = [...standings].filter(([source]) => source.full)
    const held = full.filter(([source, standing]) => holdsUp(source, standing, now)).map(([source]) => source)
    const missing = this.window.slots.length > 0 || this.#importing != null
    if (full.length === 0) return this.#become('no-peers', 'no connected peer serves blocks', now)
    if (!missing && held.length === 0) return this.#become('live', undefined, now)
    if (this.#importRest != null) return this.#become('stalled', this.#importRest.why, now)
    if (missing && wait != null) return this.#become('stalled', wait, now)
    // a block that comes by gossip is known by its header for a moment before it is applied
    this.#behindSince ??= now
    if (this.#state === 'live' && held.length === 0 && now - this.#behindSince < GOSSIP_MS) return
    const state = missing ? 'bodies' : 'headers'
    if (this.#state !== state && this.#state !== 'stalled') this.#progressAt = Math.max(this.#progressAt, now)
    if (now - this.#progressAt > STALLED_MS) {
      const what = missing ? `block ${this.window.front?.place.height}` : `headers of ${held.map(({ id }) => id).join(', ')}`
      return this.#become('stalled', `no progress for ${STALLED_MS / 1_000} s: waiting for ${what}`, now)
    }
    this.#become(state, undefined, now)
  }

  #become(state: SyncState, reason: string | undefined, now: number): void {
    if (state === 'live' || state === 'no-peers') this.#behindSince = undefined
    if (state === 'live') this.#progressAt = now
    this.#state = state
    this.#reason = reason
  }
}
