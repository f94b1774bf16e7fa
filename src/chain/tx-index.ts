import { DataUnusableError } from '../errors.js'
import { splitBlock, txId } from './block.js'
import type { Core } from './core.js'
import { heightKey, MAX_HEIGHT, readHeight, TABLE } from './layout.js'
import { RECORD } from './record.js'
import { whereIs } from './repair.js'
import type { BaseHeader, Limits, Located } from './rules.js'
import type { Store, Writing } from './store.js'

const NOTHING = new Uint8Array(0)
const DONE = RECORD.txIndex
/** Of what is written at once, about. */
const BATCH_BYTES = 8 * 1_048_576

/**
 * Which block of the head chain holds a transaction: `t` ‖ ID ‖ height. A transaction may stand in several blocks, so that the height is
 * part of the key, and taking a block back takes its own entries only. Kept in the batches that move the head.
 */
export class TxIndex {
  constructor(
    private readonly store: Store,
    private readonly limits: Required<Limits>
  ) {}

  /** A block joins the head chain. */
  put(writing: Writing, height: number, txs: Uint8Array[]): void {
    for (const tx of txs) writing.put(indexKey(txId(tx), height), NOTHING)
  }

  /** A block leaves it. One whose body is damaged leaves its entries behind: whoever reads the index looks into the block. */
  async del(writing: Writing, { height, hash }: { height: number; hash: Uint8Array }): Promise<void> {
    const body = await this.store.body(height, hash)
    for (const tx of body == null ? [] : this.#txs(body)) writing.del(indexKey(txId(tx), height))
  }

  /** Heights of the blocks that hold a transaction, ascending; the first `limit` of them. */
  async heights(id: Uint8Array, limit: number): Promise<number[]> {
    const keys = this.store.db.keys({ gte: indexKey(id, 0), lte: indexKey(id, MAX_HEIGHT), limit })
    return (await keys.all()).map((key) => readHeight(key as Uint8Array, 33))
  }

  /** Makes the index of a store that has none. A crash in between is made good by the next start. */
  async build(top: number): Promise<void> {
    await clear(this.store)
    let writing = this.store.write()
    for await (const page of this.store.range(TABLE.main, 0, top)) {
      for (const [key, hash] of page) {
        const height = readHeight(key, 1)
        const body = await this.store.body(height, hash)
        if (body != null) this.put(writing, height, this.#txs(body))
        if (writing.bytes < BATCH_BYTES) continue
        await writing.commit()
        writing = this.store.write()
      }
    }
    writing.put(DONE, new TextEncoder().encode('1'))
    await writing.commit(true)
  }

  #txs(body: Uint8Array): Uint8Array[] {
    try {
      return splitBlock(body, this.limits).txs
    } catch {
      return []
    }
  }
}

/**
 * Makes the index, or removes one that is no longer kept up: it would be wrong from here on.
 * @throws DataUnusableError when that cannot be written
 */
export async function settleIndex<Header extends BaseHeader, Tx>(core: Core<Header, Tx>): Promise<void> {
  const { store, txIndex, tree } = core
  const there = (await store.db.get(DONE)) != null
  if (there === (txIndex != null)) return
  try {
    if (txIndex != null) return await txIndex.build(tree.head.at.height)
    await store.db.del(DONE)
    await clear(store)
  } catch (cause) {
    throw new DataUnusableError(whereIs(core), 'the index of transactions could not be written', cause)
  }
}

/** The blocks of the head chain that the index names for a transaction. */
export async function indexedAt<Header extends BaseHeader, Tx>(
  core: Core<Header, Tx>,
  id: Uint8Array,
  hashAt: (height: number) => Uint8Array | undefined
): Promise<Located<Header>[]> {
  const found: Located<Header>[] = []
  for (const height of (await core.txIndex?.heights(id, MAX_FOUND)) ?? []) {
    const hash = hashAt(height)
    const entry = hash == null ? undefined : core.entry(hash)
    if (entry != null) found.push(entry.at)
  }
  return found
}

/** Blocks that are looked at for one transaction. */
const MAX_FOUND = 8

async function clear({ db }: Store): Promise<void> {
  await db.clear({ gte: Uint8Array.of(TABLE.tx), lt: Uint8Array.of(TABLE.tx + 1) })
}

/** t ‖ ID ‖ height. */
function indexKey(id: Uint8Array, height: number): Uint8Array {
  const key = new Uint8Array(39)
  key[0] = TABLE.tx
  key.set(id, 1)
  key.set(heightKey(0, height).subarray(1), 33)
  return key
}
