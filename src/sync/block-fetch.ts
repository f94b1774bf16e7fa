import type { Logger, PeerId } from '@libp2p/interface'
import { merkleRoot, reject, splitBlock, txIds } from '../chain/index.js'
import { equalBytes, toHex } from '../hex.js'
import type { Changes } from './changes.js'
import { MAX_TXS } from './limit.js'
import type { Neighbours } from './neighbours.js'
import type { Planner } from './planner.js'
import type { SyncChain } from './port.js'
import type { Asked, Requester } from './requester.js'

/** Takes one of a peer's places as soon as one is free. False when it is gone, or nobody waits any more. Whoever has one must free it. */
export async function takePlace(planner: Planner, changes: Changes, id: string, signal: AbortSignal): Promise<boolean> {
  while (!planner.take(id)) {
    if (signal.aborted || !planner.sources.has(id)) return false
    await changes.next(signal)
  }
  return true
}

/** Single requests for what of one block is missing. Throws nothing for what peers do: they are charged, and the answer ends. */
export class BlockFetch {
  constructor(
    private readonly chain: SyncChain,
    private readonly planner: Planner,
    private readonly requester: Requester,
    private readonly neighbours: Neighbours,
    private readonly log: Logger,
    private readonly evaluate: () => void,
    private readonly changes: Changes
  ) {}

  /** Those who say that it is their head, then the others that serve blocks; those who failed least first. */
  holders(hash: Uint8Array): PeerId[] {
    const key = toHex(hash)
    const has = (id: string): number => {
      const head = this.neighbours.peer(id)?.head?.hash
      return head != null && toHex(head) === key ? 0 : 1
    }
    const sources = [...this.planner.sources.values()].filter(({ full }) => full)
    sources.sort((a, b) => has(a.id) - has(b.id) || a.fails - b.fails)
    return sources.map(({ id }) => this.neighbours.peer(id)?.peer).filter((peer) => peer != null)
  }

  async *txs(hash: Uint8Array, indexes: number[], from: PeerId, signal: AbortSignal): AsyncGenerator<Uint8Array[]> {
    const asked = await this.#begin(from, signal)
    if (asked == null) return
    try {
      for await (const txs of this.requester.txs(asked, hash, indexes.slice(0, MAX_TXS))) {
        this.neighbours.heard(from)
        yield txs
      }
    } catch (err) {
      this.#failed(asked, err)
    } finally {
      this.#end(from)
    }
  }

  async block(
    { hash, root }: { hash: Uint8Array; root: Uint8Array },
    from: PeerId,
    signal: AbortSignal
  ): Promise<Uint8Array | undefined> {
    const asked = await this.#begin(from, signal)
    if (asked == null) return undefined
    try {
      const place = { hash, height: 0 }
      for await (const [received] of this.requester.bodies(asked, [place], 'hashes')) {
        if (received == null) continue
        if (received.key !== toHex(hash)) {
          this.neighbours.fault(from, 'protocol', 'a block that was not asked for')
          return undefined
        }
        if (this.#hasRoot(received.bytes, root)) return received.bytes.slice()
        this.neighbours.judge(from, reject('root', 'the transactions have another Merkle root'), 'sync')
      }
    } catch (err) {
      this.#failed(asked, err)
    } finally {
      this.#end(from)
    }
    return undefined
  }

  #hasRoot(block: Uint8Array, root: Uint8Array): boolean {
    try {
      const { txs } = splitBlock(block, this.chain.limits)
      return equalBytes(merkleRoot(txIds(txs)), root)
    } catch {
      return false
    }
  }

  async #begin(from: PeerId, signal: AbortSignal): Promise<Asked | undefined> {
    const id = from.toString()
    if (!(await takePlace(this.planner, this.changes, id, signal))) return undefined
    const status = this.neighbours.peer(id)
    if (status != null) return { peer: status.peer, connection: status.connection, signal }
    this.#end(from)
    return undefined
  }

  #end(from: PeerId): void {
    this.planner.free(from.toString())
    this.evaluate()
  }

  #failed({ peer, signal }: Asked, err: unknown): void {
    if (signal.aborted) return
    this.log.trace('%p did not give what of a block is missing - %e', peer, err)
    this.neighbours.failed(peer, err)
  }
}
