import type { Connection, PeerId, Stream } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { pipe } from 'it-pipe'
import { type Clock, systemClock } from '../clock.js'
import { MalformedError, PeerError, StreamLostError, TimeoutError, TruncatedError } from '../errors.js'
import { type AnswerLimits, AnswerReader, answerFrames, busyFrame, largestFrame } from './answer.js'
import { type Framed, framed } from './framed.js'
import { openStream } from './open-stream.js'

/** Streams of a peer over what is served, which are told so by `Busy`. More than these libp2p resets. */
const SURPLUS = 4
/** What a peer over its share is told. */
const RETRY_MS = 1_000

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
}

/**
 * Answers a request: yields items, or arrays of them, as fast as they are wanted. May throw `BusyError` or `NotFoundError` before
 * its first item, and `MalformedError` for a request that makes no sense, which is charged. Returning `'more'` says that the
 * answer was cut. Items over a limit of the protocol are not sent, and the answer is marked as cut.
 */
export type RequestHandler<Req, Item> = (request: Req, context: RequestContext) => AsyncIterable<Item | Item[], unknown>

export interface ServeHooks {
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

type Settled<Req, Item> = Required<ProtocolDefinition<Req, Item>> & { limits: Required<ProtocolLimits<Req>> }

async function serve<Req, Item>(
  registrar: Registrar,
  id: string,
  definition: Settled<Req, Item>,
  handler: RequestHandler<Req, Item>,
  hooks: ServeHooks
): Promise<() => Promise<void>> {
  const { limits } = definition
  const stopping = new AbortController()
  /** Requests being served, by peer. Bounded by connections times `inbound`. */
  const running = new Map<string, number>()

  const onStream = async (stream: Stream, connection: Connection): Promise<void> => {
    const peer = connection.remotePeer.toString()
    const serving = running.get(peer) ?? 0
    const wire = framed(stream, {
      maxFrame: limits.requestBytes,
      firstMs: limits.firstMs,
      nextMs: limits.nextMs,
      stallMs: limits.nextMs,
      signal: stopping.signal,
      clock: definition.clock
    })
    if (serving >= limits.inbound) return refuse(wire)
    running.set(peer, serving + 1)
    try {
      await answer(wire, connection, definition, handler, (err, asked) => {
        if (stopping.signal.aborted) return
        if (!(err instanceof PeerError)) hooks.onError?.(err)
        // Whoever resets a stream on which it has asked has changed its mind, which is no fault.
        else if (err.fault !== 'none' && !(asked && err.name === 'StreamLostError')) {
          hooks.onFault(connection.remotePeer, err)
        }
      })
    } finally {
      const left = (running.get(peer) ?? 1) - 1
      if (left > 0) running.set(peer, left)
      else running.delete(peer)
    }
  }

  await registrar.handle(id, onStream, {
    maxInboundStreams: limits.inbound + SURPLUS,
    maxOutboundStreams: limits.outbound
  })
  return async () => {
    await registrar.unhandle(id)
    stopping.abort(new StreamLostError('stopped serving'))
  }
}

/** Says `Busy` without reading the request. */
async function refuse(wire: Framed): Promise<void> {
  try {
    await pipe([busyFrame(RETRY_MS)], wire)
    wire.last()
    for await (const _ of wire.source);
  } catch {
    // It is gone: so is what it asked.
  } finally {
    wire.abort(new StreamLostError('refused'))
  }
}

async function answer<Req, Item>(
  wire: Framed,
  connection: Connection,
  definition: Settled<Req, Item>,
  handler: RequestHandler<Req, Item>,
  charge: (err: unknown, asked: boolean) => void
): Promise<void> {
  const { limits, clock } = definition
  const unwanted = new AbortController()
  let ended: Promise<void> | undefined
  const cancel = clock.after(limits.firstMs + limits.totalMs, () => {
    wire.abort(new TimeoutError(`the answer took over ${limits.totalMs} ms`, 'none'))
  })
  try {
    await pipe(
      wire,
      async function* (frames) {
        const request = await readRequest(frames, definition)
        // Whoever asks closes its side. Waiting for that tells us, while we answer, that it is gone or sends more than it may.
        ended = readEnd(frames, wire)
        ended.catch((err) => unwanted.abort(err))
        const context = { peer: connection.remotePeer, connection, signal: unwanted.signal }
        yield* answerFrames(
          handler(request, context),
          (item) => definition.item.encode(item),
          limitsFor(definition, request)
        )
      },
      wire
    )
    wire.last()
    await ended
  } catch (err) {
    unwanted.abort(err)
    charge(err, ended != null)
    wire.abort(err as Error)
  } finally {
    cancel()
    unwanted.abort()
  }
}

async function readRequest<Req, Item>(
  frames: AsyncGenerator<Uint8Array>,
  definition: Settled<Req, Item>
): Promise<Req> {
  const { done, value } = await frames.next()
  if (done === true) throw new TruncatedError('the stream ended without a request')
  try {
    return definition.request.decode(value)
  } catch (err) {
    throw new MalformedError(`request: ${(err as Error).message}`, err)
  }
}

async function readEnd(frames: AsyncGenerator<Uint8Array>, wire: Framed): Promise<void> {
  const { done } = await frames.next()
  if (done === true) return
  const err = new MalformedError('more than one request on a stream')
  wire.abort(err)
  throw err
}

function limitsFor<Req, Item>({ limits }: Settled<Req, Item>, request: Req): AnswerLimits {
  const of = (limit: number | ((request: Req) => number)): number =>
    typeof limit === 'number' ? limit : limit(request)
  return { itemBytes: of(limits.itemBytes), items: of(limits.items), answerBytes: of(limits.answerBytes) }
}

class PendingAnswer<Req, Item> implements Answer<Item> {
  readonly #limits: AnswerLimits
  readonly #reader: AnswerReader<Item>
  #started = false

  constructor(
    private readonly definition: Settled<Req, Item>,
    private readonly connection: Connection,
    private readonly id: string,
    private readonly asked: Req,
    private readonly signal: AbortSignal | undefined
  ) {
    this.#limits = limitsFor(definition, asked)
    this.#reader = new AnswerReader((bytes) => definition.item.decode(bytes), this.#limits)
  }

  get more(): boolean {
    return this.#reader.more
  }

  get count(): number {
    return this.#reader.count
  }

  [Symbol.asyncIterator](): AsyncGenerator<Item[], void, undefined> {
    if (this.#started) throw new TypeError('an answer can be iterated once')
    this.#started = true
    return this.#run()
  }

  async *#run(): AsyncGenerator<Item[], void, undefined> {
    const { limits, clock, request } = this.definition
    const bytes = request.encode(this.asked)
    if (bytes.byteLength > limits.requestBytes) {
      throw new RangeError(`own request of ${bytes.byteLength} bytes, the limit is ${limits.requestBytes}`)
    }
    const stream = await openStream(this.connection, this.id, limits.firstMs, clock, this.signal)
    const wire = framed(stream, {
      maxFrame: largestFrame(this.#limits.itemBytes),
      firstMs: limits.firstMs,
      nextMs: limits.nextMs,
      totalMs: limits.totalMs,
      stallMs: limits.nextMs,
      signal: this.signal,
      clock
    })
    const reader = this.#reader
    try {
      yield* pipe([bytes], wire, async function* (frames) {
        for await (const frame of frames) {
          const items = reader.push(frame)
          if (reader.done) wire.last()
          else yield items
        }
        if (!reader.done) throw new TruncatedError(`the stream ended after ${reader.count} items, without an end`)
      })
    } finally {
      wire.abort(new StreamLostError('the answer is not wanted any more'))
    }
  }
}
