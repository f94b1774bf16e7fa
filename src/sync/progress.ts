import { standing } from './claims.js'
import type { Planner, SyncState } from './planner.js'
import { Speed } from './speed.js'

/** Where sync stands: what a progress bar needs. `height` ≤ `target` ≤ `claimed`, but for a moment in a reorganisation. */
export interface SyncProgress {
  state: SyncState
  /** Where the state alone does not say it. */
  reason?: string
  /** Of our head. */
  height: number
  /** Of the best chain that we know headers of. Grows while headers come. */
  target: number
  /** The highest head that peers claim and sync does not doubt yet, our target at least. Nothing above `target` is proven. */
  claimed: number
  /** Connected peers that serve blocks; in a light node, headers. */
  peers: number
  /** How fast `height` grows: average over the last 10 s, to a tenth; 0 when it does not. */
  blocksPerSecond: number
  /** The same of `target`. */
  headersPerSecond: number
  /**
   * Milliseconds until `height` is at `claimed` if it goes on like this. Only in `headers` and `bodies`; absent in the first second of
   * either, and while nothing moves.
   */
  eta?: number
}

/** What progress reads of the chain. */
interface Heights {
  readonly head: { height: number }
  readonly target: { height: number }
}

/** Measures how sync gets on. Pure: it is told the time. */
export class ProgressMeter {
  readonly #blocks = new Speed()
  readonly #headers = new Speed()

  /** To be told whenever something may have moved. */
  note(now: number, state: SyncState, { head, target }: Heights): void {
    const phase = isCatchingUp(state) ? state : undefined
    this.#blocks.note(now, head.height, phase)
    this.#headers.note(now, target.height, phase)
  }

  /** Without a planner sync does not run. */
  progress(now: number, chain: Heights, planner: Planner | undefined): SyncProgress {
    const { state = 'idle', reason } = planner ?? {}
    const { height } = chain.head
    const target = chain.target.height
    const claimed = planner == null ? target : claimedBy(planner, target)
    const eta = isCatchingUp(state) ? this.#blocks.left(now, claimed - height) : undefined
    let peers = 0
    for (const source of planner?.sources.values() ?? []) if (source.full) peers++
    return {
      state,
      ...(reason == null ? {} : { reason }),
      height,
      target,
      claimed,
      peers,
      blocksPerSecond: tenths(this.#blocks.perSecond(now)),
      headersPerSecond: tenths(this.#headers.perSecond(now)),
      ...(eta == null ? {} : { eta })
    }
  }
}

/** Is there anything in it that those who watch have not seen? The time left follows from the rest. */
export function isNews(progress: SyncProgress, told: SyncProgress | undefined): boolean {
  if (told == null) return true
  const fields = Object.keys({ ...told, ...progress }) as (keyof SyncProgress)[]
  return fields.some((field) => field !== 'eta' && progress[field] !== told[field])
}

function isCatchingUp(state: SyncState): boolean {
  return state === 'headers' || state === 'bodies'
}

function claimedBy({ sources, view }: Planner, target: number): number {
  let highest = target
  for (const source of sources.values()) {
    if (source.doubt != null || (source.claim?.height ?? 0) <= highest) continue
    const state = standing(source, view)
    if (state === 'open' || state === 'ahead') highest = source.claim!.height
  }
  return highest
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10
}
