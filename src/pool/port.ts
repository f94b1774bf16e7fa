import type { ComponentLogger } from '@libp2p/interface'
import type { TypedEventTarget } from 'main-event'
import type { BaseHeader, Check, Codec, Limits, Located, Verdict } from '../chain/index.js'
import type { Gossip } from '../gossip/index.js'
import type { TxHandle } from './handle.js'

/** A state at `head` on which transactions are tried one after another. */
export interface PoolScratch<Tx> {
  readonly head: { readonly hash: Uint8Array }
  /** Applies it, or leaves the state as it was. */
  admit(tx: Tx, bytes: Uint8Array): Promise<Check>
}

export interface PoolChainEvents {
  block: CustomEvent<{ hash: Uint8Array; height: number; header: BaseHeader; bytes: Uint8Array }>
  reorg: CustomEvent<{ dropped: Located<BaseHeader>[]; added: Located<BaseHeader>[] }>
  head: CustomEvent<Located<BaseHeader>>
}

/** What a pool needs of a chain. */
export interface PoolChain<Tx> {
  readonly limits: Required<Limits>
  readonly rules: { readonly tx: Codec<Tx> }
  readonly head: Located<BaseHeader>
  checkTx(bytes: Uint8Array): { verdict: Verdict; id: Uint8Array; tx?: Tx }
  scratch(): Promise<PoolScratch<Tx>>
  block(hash: Uint8Array): Promise<Uint8Array | undefined>
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
  /** There was no room for it beside those that came back from dropped blocks. */
  | 'full'

export interface PoolEvents {
  add: CustomEvent<{ id: Uint8Array; size: number }>
  remove: CustomEvent<{ id: Uint8Array; why: RemoveReason }>
}

/** What came of an own transaction. */
export interface Added {
  /** `accept`: it is pooled and published. `ignore('known')`: it was there already. */
  verdict: Verdict
  /** Its Merkle leaf. */
  id: Uint8Array
  /** There when it is in the pool, now or since before. */
  handle?: TxHandle
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
  add(tx: Tx | Uint8Array): Promise<Added>
  has(id: Uint8Array): boolean
  /** Its bytes. */
  get(id: Uint8Array): Uint8Array | undefined
  /** All of them, in no order to rely on. Their bytes are not to be changed. */
  values(): Iterable<{ readonly id: Uint8Array; readonly bytes: Uint8Array }>
  /** Transactions for a block, in order of arrival, together at most `maxBytes` long, lengths included. */
  select(options: { maxBytes: number }): Uint8Array[]
}
