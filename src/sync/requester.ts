import type { Connection, PeerId } from '@libp2p/interface'
import { beginsWith, splitBlock } from '../chain/index.js'
import { MalformedError } from '../errors.js'
import { sha256 } from '../hash.js'
import { toHex } from '../hex.js'
import type { SyncRequest } from '../pb/sync.js'
import type { Answer } from '../protocol/index.js'
import { gathered } from './gathered.js'
import { type Take, takeBranch } from './header-intake.js'
import type { HeadersPage } from './header-phase.js'
import { encodeIndexes } from './indexes.js'
import { MAX_HEADERS } from './limit.js'
import type { Neighbours } from './neighbours.js'
import type { SyncBlock, SyncChain } from './port.js'
import type { Place } from './source.js'
import type { Received } from './window.js'
import { onWire, type SyncProtocol } from './wire.js'

/** Who is asked, and who is told that an answer came from there. */
export interface Asked {
  peer: PeerId
  connection: Connection
  signal: AbortSignal
}

/** Makes requests of `sync/1`. Throws what the protocol throws; judges nothing. */
export class Requester {
  constructor(
    private readonly chain: SyncChain,
    private readonly protocol: SyncProtocol,
    private readonly neighbours: Neighbours
  ) {}

  /** Headers after the locator, each page as `take` took it. Stops at the first that it does not take. Returns whether there are more. */
  async *headers(
    asked: Asked,
    locator: Uint8Array[],
    stop?: Uint8Array,
    take: Take = (items) => takeBranch(this.chain, items)
  ): AsyncGenerator<HeadersPage<SyncBlock>, boolean> {
    const answer = this.#request(asked, {
      headers: { locator: onWire(locator), limit: MAX_HEADERS, stop: onWire([stop ?? new Uint8Array()])[0]! }
    })
    for await (const items of gathered(answer)) {
      this.neighbours.heard(asked.peer)
      let bytes = 0
      for (const item of items) bytes += item.length
      const taken = await take(items)
      yield { count: items.length, bytes, ...taken }
      if (taken.verdict.result !== 'accept') return false
    }
    return answer.more
  }

  /** Bodies in the order asked, as they come. Returns whether the server stopped before the end. */
  async *bodies(asked: Asked, places: Place[], by: 'range' | 'hashes'): AsyncGenerator<Received[], boolean> {
    const answer = this.#request(
      asked,
      by === 'range'
        ? { range: { from: places[0]!.height, to: places.at(-1)!.height } }
        : { blocks: { hashes: onWire(places.map(({ hash }) => hash)) } }
    )
    let next = 0
    for await (const items of answer) {
      this.neighbours.heard(asked.peer)
      yield items.map((bytes) => this.#received(places[next++], bytes))
    }
    return answer.more
  }

  /** Transactions of a block by their places, ascending, as they come. */
  txs(asked: Asked, block: Uint8Array, indexes: number[]): AsyncIterable<Uint8Array[]> {
    const [hash] = onWire([block])
    return this.#request(asked, { txs: { block: hash!, indexes: encodeIndexes(indexes) } })
  }

  /** The answer to a request for a proof, as it came. `block`: undefined asks for it wherever it is. */
  async proof(asked: Asked, block: Uint8Array | undefined, id: Uint8Array): Promise<Uint8Array> {
    const [hash, tx] = onWire([block ?? new Uint8Array(), id])
    let proof: Uint8Array | undefined
    for await (const items of this.#request(asked, { proof: { block: hash!, tx: tx! } })) proof ??= items[0]
    if (proof == null) throw new MalformedError('an answer without a proof')
    return proof
  }

  #request({ connection, signal }: Asked, request: SyncRequest): Answer<Uint8Array> {
    return this.protocol.request(connection, this.chain.id, request, { signal })
  }

  /** A block whose header has the bytes that were asked for need not be hashed. */
  #received(place: Place | undefined, block: Uint8Array): Received {
    if (place?.bytes != null && beginsWith(block, place.bytes)) return { bytes: block }
    let header: Uint8Array
    try {
      header = splitBlock(block, this.chain.limits).header
    } catch {
      return { key: '', bytes: block }
    }
    return { key: toHex(hashHeader(this.chain, header)), bytes: block }
  }
}

/** Hash of header bytes by the chain's rules. */
export function hashHeader(chain: SyncChain, header: Uint8Array): Uint8Array {
  return chain.rules.hash?.(header) ?? sha256(header)
}
