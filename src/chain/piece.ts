import type { Verdict } from './verdict.js'

/** A block taken apart. */
export interface Piece<Header, Tx> {
  bytes: Uint8Array
  /** Own copy of the header's bytes: it may outlive the block. */
  headerBytes: Uint8Array
  header: Header
  hash: Uint8Array
  /** Transactions as they came. */
  raw: Uint8Array[]
  /** Their Merkle root, once it is computed. */
  root: Uint8Array | undefined
  /** The IDs of its transactions one after the other, once they are known. */
  leaves?: Uint8Array
  body: Body<Tx> | undefined
}

/** What comes of a block's transactions. */
export interface Body<Tx> {
  verdict: Verdict
  /** The body matches the root: a refusal is for ever. */
  bound: boolean
  txs: Tx[]
}

/** Where a header would stand. */
export interface Place {
  verdict: Verdict
  height: number
  /** Of the header and all before it. */
  work: bigint
}
