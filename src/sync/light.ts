import type { Logger, PeerId } from '@libp2p/interface'
import { type BaseHeader, type Located, txId, type Verdict, verifyMerkleProof } from '../chain/index.js'
import type { Clock } from '../clock.js'
import { type BusyError, ConfigError, MalformedError, ProofUnavailableError, TimeoutError } from '../errors.js'
import { equalBytes, toHex } from '../hex.js'
import { TxProof } from '../pb/sync.js'
import type { Changes } from './changes.js'
import { MAX_PATH } from './limit.js'
import type { Neighbours } from './neighbours.js'
import type { Planner } from './planner.js'
import type { SyncBlock, SyncChain } from './port.js'
import type { Requester } from './requester.js'
import type { Source } from './source.js'
import type { TxServer } from './tx-server.js'

/** How long one peer may take over a proof before the next is asked. */
const PROOF_MS = 10_000
/** A peer that is busy is asked so often, and waited for so long at most, whatever it says. */
const MAX_BUSY = 3
const MAX_BUSY_MS = 10_000
/** Peers asked for one transaction: names cost nothing, and so do peers that have it not. */
const MAX_ASKED = 32
/** The chain may move to another block at the height asked for so often. */
const MAX_MOVES = 3

/** Which transaction, and where: in the block of this hash, in that of this height, or wherever it is. */
export interface LightQuery {
  /** Its ID, 32 bytes. */
  tx: Uint8Array
  /** Hash of a block of the head chain, 32 bytes. */
  block?: Uint8Array
  /** Or its height. Without either only nodes with `txIndex` are asked. */
  height?: number
}

/** A transaction of the chain that we follow. */
export interface Included<Header extends BaseHeader = BaseHeader, Tx = unknown> {
  id: Uint8Array
  tx: Tx
  bytes: Uint8Array
  /**
   * Its place among the block's transactions, and how many these are. They belong together, but no header commits to the number: take
   * them for what the peer says. That it is in the block is proven, and so is the index 0.
   */
  index: number
  count: number
  block: Located<Header>
  /** 1: `block` is the head. */
  depth: number
  /** Who gave it; absent where it came from our own store. */
  from?: PeerId
}

/** Single transactions, with a proof that their block holds them. */
export interface Light<Header extends BaseHeader = BaseHeader, Tx = unknown> {
  /**
   * Gets a transaction from a full peer and checks the proof against the header that we have; from our own store where we keep blocks.
   * Asks one peer after the other: who has it not, is too slow (10 s) or lies is passed over, and who lies is charged. What is proven
   * is that the block holds it. That the state admits it is not: a light node follows the most work, as its full peers do who check.
   *
   * @throws ProofUnavailableError when the block is not on the head chain, or nobody could prove it: the message says why. ConfigError
   * for a query that makes no sense. The reason of `signal`, and an error when the node stops
   */
  get(query: LightQuery, options?: { signal?: AbortSignal }): Promise<Included<Header, Tx>>
}

/** What came of asking one peer. */
type Outcome = { found: Found } | { failed: string } | { busyMs: number }

interface Found {
  proof: TxProof
  block: SyncBlock
  tx: unknown
  from?: PeerId
}

export class LightClient implements Light {
  constructor(
    private readonly chain: SyncChain,
    private readonly planner: Planner,
    private readonly requester: Requester,
    private readonly neighbours: Neighbours,
    private readonly log: Logger,
    private readonly clock: Clock,
    private readonly changes: Changes,
    private readonly evaluate: () => void,
    private readonly own: TxServer,
    private readonly run: AbortSignal
  ) {}

  async get(query: LightQuery, options: { signal?: AbortSignal } = {}): Promise<Included> {
    checkQuery(query)
    const signal = options.signal == null ? this.run : AbortSignal.any([options.signal, this.run])
    for (let move = 0; ; move++) {
      signal.throwIfAborted()
      const place = this.#place(query)
      const found = (await this.#own(query, place)) ?? (await this.#ask(query.tx, place, signal))
      const { block } = found
      // a reorganisation may have come while we asked
      if (this.#isMain(block)) return this.#included(found)
      if (query.block != null || move === MAX_MOVES)
        throw new ProofUnavailableError(toHex(query.tx), `block ${block.height} has left the head chain meanwhile`)
    }
  }

  /** The block that is meant, on the head chain. */
  #place({ tx, block, height }: LightQuery): SyncBlock | undefined {
    if (block == null && height == null) return undefined
    const hash = block ?? this.chain.hashAt(height!)
    const at = hash == null ? undefined : this.chain.locate(hash)
    if (at != null && this.#isMain(at)) return at
    const name = block == null ? `no block ${height}` : `not block ${toHex(block).slice(0, 16)}`
    throw new ProofUnavailableError(toHex(tx), `the head chain, at height ${this.chain.head.height}, has ${name}`)
  }

  /** From our own store, where we keep blocks: what is not there is nowhere. */
  async #own({ tx }: LightQuery, place: SyncBlock | undefined): Promise<Found | undefined> {
    if (this.chain.bodies === false || (place == null && this.chain.txIndex !== true)) return undefined
    const places = place == null ? ((await this.chain.findTx?.(tx)) ?? []) : [place]
    for (const block of places) {
      const proof = await this.own.prove(block, tx)
      if (proof == null) continue
      // a copy: it would keep the whole block, and is the caller's to change
      proof.tx = proof.tx.slice()
      return { proof, block, tx: this.#decoded(proof.tx, block) }
    }
    const why = place == null ? 'no block of the head chain holds it' : `block ${place.height} does not hold it`
    throw new ProofUnavailableError(toHex(tx), why)
  }

  async #ask(id: Uint8Array, place: SyncBlock | undefined, signal: AbortSignal): Promise<Found> {
    const failures: string[] = []
    const asked = new Set<string>()
    const busy = new Map<string, { times: number; until: number }>()
    for (;;) {
      signal.throwIfAborted()
      const now = this.clock.now()
      const left = this.#candidates(place).filter((source) => !asked.has(source.id))
      if (left.length === 0 || failures.length === MAX_ASKED)
        throw new ProofUnavailableError(toHex(id), this.#why(place, failures))
      const source = left.find((each) => (busy.get(each.id)?.until ?? 0) <= now && this.planner.take(each.id))
      if (source == null) {
        const next = Math.min(...left.map((each) => busy.get(each.id)?.until ?? Number.POSITIVE_INFINITY))
        const cancel = next > now && Number.isFinite(next) ? this.clock.after(next - now, this.changes.wake) : undefined
        await this.changes.next(signal)
        cancel?.()
        continue
      }
      const outcome = await this.#from(source, id, place, signal).finally(() => {
        this.planner.free(source.id)
        this.evaluate()
      })
      if ('found' in outcome) return outcome.found
      const times = (busy.get(source.id)?.times ?? 0) + 1
      if ('busyMs' in outcome && times < MAX_BUSY)
        busy.set(source.id, { times, until: now + Math.min(outcome.busyMs, MAX_BUSY_MS) })
      else {
        asked.add(source.id)
        failures.push('busyMs' in outcome ? 'busy' : outcome.failed)
      }
    }
  }

  /** Full peers that should have it, the best first. */
  #candidates(place: SyncBlock | undefined): Source[] {
    const able = [...this.planner.sources.values()].filter(({ role, claim, lowest, txIndex }) => {
      if (role !== 'full' || claim == null) return false
      return place == null ? txIndex : lowest <= place.height
    })
    const behind = ({ claim }: Source): number => (place != null && claim!.height < place.height ? 1 : 0)
    return able.sort((a, b) => behind(a) - behind(b) || a.fails - b.fails || a.inFlight - b.inFlight)
  }

  #why(place: SyncBlock | undefined, failures: string[]): string {
    const full = [...this.planner.sources.values()].filter(({ role }) => role === 'full').length
    if (failures.length > 0) {
      const counts = new Map<string, number>()
      for (const failure of failures) counts.set(failure, (counts.get(failure) ?? 0) + 1)
      const list = [...counts].map(([failure, count]) => `${count} ${failure}`).join(', ')
      return `of ${failures.length} peers asked: ${list}`
    }
    if (full === 0) return 'no full peer is connected'
    return place == null
      ? `none of ${full} full peers keeps an index of transactions: name its block or height`
      : `none of ${full} full peers serves block ${place.height}`
  }

  async #from(source: Source, id: Uint8Array, place: SyncBlock | undefined, signal: AbortSignal): Promise<Outcome> {
    const status = this.neighbours.peer(source.id)
    if (status == null) return { failed: 'gone' }
    const { peer, connection } = status
    const late = new AbortController()
    const cancel = this.clock.after(PROOF_MS, () => late.abort(new TimeoutError(`no proof within ${PROOF_MS} ms`)))
    try {
      const asked = { peer, connection, signal: AbortSignal.any([signal, late.signal]) }
      const proof = decodeProof(await this.requester.proof(asked, place?.hash, id))
      this.neighbours.heard(peer)
      return this.#judge(peer, proof, id, place)
    } catch (err) {
      signal.throwIfAborted()
      if (err instanceof ProofUnavailableError) throw err
      this.log.trace('proof from %p failed - %e', peer, err)
      this.neighbours.failed(peer, err)
      const { name } = err as Error
      if (name === 'BusyError') return { busyMs: (err as BusyError).retryMs }
      if (name !== 'NotFoundError') source.rest(this.clock.now())
      return { failed: name === 'NotFoundError' ? 'has it not' : `failed (${name})` }
    } finally {
      cancel()
    }
  }

  /** Whoever sends a proof can check it: one that is wrong is a lie. */
  #judge(peer: PeerId, proof: TxProof, id: Uint8Array, place: SyncBlock | undefined): Outcome {
    const forged = (reason: string): Outcome => {
      this.neighbours.fault(peer, 'provable', `a forged proof: ${reason}`)
      return { failed: 'lied' }
    }
    if (place != null && !equalBytes(proof.block, place.hash)) return forged('it is of another block')
    const block = place ?? this.chain.locate(proof.block)
    if (!equalBytes(txId(proof.tx), id)) return forged('it is of another transaction')
    // he may be ahead of us, or on another branch
    if (block == null || !this.#isMain(block)) return { failed: 'has it in a block that is not on our head chain' }
    const { index, count, path } = proof
    if (!verifyMerkleProof({ leaf: id, index, size: count, path }, block.header.root))
      return forged('it does not lead to the root in the header')
    this.neighbours.useful(peer)
    return { found: { proof, block, tx: this.#decoded(proof.tx, block), from: peer } }
  }

  /** @throws ProofUnavailableError: it is in the block, and our rules refuse it, so that the block cannot be valid */
  #decoded(bytes: Uint8Array, { height }: SyncBlock): unknown {
    const { verdict, tx }: { verdict: Verdict; tx?: unknown } = this.chain.checkTx?.(bytes) ?? {
      verdict: { result: 'accept' }
    }
    if (verdict.result === 'accept') return tx
    const why = `${verdict.reason}${verdict.detail == null ? '' : `: ${verdict.detail}`}`
    throw new ProofUnavailableError(
      toHex(txId(bytes)),
      `block ${height} holds it, but our rules refuse it (${why}): that block is not valid`
    )
  }

  #included({ proof, block, tx, from }: Found): Included {
    return {
      id: txId(proof.tx),
      tx,
      bytes: proof.tx,
      index: proof.index,
      count: proof.count,
      block: block as Located<BaseHeader>,
      depth: this.chain.head.height - block.height + 1,
      ...(from == null ? {} : { from })
    }
  }

  #isMain({ hash, height }: { hash: Uint8Array; height: number }): boolean {
    const main = this.chain.hashAt(height)
    return main != null && equalBytes(main, hash)
  }
}

/** @throws MalformedError */
function decodeProof(bytes: Uint8Array): TxProof {
  try {
    // a copy: what is kept of it would keep the whole frame
    return TxProof.decode(bytes.slice(), { limits: { path: MAX_PATH } })
  } catch (err) {
    throw new MalformedError(`proof: ${(err as Error).message}`, err)
  }
}

/** @throws ConfigError */
function checkQuery({ tx, block, height }: LightQuery): void {
  for (const [option, hash] of Object.entries({ tx, ...(block == null ? {} : { block }) })) {
    if (!(hash instanceof Uint8Array && hash.length === 32))
      throw new ConfigError(
        option,
        `${hash instanceof Uint8Array ? `${hash.length} bytes` : typeof hash}, not 32 bytes`
      )
  }
  if (block != null && height != null) throw new ConfigError('height', 'goes with no block: name one of them')
  if (height != null && !(Number.isSafeInteger(height) && height >= 0))
    throw new ConfigError('height', `${height} is not a height`)
}
