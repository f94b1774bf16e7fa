import { Slice } from '../slice.js'
import type { Core } from './core.js'
import type { Entry } from './entry.js'
import { followTarget } from './header-head.js'
import type { BaseHeader, Located } from './rules.js'
import { cut } from './slab.js'
import { admitDeep, reviewSplit } from './split.js'
import { assess, located, makeRoom, putHeader, TOO_MANY } from './standing.js'
import { ACCEPT, ignore, type Verdict } from './verdict.js'

/** What came of a list of headers. */
export interface HeadersResult<Header = unknown> {
  /** `accept`, or that of the first header that was not accepted; those after it were not looked at. */
  verdict: Verdict
  /** How many were new. */
  added: number
  /** The last good one, those that were known included. */
  last?: Located<Header>
}

/** How long to work before others have a turn of the event loop. */
const SLICE_MS = 2

/** Operations that may wait for a batch that takes them along. */
const MAX_UNWRITTEN = 16_384

/** Adds headers, parents first, in one batch. `later`: another change follows at once, whose batch takes them along. */
export async function addHeaders<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  list: Uint8Array[],
  later = false
): Promise<HeadersResult<Header>> {
  const writing = core.store.write()
  const fresh: Entry<Header>[] = []
  const result: HeadersResult<Header> = { verdict: ACCEPT, added: 0 }
  let top: Entry<Header> | undefined
  const slice = new Slice(SLICE_MS)
  makeRoom(core, list.length)
  const hashes = core.inspector.hashes(list)
  for (const [i, bytes] of list.entries()) {
    const hash = hashes[i]
    const here = hash == null ? undefined : core.tree.get(hash)
    if (here != null && here.invalid == null) {
      result.last = here.at
      top = undefined
      continue
    }
    const own = kept(bytes)
    const named = core.inspector.header(own, hash == null ? undefined : kept(hash))
    if (!('hash' in named)) {
      result.verdict = named
      break
    }
    const { entry, parent, place, verdict, deep } = assess(core, named, top)
    if (entry != null && entry.invalid == null) {
      result.last = entry.at
      top = undefined
      continue
    }
    if (verdict.result === 'ignore' && verdict.reason === 'known') {
      result.last = core.older(named.hash)!.at
      continue
    }
    result.verdict = verdict
    if (verdict.result !== 'accept' || parent == null || place == null) break
    if (deep) {
      result.verdict = await admitDeep(core, named, parent, place)
      const inserted = core.tree.get(named.hash)
      if (inserted != null) {
        result.last = inserted.at
        result.added++
      }
      if (result.verdict.result !== 'accept') break
      continue
    }
    if (core.tree.full) {
      result.verdict = ignore('full', TOO_MANY)
      break
    }
    top = core.tree.insert(located(named, place, core.bodies ? own : undefined), parent)
    core.tree.revive(top)
    fresh.push(top)
    result.last = top.at
    result.added++
    putHeader(writing, top.at, own)
    if (slice.over) await slice.end()
  }
  const moved = followTarget(core, writing)
  // the head of a chain of headers goes with them, and is not left for later
  if (later && core.bodies && core.unwritten + writing.size <= MAX_UNWRITTEN) core.later(writing)
  else if (writing.size > 0 && !(await core.commit(writing, `${fresh.length} headers`, false))) {
    core.tree.removeAll(fresh)
    return { verdict: ignore('error', 'the headers could not be written'), added: 0 }
  }
  if (moved != null) moved()
  else core.announceTarget()
  if (!core.bodies) await reviewSplit(core)
  return result
}

/** A copy that holds no more than a slab: what came may be a view of a stream's memory, and one header of a page may be all that is new. */
function kept(bytes: Uint8Array): Uint8Array {
  const copy = cut(bytes.length)
  copy.set(bytes)
  return copy
}
