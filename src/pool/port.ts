import type { ComponentLogger, PeerId } from '@libp2p/interface'
import type { TypedEventTarget } from 'main-event'
import type { BaseHeader, Check, CheckedTx, Codec, Limits, Located, PoolRules, Verdict } from '../chain/index.js'
import type { Gossip } from '../gossip/index.js'
import type { TxHandle, TxStatus } from './handle.js'

/** A state at `head` on which transactions are tried one after another. */
export interface PoolScratch<Tx> {
  readonly head: { readonly hash: Uint8Array }
  /** Applies it, or leaves the state as it was. */
  admit(tx: Tx, bytes: Uint8Array): Check | Promise<Check>
}

export interface PoolChainEvents {
  block: CustomEvent<{ hash: Uint8Array; height: number; header: BaseHeader; bytes: Uint8Array }>
  reorg: CustomEvent<{ dropped: Located<BaseHeader>[]; added: Located<BaseHeader>[] }>
  head: CustomEvent<Located<BaseHeader>>
}

/** What a pool needs of a chain. */
export interface PoolChain<Tx> {
  readonly limits: Required<Limits>
  readonly rules: { readonly tx: Codec<Tx>; readonly pool?: PoolRules<Tx> }
  readonly head: Located<BaseHeader>
  checkTx(bytes: Uint8Array): { verdict: Verdict; id: Uint8Array; tx?: Tx }
  checkTxs(
    list: Uint8Array[],
    ids: Uint8Array[],
    options?: { trusted?: boolean }
  ): CheckedTx<Tx>[] | Promise<CheckedTx<Tx>[]>
  scratch(): Promise<PoolScratch<Tx>>
  block(hash: Uint8Array): Promise<Uint8Array | undefined>
  /** Of the head chain. */
  hashAt(height: number): Uint8Array | undefined
  addEventListener<K extends keyof PoolChainEvents>(type: K, listener: (event: PoolChainEvents[K]) => void): void
  removeEventListener<K extends keyof PoolChainEvents>(type: K, listener: (event: PoolChainEvents[K]) => void): void
}

/** What a pool needs of its siblings. */
export interface PoolComponents<Tx> {
  chain: PoolChain<Tx>
  gossip: Gossip
  logger: ComponentLogger
}

/** Why a transaction left the pool. */
export type RemoveReason =
  /** It is in a block of the head chain. */
  | 'mined'
  /** The state at the new head does not admit it. */
  | 'state'
  /** There was no room for it beside what pays more, or came back from dropped blocks. */
  | 'full'
  /** Another one that pays more stands in its place. */
  | 'replaced'
  /** It has waited for `lifetimeMs`. */
  | 'expired'
  /** It could not be kept on disk, and was not accepted. */
  | 'error'

export interface PoolEvents {
  add: CustomEvent<{ id: Uint8Array; size: number }>
  remove: CustomEvent<{ id: Uint8Array; why: RemoveReason }>
}

/** What came of a transaction. */
export interface Added {
  /**
   * `accept`: it is pooled and published; one of our own is on disk, too, where there is a journal, and stays until it is mined, expired or replaced
   * by another of our own. `ignore('known')`: it was there already. `ignore('full')`, `ignore('conflict')`: there is no room for it, or another one
   * stands in its place, at what it pays.
   */
  verdict: Verdict
  /** Its Merkle leaf. */
  id: Uint8Array
  /** There when it is our own and in the pool, now or since before. */
  handle?: TxHandle
}

export interface AddTxOptions {
  /**
   * The peer that handed it over by another protocol than the topic. It is pooled and published as if it had come over the topic: it
   * counts to the peer's share, may be evicted, and is not kept over a restart.
   * @default none: it is our own
   */
  source?: PeerId
  /**
   * This program has just signed them, or checked them itself: `rules.checkTx` is left out, which takes most of the time where transactions are
   * signed. Others do check, and ban whoever sends them what does not pass. @default false
   */
  trusted?: boolean
  /** Pooled, but not published: all others have it. Only with `source`. @default false */
  quiet?: boolean
}

/** A pending transaction as others may read it. */
export interface Pooled {
  readonly id: Uint8Array
  readonly bytes: Uint8Array
}

export interface Pool<Tx = unknown> extends TypedEventTarget<PoolEvents> {
  /** Transactions. */
  readonly size: number
  /** Their bytes. */
  readonly bytes: number
  /**
   * Pools and publishes a transaction of our own: a value, or its bytes. Published within 10 ms, together with others.
   * It never throws for what the rules say; it throws what the codec's `encode` throws.
   */
  add(tx: Tx | Uint8Array, options?: AddTxOptions): Promise<Added>
  /** Several, tried in this order, each with its own verdict. A transaction that is itself an array must be given as bytes. */
  add(txs: (Tx | Uint8Array)[], options?: AddTxOptions): Promise<Added[]>
  has(id: Uint8Array): boolean
  /** Its bytes. */
  get(id: Uint8Array): Uint8Array | undefined
  /** The IDs of all that are pooled. The pool must not change while they are iterated: no `await` in between. */
  ids(): Iterable<Uint8Array>
  /** The same with their bytes. */
  entries(): Iterable<Pooled>
  /** Those of a sender (`rules.pool.order`), in sequence: what a wallet has to count in before it makes the next one. */
  ofSender(sender: Uint8Array): Pooled[]
  /** Follows one that was submitted here, also before a restart. Undefined for others, and long after it was mined. */
  handle(id: Uint8Array): TxHandle | undefined
  /** Where any transaction stands. Undefined: it is neither pooled nor in a late block, as far as is remembered (20,000). */
  status(id: Uint8Array): TxStatus | undefined
  /**
   * Transactions for a block, together at most `maxBytes` long, lengths included: what pays most per byte first, at equal pay the oldest,
   * each sender's in sequence.
   */
  select(options: { maxBytes: number }): Uint8Array[]
}
