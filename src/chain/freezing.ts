import { Slice } from '../slice.js'
import type { Core } from './core.js'
import { blockKey, heightKey, TABLE } from './layout.js'
import type { BaseHeader } from './rules.js'
import type { Writing } from './store.js'

/** Most of one batch. */
const STEP_BLOCKS = 512
const STEP_BYTES = 4 * 1_048_576
/** How long to work before others have a turn of the event loop. */
const SLICE_MS = 2

/**
 * Moves the oldest blocks of the head chain that still lie in the database into the files, as many as one batch takes. False when there is
 * nothing to move, or it could not be written. Whatever is read says the same before and after it. `sync`: they may be on disk, and stay there.
 */
export async function freeze<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, sync: boolean): Promise<boolean> {
  const { store, tree } = core
  if (store.freezer == null) return false
  const writing = store.write()
  const from = store.freezer.top + 1
  const slice = new Slice(SLICE_MS)
  for (let height = from; height <= tree.head.at.height; height++) {
    if (height - from >= STEP_BLOCKS || writing.bytes >= STEP_BYTES) break
    const hash = tree.mainAt(height)?.at.hash ?? (await store.mainHash(height))
    if (hash == null) break
    const [header, body] = [blockKey(TABLE.header, height, hash), blockKey(TABLE.body, height, hash)]
    const record = await store.read(header)
    const bytes = core.bodies ? await store.read(body) : undefined
    // damaged: it stays where the next start mends it
    if (record == null || (core.bodies && bytes == null)) break
    writing.freeze({ height, hash, record, bytes })
    for (const key of [header, body, heightKey(TABLE.main, height)]) writing.del(key)
    // they are read at once, and are no longer in anybody's cache
    if (slice.over) await slice.end()
  }
  if (writing.size === 0) return false
  return core.commit(writing, 'old blocks', sync, true)
}

/** Moves a batch of them when there are many. */
export async function freezeSome<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  const { store, tree, hot } = core
  if (store.freezer != null && tree.leaving == null && tree.head.at.height - store.freezer.top > hot)
    await freeze(core, true)
}

/** Before many blocks come: moves all of them, so that what comes follows on the files. Not when there are too many to be waited for. */
export async function freezeAll<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  const { store, tree, hot } = core
  const left = (): number => (store.freezer == null ? 0 : tree.head.at.height - store.freezer.top)
  if (tree.leaving != null || left() > 2 * hot) return
  while (left() > 0 && (await freeze(core, (store.freezer?.top ?? 0) < core.durable)));
}

/**
 * Moves blocks above a height back into the database, so that they can be taken back one by one. False when that could not be
 * written. What is moved stays moved. @throws AbortError once the chain is being closed
 */
export async function thaw<Header extends BaseHeader, Tx>(core: Core<Header, Tx>, height: number): Promise<boolean> {
  const { freezer } = core.store
  while (freezer != null && freezer.top > height) {
    core.checkClosing()
    const writing = core.store.write()
    let top = freezer.top
    for (const last = top; top > height && last - top < STEP_BLOCKS && writing.bytes < STEP_BYTES; top--)
      await putBack(core, writing, top)
    writing.cutFiles(top)
    // synced: others may take their place in the files, and a database that did not know of it would take those for these
    if (!(await core.commit(writing, 'blocks out of the files', true, true))) return false
  }
  return true
}

/** What of it can be read. */
async function putBack<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  writing: Writing,
  height: number
): Promise<void> {
  const freezer = core.store.freezer!
  const hash = freezer.hashAt(height)
  if (hash == null) return
  const record = freezer.recordAt(height, hash)
  const bytes = await freezer.body(height, hash)
  if (record != null) writing.put(blockKey(TABLE.header, height, hash), record)
  if (bytes != null) writing.put(blockKey(TABLE.body, height, hash), bytes)
  writing.put(heightKey(TABLE.main, height), hash)
}
