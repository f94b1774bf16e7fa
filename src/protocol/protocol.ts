import type { Connection, PeerId } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { type Clock, systemClock } from '../clock.js'
import type { PeerError } from '../errors.js'
import type { Settled } from './limits.js'
import { PendingAnswer } from './request.js'
import { serve } from './server.js'
import type { Serving } from './serving.js'

/** Value to bytes and back. `decode` throws on anything that it cannot read. Generated protobuf messages fit. */
export interface Codec<T> {
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
}

/** For items that travel as they are. */
export const rawBytes: Codec<Uint8Array> = { encode: (bytes) => bytes, decode: (bytes) => bytes }

/** What one request, its answer and all of a peer's streams may take. Both sides hold themselves and the other to it. */
export interface ProtocolLimits<Req> {
  /** Bytes of an encoded request. */
  requestBytes: number
  /** Bytes of an encoded item. */
  itemBytes: number | ((request: Req) => number)
  /** Items of an answer. */
  items: number | ((request: Req) => number)
  /** Bytes of all items of an answer. A first item over it is sent alone. */
  answerBytes: number | ((request: Req) => number)
  /** How long the request, or the first frame of the answer, may take, in ms. @default 10_000 */
  firstMs?: number
  /** How long each further frame, or a reader that does not read, may take, in ms. @default 10_000 */
  nextMs?: number
  /** The whole answer, in ms. For the asker only the time that it waited counts. */
  totalMs: number
  /** Requests of one peer that are served at once; the next ones are answered `Busy`. */
  inbound: number
  /** Requests under way to one peer over one connection. @default 64 */
  outbound?: number
}

export interface ProtocolDefinition<Req, Item> {
  /** `sync/1`, which becomes `/blockwire/<chain>/sync/1`; or a whole protocol ID, which begins with `/`. */
  name: string
  request: Codec<Req>
  /** Large items are sent without being copied: what `encode` gave must not change any more. */
  item: Codec<Item>
  limits: ProtocolLimits<Req>
  clock?: Clock
}

/** Whom a handler serves. */
export interface RequestContext {
  peer: PeerId
  connection: Connection
  /** Aborts when nobody waits for the answer any more. */
  signal: AbortSignal
  /** To be awaited before work that the size of the answer does not tell, e.g. hashing so many bytes: it costs the peer's turns as they would. */
  spend(bytes: number): Promise<void>
}

/**
 * Answers a request: yields items, or arrays of them, as fast as they are wanted. May throw `BusyError` or `NotFoundError` before
 * its first item, and `MalformedError` for a request that makes no sense, which is charged. Returning `'more'` says that the
 * answer was cut. Items over a limit of the protocol are not sent, and the answer is marked as cut.
 */
export type RequestHandler<Req, Item> = (request: Req, context: RequestContext) => AsyncIterable<Item | Item[], unknown>

export interface ServeHooks {
  /** Answers take turns with those of all protocols that are given the same one. @default one of its own */
  serving?: Serving
  /** Something that the peer is charged for: its `err.fault` is never `none`. Must not throw. */
  onFault(peer: PeerId, err: PeerError): void
  /** The handler failed: our own mistake. The stream is reset. Must not throw. */
  onError?(err: unknown): void
}

export interface RequestOptions {
  signal?: AbortSignal
}

/** An answer on its way. Nothing is sent before it is iterated, which can be done once; leaving it early resets the stream. */
export interface Answer<Item> extends AsyncIterable<Item[]> {
  /** Once it has ended: the server cut it at a limit of its own. Ask again from where it stopped. */
  readonly more: boolean
  /** Items so far. */
  readonly count: number
}

/** A bounded request/response protocol: one request per stream, answered by items. The wire is in docs/wire.md, section 0.2. */
export interface Protocol<Req, Item> {
  /** The protocol's ID on the chain of this name. */
  id(chain: string): string
  /**
   * Serves requests until the returned function is called; that resets what is being served. Every stream is closed or reset in
   * the end, whatever the handler does.
   */
  serve(
    registrar: Registrar,
    chain: string,
    handler: RequestHandler<Req, Item>,
    hooks: ServeHooks
  ): Promise<() => Promise<void>>
  /**
   * Asks over `connection`. Iterating gives the items of each frame as they come, and throws a `PeerError`: `TooLargeError`,
   * `MalformedError`, `TooManyItemsError`, `TruncatedError`, `StreamLostError`, `TimeoutError`, `BusyError`, `NotFoundError`,
   * `UnsupportedError`; or the reason of `signal`. Items read before an error are good.
   */
  request(connection: Connection, chain: string, request: Req, options?: RequestOptions): Answer<Item>
}

/** Defines a protocol once, for both sides. */
export function defineProtocol<Req, Item>(definition: ProtocolDefinition<Req, Item>): Protocol<Req, Item> {
  const limits = { firstMs: 10_000, nextMs: 10_000, outbound: 64, ...definition.limits }
  const settled: Settled<Req, Item> = { ...definition, clock: definition.clock ?? systemClock, limits }
  const id = (chain: string): string =>
    definition.name.startsWith('/') ? definition.name : `/blockwire/${chain}/${definition.name}`
  return {
    id,
    serve: (registrar, chain, handler, hooks) => serve(registrar, id(chain), settled, handler, hooks),
    request: (connection, chain, request, options = {}) =>
      new PendingAnswer(settled, connection, id(chain), request, options.signal)
  }
}
