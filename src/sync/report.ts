import { type Standing, standing } from './claims.js'
import { PARK_DENIALS } from './limit.js'
import type { Planner } from './planner.js'
import type { SyncProgress } from './progress.js'
import type { Slot } from './slot.js'
import type { Source } from './source.js'
import { why } from './why.js'
import type { Contradiction, Witness } from './witness.js'

/** How one peer stands with sync. */
export interface SyncSourceReport {
  peer: string
  /** What it claims; absent for seeds. */
  height?: number
  /** Lowest height that it serves. */
  lowest: number
  /** What its claim is worth; see `Standing`. */
  standing: Standing
  /** Headers that were checked and not kept, because they have too little work so far; `again`: they had enough and are downloaded anew. */
  presync?: { headers: number; again: boolean }
  /** Why its claims hold up nothing. */
  doubt?: string
  requests: number
  /** Blocks a second, 0 until measured. */
  rate: number
  /** Failures in a row, and how long it is left alone for them, in ms. */
  fails: number
  restMs: number
  /** It had no block from this height on, and is not asked for one for a while. */
  lacksFrom?: number
  /** What it is asked for next, not before so many ms; absent while nothing is needed of it. */
  next?: { action: 'headers' | 'blocks'; inMs: number }
}

/** A request that is under way. */
export interface SyncRequestReport {
  peer: string
  for: 'headers' | 'blocks'
  /** Heights of the blocks that have not come yet; absent for headers. */
  from?: number
  to?: number
  ageMs: number
}

/** Why sync does what it does: for people to read, fields may be added. */
export interface SyncReport extends SyncProgress {
  /** Why it is in this state, what comes next, and when: a sentence. What an app's own rules said may stand in it as it was. */
  why: string
  /**
   * Bodies: asked for, here but not imported, and their bytes; how long at most a peer may hold up the rest while another could serve; and the
   * oldest missing one.
   */
  window: {
    blocks: number
    asked: number
    here: number
    bytes: number
    stallMs: number
    front?: { height: number; state: Slot['state'] }
  }
  requests: SyncRequestReport[]
  /** In how many ms blocks that could not be imported are tried again. */
  retryMs?: number
  /** Branches whose bodies nobody delivers. */
  parked: string[]
  sources: SyncSourceReport[]
  /** There in a light node. */
  light?: LightReport
}

/** What a light node knows, and what it does not. */
export interface LightReport {
  trust: string
  /** Full peers whose heads have spoken against ours for a minute. */
  contradictedBy: Contradiction[]
}

export const TRUST = 'follows the most header work; whether the state of its blocks is valid it does not know'

export function report(progress: SyncProgress, planner: Planner | undefined, witness?: Witness): SyncReport {
  const facts = planner == null ? { ...progress, ...NOTHING } : factsOf(progress, planner, planner.now(), witness)
  return { why: why(facts), ...facts }
}

/** While sync does not run. */
const NOTHING = {
  window: { blocks: 0, asked: 0, here: 0, bytes: 0, stallMs: 0 },
  requests: [],
  parked: [],
  sources: []
}

function factsOf(
  progress: SyncProgress,
  planner: Planner,
  now: number,
  witness: Witness | undefined
): Omit<SyncReport, 'why'> {
  const { window, waits } = planner
  const { front } = window
  const count = (state: string): number => window.slots.filter((slot) => slot.state === state).length
  const retryMs = (waits.rest?.until ?? now) - now
  return {
    ...progress,
    window: {
      blocks: window.slots.length,
      asked: count('asked'),
      here: count('here') + count('importing'),
      bytes: window.held,
      stallMs: planner.allotment.stallMs,
      ...(front == null ? {} : { front: { height: front.place.height, state: front.state } })
    },
    requests: requestsOf(planner, now),
    ...(retryMs > 0 ? { retryMs } : {}),
    parked: planner.parked.explain(),
    sources: [...planner.sources.values()].map((source) => sourceOf(source, planner, now)),
    ...(witness == null
      ? {}
      : { light: { trust: TRUST, contradictedBy: witness.contradictions(planner.sources.values(), now) } })
  }
}

function requestsOf({ window, waits }: Planner, now: number): SyncRequestReport[] {
  return [
    ...[...waits.headers].map(({ peer, at }) => ({ peer, for: 'headers' as const, ageMs: now - at })),
    ...[...window.requests.values()].map(({ peer, at, slots, got }) => {
      const [from, to] = [slots[got]?.place.height, slots.at(-1)?.place.height]
      return { peer, for: 'blocks' as const, ...(from == null || to == null ? {} : { from, to }), ageMs: now - at }
    })
  ]
}

function sourceOf(source: Source, planner: Planner, now: number): SyncSourceReport {
  const worth = standing(source, planner.view)
  const next = nextOf(source, worth, planner, now)
  return {
    peer: source.id,
    ...(source.claim == null ? {} : { height: source.claim.height }),
    lowest: source.lowest,
    standing: worth,
    ...(source.presync == null
      ? {}
      : { presync: { headers: source.presync.headers, again: source.presync.phase === 'redownload' } }),
    ...(source.doubt == null ? {} : { doubt: source.doubt }),
    requests: source.inFlight,
    rate: Math.round(source.pace.bytesPerSecond / planner.window.blockBytes),
    fails: source.fails,
    restMs: Math.max(0, source.restUntil - now),
    ...(source.lacks != null && source.lacks.until > now ? { lacksFrom: source.lacks.height } : {}),
    ...(next == null ? {} : { next })
  }
}

function nextOf(source: Source, worth: Standing, planner: Planner, now: number): SyncSourceReport['next'] {
  const inMs = (...times: number[]): number => Math.max(0, Math.max(...times) - now)
  const { restUntil, nextTry, claim, lacks } = source
  const { front } = planner.window
  if (worth === 'open' && Number.isFinite(nextTry)) {
    const isAsked = [...planner.waits.headers].some(({ peer }) => peer === source.id)
    if (!isAsked) return { action: 'headers', inMs: inMs(restUntil, nextTry, claim!.due) }
  }
  if (front == null || !source.claims(front.place.height)) return undefined
  if (front.denied(source.id) >= PARK_DENIALS) return undefined
  const lacking = lacks != null && front.place.height >= lacks.height
  return { action: 'blocks', inMs: inMs(restUntil, lacking ? lacks.until : 0) }
}
