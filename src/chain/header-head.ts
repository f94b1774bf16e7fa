import type { Core } from './core.js'
import { branchOf, type Entry } from './entry.js'
import { thaw } from './freezing.js'
import { bytesKey, encodeHeaderRecord, encodeHeight, headRecord, heightKey, TABLE } from './layout.js'
import { RECORD } from './record.js'
import type { BaseHeader } from './rules.js'
import { reviewSplit } from './split.js'
import { putHeader } from './standing.js'
import type { Writing } from './store.js'

/**
 * Puts new headers into `writing`, and where headers are all that is kept, the move of the head to the target: the header with the most work.
 * Answers what is to be done once that is written; undefined where the head stays.
 */
export async function followTarget<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  writing: Writing,
  fresh: Entry<Header>[]
): Promise<(() => void) | undefined> {
  const { tree } = core
  const before = tree.head
  const head = tree.target
  const putRest = (frozen: Set<Entry<Header>>): void => {
    for (const entry of fresh) if (!frozen.has(entry)) putHeader(writing, entry.at, entry.at.bytes!)
  }
  if (core.bodies || head === before) {
    putRest(new Set())
    return undefined
  }
  const added = branchOf(head)
  const common = tree.mainAt(head.at.height - added.length)!
  const dropped: Entry<Header>[] = []
  for (let height = common.at.height + 1; height <= before.at.height; height++) dropped.push(tree.mainAt(height)!)
  // where that fails, the head follows with the next headers
  if (dropped.length > 0 && !(await thaw(core, common.at.height))) {
    putRest(new Set())
    return undefined
  }
  const onFiles = common.at.height === core.store.freezer?.top
  // nothing of them is stored yet where that is so of the first
  const allNew = fresh.includes(added[0]!)
  const frozen = new Set(onFiles && allNew && added.length >= core.bulk ? added : [])
  const kept = frozen.size > 0 ? common : head
  for (let height = kept.at.height + 1; height <= before.at.height; height++) writing.del(heightKey(TABLE.main, height))
  for (const entry of added) {
    const { height, hash, work, bytes } = entry.at
    if (frozen.has(entry)) {
      writing.freeze({ height, hash, record: encodeHeaderRecord(work, bytes!), bytes: undefined })
      writing.put(bytesKey(TABLE.height, hash), encodeHeight(height))
    } else writing.put(heightKey(TABLE.main, height), hash)
  }
  putRest(frozen)
  writing.put(RECORD.head, headRecord(head.at.height, head.at.hash))
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
  const moved = await followTarget(core, writing, [])
  if (moved != null && (await core.commit(writing, 'the head', false))) moved()
  if (!core.bodies) await reviewSplit(core)
}
