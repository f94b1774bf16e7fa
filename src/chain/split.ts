import { ConfigError, StoreReadError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import type { Core } from './core.js'
import { branchOf, type Entry, subtree } from './entry.js'
import { catchUp } from './header-head.js'
import type { Named, Place } from './inspector.js'
import { readMain } from './reading.js'
import { encodeSplit, RECORD } from './record.js'
import { ready, reorganise } from './reorg.js'
import type { BaseHeader } from './rules.js'
import { insertDeep, putHeader, TOO_MANY } from './standing.js'
import { ACCEPT, ignore, type Verdict } from './verdict.js'

/** A heavier branch that is not followed, because it forks off more than `maxReorg` blocks below the head. */
export interface Split {
  /** Of the last block of it that was looked at; there may be more. */
  hash: Uint8Array
  height: number
  /** Of that block and all before it. */
  work: bigint
  /** Of the last block that it shares with the head chain. */
  forkHeight: number
  /** Blocks of the head chain that it would take back. */
  depth: number
}

/** The heaviest branch that is known and not followed for its depth, while it is heavier than the head. */
export function splitOf<Header extends BaseHeader, Tx>({ tree, split }: Core<Header, Tx>): Split | undefined {
  if (split == null || !tree.better(split.at, tree.head.at)) return undefined
  const { hash, height, work } = split.at
  return { hash, height, work, forkHeight: split.forkHeight, depth: tree.head.at.height - split.forkHeight }
}

/**
 * A header of a branch that forks off too deep. It is only remembered, to see whether the branch is heavier than ours; when it is, it is
 * told, or followed where the node was never live.
 */
export async function admitDeep<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  named: Named<Header>,
  parent: Entry<Header>,
  place: Place
): Promise<Verdict> {
  const { tree } = core
  if (tree.full) return ignore('full', TOO_MANY)
  const entry = insertDeep(core, named, parent, place)
  if (!tree.better(entry.at, tree.head.at)) return ACCEPT
  return (await overCap(core, entry)) ? ACCEPT : ignore('too-deep')
}

/** A heavier branch forks off too deep: it is followed all the same where the node was never live, and else told. */
export async function overCap<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  tip: Entry<Header>
): Promise<boolean> {
  if (!core.live && (await accept(core, tip)) == null) return true
  core.warnDeep(tip)
  return false
}

/**
 * Has a branch followed that forks off too deep: its headers become ordinary ones, the head chain comes back into memory down to the fork,
 * and the store remembers it. Answers why that cannot be; undefined when it is done.
 */
export async function accept<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  tip: Entry<Header>
): Promise<string | undefined> {
  const { tree } = core
  const root = branchOf(tip)[0]
  if (root == null || tip.invalid != null) return 'it is invalid, or on the head chain already'
  const { hash, height } = root.parent!.at
  if (height < tree.pinned) return `it forks off below the checkpoint at ${tree.pinned}`
  const depth = tree.head.at.height - height
  if (depth + tree.sideSize > core.maxSide)
    return `${depth} blocks would have to be taken back, and maxSide allows ${core.maxSide} headers off the head chain`
  const from = Math.max(0, height - core.margin)
  if (from < tree.base) {
    const below = { height: tree.base - 1, hash: tree.mainAt(tree.base)!.at.header.parent }
    const chain = await readMain(core, from, below)
    if (chain == null) {
      core.error(new StoreReadError(`a header from ${from} to ${below.height}`))
      return 'the head chain cannot be read down to the fork'
    }
    tree.deepen(chain)
  }
  const fork = tree.mainAt(height)
  if (fork == null || !equalBytes(fork.at.hash, hash)) return 'it does not fork off the head chain any more'
  const writing = core.store.write()
  for (const entry of subtree(root)) {
    if (!entry.deep || entry.invalid != null) continue
    const headerBytes = core.terms.rules.header.encode(entry.at.header)
    putHeader(writing, entry.at, headerBytes)
  }
  writing.put(RECORD.split, encodeSplit({ fork: fork.at, tip: tip.at }))
  if (!(await core.commit(writing, 'that a branch is followed', true))) return 'it could not be written'
  tree.accept(root, fork)
  core.accepted = tip.at.hash
  core.split = undefined
  core.announceTarget()
  return undefined
}

/** Forgets that a branch was accepted once it is the head's, or the head has more work than it. */
export async function reviewSplit<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  const { tree, accepted } = core
  if (tree.accepted == null || accepted == null || tree.leaving != null) return
  const tip = tree.get(accepted)
  const { target, head } = tree
  const open = tip != null && !tip.main && tip.invalid == null && tree.better(tip.at, head.at)
  if (open || (target !== head && tree.forkHeight(target) === tree.accepted)) return
  const writing = core.store.write()
  writing.del(RECORD.split)
  if (!(await core.commit(writing, 'that a branch is no longer wanted', false))) return
  tree.accepted = undefined
  core.accepted = undefined
}

/** See `Chain.acceptSplit`. */
export async function acceptSplit<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  hash: Uint8Array
): Promise<void> {
  const { tree } = core
  const refuse = (why: string): ConfigError => new ConfigError('hash', `${toHex(hash)} cannot be followed: ${why}`)
  if (!(await ready(core))) throw refuse('a reorganisation could not be written')
  const entry = tree.get(hash)
  if (entry == null) throw refuse('no branch with it is known, see chain.split')
  if (!entry.deep && !tree.tooDeep(tree.forkHeight(entry)))
    throw refuse('it forks off no deeper than is followed anyway')
  const why = await accept(core, entry)
  if (why != null) throw refuse(why)
  await reorganise(core, true)
  await catchUp(core)
}

/** See `Chain.settled`. */
export async function settleLive<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  if (core.live) return
  const writing = core.store.write()
  writing.put(RECORD.live, new Uint8Array([1]))
  if (await core.commit(writing, 'that the node was live', false)) core.live = true
}
