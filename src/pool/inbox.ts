import { ACCEPT, type CheckedTx, ignore, leafHashes, reject, type Verdict } from '../chain/index.js'
import type { TopicMessage } from '../gossip/index.js'
import { toHexes } from '../hex.js'
import { encodeBatch, splitBatch } from './batch.js'
import type { Candidate } from './entries.js'
import { Slab } from './slab.js'
import { Turns } from './turns.js'

/**
 * Batches that wait for a verdict: as many transactions as a node checks in some seconds, where they are signed. What is more is ignored:
 * it would be late, and its room in memory is not worth it.
 */
export const INBOX_LIMITS = {
  messages: 1_024,
  bytes: 16 * 1_048_576,
  messagesPerPeer: 256,
  bytesPerPeer: 4 * 1_048_576
}
/** Transactions that are being checked at once, of all peers; a batch that is larger goes alone. */
const MAX_CHECKING = 512
const ID_BYTES = 32

export interface InboxInit<Tx> {
  /** A transaction's largest size. */
  txBytes: number
  /** Pooled, or in a late block: nothing need be done about it. Keys are hex. */
  isKnown(key: string): boolean
  /** Bytes of one that is pooled. */
  get(key: string): Uint8Array | undefined
  check(list: Uint8Array[], ids: Uint8Array[]): CheckedTx<Tx>[] | Promise<CheckedTx<Tx>[]>
  /** Tries them in order on the state, and pools those that it admits: one verdict each. */
  admit(entries: Candidate<Tx>[]): Promise<Verdict[]>
  /** Sends a batch that nobody sent us. */
  pass(batch: Uint8Array): void
}

/** A batch of which something is new. */
interface Arrival {
  readonly peer: string
  /** Keys of all its transactions, in their order. */
  readonly keys: string[]
  readonly fresh: { key: string; id: Uint8Array; bytes: Uint8Array }[]
  settle(verdict: Verdict): void
}

/**
 * Judges batches from others. What is known is seen by its hash, before anything is decoded; of what is new only so much is checked at
 * once, and each peer's batches wait for their own turn. All that waits is bounded by the topic, which counts it until it is judged.
 */
export class Inbox<Tx> {
  readonly #waiting = new Turns<Arrival>()
  readonly #slab = new Slab()
  #checking = 0

  constructor(private readonly init: InboxInit<Tx>) {}

  /** The verdict of a whole batch: it is forwarded as it came, or not at all. */
  judge({ data, from }: TopicMessage): Verdict | Promise<Verdict> {
    let views: Uint8Array[]
    try {
      views = splitBatch(data, this.init.txBytes)
    } catch (err) {
      return reject((err as Error).name === 'TooLargeBytesError' ? 'too-large' : 'malformed', (err as Error).message)
    }
    const ids = leafHashes(views)
    const keys = toHexes(ids, ID_BYTES)
    const fresh: Arrival['fresh'] = []
    const seen = new Set<string>()
    for (const [i, key] of keys.entries()) {
      if (seen.has(key) || this.init.isKnown(key)) continue
      seen.add(key)
      // a view would keep the whole message alive as long as it is pooled
      const id = new Uint8Array(ID_BYTES)
      id.set(ids.subarray(ID_BYTES * i, ID_BYTES * (i + 1)))
      fresh.push({ key, id, bytes: this.#slab.copy(views[i]!) })
    }
    if (fresh.length === 0) return ignore('known')
    return new Promise((settle) => {
      const arrival = { peer: from.toString(), keys, fresh, settle }
      if (this.#waiting.empty && this.#checking < MAX_CHECKING) this.#begin(arrival, false)
      else this.#waiting.put(arrival)
    })
  }

  /** What waits gets its verdict. */
  clear(): void {
    for (const arrival of this.#waiting.clear()) arrival.settle(ignore('error', 'the pool is not started'))
  }

  #begin(arrival: Arrival, waited: boolean): void {
    const { length } = arrival.fresh
    this.#checking += length
    void this.#process(arrival, waited)
      .catch(() => ignore('error'))
      .then((verdict) => {
        this.#checking -= length
        arrival.settle(verdict)
        while (!this.#waiting.empty && this.#checking < MAX_CHECKING) this.#begin(this.#waiting.take()!, true)
      })
  }

  async #process({ peer, keys, fresh }: Arrival, waited: boolean): Promise<Verdict> {
    const { init } = this
    // some of it may have come another way while it waited
    const open = waited ? fresh.filter(({ key }) => !init.isKnown(key)) : fresh
    const checking = init.check(
      open.map(({ bytes }) => bytes),
      open.map(({ id }) => id)
    )
    const checked = Array.isArray(checking) ? checking : await checking
    const entries: Candidate<Tx>[] = []
    let refused: Verdict | undefined
    for (const [i, { verdict, tx }] of checked.entries()) {
      if (verdict.result === 'reject') return verdict
      const { key, id, bytes } = open[i]!
      if (verdict.result === 'accept') entries.push({ key, id, bytes, tx: tx as Tx, source: peer })
      else refused ??= verdict
    }
    const verdicts = entries.length === 0 ? [] : await init.admit(entries)
    let admitted = 0
    for (const verdict of verdicts) {
      if (verdict.result === 'accept') admitted++
      // one that came another way meanwhile is no reason to hold the batch back
      else if (verdict.result !== 'ignore' || verdict.reason !== 'known') refused ??= verdict
    }
    if (refused == null) return admitted > 0 ? ACCEPT : ignore('known')
    if (admitted > 0) this.#passOn(keys)
    return refused
  }

  /**
   * The part of a batch that is pooled here now, whatever of it was before, in the batch's order: neighbours that see the same send the
   * same bytes, which gossip takes for one message.
   */
  #passOn(keys: string[]): void {
    const pooled = keys.map((key) => this.init.get(key)).filter((bytes) => bytes != null)
    if (pooled.length > 0) this.init.pass(encodeBatch(pooled))
  }
}
