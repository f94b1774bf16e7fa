import { BlockwireError, RuleError, StoreReadError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import { Advance } from './advance.js'
import type { Core } from './core.js'
import { branchOf, type Entry } from './entry.js'
import type { Outcome } from './execution.js'
import { thaw } from './freezing.js'
import { bytesKey, TABLE } from './layout.js'
import { remake } from './opening.js'
import { encodeReorg } from './record.js'
import { begin } from './renewal.js'
import type { BaseHeader } from './rules.js'
import { overCap, reviewSplit } from './split.js'
import { putHeader } from './standing.js'
import { isPromise } from './state.js'
import { ignore, reject, type Verdict } from './verdict.js'

/**
 * Moves the head to the best branch whose bodies are all stored, until there is no better one. A branch that turns out invalid is
 * marked; what comes before its bad block is a candidate of its own. What is too large for one batch goes in steps: in between the head
 * may have less work, and it goes back to where it came from where nothing ahead is better. False when a write failed: the head stands
 * where it stood, or, among steps, where the last one left it; then `tree.leaving` is set, and the next call goes on.
 */
export async function reorganise<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  sync: boolean,
  first?: Entry<Header>
): Promise<boolean> {
  const { tree } = core
  for (let tip = first ?? next(core); tip != null; tip = next(core)) {
    const forkHeight = tree.forkHeight(tip)
    const back = tip === tree.leaving
    if (!back && tree.tooDeep(forkHeight)) {
      if (!(await overCap(core, tip))) tree.dismiss(tip)
      continue
    }
    // dismissed while it is tried, so that no way out of here can bring it round again
    tree.dismiss(tip)
    const outcome = await moveTo(core, tip, forkHeight, sync)
    if (outcome === 'arrived') continue
    if (outcome !== 'stopped') return false
    // the way back is closed, too: this is where it stands now
    if (back && !(await arrive(core, sync))) return false
  }
  if (tree.accepted != null) await reviewSplit(core)
  core.announceTarget()
  return true
}

export const CLOSED: Verdict = ignore('error', 'the chain is not open')
const UNWRITTEN: Verdict = ignore('error', 'a reorganisation could not be written')

/** Tries again what could not be written before. False while the head is among the steps of a move: then nothing else may be changed. */
export async function ready<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<boolean> {
  const { tree } = core
  const target = core.remaking ? await remake(core) : undefined
  if (tree.leaving != null || tree.candidate() != null) await reorganise(core, false, target)
  return tree.leaving == null
}

/** Runs a change. What goes wrong in here is our problem: a verdict for the caller, an event for the operator. */
export async function guarded<Header extends BaseHeader, Tx, R>(
  core: Core<Header, Tx>,
  task: () => Promise<R>,
  failed: (verdict: Verdict) => R,
  signal?: AbortSignal
): Promise<R> {
  try {
    return (await ready(core)) ? await task() : failed(UNWRITTEN)
  } catch (err) {
    if (signal?.aborted) throw err
    if (!core.closing) core.error(err instanceof BlockwireError ? err : new StoreReadError('something', err))
    return failed(ignore('error', err instanceof Error ? err.message : String(err)))
  }
}

/** Where to go now. Among steps there is always somewhere to go: to arrive where it stands is the least. */
function next<Header extends BaseHeader, Tx>({ tree }: Core<Header, Tx>): Entry<Header> | undefined {
  const { leaving, head } = tree
  const best = tree.candidate()
  if (leaving == null) return best
  const here = leaving === head || tree.better(head.at, leaving.at) ? head : leaving
  return best == null || (here === head && !tree.better(best.at, head.at)) ? here : best
}

/**
 * `stopped`: it could not be applied, and the tree knows what was wrong. `unwritten`: a batch could not be written. `unmarked`: a block
 * is invalid, and that could not be written.
 */
type Arrival = 'arrived' | 'stopped' | 'unwritten' | 'unmarked'

async function moveTo<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  tip: Entry<Header>,
  forkHeight: number,
  sync: boolean
): Promise<Arrival> {
  const { tree, store, inspector } = core
  if (forkHeight < tree.floor && forkHeight < tree.head.at.height) {
    const again = await remakeTo(core, tip, forkHeight)
    if (again == null) return 'stopped'
    tip = again
  }
  const branch = branchOf(tip)
  const unwritten = (): Arrival => {
    tree.nominate(tip)
    return 'unwritten'
  }
  if (forkHeight < tree.head.at.height && !(await thaw(core, forkHeight))) return unwritten()
  let advance = new Advance(core)
  /** Commits a step when there is enough for one. */
  const pause = async (): Promise<boolean> => {
    if (advance.bytes < core.stepBytes) return true
    const record = encodeReorg({ from: tree.standard.at, target: tip.at, undoFrom: core.undoFrom })
    if (!(await advance.commit(sync, record))) return false
    advance = new Advance(core)
    // the next start goes on from here
    return !core.closing
  }
  while (advance.top.at.height > forkHeight) {
    if (!(await advance.drop())) {
      const { height, hash } = advance.top.at
      core.error(new StoreReadError(`what block ${height} (${toHex(hash)}) changed`))
      return 'stopped'
    }
    if (!(await pause())) return unwritten()
  }
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
    if (outcome !== true) {
      const verdict = stateVerdict(core, outcome)
      if (verdict.result !== 'reject') return 'stopped'
      return (await condemn(core, entry, verdict.detail ?? '', undefined)) ? 'stopped' : 'unmarked'
    }
    // the last one is written by what comes after
    if (entry !== tip && !(await pause())) return unwritten()
  }
  return (await advance.commit(sync)) ? 'arrived' : unwritten()
}

/**
 * Undo does not reach down to the fork: the state of that block is made from genesis up, and the tree is filled anew. Answers the tip in it,
 * or undefined where the branch is not whole any more.
 */
async function remakeTo<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  tip: Entry<Header>,
  forkHeight: number
): Promise<Entry<Header> | undefined> {
  const { tree } = core
  const fork = tree.mainAt(forkHeight)
  if (fork == null) return undefined
  const undoFrom = Math.max(1, forkHeight - core.maxReorg + 1)
  const why = `a branch is followed that forks off at block ${forkHeight}`
  await begin(
    core,
    { phase: 'emptying', cut: 0, goal: fork.at, checkFrom: 0, why },
    { from: tree.standard.at, target: tip.at, undoFrom }
  )
  const again = await remake(core)
  if (again != null) tree.dismiss(again)
  return again
}

/** Ends a move in steps where the head stands. */
async function arrive<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, sync: boolean): Promise<boolean> {
  return new Advance(core).commit(sync)
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
