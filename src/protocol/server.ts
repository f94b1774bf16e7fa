import type { Connection, Stream } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { pipe } from 'it-pipe'
import { MalformedError, PeerError, StreamLostError, TimeoutError, TruncatedError } from '../errors.js'
import { answerFrames, busyFrame } from './answer.js'
import { type Framed, framed } from './framed.js'
import { limitsFor, type Settled } from './limits.js'
import type { RequestHandler, ServeHooks } from './protocol.js'

/** Streams of a peer over what is served, which are told so by `Busy`. More than these libp2p resets. */
const SURPLUS = 4
/** What a peer over its share is told. */
const RETRY_MS = 1_000

/** See `Protocol.serve`. */
export async function serve<Req, Item>(
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
