/**
 * @packageDocumentation
 * A node's copy of the ledger. An app brings `Rules`; `Chain` keeps headers, blocks, head and state by them. Data from strangers gives
 * a `Verdict`, never an exception; head and state are always the same block.
 *
 * ```ts
 * const chain = new Chain({ rules })
 * await chain.open()
 * const verdict = await chain.add(block)
 * ```
 */

export { sha256 } from '../hash.js'
export { compareBytes, equalBytes, fromHex, toHex } from '../hex.js'
export { beginsWith, encodeBlock, splitBlock, txId } from './block.js'
export { Chain } from './chain.js'
export type { ChainInit } from './chain-init.js'
export { Reader, varintLength, Writer } from './cursor.js'
export type { Status } from './entry.js'
export type { BlockDetail, ChainEvents, RebuildDetail, ReorgDetail } from './events.js'
export type { Field } from './field.js'
export { genesisHash } from './genesis.js'
export type { HeadersResult } from './headers.js'
export type { AddOptions, ImportResult } from './import.js'
export { leafHash, merkleRoot, nodeHash } from './merkle.js'
export {
  type Producer,
  type ProducerComponents,
  type ProducerEvents,
  type ProducerInit,
  producer
} from './producer.js'
export { type MerkleProof, merkleProof, verifyMerkleProof } from './proof.js'
export type { Draft, Proposed, ProposeOptions, Scratch, Sealed } from './propose.js'
export type { OpenReport } from './repair.js'
export type {
  Ancestors,
  BaseHeader,
  BlockContext,
  Codec,
  HeaderHash,
  Limits,
  Located,
  PoolRules,
  ReadableState,
  Rules,
  StateDb,
  StateRules
} from './rules.js'
export type { Split } from './split.js'
export type { Checked } from './standing.js'
export type { Database } from './store.js'
export {
  bytes,
  type Fields,
  type Layout,
  list,
  MalformedBytesError,
  type StructOf,
  struct,
  TooLargeBytesError,
  text,
  u8,
  u16,
  u32,
  u53,
  u64,
  uint,
  union,
  type ValueOf,
  varBytes
} from './struct.js'
export { type Table, table } from './table.js'
export type { Minimum } from './threshold.js'
export { ACCEPT, type Check, type IgnoreReason, ignore, type RejectReason, reject, type Verdict } from './verdict.js'
export type { HeaderWalk } from './walk.js'
