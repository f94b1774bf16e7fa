import type { Core } from './core.js'
import { branchOf, type Entry } from './entry.js'
import type { BaseHeader } from './rules.js'
import { reviewSplit } from './split.js'
import { headRecord, heightKey, metaKey, TABLE, type Writing } from './store.js'

const HEAD = metaKey('head')

/**
 * In a chain of headers alone the head is the target: the header with the most work. Puts the move there into `writing`, with the headers
 * that it needs. Answers what is to be done once that is written; undefined where the head stays, and in a chain that keeps blocks.
 */
export function followTarget<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  writing: Writing
): (() => void) | undefined {
  const { tree } = core
  const before = tree.head
  const head = tree.target
  if (core.bodies || head === before) return undefined
  const added = branchOf(head)
  const common = tree.mainAt(head.at.height - added.length)!
  const dropped: Entry<Header>[] = []
  for (let height = common.at.height + 1; height <= before.at.height; height++) dropped.push(tree.mainAt(height)!)
  for (let height = head.at.height + 1; height <= before.at.height; height++) writing.del(heightKey(TABLE.main, height))
  for (const { at } of added) writing.put(heightKey(TABLE.main, at.height), at.hash)
  writing.put(HEAD, headRecord(head.at.height, head.at.hash))
  return () => {
    core.discard(tree.move(common, added))
    core.announceTarget()
    if (dropped.length > 0) {
      core.emit('reorg', {
        from: before.at,
        to: head.at,
        common: common.at,
        dropped: dropped.map(({ at }) => at),
        added: added.map(({ at }) => at)
      })
    }
    core.emit('head', head.at)
  }
}

/** Moves the head to where it should be, on its own: after a start, where the store was mended, and to a branch that was accepted. */
export async function catchUp<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  const writing = core.store.write()
  const moved = followTarget(core, writing)
  if (moved != null && (await core.commit(writing, 'the head', false))) moved()
  if (!core.bodies) await reviewSplit(core)
}
