import type { Located } from './rules.js'

/** A header in the tree. Written by the tree only. */
export interface Entry<Header> {
  readonly at: Located<Header>
  /** Undefined for genesis, and where the one before is no longer in memory. */
  parent: Entry<Header> | undefined
  /** First of those that name this one as their parent; the others hang on `sibling`. */
  child: Entry<Header> | undefined
  sibling: Entry<Header> | undefined
  /** Of the index by hash. */
  next: Entry<Header> | undefined
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
  /** Bodies are kept. @default true */
  bodies?: boolean
}

export function makeEntry<Header>(at: Located<Header>, parent: Entry<Header> | undefined): Entry<Header> {
  return {
    at,
    parent,
    child: undefined,
    sibling: undefined,
    next: undefined,
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
