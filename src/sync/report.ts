import { type Standing, standing } from './claims.js'
import type { Planner } from './planner.js'
import type { SyncProgress } from './sync.js'

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
}

/** Why sync does what it does. */
export interface SyncReport extends SyncProgress {
  /** Bodies: asked for, here but not imported, and their bytes. */
  window: { blocks: number; asked: number; here: number; bytes: number; stallMs: number }
  /** Branches whose bodies nobody delivers. */
  parked: string[]
  sources: SyncSourceReport[]
}

export function report(progress: SyncProgress, planner: Planner | undefined): SyncReport {
  if (planner == null) {
    return { ...progress, window: { blocks: 0, asked: 0, here: 0, bytes: 0, stallMs: 0 }, parked: [], sources: [] }
  }
  const now = planner.now()
  const { window } = planner
  const count = (state: string): number => window.slots.filter((slot) => slot.state === state).length
  return {
    ...progress,
    window: {
      blocks: window.slots.length,
      asked: count('asked'),
      here: count('here') + count('importing'),
      bytes: window.held,
      stallMs: window.stallMs
    },
    parked: planner.parked.explain(),
    sources: [...planner.sources.values()].map((source) => ({
      peer: source.id,
      ...(source.claim == null ? {} : { height: source.claim.height }),
      lowest: source.lowest,
      standing: standing(source, planner.view),
      ...(source.presync == null
        ? {}
        : { presync: { headers: source.presync.headers, again: source.presync.phase === 'redownload' } }),
      ...(source.doubt == null ? {} : { doubt: source.doubt }),
      requests: source.inFlight,
      rate: Math.round(source.rate),
      fails: source.fails,
      restMs: Math.max(0, source.restUntil - now),
      ...(source.lacks != null && source.lacks.until > now ? { lacksFrom: source.lacks.height } : {})
    }))
  }
}
