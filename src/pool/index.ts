/**
 * @packageDocumentation
 * Pending transactions: pooled, spread over the topic `txs`, handed to whoever makes the next block.
 *
 * It holds only what the state at head admits together with what was pooled before, within fixed bounds. A transaction that cannot
 * be taken gives a verdict, never an exception.
 *
 * @example
 * ```ts
 * const { verdict, handle } = await node.pool.add(tx)
 * if (verdict.result === 'accept') await handle?.included(3)
 * ```
 */
export { BATCH_BYTES, encodeBatch, splitBatch } from './batch.js'
export {
  type CatchUp,
  type CatchUpComponents,
  type CatchUpInit,
  type CatchUpPeer,
  type CatchUpPool,
  catchUp
} from './catch-up.js'
export { POOL_LIMITS, type PoolLimits } from './entries.js'
export type { TxHandle, TxStatus } from './handle.js'
export { type PoolInit, pool } from './pool.js'
export type {
  Added,
  AddTxOptions,
  Pool,
  PoolChain,
  PoolChainEvents,
  PoolComponents,
  PoolEvents,
  Pooled,
  PoolScratch,
  RemoveReason
} from './port.js'
