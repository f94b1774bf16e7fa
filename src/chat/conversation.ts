import type { Connection, PeerId, Stream, StreamCloseEvent } from '@libp2p/interface'
import { pipe } from 'it-pipe'
import { TypedEventEmitter } from 'main-event'
import type { Clock } from '../clock.js'
import { PeerError, StreamLostError } from '../errors.js'
import { lined } from '../protocol/index.js'
import { Bell } from './bell.js'
import type { Conversation, ConversationEvents, Ending, EndReason } from './index.js'
import { Outgoing } from './outgoing.js'
import { decodeLines, encodeLine, MAX_LINE_BYTES } from './text.js'

/** Lines that were not read yet, in bytes; over it the other side is made to wait. */
const UNREAD_BYTES = 256 << 10
/** How long the other side may take to close after we have, in ms. */
const LINGER_MS = 3_000

export interface ConversationInit {
  /** How long a peer may leave what we send unread, in ms. */
  stallMs: number
  clock: Clock
}

/** A conversation over one stream of lines; see `Conversation`. Owns the stream. */
export class LineConversation extends TypedEventEmitter<ConversationEvents> implements Conversation {
  readonly peer: PeerId
  readonly direction: 'inbound' | 'outbound'
  readonly delivery = 'unconfirmed'
  readonly closed: Promise<Ending>
  readonly #bell = new Bell()
  readonly #outgoing = new Outgoing(this.#bell)
  readonly #lines: AsyncGenerator<string, void, undefined>
  /** Everything of ours was handed to the stream, and its writing side is closed. */
  readonly #written: Promise<void>
  readonly #cut: (reason: Error) => void
  readonly #clock: Clock
  /** Why it is over, once we have closed our side. */
  #why: EndReason | undefined
  #allWritten = false
  /** The other side has closed its own in order, as a lost connection does not. */
  #left = false
  #isOver = false
  #over: (ending: Ending) => void = () => {}

  constructor(stream: Stream, connection: Connection, { clock, stallMs }: ConversationInit) {
    super()
    this.peer = connection.remotePeer
    this.direction = stream.direction
    this.#clock = clock
    // the stream itself makes us wait
    this.#outgoing.allow(Number.POSITIVE_INFINITY)
    this.closed = new Promise((resolve) => {
      this.#over = resolve
    })
    const wire = lined(stream, { maxLine: MAX_LINE_BYTES, highWater: UNREAD_BYTES, stallMs, clock })
    this.#cut = (reason) => wire.abort(reason)
    this.#left = stream.status === 'open' && stream.remoteWriteStatus === 'closed'
    stream.addEventListener('remoteCloseWrite', () => {
      this.#left = true
    })
    stream.addEventListener('close', ({ error }: StreamCloseEvent) => this.#end(error))
    this.#lines = pipe(wire, decodeLines)
    this.#written = pipe(this.#unsent(), wire).then(
      () => {
        this.#allWritten = true
      },
      () => {
        // The stream is lost, and says so itself.
      }
    )
    if (stream.status !== 'open') this.#end(new StreamLostError(`the stream is ${stream.status}`))
  }

  get connected(): boolean {
    return !this.#isOver
  }

  get waiting(): number {
    return this.#outgoing.waiting
  }

  get source(): AsyncIterable<string> {
    return this
  }

  readonly sink = async (source: AsyncIterable<string> | Iterable<string>): Promise<void> => {
    for await (const text of source) await this.send(text)
    this.#closeSide('closed')
    await this.#written
  }

  send(text: string): Promise<void> {
    return this.#outgoing.push(encodeLine(text))
  }

  /** Leaving a loop leaves the conversation as it is: the next loop goes on where this one was. */
  [Symbol.asyncIterator](): AsyncIterator<string, void, undefined> {
    return {
      next: async () => {
        try {
          return await this.#lines.next()
        } catch {
          // Why it ended is what `closed` says.
          return { done: true, value: undefined }
        }
      }
    }
  }

  close(): Promise<Ending> {
    return this.finish('closed')
  }

  /** Closes for a reason of our own. */
  async finish(reason: 'closed' | 'stopped'): Promise<Ending> {
    this.#closeSide(reason)
    await this.#written
    const cancel = this.#clock.after(LINGER_MS, () => this.cut())
    try {
      return await this.closed
    } finally {
      cancel()
    }
  }

  /** Resets the stream: what has not gone out is lost. */
  cut(): void {
    this.#cut(CUT)
  }

  /** What the stream has taken counts as sent: nobody says more. */
  async *#unsent(): AsyncGenerator<Uint8Array, void, undefined> {
    while (!this.#outgoing.done) {
      const own = this.#outgoing.next()
      if (own == null) await this.#bell.wait()
      else {
        this.#outgoing.acknowledge(own.id)
        yield own.line
      }
    }
  }

  #closeSide(reason: EndReason): void {
    this.#why ??= this.#left ? 'left' : reason
    this.#outgoing.end()
  }

  #end(error: unknown): void {
    const ending = endingOf(error, { why: this.#why, left: this.#left, written: this.#allWritten })
    this.#isOver = true
    this.#outgoing.fail(new StreamLostError(`the conversation is over: ${ending.reason}`, ending.error))
    this.#over(ending)
  }
}

/** Our own hand, when the other side takes too long to close. */
const CUT = new StreamLostError('closed without the other side')

/** Why it is over, from how the stream ended. Pure. */
export function endingOf(
  error: unknown,
  { why, left, written }: { why: EndReason | undefined; left: boolean; written: boolean }
): Ending {
  if (error instanceof PeerError && error.name === 'TooLargeError') return { reason: 'too-large', error }
  if (error instanceof PeerError && error.name === 'TimeoutError') return { reason: 'slow', error }
  if (why != null && (error === CUT || written)) return { reason: why }
  if (error == null && left) return { reason: why ?? 'left' }
  if (error instanceof PeerError) return { reason: 'lost', error }
  const text = error instanceof Error ? `: ${error.message}` : ''
  return { reason: 'lost', error: new StreamLostError(`the connection was lost${text}`, error) }
}
