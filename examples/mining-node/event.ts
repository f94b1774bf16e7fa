import type { SeedState } from 'blockwire/peers'
import type { SyncProgress } from 'blockwire/sync'

/**
 * What a mining node tells its reporter, whether that writes for people or for programs. Hashes are hex, work is a decimal string,
 * peers are their ID string. Text of other nodes is as it came: clean it before it is shown.
 */
export type NodeEvent =
  | { event: 'listening'; multiaddrs: string[] }
  /** The store was damaged: `what` was mended or cut off, and the chain begins at `height`. What is missing comes from peers. */
  | { event: 'repaired'; height: number; what: string[] }
  /** The state is made anew from the stored blocks: twice a second, before `listening`. */
  | { event: 'rebuild'; height: number; goal: number; why: string; done: boolean }
  | { event: 'peer'; action: 'join' | 'leave'; peer: string; reason?: string }
  /** A peer follows another chain: `field` names what differs. */
  | { event: 'refused'; peer: string; code: string; field: string; ours: string; theirs: string }
  /**
   * Once per import batch. `miner` is the name in the reward, `txs` the number of transactions, that one included. A light node knows
   * neither: '' and 0.
   */
  | {
      event: 'head'
      height: number
      hash: string
      miner: string
      work: string
      txs: number
      own: boolean
      blocks: number
    }
  /** Our own block is stored and synced to disk. */
  | { event: 'mined'; height: number; hash: string }
  /** What the address that our rewards go to owns at head is another sum: in the smallest unit, decimal. Also once at the start. */
  | { event: 'balance'; height: number; address: string; balance: string }
  /** A peer's head is at our height or below, and is not on our chain. */
  | { event: 'fork'; height: number; ours: string; theirs: string; peer: string }
  /** How it stands with a seed. `failed` (not reached) and `waiting` (lost) say why, and after which time it is tried again. */
  | { event: 'seed'; address: string; state: SeedState; error?: string; nextMs?: number }
  /** `depth` blocks of the old head's branch were set aside; `common` is the last one of both. */
  | { event: 'reorg'; from: string; to: string; common: string; depth: number }
  /** The state of sync or its reason is another, or how far it is while it runs. */
  | ({ event: 'sync' } & SyncProgress)
  /** What is known of peers was damaged, or cannot be kept; full peers do not follow a light node's head. The node works all the same. */
  | { event: 'warning'; message: string }
  | { event: 'error'; code: string; message: string; fix: string }
  | { event: 'stopped'; height: number; hash: string }

/** Gets every event, in order. Must not throw. */
export type Report = (event: NodeEvent) => void
