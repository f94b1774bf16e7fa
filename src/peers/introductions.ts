import type { Connection, Logger, PeerId } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../clock.js'
import { BusyError, MalformedError, type PeerError } from '../errors.js'
import { PeersRequest } from '../pb/peers.js'
import { defineProtocol, type Protocol, type RequestContext, rawBytes } from '../protocol/index.js'
import { Rate } from '../rate.js'
import { MAX_RECORD_BYTES, type OpenRecord, openRecord } from './record.js'
import { inScope, reaches, type Scope, scopeOf } from './scope.js'

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
/** A newcomer is introduced to this many others, and no further. */
export const MAX_PASSED_ON = 3
/** Newcomers that one peer may introduce to us unasked: so many a second, on average over this time. One more is a fault. */
export const NEWCOMERS = { perSecond: 0.5, windowMs: 32_000 } as const
/** We stay at half of it, so that clocks which differ do not earn us a fault. */
const PASS_ON = { perSecond: NEWCOMERS.perSecond / 2, windowMs: NEWCOMERS.windowMs } as const
/** The same newcomer is not passed on again within this time. */
const PASSED_ON_MS = 3_600_000

export interface IntroductionsInit {
  clock: Clock
  random: () => number
  log: Logger
  registrar: Registrar
  /** The chain's name in protocol IDs. */
  chain: string
  /** Whether a peer is worth being introduced: 2 connected, 1 seen a short while ago, 0 not. */
  rank(id: string): 0 | 1 | 2
  /** Somebody introduced a newcomer to us, unasked. */
  onNewcomer(record: OpenRecord, from: Connection): void
  onFault(peer: PeerId, err: PeerError): void
  onError(err: unknown): void
}

/** Peers introduce each other: `peers/1`. Owns the records that peers gave us of themselves; they are all that is passed on. */
export class Introductions {
  readonly #init: IntroductionsInit
  readonly #protocol: Protocol<PeersRequest, Uint8Array>
  readonly #records = new Map<string, { bytes: Uint8Array; scopes: readonly Scope[] }>()
  /** When each peer last asked us, and we it. */
  readonly #askedUs = new Map<string, number>()
  readonly #asked = new Map<string, number>()
  /** When each newcomer was passed on, and how many each peer sent us and we it. */
  readonly #passed = new Map<string, number>()
  readonly #rates = { in: new Map<string, Rate>(), out: new Map<string, Rate>() }
  #waitMs = INTRODUCTION_MS
  #nextAt = 0

  constructor(init: IntroductionsInit) {
    this.#init = init
    this.#protocol = defineProtocol<PeersRequest, Uint8Array>({
      name: 'peers/1',
      request: { encode: (request) => PeersRequest.encode(request), decode: decodeRequest },
      item: rawBytes,
      limits: {
        requestBytes: MAX_RECORD_BYTES + 16,
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
    // a copy: what came is a view of all that came with it
    this.#records.set(id, { bytes: bytes.slice(), scopes: [...new Set(addresses.map(scopeOf))] })
    if (this.#records.size > MAX_RECORDS) this.#forgetOne()
  }

  /** Of those least worth being introduced the oldest: who comes and goes under ever new names does not push out those who stay. */
  #forgetOne(): void {
    let least: { id: string; rank: number } | undefined
    for (const id of this.#records.keys()) {
      const rank = this.#init.rank(id)
      if (least == null || rank < least.rank) least = { id, rank }
      if (rank === 0) break
    }
    if (least != null) this.#records.delete(least.id)
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
    const question = { limit: MAX_INTRODUCTIONS, newcomer: new Uint8Array() }
    for await (const items of this.#protocol.request(connection, chain, question, { signal })) {
      // a view of a larger frame
      for (const item of items) sealed.push(item.slice())
    }
    const records: OpenRecord[] = []
    for (const bytes of sealed) {
      const record = within(await openRecord(bytes), connection)
      if (record != null) records.push(record)
    }
    return records
  }

  /**
   * Introduces a newcomer, whose record we have, to a few of these, drawn at random. Not again within an hour, and nobody hears of more
   * newcomers than it must take. Answers to whom; throws nothing.
   */
  passOn(id: string, to: readonly Connection[], signal: AbortSignal): Promise<unknown>[] {
    const { clock, random, chain, log } = this.#init
    const now = clock.now()
    const record = this.#records.get(id)
    const last = this.#passed.get(id)
    if (record == null || (last != null && now - last < PASSED_ON_MS)) return []
    const chosen: Connection[] = []
    const shuffled = to.map((connection) => ({ connection, key: random() })).sort((a, b) => a.key - b.key)
    for (const { connection } of shuffled) {
      if (chosen.length === MAX_PASSED_ON) break
      const { remotePeer, remoteAddr } = connection
      const fits = record.scopes.some((scope) => reaches(scope, remoteAddr))
      if (fits && this.#mayTell('out', remotePeer.toString(), now)) chosen.push(connection)
    }
    if (chosen.length > 0) {
      this.#passed.delete(id)
      this.#passed.set(id, now)
      trim(this.#passed, MAX_RECORDS)
    }
    return chosen.map(async (connection) => {
      try {
        const request = { limit: 0, newcomer: record.bytes as Uint8Array<ArrayBuffer> }
        for await (const _ of this.#protocol.request(connection, chain, request, { signal }));
      } catch (err) {
        log('%s was not introduced to %p - %e', id, connection.remotePeer, err)
      }
    })
  }

  async *#answer(request: PeersRequest, { peer, connection }: RequestContext): AsyncGenerator<Uint8Array[]> {
    const { clock, random, rank, onNewcomer } = this.#init
    const asker = peer.toString()
    if (request.newcomer.length > 0) {
      if (!this.#mayTell('in', asker, clock.now())) throw new MalformedError('too many newcomers')
      const record = within(await openRecord(request.newcomer.slice()), connection)
      if (record != null) onNewcomer(record, connection)
      return
    }
    const last = this.#askedUs.get(asker)
    const now = clock.now()
    if (last != null && now - last < INTRODUCTION_MS) throw new BusyError(INTRODUCTION_MS - (now - last))
    this.#askedUs.delete(asker)
    this.#askedUs.set(asker, now)
    trim(this.#askedUs, MAX_RECORDS)
    const chosen: { key: number; bytes: Uint8Array }[] = []
    for (const [id, { bytes, scopes }] of this.#records) {
      const ranked = id === asker ? 0 : rank(id)
      if (ranked === 0 || !scopes.some((scope) => reaches(scope, connection.remoteAddr))) continue
      chosen.push({ key: ranked + random() / 2, bytes })
    }
    chosen.sort((a, b) => b.key - a.key)
    yield chosen.slice(0, request.limit).map(({ bytes }) => bytes)
  }

  /** Whether one more newcomer from, or to, this peer is within bounds; counts it. */
  #mayTell(way: 'in' | 'out', id: string, now: number): boolean {
    const { perSecond, windowMs } = way === 'in' ? NEWCOMERS : PASS_ON
    const rates = this.#rates[way]
    const rate = rates.get(id) ?? new Rate(perSecond, windowMs, now)
    rates.delete(id)
    rates.set(id, rate)
    trim(rates, MAX_RECORDS)
    return rate.take(now)
  }
}

/** What of a record can be used by whoever has it from the far end of this connection; undefined for nothing. */
function within(record: OpenRecord, { remoteAddr }: Connection): OpenRecord | undefined {
  const addresses = record.addresses.filter((address) => inScope(address, remoteAddr)).slice(0, MAX_ADDRESSES)
  return addresses.length === 0 ? undefined : { ...record, addresses }
}

function decodeRequest(bytes: Uint8Array): PeersRequest {
  const request = PeersRequest.decode(bytes)
  const { limit, newcomer } = request
  if (newcomer.length > 0 && limit !== 0) throw new MalformedError('a question and a newcomer in one request')
  if (newcomer.length === 0 && (limit < 1 || limit > MAX_INTRODUCTIONS))
    throw new MalformedError(`limit ${limit} is not 1 to 32`)
  return request
}

/** Maps keep insertion order: the oldest go. */
function trim(map: Map<string, unknown>, size: number): void {
  for (const key of map.keys()) {
    if (map.size <= size) return
    map.delete(key)
  }
}
