import { DataUnusableError } from '../errors.js'
import { equalBytes } from '../hex.js'
import { Advance } from './advance.js'
import type { Core } from './core.js'
import { branchOf } from './entry.js'
import { whereIs } from './repair.js'
import type { BaseHeader } from './rules.js'
import { isPromise } from './state.js'
import { bytesKey, headRecord, heightKey, metaKey, TABLE } from './store.js'

/** Of what is written at once, about. */
const BATCH_BYTES = 8 * 1_048_576
const PAGE = 1_000

/**
 * Takes a store back to genesis, in one atomic batch: state, undo records and the index of heights go, headers and bodies stay.
 * What `replay` makes of them is the state again. For a store whose state belongs to a block that cannot be told.
 * @throws DataUnusableError when that cannot be written
 */
export async function backToGenesis<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  const { store, terms } = core
  const writing = store.write()
  for (const [first, last] of [
    [bytesKey(TABLE.state, new Uint8Array(0)), bytesKey(TABLE.state + 1, new Uint8Array(0))],
    [heightKey(TABLE.undo, 0), bytesKey(TABLE.undo + 1, new Uint8Array(0))],
    [heightKey(TABLE.main, 1), bytesKey(TABLE.main + 1, new Uint8Array(0))]
  ] as const) {
    const keys = store.db.keys({ gte: first, lt: last })
    try {
      for (let page = await keys.nextv(PAGE); page.length > 0; page = await keys.nextv(PAGE))
        for (const key of page) writing.del(new Uint8Array(key as Uint8Array))
    } finally {
      await keys.close()
    }
  }
  for (const [key, value] of terms.genesis.writes) writing.put(bytesKey(TABLE.state, key), value)
  writing.put(heightKey(TABLE.main, 0), terms.genesis.at.hash)
  writing.put(metaKey('head'), headRecord(0, terms.genesis.at.hash))
  writing.del(metaKey('undo'))
  // made anew when the blocks are there again
  writing.del(metaKey('txindex'))
  try {
    await writing.commit(true)
  } catch (cause) {
    throw new DataUnusableError(whereIs(core), 'a repair could not be written', cause)
  }
}

/**
 * Applies the stored blocks of the best branch, in atomic batches. Stops where a block is missing, damaged or refused: `reorganise` does
 * what remains. A crash in between leaves a whole store at a lower head, and the next start goes on.
 */
export async function replay<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  const { tree, store, inspector } = core
  const tip = tree.candidate()
  if (tip == null) return
  let advance = new Advance(core)
  for (const entry of branchOf(tip)) {
    const bytes = await store.body(entry.at.height, entry.at.hash)
    const opened = bytes == null ? undefined : inspector.reopen(bytes)
    if (opened == null || !equalBytes(opened.piece.hash, entry.at.hash)) break
    const running = advance.apply(entry, opened.piece, opened.txs, false)
    if ((isPromise(running) ? await running : running) !== true) break
    if (advance.bytes < BATCH_BYTES) continue
    if (!(await advance.commit(false))) return
    advance = new Advance(core)
  }
  if (advance.size > 0) await advance.commit(false)
}
