import { RuleError, StoreReadError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import { Advance } from './advance.js'
import type { Core } from './core.js'
import { branchOf, type Entry } from './entry.js'
import type { Outcome } from './execution.js'
import type { BaseHeader } from './rules.js'
import { putHeader } from './standing.js'
import { isPromise } from './state.js'
import { bytesKey, TABLE } from './store.js'
import { ignore, reject, type Verdict } from './verdict.js'

/**
 * Moves the head to the best branch whose bodies are all stored, until there is no better one. A branch that turns out invalid is
 * marked; what comes before its bad block is a candidate of its own. False when a write failed: the head stands where it stood.
 */
export async function reorganise<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  sync: boolean
): Promise<boolean> {
  const { tree } = core
  for (let tip = tree.candidate(); tip != null; tip = tree.candidate()) {
    const forkHeight = tree.forkHeight(tip)
    if (tree.tooDeep(forkHeight)) {
      tree.dismiss(tip)
      core.warnDeep(toHex((branchOf(tip)[0] ?? tip).at.hash), forkHeight, tip.at.hash)
      continue
    }
    // dismissed while it is tried, so that no way out of here can bring it round again
    tree.dismiss(tip)
    const branch = branchOf(tip)
    const advance = new Advance(core)
    const stopped = (await takeBack(core, advance, forkHeight)) ? await follow(core, advance, branch) : 'stopped'
    if (stopped == null && !(await advance.commit(sync))) {
      tree.nominate(tip)
      return false
    }
    if (stopped === 'write') return false
  }
  core.announceTarget()
  return true
}

async function takeBack<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  advance: Advance<Header, Tx>,
  forkHeight: number
): Promise<boolean> {
  while (advance.top.at.height > forkHeight) {
    if (await advance.drop()) continue
    const { height, hash } = advance.top.at
    core.error(new StoreReadError(`what block ${height} (${toHex(hash)}) changed`))
    return false
  }
  return true
}

/** Applies a branch on the overlay. Undefined when all of it is good; otherwise the tree knows what was wrong. */
async function follow<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  advance: Advance<Header, Tx>,
  branch: Entry<Header>[]
): Promise<'stopped' | 'write' | undefined> {
  const { tree, store, inspector } = core
  for (const entry of branch) {
    const bytes = await store.body(entry.at.height, entry.at.hash)
    const opened = bytes == null ? undefined : inspector.reopen(bytes)
    if (opened == null || !equalBytes(opened.piece.hash, entry.at.hash)) {
      tree.empty(entry)
      core.error(new StoreReadError(`the body of block ${entry.at.height} (${toHex(entry.at.hash)})`))
      return 'stopped'
    }
    const running = advance.apply(entry, opened.piece, opened.txs, false)
    const outcome = isPromise(running) ? await running : running
    if (outcome === true) continue
    const verdict = stateVerdict(core, outcome)
    if (verdict.result !== 'reject') return 'stopped'
    return (await condemn(core, entry, verdict.detail ?? '', undefined)) ? 'stopped' : 'write'
  }
  return undefined
}

/** What an outcome of running the state's rules means for the block. */
export function stateVerdict<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  outcome: Exclude<Outcome, true>
): Verdict {
  if ('threw' in outcome) {
    core.error(new RuleError(outcome.rule, outcome.threw))
    return ignore('error', `rules.${outcome.rule} threw`)
  }
  return 'reject' in outcome ? reject('state', outcome.reject) : ignore('rule', outcome.ignore)
}

/** Marks a block invalid for ever, with all that stand on it. `fresh`: its header's bytes, where they are not stored yet. */
export async function condemn<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  entry: Entry<Header>,
  reason: string,
  fresh: Uint8Array | undefined
): Promise<boolean> {
  const writing = core.store.write()
  if (fresh != null) putHeader(writing, entry.at, fresh)
  writing.put(bytesKey(TABLE.invalid, entry.at.hash), new TextEncoder().encode(reason.slice(0, 200)))
  core.tree.invalidate(entry, reason)
  return core.commit(writing, `that block ${entry.at.height} is invalid`, false)
}
