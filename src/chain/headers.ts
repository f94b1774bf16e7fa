import { Slice } from '../slice.js'
import type { Core } from './core.js'
import type { Entry } from './entry.js'
import { followTarget } from './header-head.js'
import type { BaseHeader, Located } from './rules.js'
import { cutKept } from './slab.js'
import { admitDeep, reviewSplit } from './split.js'
import { assess, located, makeRoom, TOO_MANY } from './standing.js'
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

/** Headers that may wait in memory: bodies follow at once in a sync, and what goes into the files with its body was written once. */
const MAX_PENDING = 32_768

/**
 * Adds headers, parents first, in one batch. Many of them, and those after which another change follows at once (`later`), wait in memory for
 * the bodies: a crash loses headers that can be had again, and never the order.
 */
export async function addHeaders<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  list: Uint8Array[],
  later = false
): Promise<HeadersResult<Header>> {
  const fresh: Entry<Header>[] = []
  const result: HeadersResult<Header> = { verdict: ACCEPT, added: 0 }
  let top: Entry<Header> | undefined
  const slice = new Slice(SLICE_MS)
  makeRoom(core, list.length)
  const hashes = core.inspector.hashes(list)
  for (let i = 0; i < list.length; i++) {
    const bytes = list[i]!
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
    top = core.tree.insert(located(named, place, own), parent)
    core.tree.revive(top)
    fresh.push(top)
    result.last = top.at
    result.added++
    if (slice.over) await slice.end()
  }
  // the head of a chain of headers goes with them, and is not left for later
  const waits = core.bodies && (later || fresh.length >= core.bulk) && core.pending + fresh.length <= MAX_PENDING
  const writing = core.store.write()
  const moved = waits ? undefined : await followTarget(core, writing, fresh)
  if (waits) core.later(fresh)
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
  const copy = cutKept(bytes.length)
  copy.set(bytes)
  return copy
}
