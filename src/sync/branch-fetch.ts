import type { Logger, PeerId } from '@libp2p/interface'
import type { Verdict } from '../chain/index.js'
import { NotFoundError } from '../errors.js'
import { toHex } from '../hex.js'
import { takePlace } from './block-fetch.js'
import type { Changes } from './changes.js'
import { BRANCH_GAP } from './limit.js'
import type { Neighbours } from './neighbours.js'
import type { Planner } from './planner.js'
import type { SyncBlock, SyncChain } from './port.js'
import type { Asked, Requester } from './requester.js'

/** Branches fetched at once. */
const MAX_FETCHES = 16
/** Pages of headers for one. */
const MAX_PAGES = 10
/** Peers asked besides the one who sent the block. */
const MAX_OTHERS = 2

/** Fetches the parents of a block that came without them, from who sent it and then from others. */
export class BranchFetch {
  #running = 0

  constructor(
    private readonly chain: SyncChain,
    private readonly planner: Planner,
    private readonly requester: Requester,
    private readonly neighbours: Neighbours,
    private readonly log: Logger,
    private readonly evaluate: () => void,
    private readonly changes: Changes
  ) {}

  async fetch(hash: Uint8Array, from: PeerId, signal: AbortSignal): Promise<boolean> {
    if (this.#here(hash)) return true
    if (this.#running >= MAX_FETCHES) return false
    this.#running++
    try {
      for (const id of this.#candidates(from.toString())) {
        if (signal.aborted || this.chain.has(hash) === 'invalid') break
        const outcome = await this.#from(id, hash, signal)
        if (outcome === true) return true
        if (outcome === 'denied' && id === from.toString()) {
          // he had its header when he passed on what stands on it; others would be asked for whatever he makes up
          this.neighbours.fault(from, 'quality', 'it does not know the parent of a block that it sent')
          break
        }
      }
      return this.#here(hash)
    } finally {
      this.#running--
    }
  }

  #candidates(from: string): string[] {
    const others = [...this.planner.sources.values()].filter((source) => source.full && source.id !== from)
    others.sort((a, b) => a.fails - b.fails || (a.claim!.work > b.claim!.work ? -1 : 1))
    return [from, ...others.slice(0, MAX_OTHERS).map(({ id }) => id)]
  }

  /** `denied`: it answered, and knows of no such block. */
  async #from(id: string, hash: Uint8Array, signal: AbortSignal): Promise<boolean | 'denied'> {
    if (!(await takePlace(this.planner, this.changes, id, signal))) return false
    try {
      const status = this.neighbours.peer(id)
      if (status == null) return false
      const asked = { peer: status.peer, connection: status.connection, signal }
      const denied = await this.#headers(asked, hash)
      if (this.chain.has(hash) == null) return denied ? 'denied' : false
      const path = this.#path(hash)
      if (path != null) {
        if (path.length > 0) await this.#bodies(asked, path)
        return this.#here(hash)
      }
    } finally {
      this.planner.free(id)
      this.planner.changed()
      this.evaluate()
    }
    // too far for a single request: the window fetches it, if it leads anywhere
    while (!signal.aborted && this.chain.has(hash) === 'header') await this.changes.next(signal)
    return this.#here(hash)
  }

  /** Headers from where our chains meet up to `hash`. True when it said that it has none such. */
  async #headers(asked: Asked, hash: Uint8Array): Promise<boolean> {
    let last: SyncBlock | undefined
    try {
      for (let page = 0; page < MAX_PAGES && this.chain.has(hash) == null; page++) {
        const before = last?.height ?? -1
        const pages = this.requester.headers(asked, this.chain.locator(last), hash)
        let next = await pages.next()
        for (; !next.done; next = await pages.next()) {
          last = next.value.last ?? last
          const { verdict } = next.value
          if (verdict.result === 'ignore' && verdict.reason === 'unknown-parent') {
            this.neighbours.fault(asked.peer, 'protocol', 'headers that link to nothing')
            return false
          }
          if (!besideHisChain(verdict)) this.neighbours.judge(asked.peer, verdict, 'headers')
          // ours refused it, or could not take it: that is told already, or not his fault
          if (verdict.result !== 'accept') return false
        }
        if (!next.value) return true
        if (last == null || last.height <= before) return false
      }
    } catch (err) {
      if (err instanceof NotFoundError) return true
      this.#failed(asked, err)
    }
    return false
  }

  async #bodies(asked: Asked, path: SyncBlock[]): Promise<void> {
    const received: Uint8Array[] = []
    try {
      const pages = this.requester.bodies(asked, path, 'hashes')
      for (let next = await pages.next(); !next.done; next = await pages.next()) {
        for (const { key, bytes } of next.value) {
          if (key != null && key !== toHex(path[received.length]!.hash)) {
            this.neighbours.fault(asked.peer, 'protocol', 'a block that was not asked for')
            return
          }
          received.push(bytes)
        }
      }
    } catch (err) {
      this.#failed(asked, err)
    }
    if (received.length === 0 || asked.signal.aborted) return
    try {
      const { verdict } = await this.chain.addBlocks(received, { signal: asked.signal })
      if (!besideHisChain(verdict)) this.neighbours.judge(asked.peer, verdict, 'sync')
    } catch (err) {
      if (!asked.signal.aborted) this.log.error('could not import a branch - %e', err)
    }
  }

  #failed({ peer, signal }: Asked, err: unknown): void {
    if (signal.aborted) return
    this.log.trace('branch of %p failed - %e', peer, err)
    this.neighbours.failed(peer, err)
  }

  /** The blocks without a body up to `hash`, ascending; undefined when there are too many. */
  #path(hash: Uint8Array): SyncBlock[] | undefined {
    const path: SyncBlock[] = []
    for (let at = this.chain.locate(hash); at != null; at = this.chain.locate(at.header.parent)) {
      if (this.#here(at.hash)) break
      if (path.length === BRANCH_GAP) return undefined
      path.push(at)
    }
    return path.reverse()
  }

  #here(hash: Uint8Array): boolean {
    const here = this.chain.has(hash)
    return here === 'body' || here === 'valid'
  }
}

const BESIDE = new Set(['state', 'known-invalid', 'checkpoint'])

/**
 * A bad state is not his fault, nor what stands on it: he has it beside his chain perhaps, and never applied it. Nor does he know what
 * checkpoints we have passed.
 */
function besideHisChain(verdict: Verdict): boolean {
  return verdict.result === 'reject' && BESIDE.has(verdict.reason)
}
