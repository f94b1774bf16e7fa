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
  /** Connected peers that serve blocks. */
  peers: number
  /** How fast `height` grows: average over the last 10 s, to a tenth; 0 when it does not. */
  blocksPerSecond: number
  /** The same of `target`. */
  headersPerSecond: number
  /** Milliseconds until `height` is at `claimed` if it goes on like this. Only in `headers` and `bodies`, and not while nothing moves. */
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
    const busy = isCatchingUp(state)
    this.#blocks.note(now, head.height, busy)
    this.#headers.note(now, target.height, busy)
  }

  /** Without a planner sync does not run. */
  progress(now: number, chain: Heights, planner: Planner | undefined): SyncProgress {
    const { state = 'idle', reason } = planner ?? {}
    const { height } = chain.head
    const target = chain.target.height
    const claimed = planner == null ? target : claimedBy(planner, target)
    const speed = this.#blocks.perSecond(now)
    let peers = 0
    for (const source of planner?.sources.values() ?? []) if (source.full) peers++
    return {
      state,
      ...(reason == null ? {} : { reason }),
      height,
      target,
      claimed,
      peers,
      blocksPerSecond: tenths(speed),
      headersPerSecond: tenths(this.#headers.perSecond(now)),
      ...(isCatchingUp(state) && speed > 0 ? { eta: Math.round((Math.max(0, claimed - height) * 1_000) / speed) } : {})
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
