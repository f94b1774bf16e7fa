import type { Core } from './core.js'
import type { Entry } from './entry.js'
import { turn } from './line.js'
import type { BaseHeader, Located } from './rules.js'
import { admitDeep } from './split.js'
import { assess, headerOps, located, makeRoom, TOO_MANY } from './standing.js'
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
const SLICE_MS = 25

/** Adds headers, parents first, in one batch. */
export async function addHeaders<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  list: Uint8Array[]
): Promise<HeadersResult<Header>> {
  const writing = core.store.write()
  const fresh: Entry<Header>[] = []
  const result: HeadersResult<Header> = { verdict: ACCEPT, added: 0 }
  let top: Entry<Header> | undefined
  let since = performance.now()
  makeRoom(core, list.length)
  for (const bytes of list) {
    const own = new Uint8Array(bytes)
    const named = core.inspector.header(own)
    if (!('hash' in named)) {
      result.verdict = named
      break
    }
    const here = core.tree.find(named.key)
    if (here != null && here.invalid == null) {
      result.last = here.at
      top = undefined
      continue
    }
    const { parent, place, verdict, deep } = assess(core, named, top)
    if (verdict.result === 'ignore' && verdict.reason === 'known') {
      result.last = core.older(named.hash)!.at
      continue
    }
    result.verdict = verdict
    if (verdict.result !== 'accept' || parent == null || place == null) break
    if (deep) {
      result.verdict = await admitDeep(core, named, parent, place)
      const inserted = core.tree.find(named.key)
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
    top = core.tree.insert(located(named, place), parent)
    core.tree.revive(top)
    fresh.push(top)
    result.last = top.at
    result.added++
    for (const [key, value] of headerOps(top, { headerBytes: own })) writing.put(key, value)
    if (performance.now() - since > SLICE_MS) {
      await turn()
      since = performance.now()
    }
  }
  if (writing.size > 0 && !(await core.commit(writing, `${fresh.length} headers`, false))) {
    core.tree.removeAll(fresh)
    return { verdict: ignore('error', 'the headers could not be written'), added: 0 }
  }
  core.announceTarget()
  return result
}
