import { type Limits, splitBlock, txId } from '../chain/index.js'
import { toHex } from '../hex.js'
import type { BlockAt } from './own.js'

/** Blocks below head that are looked through after a restart, and their bytes. */
const MAX_BLOCKS = 1_000
const MAX_BYTES = 32 * 1_048_576

interface RecallChain {
  readonly limits: Required<Limits>
  readonly head: { readonly height: number }
  hashAt(height: number): Uint8Array | undefined
  block(hash: Uint8Array): Promise<Uint8Array | undefined>
}

/** What the last blocks of the head chain hold, lowest first. */
export interface Recalled {
  block: BlockAt
  /** Of its transactions, hex. */
  keys: string[]
}

/**
 * Reads the last blocks. A process may have been killed between the writing of a block and that of the journal: without this, a transaction
 * of a chain that does not refuse it twice would be mined twice.
 */
export async function recall(chain: RecallChain): Promise<Recalled[]> {
  const recalled: Recalled[] = []
  let left = MAX_BYTES
  for (let height = chain.head.height; height > 0 && recalled.length < MAX_BLOCKS; height--) {
    const hash = chain.hashAt(height)
    const bytes = hash == null ? undefined : await chain.block(hash)
    if (hash == null || bytes == null) break
    left -= bytes.length
    if (left < 0) break
    recalled.push({ block: { height, hash }, keys: splitBlock(bytes, chain.limits).txs.map((tx) => toHex(txId(tx))) })
  }
  return recalled.reverse()
}
