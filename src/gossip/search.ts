import type { Logger, PeerId } from '@libp2p/interface'
import { fromHex } from '../hex.js'

/** Who can fetch what is missing. */
export interface BlocksSync {
  /** True when the block `hash` has its body here afterwards. */
  fetchBranch(hash: Uint8Array, from: PeerId, options: { signal: AbortSignal }): Promise<boolean>
}

/** Peers that are asked for one missing block, one after the other. */
const MAX_ASKED = 8

interface Search {
  readonly asked: Set<string>
  readonly next: PeerId[]
  readonly abort: AbortController
  running: boolean
}

/** Looks for missing blocks: each once of each peer that handed us a descendant. As many at once as blocks are missing. */
export class Searches {
  readonly #searches = new Map<string, Search>()

  constructor(
    private readonly sync: BlocksSync,
    /** A search for this block (hex) has come to its end, whatever came of it. */
    private readonly ended: (missing: string) => void,
    private readonly log: Logger
  ) {}

  get size(): number {
    return this.#searches.size
  }

  ask(missing: string, from: PeerId): void {
    let search = this.#searches.get(missing)
    if (search == null) {
      search = { asked: new Set(), next: [], abort: new AbortController(), running: false }
      this.#searches.set(missing, search)
    }
    const peer = from.toString()
    if (search.asked.has(peer) || search.asked.size >= MAX_ASKED) return
    search.asked.add(peer)
    search.next.push(from)
    if (!search.running) void this.#run(missing, search)
  }

  /** Nothing needs this block any more. */
  end(missing: string): void {
    this.#searches.get(missing)?.abort.abort()
    this.#searches.delete(missing)
  }

  stop(): void {
    for (const missing of [...this.#searches.keys()]) this.end(missing)
  }

  async #run(missing: string, search: Search): Promise<void> {
    const { signal } = search.abort
    search.running = true
    for (let from = search.next.shift(); from != null && !signal.aborted; from = search.next.shift()) {
      try {
        if (await this.sync.fetchBranch(fromHex(missing), from, { signal })) break
      } catch (err) {
        if (!signal.aborted) this.log('could not fetch %s from %p - %e', missing, from, err)
      }
    }
    search.running = false
    if (!signal.aborted) this.ended(missing)
  }
}
