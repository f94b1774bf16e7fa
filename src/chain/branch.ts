import { type Entry, subtree } from './entry.js'

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

/** Hangs an entry, with what stands on it, on another parent: the same block, in memory again. */
export function attach<Header>(entry: Entry<Header>, parent: Entry<Header>): void {
  if (entry.parent === parent) return
  unlink(entry)
  entry.parent = parent
  entry.sibling = parent.child
  parent.child = entry
}

/** Forks that stand on blocks of the head chain which are no longer remembered; what follows on that chain loses its parent. */
export function forksOf<Header>(below: Entry<Header>[]): Entry<Header>[] {
  const forks: Entry<Header>[] = []
  for (const entry of below) {
    for (let child = entry.child; child != null; child = child.sibling) {
      if (child.main) child.parent = undefined
      else for (const each of subtree(child)) forks.push(each)
    }
  }
  return forks
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

/** An entry whose way to the head chain is whole by its body, and what stands on it with bodies of its own: marked, and answered. */
export function completed<Header>(entry: Entry<Header>): Entry<Header>[] {
  const found = [entry]
  for (let i = 0; i < found.length; i++) {
    const at = found[i]!
    at.complete = true
    for (let child = at.child; child != null; child = child.sibling) if (child.body && !child.main) found.push(child)
  }
  return found
}

/** Takes the park marks off a branch that `entry` is on. Answers what counts again, parents first. */
export function revived<Header>(entry: Entry<Header>): Entry<Header>[] {
  if (!entry.parked) return []
  let root = entry
  for (let at: Entry<Header> | undefined = entry; at != null && !at.main && at.parked; at = at.parent) {
    at.parkedHere = false
    root = at
  }
  const again: Entry<Header>[] = []
  const open = [root]
  for (let at = open.pop(); at != null; at = open.pop()) {
    if (at.parkedHere) continue
    at.parked = false
    again.push(at)
    for (let child = at.child; child != null; child = child.sibling) open.push(child)
  }
  return again
}

/** The best that may be followed: `best`, or one of `open` or of what stands on them off the head chain. */
export function heaviest<Header>(
  open: Entry<Header>[],
  best: Entry<Header>,
  better: (a: Entry<Header>, b: Entry<Header>) => boolean
): Entry<Header> {
  let found = best
  for (let at = open.pop(); at != null; at = open.pop()) {
    if (better(at, found)) found = at
    for (let child = at.child; child != null; child = child.sibling) {
      if (!child.main && !child.parked && child.invalid == null) open.push(child)
    }
  }
  return found
}
