import { keyOf } from './key.js'
import type { Located } from './rules.js'

/** A header in the tree. Written by the tree only. */
export interface Entry<Header> {
  readonly at: Located<Header>
  readonly key: string
  /** Undefined for genesis, and where the one before is no longer in memory. */
  parent: Entry<Header> | undefined
  /** First of those that name this one as their parent; the others hang on `sibling`. */
  child: Entry<Header> | undefined
  sibling: Entry<Header> | undefined
  /** On the head chain, head included. */
  main: boolean
  /** Its body is stored. */
  body: boolean
  /** It and everything between it and the head chain have bodies. */
  complete: boolean
  /** Why it can never be on the head chain. */
  invalid: string | undefined
  /** Nobody delivers its body, or that of one before it. */
  parked: boolean
  /** It is the one that was parked. */
  parkedHere: boolean
  /** It forks off deeper than may be followed: only in memory, to see whether it is heavier. */
  deep: boolean
}

export type Status = 'header' | 'body' | 'valid' | 'invalid'

export interface TreeInit<Header> {
  genesis: Located<Header>
  tie: 'first-seen' | 'lowest-hash'
  /** Forks deeper than this below head are not followed. */
  maxReorg: number
  /** Up to where a head chain of this height may never be left, whatever comes. @default 0 */
  pinned?: (height: number) => number
  /** Blocks of the head chain that stay in memory. More than `maxReorg`. */
  keep: number
  /** Most headers off the head chain. */
  maxSide: number
}

export function makeEntry<Header>(at: Located<Header>, parent: Entry<Header> | undefined): Entry<Header> {
  return {
    at,
    key: keyOf(at.hash),
    parent,
    child: undefined,
    sibling: undefined,
    main: false,
    body: false,
    complete: false,
    invalid: undefined,
    parked: false,
    parkedHere: false,
    deep: false
  }
}

export function statusOf(entry: Entry<unknown>): Status {
  if (entry.invalid != null) return 'invalid'
  if (entry.main) return 'valid'
  return entry.body ? 'body' : 'header'
}

/** An entry and all that stand on it, parents first. */
export function subtree<Header>(root: Entry<Header>): Entry<Header>[] {
  const found = [root]
  for (let i = 0; i < found.length; i++) {
    for (let child = found[i]!.child; child != null; child = child.sibling) found.push(child)
  }
  return found
}

/** Takes an entry off its parent. */
export function unlink<Header>(entry: Entry<Header>): void {
  const parent = entry.parent
  if (parent == null) return
  if (parent.child === entry) {
    parent.child = entry.sibling
    return
  }
  for (let at = parent.child; at != null; at = at.sibling) {
    if (at.sibling === entry) {
      at.sibling = entry.sibling
      return
    }
  }
}

/** From a branch's first block above the head chain up to `entry`. */
export function branchOf<Header>(entry: Entry<Header>): Entry<Header>[] {
  const branch: Entry<Header>[] = []
  for (let at: Entry<Header> | undefined = entry; at != null && !at.main; at = at.parent) branch.push(at)
  return branch.reverse()
}

/** Height at which a branch leaves the head chain. */
export function forkHeightOf<Header>(entry: Entry<Header>): number {
  let at = entry
  while (!at.main) {
    if (at.parent == null) return at.at.height - 1
    at = at.parent
  }
  return at.at.height
}

/** The lightest branches' upper ends, tips first, about `enough` entries of them; none that is in `keep` or carries one that stays. */
export function lightest<Header>(side: Set<Entry<Header>>, keep: Set<Entry<Header>>, enough: number): Entry<Header>[] {
  const tips = [...side].filter((entry) => entry.child == null && !keep.has(entry))
  tips.sort((a, b) => (a.at.work < b.at.work ? -1 : a.at.work > b.at.work ? 1 : 0))
  const gone = new Set<Entry<Header>>()
  for (const tip of tips) {
    for (let at: Entry<Header> | undefined = tip; at != null && gone.size < enough; at = at.parent) {
      if (at.main || keep.has(at) || !childless(at, gone)) break
      gone.add(at)
    }
    if (gone.size >= enough) break
  }
  return [...gone]
}

function childless<Header>(entry: Entry<Header>, gone: Set<Entry<Header>>): boolean {
  for (let child = entry.child; child != null; child = child.sibling) if (!gone.has(child)) return false
  return true
}
