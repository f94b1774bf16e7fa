import type { Verdict } from '../chain/index.js'
import type { Action } from './action.js'
import { PARK_DENIALS, REST_MS, RETRY_MAX_MS } from './limit.js'
import type { ParkedBranches } from './parked.js'
import type { Slot } from './slot.js'
import type { ChainView, Source } from './source.js'
import type { Window } from './window.js'

/** A rule of the app may ask so often to ignore a block before its branch is given up. */
const MAX_IGNORED = 5

/** How an import ended. */
export interface Imported {
  verdict: Verdict
  added: number
  /** Of the first that failed. */
  index?: number | undefined
}

/** Hands bodies to the chain, one import at a time, in order, and decides who is charged when one fails. Pure. */
export class ImportStage {
  #current: { slots: Slot[]; probe: boolean } | undefined
  #rest: { until: number; why: string; times: number } | undefined

  constructor(
    private readonly view: ChainView,
    private readonly window: Window,
    private readonly parked: ParkedBranches
  ) {}

  get busy(): boolean {
    return this.#current != null
  }

  /** Why nothing can be imported now. */
  get rest(): { until: number; why: string } | undefined {
    return this.#rest
  }

  next(now: number): Action | undefined {
    if (this.#current != null || (this.#rest?.until ?? 0) > now) return undefined
    const probe = this.parked.takeImport()
    const slots = probe == null ? this.window.takeImport() : [probe]
    if (slots.length === 0) return undefined
    this.#current = { slots, probe: probe != null }
    return { do: 'import', blocks: slots.map((slot) => slot.bytes!) }
  }

  /** Answers how many blocks got in, and what is to be done about the first that did not. */
  done(result: Imported, sources: Map<string, Source>, now: number): { added: number; actions: Action[] } {
    if (this.#current == null) return { added: 0, actions: [] }
    const { slots, probe } = this.#current
    this.#current = undefined
    const { verdict } = result
    const good = verdict.result === 'accept' || verdict.reason === 'known'
    const added = good ? slots.length : Math.min(result.index ?? result.added, slots.length - 1)
    slots.forEach((slot, i) => {
      slot.imports++
      if (slot.state !== 'importing') return
      slot.state = 'here'
      // said to be in, and missing still: fetch it anew
      if (i < added && slot.imports > 2) this.window.empty(slot)
    })
    // on a side branch they are not on the way to the target any more, either
    this.window.take(slots.slice(0, added).filter((slot) => slot.state === 'here'))
    const actions: Action[] = []
    if (good) this.#rest = undefined
    else this.#refused(slots[added]!, verdict, sources, now, actions)
    if (probe) this.window.empty(slots[0]!)
    return { added, actions }
  }

  #refused(slot: Slot, verdict: Verdict, sources: Map<string, Source>, now: number, actions: Action[]): void {
    if (verdict.result === 'accept') return
    const { from } = slot
    const source = from == null ? undefined : sources.get(from)
    if (verdict.result === 'reject') {
      const state = verdict.reason === 'state' || verdict.reason === 'known-invalid'
      // whoever has a block beside his chain need not know that its state is bad
      const guilty = !state || slot.asOwn || (source?.claim != null && this.view.has(source.claim.hash) === 'invalid')
      if (from != null && guilty) actions.push({ do: 'judge', peer: from, verdict, via: 'sync' })
      if (source != null && guilty) {
        slot.deny(source.id, PARK_DENIALS)
        source.spoil(now)
        this.window.discard(source.id)
      }
      this.window.empty(slot)
    } else if (verdict.reason === 'too-deep' || (verdict.reason === 'rule' && slot.imports >= MAX_IGNORED)) {
      actions.push({ do: 'park', hash: slot.place.hash })
      this.window.empty(slot)
    } else if (verdict.reason === 'unknown-parent') {
      // the target moved to another branch meanwhile
      if (slot.imports > 2) this.window.empty(slot)
    } else {
      const times = (this.#rest?.times ?? 0) + 1
      const until = now + Math.min(RETRY_MAX_MS, REST_MS * 2 ** Math.min(times - 1, 6))
      const detail = verdict.detail == null ? '' : `: ${verdict.detail}`
      const why = `block ${slot.place.height} cannot be imported now (${verdict.reason}${detail})`
      this.#rest = { until, why, times }
    }
  }
}
