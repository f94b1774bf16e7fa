import type { Verdict } from '../chain/index.js'
import type { Action } from './action.js'
import { fruitless, refute, standing } from './claims.js'
import type { Credit } from './credit.js'
import type { Taken } from './header-intake.js'
import {
  FIRST_PATIENCE_MS,
  HEADERS_PATIENCE_MS,
  LEAST_HEADERS,
  MAX_HEADERS,
  MAX_HEADERS_BYTES,
  MAX_PRESYNCS,
  PRESYNC_PER_S,
  REST_MS
} from './limit.js'
import type { PresyncEnd } from './presync.js'
import { beats, type ChainView, type Place, type Source, shortOf } from './source.js'

/** Requests for headers at once; a second begins only when the first is silent, or too slow. */
const MAX_REQUESTS = 4
/** Time that a header may take: one a request drop by drop keeps nobody else from being asked. */
const HEADER_MS = 10
/** What a peer must be times as fast as another to be asked before one that claims more. */
const MUCH_FASTER = 2
/** A request that is too slow for so long is given up. */
const LATE_MS = 20_000

/** A page of headers as the chain took it. */
export interface HeadersPage<Last extends Place & { work: bigint } = Place & { work: bigint }> {
  count: number
  bytes: number
  /** How many were new. */
  added: number
  verdict: Verdict
  /** The last good one, known ones included. */
  last: Last | undefined
  /** They have too little work to be kept so far; see `Presync`. */
  presync?: Taken['presync']
}

/** A request for headers that is under way. */
export interface HeadersAsked {
  readonly peer: string
  /** The claim that it is to prove. */
  readonly claim: string
  readonly from: Place | undefined
  readonly at: number
  /** How high our target was. */
  readonly height: number
  /** Another is asked when it has sent nothing for so long. */
  readonly patience: number
  movedAt: number
  /** What came is being worked on: it is not the peer who takes his time. */
  taking: boolean
  /** Bytes of what is being worked on. */
  heard: number
  count: number
  bytes: number
}

/** Proves claims, or refutes them, by asking who made them for headers. Pure. */
export class HeaderPhase {
  readonly requests = new Map<number, HeadersAsked>()
  /** Most work of headers that any peer gave while we had less. */
  #best = 0n
  /** Until then a node that has a chain asks for no more headers of too little work, whosever they are. */
  #idleUntil = 0

  constructor(
    private readonly view: ChainView,
    private readonly credit: Credit
  ) {}

  /**
   * Whom to ask now, if anybody: trusted before doubted, who failed least, who is known to be much faster, then the most claimed work, or beside
   * a request that is slow whoever is here longest. Nobody, while one much faster has no place free. `enough`: only those who gave none yet
   * and claim more than our target has.
   */
  next(sources: Source[], now: number, enough = false): Source | undefined {
    const busy = new Set<string>()
    for (const request of this.requests.values()) {
      if (request.taking) return undefined
      if (now - request.movedAt < request.patience && !isSlow(request, HEADERS_PATIENCE_MS, now)) return undefined
      busy.add(request.peer)
    }
    if (this.requests.size >= MAX_REQUESTS) return undefined
    let best: Source | undefined
    let fastest = 0
    for (const source of sources) {
      if (!source.full || busy.has(source.id) || source.nextTry > now || source.claim!.due > now) continue
      const free = source.ready(now)
      if (!free && !isWorthWaiting(source, now)) continue
      if (enough && (source.last != null || !beats(this.view, source.claim!, this.view.target))) continue
      if (source.lowWork && this.#idleUntil > now) continue
      if (standing(source, this.view) !== 'open') continue
      if (!free) fastest = Math.max(fastest, source.pace.bytesPerSecond)
      else if (best == null || this.#prefer(source, best, busy.size === 0)) best = source
    }
    if (best != null && fastest > MUCH_FASTER * best.pace.bytesPerSecond) return undefined
    if (best != null && best.presync == null) makeRoom(sources, busy)
    return best
  }

  /** When another may be asked because nothing comes. */
  get nextAt(): number | undefined {
    if (this.requests.size >= MAX_REQUESTS) return undefined
    let at: number | undefined
    for (const { movedAt, patience } of this.requests.values()) at = Math.max(at ?? 0, movedAt + patience)
    return at
  }

  #prefer(a: Source, b: Source, byWork: boolean): boolean {
    if ((a.doubt == null) !== (b.doubt == null)) return a.doubt == null
    const failures = (source: Source): number => source.fails + source.tries
    if (failures(a) !== failures(b)) return failures(a) < failures(b)
    // while nothing is kept the work that a claim names costs nothing: first whoever can be proven right or wrong soonest
    if (shortOf(this.view, this.view.head) != null) return left(a) < left(b)
    const [mine, others] = [a.pace.bytesPerSecond, b.pace.bytesPerSecond]
    if (mine > MUCH_FASTER * others || others > MUCH_FASTER * mine) return mine > others
    return byWork && a.claim!.work > b.claim!.work
  }

  /** Is this request to be given up? */
  late(request: HeadersAsked, now: number): boolean {
    return !request.taking && isSlow(request, LATE_MS, now)
  }

  ask(source: Source, id: number, now: number): Action {
    const { last } = source
    const from = last != null && (source.apart || last.work > this.view.target.work) ? last : undefined
    source.last = from
    source.begin(now)
    this.requests.set(id, {
      peer: source.id,
      claim: source.claim!.key,
      from,
      at: now,
      height: this.view.target.height,
      patience: source.pace.bytesPerSecond > 0 ? HEADERS_PATIENCE_MS : FIRST_PATIENCE_MS,
      movedAt: now,
      taking: false,
      heard: 0,
      count: 0,
      bytes: 0
    })
    return { do: 'headers', id, peer: source.id, from }
  }

  /** A page came. Answers what the peer is charged with, or `'stop'` when no more of this answer is wanted. */
  page(request: HeadersAsked, source: Source, page: HeadersPage, now: number): Action | 'stop' | undefined {
    const { verdict, last } = page
    request.movedAt = now
    request.count += page.count
    request.bytes += page.bytes
    source.lowWork = page.presync != null
    if (last != null) {
      if (last.work > this.#best && last.work > this.view.head.work) {
        this.#best = last.work
        this.credit.renew()
        if (source.openSince != null) source.openSince = now
      }
      source.last = last
    }
    if (page.presync != null && page.presync !== 'more') return ended(source, page.presync, now)
    if (isPast(source)) return ended(source, PAST, now)
    if (verdict.result === 'accept' || verdict.reason === 'known') return undefined
    if (verdict.result === 'reject') {
      refute(source, `its headers are refused: ${verdict.reason}`, now)
      return { do: 'judge', peer: source.id, verdict, via: 'headers' }
    }
    if (verdict.reason === 'unknown-parent') {
      refute(source, 'its headers link to nothing', now)
      return { do: 'fault', peer: source.id, fault: 'protocol', reason: 'headers that link to nothing' }
    }
    if (verdict.reason === 'error') source.nextTry = now + 5 * REST_MS
    else {
      source.last = undefined
      fruitless(source, now, `its headers are left aside: ${verdict.reason}`)
    }
    return 'stop'
  }

  /** The answer is whole: it proved the claim, or there is more of it, or it was in vain. */
  done(request: HeadersAsked, source: Source, more: boolean, now: number): void {
    source.fails = source.spoilt
    if (request.from == null && source.last != null && source.last.height <= request.height) source.apart = true
    if (source.claim?.key === request.claim && this.view.has(source.claim.hash) != null) return
    const full = request.count >= LEAST_HEADERS || request.bytes >= MAX_HEADERS_BYTES / 2
    const forward = source.last != null && source.last.height > (request.from?.height ?? -1)
    if (more && full && (forward || source.presync != null)) {
      // whoever has a chain need not hurry with what may be worth nothing
      if (source.presync != null && shortOf(this.view, this.view.head) == null)
        source.nextTry = this.#idleUntil = now + (request.count * 1_000) / PRESYNC_PER_S
      return
    }
    if (!more && source.presync != null) {
      refute(source, 'its headers end, and have too little work', now)
      return
    }
    if (!more) source.last = undefined
    fruitless(source, now, 'its headers do not lead to the head it claims')
  }
}

/** Of too many that are in presync the one loses its place that has the longest way to go. */
function makeRoom(sources: Source[], busy: Set<string>): void {
  const going = [...sources].filter((source) => source.presync != null)
  // whoever is asked may come to be one of them
  let coming = 0
  for (const source of sources) if (source.presync == null && busy.has(source.id)) coming++
  if (going.length + coming < MAX_PRESYNCS) return
  const idle = going.filter((source) => !busy.has(source.id) && source.claim != null)
  const longest = idle.sort((a, b) => left(b) - left(a))[0] ?? going[0]
  if (longest != null) longest.presync = undefined
}

/** It has no place free, but sends. */
function isWorthWaiting(source: Source, now: number): boolean {
  const { tested, doubt, tries, restUntil, pace } = source
  return tested && doubt == null && tries === 0 && restUntil <= now && pace.silentMs(now) < FIRST_PATIENCE_MS
}

/** Headers up to what it claims. */
function left({ claim, presync }: Source): number {
  return claim!.height - (presync?.height ?? 0)
}

function isSlow({ at, count }: HeadersAsked, ms: number, now: number): boolean {
  return now - at >= ms + count * HEADER_MS
}

const PAST: PresyncEnd = { why: 'its headers go beyond its claim and have too little work', fault: 'none' }

function isPast({ presync, claim }: Source): boolean {
  return presync?.phase === 'presync' && presync.height > (claim?.height ?? 0) + MAX_HEADERS
}

/** No more of its headers for now. */
function ended(source: Source, end: 'again' | PresyncEnd, now: number): Action | 'stop' {
  if (end === 'again') return 'stop'
  if (end.fault === 'none') {
    fruitless(source, now, end.why)
    return 'stop'
  }
  refute(source, end.why, now)
  return { do: 'fault', peer: source.id, fault: end.fault, reason: end.why }
}
