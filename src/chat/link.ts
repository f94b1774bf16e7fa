import type { Connection, Stream } from '@libp2p/interface'
import type { Clock } from '../clock.js'
import { BusyError, MalformedError, NotFoundError, type PeerError, StreamLostError } from '../errors.js'
import { ChatFrame, type Hello } from '../pb/chat.js'
import { framed } from '../protocol/index.js'
import { MAX_LINE_BYTES } from './text.js'

/** The ID of conversations whose lines are acknowledged. */
export const CONFIRMED = '/blockwire/chat/1'
/** A line of the greatest length with its number, and what is around both. */
const MAX_FRAME_BYTES = MAX_LINE_BYTES + 32
/** How long the other side may take for its hello, in ms. */
const HELLO_MS = 10_000
/** How long it may take to close after we have, in ms. */
const CLOSE_MS = 1_000
const ID_BYTES = 16

/** Why a conversation is refused. */
export const REFUSED = { busy: 1, nobody: 2, unknown: 3 } as const

export interface LinkInit {
  /** How long a peer may leave what we send unread, in ms. */
  stallMs: number
  clock: Clock
}

/**
 * One stream of a confirmed conversation, which may take several one after another. Owns the stream. Each side says hello first, the
 * opener without waiting, or the other side refuses.
 */
export class Link {
  readonly #wire
  readonly #clock: Clock
  #ended = false
  #cancel: () => void = () => {}
  #go: (frames: AsyncIterable<ChatFrame>) => void = () => {}
  #written: Promise<void> = Promise.resolve()

  constructor(
    stream: Stream,
    readonly connection: Connection,
    { stallMs, clock }: LinkInit
  ) {
    this.#clock = clock
    this.#wire = framed(stream, { maxFrame: MAX_FRAME_BYTES, firstMs: HELLO_MS, stallMs, clock })
  }

  /** The next message; undefined when no more comes. Rejects with a `PeerError`. */
  async read(): Promise<ChatFrame | undefined> {
    let frame: IteratorResult<Uint8Array, void> | undefined
    try {
      frame = await this.#wire.source.next()
    } finally {
      if (frame?.done !== false) this.#end()
    }
    if (frame.done === true) return undefined
    try {
      return ChatFrame.decode(frame.value)
    } catch (err) {
      throw new MalformedError(`chat: ${(err as Error).message}`, err)
    }
  }

  /** Once, before `write`. */
  greet(hello: Hello): void {
    const rest = new Promise<AsyncIterable<ChatFrame>>((resolve) => {
      this.#go = resolve
    })
    this.#send(after(hello, rest))
  }

  /** Says no, and waits for nothing. */
  refuse(code: number): void {
    this.#send([{ refusal: { code } }])
    this.abortAfter(CLOSE_MS)
  }

  /** Writes messages and closes our side; the other has a second to close its own then. Rejects with a `PeerError`. */
  async write(frames: AsyncIterable<ChatFrame>): Promise<void> {
    this.#go(frames)
    await this.#written
    this.abortAfter(CLOSE_MS)
  }

  /** Resets the stream, unless it is closed. */
  abort(reason: Error): void {
    this.#wire.abort(reason)
  }

  /** The same after a while, unless the other side has closed by then. */
  abortAfter(ms: number): void {
    if (this.#ended) return
    this.#cancel()
    this.#cancel = this.#clock.after(ms, () => this.abort(new StreamLostError('the other side does not close')))
  }

  #send(frames: AsyncIterable<ChatFrame> | Iterable<ChatFrame>): void {
    this.#written = this.#wire.sink(encoded(frames))
    // who reads hears of it too
    this.#written.catch(() => {})
  }

  #end(): void {
    this.#ended = true
    this.#cancel()
  }
}

async function* after(hello: Hello, rest: Promise<AsyncIterable<ChatFrame>>): AsyncGenerator<ChatFrame> {
  yield { hello }
  yield* await rest
}

async function* encoded(frames: AsyncIterable<ChatFrame> | Iterable<ChatFrame>): AsyncGenerator<Uint8Array> {
  for await (const frame of frames) yield ChatFrame.encode(frame)
}

/** The opener's hello. @throws MalformedError, what the stream failed with */
export async function readOpening(link: Link): Promise<Hello> {
  const hello = (await link.read())?.hello
  if (hello?.id.byteLength !== ID_BYTES || (!hello.resume && hello.received > 0))
    throw new MalformedError('a conversation that does not begin with a hello')
  return hello
}

/**
 * The answer to our hello: how many of our lines are there.
 *
 * @throws BusyError; NotFoundError when nobody waits for conversations there, or not for this one any more; MalformedError, what the
 * stream failed with
 */
export async function readAnswer(link: Link): Promise<number> {
  const frame = await link.read()
  if (frame == null) throw new StreamLostError('the stream ended before the other side said hello')
  if (frame.hello != null) return frame.hello.received
  throw refusal(frame.refusal?.code)
}

function refusal(code: number | undefined): PeerError {
  if (code === REFUSED.busy) return new BusyError(1_000, 'too many conversations there')
  if (code === REFUSED.nobody) return new NotFoundError('nobody waits for conversations there')
  if (code === undefined) return new MalformedError('an answer without a hello')
  return new NotFoundError('the conversation is not known there, or no more')
}
