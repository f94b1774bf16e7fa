import type { Connection, Stream } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { pipe } from 'it-pipe'
import {
  BusyError,
  FloodError,
  MalformedError,
  PeerError,
  StreamLostError,
  TimeoutError,
  TruncatedError
} from '../errors.js'
import { type AnswerLimits, answerFrames, busyFrame } from './answer.js'
import { type Client, Clients } from './clients.js'
import { type Framed, framed } from './framed.js'
import { limitsFor, type Settled } from './limits.js'
import type { RequestHandler, ServeHooks } from './protocol.js'
import { Serving, type Turns } from './serving.js'

/** Streams of a peer over what is served, which are told so by `Busy`. More than these are reset. */
const SURPLUS = 4
/**
 * Streams of a peer over what is served on one connection, those included that have not said yet what for. With more it is cut: to learn
 * what they are for takes longer than to answer, and nothing else would end that.
 */
const FLOOD = 30
/** What a peer over its share is told. */
const RETRY_MS = 1_000
/** What a request costs beside the bytes of its answer: its stream takes as long as sending so much. */
const REQUEST_BYTES = 262_144
/** What an answer reads at once, whole items apart. */
const PAGE_BYTES = 1_048_576

/** See `Protocol.serve`. */
export async function serve<Req, Item>(
  registrar: Registrar,
  id: string,
  definition: Settled<Req, Item>,
  handler: RequestHandler<Req, Item>,
  hooks: ServeHooks
): Promise<() => Promise<void>> {
  const { limits } = definition
  const serving = hooks.serving ?? new Serving({ clock: definition.clock })
  const clients = new Clients(definition.clock)
  const stopping = new AbortController()

  const onStream = async (stream: Stream, connection: Connection): Promise<void> => {
    // cut as below, with more of its streams on their way here
    if (connection.status !== 'open') return stream.abort(new StreamLostError('the connection is gone'))
    const client = clients.get(connection.remotePeer.toString())
    const wait = client.ask(client.serving >= limits.inbound)
    const streams = inboundStreams(connection, id)
    if (streams > limits.inbound + FLOOD) {
      const err = new FloodError(`${streams} streams at once, the limit is ${limits.inbound + FLOOD}`)
      hooks.onFault(connection.remotePeer, err)
      connection.abort(err)
      return
    }
    if (client.deaf) {
      hooks.onFault(connection.remotePeer, new FloodError(`${client.ignored} requests although it was told to wait`))
    }
    if (client.open >= limits.inbound + SURPLUS || client.ignored > SURPLUS) {
      stream.abort(new BusyError(wait, 'too many requests'))
      return
    }
    client.open++
    try {
      await onRequest(stream, connection, client, wait)
    } finally {
      client.open--
    }
  }

  const onRequest = async (stream: Stream, connection: Connection, client: Client, wait: number): Promise<void> => {
    const wire = framed(stream, {
      maxFrame: limits.requestBytes,
      firstMs: limits.firstMs,
      nextMs: limits.nextMs,
      stallMs: limits.nextMs,
      signal: stopping.signal,
      clock: definition.clock
    })
    if (wait > 0) return refuse(wire, wait)
    if (client.serving >= limits.inbound) return refuse(wire, RETRY_MS)
    client.serving++
    try {
      await answer(wire, connection, definition, handler, { serving, client }, (err, asked) => {
        if (stopping.signal.aborted) return
        if (!(err instanceof PeerError)) hooks.onError?.(err)
        // Whoever resets a stream on which it has asked has changed its mind, which is no fault.
        else if (err.fault !== 'none' && !(asked && err.name === 'StreamLostError')) {
          hooks.onFault(connection.remotePeer, err)
        }
      })
    } finally {
      client.serving--
    }
  }

  await registrar.handle(id, onStream, {
    // ours is the limit, by peer: what libp2p resets at its own, by connection, nobody could count
    maxInboundStreams: Number.POSITIVE_INFINITY,
    maxOutboundStreams: limits.outbound
  })
  return async () => {
    await registrar.unhandle(id)
    stopping.abort(new StreamLostError('stopped serving'))
  }
}

/** Says `Busy` without reading the request. */
async function refuse(wire: Framed, retryMs: number): Promise<void> {
  try {
    await pipe([busyFrame(retryMs)], wire)
    wire.last()
    for await (const _ of wire.source);
  } catch {
    // It is gone: so is what it asked.
  } finally {
    wire.abort(new StreamLostError('refused'))
  }
}

function inboundStreams({ streams }: Connection, id: string): number {
  let count = 0
  for (const { direction, protocol } of streams) {
    if (direction === 'inbound' && (protocol === id || protocol === '')) count++
  }
  return count
}

interface Share {
  serving: Serving
  client: Client
}

async function answer<Req, Item>(
  wire: Framed,
  connection: Connection,
  definition: Settled<Req, Item>,
  handler: RequestHandler<Req, Item>,
  { serving, client }: Share,
  charge: (err: unknown, asked: boolean) => void
): Promise<void> {
  const { limits, clock } = definition
  const unwanted = new AbortController()
  let ended: Promise<void> | undefined
  let turns: Turns | undefined
  const cancel = clock.after(limits.firstMs + limits.totalMs, () => {
    wire.abort(new TimeoutError(`the answer took over ${limits.totalMs} ms`, 'none'))
  })
  try {
    await pipe(
      wire,
      async function* (frames) {
        const request = await readRequest(frames, definition)
        // lost meanwhile: what begins now would never be told to end
        unwanted.signal.throwIfAborted()
        // Whoever asks closes its side. Waiting for that tells us, while we answer, that it is gone or sends more than it may.
        ended = readEnd(frames, wire)
        ended.catch((err) => unwanted.abort(err))
        const spend = async (bytes: number): Promise<void> => {
          client.spend(bytes)
          await turns?.take(bytes)
        }
        const context = { peer: connection.remotePeer, connection, signal: unwanted.signal, spend }
        const items = handler(request, context)
        const most = limitsFor(definition, request)
        turns = serving.begin(connection.remotePeer.toString(), heldBytes(most), () => {
          wire.abort(new TimeoutError('read more slowly than all others while there was no room'))
        })
        if (turns == null) {
          yield busyFrame(RETRY_MS)
          return
        }
        await turns.take(REQUEST_BYTES)
        for await (const frame of answerFrames(items, (item) => definition.item.encode(item), most)) {
          client.spend(frame.byteLength)
          const turn = turns.take(frame.byteLength)
          if (turn != null) await turn
          yield frame
        }
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
    turns?.end()
    unwanted.abort()
  }
}

/** What an answer has in memory at most: a page with the item that filled it and one before it, and the frame that is being sent. */
function heldBytes({ itemBytes, answerBytes }: AnswerLimits): number {
  return Math.min(PAGE_BYTES, answerBytes) + 3 * itemBytes
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
