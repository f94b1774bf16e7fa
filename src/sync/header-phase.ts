import type { Verdict } from '../chain/index.js'
import type { Action } from './action.js'
import { fruitless, refute, standing } from './claims.js'
import type { Credit } from './credit.js'
import { HEADERS_PATIENCE_MS, LEAST_HEADERS, MAX_HEADERS_BYTES, REST_MS } from './limit.js'
import type { ChainView, Place, Source } from './source.js'

/** Requests for headers at once; a second begins only when the first is silent, or too slow. */
const MAX_REQUESTS = 4
/** Time that a header may take: one a request drop by drop keeps nobody else from being asked. */
const HEADER_MS = 10
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
}

/** A request for headers that is under way. */
export interface HeadersAsked {
  readonly peer: string
  /** The claim that it is to prove. */
  readonly claim: string
  readonly from: Place | undefined
  readonly at: number
  movedAt: number
  count: number
  bytes: number
}

/** Proves claims, or refutes them, by asking who made them for headers. Pure. */
export class HeaderPhase {
  readonly requests = new Map<number, HeadersAsked>()
  /** Most work of headers that any peer gave while we had less. */
  #best = 0n

  constructor(
    private readonly view: ChainView,
    private readonly credit: Credit
  ) {}

  /**
   * Whom to ask now, if anybody: trusted before doubted, who failed least, then the most claimed work; beside a request that is slow
   * whoever is here longest.
   */
  next(sources: Iterable<Source>, now: number): Source | undefined {
    const busy = new Set<string>()
    for (const request of this.requests.values()) {
      if (now - request.movedAt < HEADERS_PATIENCE_MS && !isSlow(request, HEADERS_PATIENCE_MS, now)) return undefined
      busy.add(request.peer)
    }
    if (this.requests.size >= MAX_REQUESTS) return undefined
    let best: Source | undefined
    for (const source of sources) {
      if (busy.has(source.id) || !source.ready(now) || source.nextTry > now || source.claim!.due > now) continue
      if (standing(source, this.view) !== 'open') continue
      if (best == null || prefer(source, best, busy.size === 0)) best = source
    }
    return best
  }

  /** Is this request to be given up? */
  late(request: HeadersAsked, now: number): boolean {
    return isSlow(request, LATE_MS, now)
  }

  ask(source: Source, id: number, now: number): Action {
    const from = source.last
    source.inFlight++
    this.requests.set(id, {
      peer: source.id,
      claim: source.claim!.key,
      from,
      at: now,
      movedAt: now,
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
    if (last != null) {
      if (last.work > this.#best && last.work > this.view.head.work) {
        this.#best = last.work
        this.credit.renew()
        if (source.openSince != null) source.openSince = now
      }
      source.last = last
    }
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
    if (source.claim?.key === request.claim && this.view.has(source.claim.hash) != null) return
    const full = request.count >= LEAST_HEADERS || request.bytes >= MAX_HEADERS_BYTES / 2
    const forward = source.last != null && source.last.height > (request.from?.height ?? -1)
    if (more && full && forward) return
    if (!more) source.last = undefined
    fruitless(source, now, 'its headers do not lead to the head it claims')
  }
}

function isSlow({ at, count }: HeadersAsked, ms: number, now: number): boolean {
  return now - at >= ms + count * HEADER_MS
}

function prefer(a: Source, b: Source, byWork: boolean): boolean {
  if ((a.doubt == null) !== (b.doubt == null)) return a.doubt == null
  const failures = (source: Source): number => source.fails + source.tries
  if (failures(a) !== failures(b)) return failures(a) < failures(b)
  return byWork && a.claim!.work > b.claim!.work
}
