import type { Verdict } from '../chain/index.js'

/** A block in its place, as sync knows it. `Located` of `blockwire/chain` is one. */
export interface SyncBlock {
  hash: Uint8Array
  height: number
  /** Of this block and all before it. */
  work: bigint
  header: { parent: Uint8Array }
}

/** What `sync` needs of a chain. `Chain` of `blockwire/chain` is one; an app may bring its own. */
export interface SyncChain {
  /** Part of the protocol's ID. */
  readonly id: string
  readonly limits: { blockBytes: number; txBytes: number; headerBytes: number; futureMs: number }
  readonly rules: { hash?(bytes: Uint8Array): Uint8Array; tie?: 'first-seen' | 'lowest-hash' }
  readonly head: SyncBlock
  /** Most work that is neither invalid nor parked; bodies may be missing. */
  readonly target: SyncBlock
  /** It adds blocks, or some wait for it: serving others then leaves it half of the event loop. @default false */
  readonly busy?: boolean
  has(hash: Uint8Array): 'header' | 'body' | 'valid' | 'invalid' | undefined
  locate(hash: Uint8Array): SyncBlock | undefined
  /** Of the head chain. */
  hashAt(height: number): Uint8Array | undefined
  block(hash: Uint8Array): Promise<Uint8Array | undefined>
  /** Pages of the head chain, ascending, both ends included. */
  blocks(from: number, to: number): AsyncIterable<Uint8Array[]>
  headers(from: number, to: number): AsyncIterable<Uint8Array[]>
  /** Headers of a side branch, from the first one off the head chain up to `hash`. */
  branch(hash: Uint8Array): Uint8Array[] | undefined | Promise<Uint8Array[] | undefined>
  /** Newest first: 10 dense, then doubling steps, genesis last. @default from the target */
  locator(from?: SyncBlock): Uint8Array[]
  missing(limit: number): SyncBlock[]
  /** Nobody delivers this body: its branch no longer counts for the target. */
  park(hash: Uint8Array): void
  addHeaders(headers: Uint8Array[]): Promise<{ verdict: Verdict; added: number; last?: SyncBlock }>
  addBlocks(
    blocks: Uint8Array[],
    options?: { signal?: AbortSignal }
  ): Promise<{ verdict: Verdict; added: number; index?: number }>
  addEventListener(type: 'head' | 'target', listener: () => void): void
  removeEventListener(type: 'head' | 'target', listener: () => void): void
}
