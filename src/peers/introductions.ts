import type { Connection, PeerId } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../clock.js'
import { BusyError, MalformedError, type PeerError } from '../errors.js'
import { PeersRequest } from '../pb/peers.js'
import { defineProtocol, type Protocol, type RequestContext, rawBytes } from '../protocol/index.js'
import { MAX_RECORD_BYTES, type OpenRecord, openRecord } from './record.js'
import { inScope } from './scope.js'

// docs/wire.md, section 2
export const MAX_INTRODUCTIONS = 32
/** Least time between two requests of one peer. */
export const INTRODUCTION_MS = 10_000
/** We leave a little more, so that clocks which differ by a tick do not earn us a Busy. */
const ASK_AGAIN_MS = 11_000
/** Longest time between two questions while we want more peers. */
const SLOWEST_MS = 180_000
const MAX_RECORDS = 1000
const MAX_ADDRESSES = 8

export interface IntroductionsInit {
  clock: Clock
  random: () => number
  registrar: Registrar
  /** The chain's name in protocol IDs. */
  chain: string
  /** Whether a peer is worth being introduced: 2 connected, 1 seen a short while ago, 0 not. */
  rank(id: string): 0 | 1 | 2
  onFault(peer: PeerId, err: PeerError): void
  onError(err: unknown): void
}

/** Peers introduce each other: `peers/1`. Owns the records that peers gave us of themselves; they are all that is passed on. */
export class Introductions {
  readonly #init: IntroductionsInit
  readonly #protocol: Protocol<PeersRequest, Uint8Array>
  readonly #records = new Map<string, { bytes: Uint8Array; addresses: readonly Multiaddr[] }>()
  /** When each peer last asked us, and we it. */
  readonly #askedUs = new Map<string, number>()
  readonly #asked = new Map<string, number>()
  #waitMs = INTRODUCTION_MS
  #nextAt = 0

  constructor(init: IntroductionsInit) {
    this.#init = init
    this.#protocol = defineProtocol<PeersRequest, Uint8Array>({
      name: 'peers/1',
      request: { encode: (request) => PeersRequest.encode(request), decode: decodeRequest },
      item: rawBytes,
      limits: {
        requestBytes: 16,
        itemBytes: MAX_RECORD_BYTES,
        items: (request) => request.limit,
        answerBytes: MAX_INTRODUCTIONS * MAX_RECORD_BYTES,
        totalMs: 10_000,
        inbound: 2,
        outbound: 2
      },
      clock: init.clock
    })
  }

  /** The protocol's ID on this chain. */
  get id(): string {
    return this.#protocol.id(this.#init.chain)
  }

  /** Serves until the returned function is called. */
  serve(): Promise<() => Promise<void>> {
    const { registrar, chain, onFault, onError } = this.#init
    return this.#protocol.serve(registrar, chain, (request, context) => this.#answer(request, context), {
      onFault,
      onError
    })
  }

  /** Keeps the record that a peer gave of itself. */
  remember(id: string, bytes: Uint8Array, addresses: readonly Multiaddr[]): void {
    if (bytes.byteLength > MAX_RECORD_BYTES) return
    this.#records.delete(id)
    this.#records.set(id, { bytes, addresses })
    trim(this.#records, MAX_RECORDS)
  }

  /** Whether this peer gave us its record. */
  knows(id: string): boolean {
    return this.#records.has(id)
  }

  /** Somebody new is here: ask soon again. */
  hurry(): void {
    this.#waitMs = INTRODUCTION_MS
    this.#nextAt = Math.min(this.#nextAt, this.#init.clock.now() + INTRODUCTION_MS)
  }

  /** Whom of these to ask now, if anyone: one that was not asked lately, at random. Waits longer from time to time. */
  choose(ids: readonly string[]): string | undefined {
    const now = this.#init.clock.now()
    if (now < this.#nextAt) return undefined
    const rested = ids.filter((id) => this.mayAsk(id))
    if (rested.length === 0) return undefined
    this.#waitMs = Math.min(this.#waitMs * 1.5, SLOWEST_MS)
    this.#nextAt = now + this.#waitMs
    return rested[Math.floor(this.#init.random() * rested.length)]
  }

  mayAsk(id: string): boolean {
    const at = this.#asked.get(id)
    return at == null || this.#init.clock.now() - at >= ASK_AGAIN_MS
  }

  /**
   * Asks a peer whom it knows. Answers what its records say, addresses out of scope left out, each record checked. Throws a
   * PeerError, after which nothing of the answer is to be used.
   */
  async ask(connection: Connection, signal: AbortSignal): Promise<OpenRecord[]> {
    const { chain, clock } = this.#init
    const from = connection.remotePeer.toString()
    this.#asked.delete(from)
    this.#asked.set(from, clock.now())
    trim(this.#asked, MAX_RECORDS)
    const sealed: Uint8Array[] = []
    for await (const items of this.#protocol.request(connection, chain, { limit: MAX_INTRODUCTIONS }, { signal })) {
      // a view of a larger frame
      for (const item of items) sealed.push(item.slice())
    }
    const records: OpenRecord[] = []
    for (const bytes of sealed) {
      const record = await openRecord(bytes)
      const addresses = record.addresses
        .filter((address) => inScope(address, connection.remoteAddr))
        .slice(0, MAX_ADDRESSES)
      if (addresses.length > 0) records.push({ ...record, addresses })
    }
    return records
  }

  async *#answer(request: PeersRequest, { peer, connection }: RequestContext): AsyncGenerator<Uint8Array[]> {
    const { clock, random, rank } = this.#init
    const asker = peer.toString()
    const last = this.#askedUs.get(asker)
    const now = clock.now()
    if (last != null && now - last < INTRODUCTION_MS) throw new BusyError(INTRODUCTION_MS - (now - last))
    this.#askedUs.delete(asker)
    this.#askedUs.set(asker, now)
    trim(this.#askedUs, MAX_RECORDS)
    const chosen: { key: number; bytes: Uint8Array }[] = []
    for (const [id, { bytes, addresses }] of this.#records) {
      const ranked = id === asker ? 0 : rank(id)
      if (ranked === 0 || !addresses.some((address) => inScope(address, connection.remoteAddr))) continue
      chosen.push({ key: ranked + random() / 2, bytes })
    }
    chosen.sort((a, b) => b.key - a.key)
    yield chosen.slice(0, request.limit).map(({ bytes }) => bytes)
  }
}

function decodeRequest(bytes: Uint8Array): PeersRequest {
  const request = PeersRequest.decode(bytes)
  if (request.limit < 1 || request.limit > MAX_INTRODUCTIONS)
    throw new MalformedError(`limit ${request.limit} is not 1 to 32`)
  return request
}

/** Maps keep insertion order: the oldest go. */
function trim(map: Map<string, unknown>, size: number): void {
  for (const key of map.keys()) {
    if (map.size <= size) return
    map.delete(key)
  }
}
