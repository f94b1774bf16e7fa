import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { pipe } from 'it-pipe'
import type { Clock } from '../clock.js'
import { MalformedError, PeerError, StreamLostError, TruncatedError } from '../errors.js'
import { equalBytes } from '../hex.js'
import { type Goodbye, type Hello, StatusMessage } from '../pb/status.js'
import { type Framed, framed } from '../protocol/index.js'
import { Rate } from '../rate.js'
import { ProtocolOrderError, StatusTimeoutError } from './errors.js'
import { GoodbyeCode } from './goodbye.js'
import { type Greeting, headMessage, type PeerHead, readHead, readHello } from './hello.js'
import { Outbox } from './outbox.js'

export const MAX_MESSAGE_BYTES = 4_096
const HEADS_PER_SECOND = 40
/** Heads of half a minute without us, at the 20 a second that a peer may tell, are no flood: our own loop was the late one. */
const HEADS_WINDOW_MS = 20_000

/** Who is told what happens in a session. Nothing here may throw. */
export interface SessionOwner {
  /** Their hello has come. The owner accepts it, or says goodbye. */
  greeted(session: Session, theirs: Greeting): void
  /** Their head has changed. */
  headChanged(session: Session): void
  goodbyeReceived(session: Session, goodbye: Goodbye): void
  /** They broke a rule; `fatal` when the session is over for it. */
  faulted(session: Session, err: PeerError, fatal: boolean): void
  /** The stream is gone; `err` is why, undefined for a clean end. */
  ended(session: Session, err: PeerError | undefined): void
}

export interface SessionInit {
  hello(): Hello
  helloMs: number
  clock: Clock
  signal: AbortSignal
}

/** One status stream: both say hello, then heads, then goodbye. Knows the order of messages, and nothing of other sessions. */
export class Session {
  readonly peer: PeerId
  readonly key: string
  /** `greeting` until the owner accepts their hello; `over` once either side has said goodbye or broken the rules. */
  phase: 'greeting' | 'accepted' | 'over' = 'greeting'
  theirs: Greeting | undefined
  /** Our last words have been handed to the stream. */
  readonly flushed: Promise<void>
  /** The stream is gone. Never rejects. */
  readonly done: Promise<void>

  readonly #wire: Framed
  readonly #outbox: Outbox
  readonly #rate: Rate
  #told: Uint8Array | undefined
  #chargedRateAt = Number.NEGATIVE_INFINITY
  #replaced = false

  constructor(
    stream: Stream,
    readonly connection: Connection,
    private readonly init: SessionInit,
    private readonly owner: SessionOwner
  ) {
    this.peer = connection.remotePeer
    this.key = this.peer.toString()
    const hello = init.hello()
    this.#told = hello.head?.hash
    this.#rate = new Rate(HEADS_PER_SECOND, HEADS_WINDOW_MS, init.clock.now())
    this.#wire = framed(stream, {
      maxFrame: MAX_MESSAGE_BYTES,
      highWater: 65_536,
      firstMs: init.helloMs,
      signal: init.signal,
      clock: init.clock
    })
    this.#outbox = new Outbox(StatusMessage.encode({ hello }))
    const written = pipe(this.#outbox, this.#wire)
    this.flushed = written.catch(() => {})
    this.done = this.#run(written)
  }

  /** Tells our head, unless it was the last that was told. */
  tellHead(head: Readonly<PeerHead>): void {
    if (this.#told != null && equalBytes(head.hash, this.#told)) return
    this.#told = head.hash
    this.#outbox.head(StatusMessage.encode({ head: headMessage(head) }))
  }

  /** Our last message. What still comes is not looked at. */
  sayGoodbye(goodbye: Partial<Goodbye> & { code: number }): void {
    this.phase = 'over'
    this.#outbox.goodbye(StatusMessage.encode({ goodbye: { field: '', ours: '', theirs: '', ...goodbye } }))
  }

  /** A newer stream takes the place of this one. */
  replace(): void {
    this.#replaced = true
    this.abort(new StreamLostError('replaced by a newer status stream'))
  }

  abort(reason: Error): void {
    this.phase = 'over'
    this.#outbox.end()
    this.#wire.abort(reason)
  }

  get replaced(): boolean {
    return this.#replaced
  }

  async #run(written: Promise<void>): Promise<void> {
    let failure: PeerError | undefined
    try {
      await pipe(this.#wire, (frames) => this.#read(frames))
      if (this.phase === 'greeting') throw new TruncatedError('the status stream ended before a hello')
      // They closed their side: so do we, and that they have gone is not news.
      this.#outbox.end()
      await written.catch(() => {})
    } catch (err) {
      failure = err instanceof PeerError ? err : new StreamLostError(`status: ${(err as Error).message}`, err)
      if (this.theirs == null && failure.name === 'TimeoutError') failure = new StatusTimeoutError(this.init.helloMs)
    } finally {
      this.#outbox.end()
      this.#wire.abort(failure ?? new StreamLostError('done'))
    }
    this.owner.ended(this, failure)
    this.phase = 'over'
  }

  async #read(frames: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const bytes of frames) {
      if (this.phase === 'over') continue
      try {
        this.#message(decode(bytes))
      } catch (err) {
        const failure = err instanceof PeerError ? err : new MalformedError(`status: ${(err as Error).message}`, err)
        this.owner.faulted(this, failure, true)
        this.sayGoodbye({ code: GoodbyeCode.fault, field: failure.name })
      }
    }
  }

  #message(message: StatusMessage): void {
    if (message.hello != null) {
      if (this.theirs != null) throw new ProtocolOrderError('a second hello')
      this.theirs = readHello(message.hello)
      this.owner.greeted(this, this.theirs)
      return
    }
    if (this.theirs == null) throw new ProtocolOrderError('hello was not the first message')
    if (message.goodbye != null) {
      this.owner.goodbyeReceived(this, message.goodbye)
      this.phase = 'over'
      this.#outbox.end()
      return
    }
    // A message that only a later version knows counts as a head: it is tolerated, a flood of it is not.
    const now = this.init.clock.now()
    if (!this.#rate.take(now)) {
      if (now - this.#chargedRateAt >= HEADS_WINDOW_MS) {
        this.#chargedRateAt = now
        this.owner.faulted(this, new ProtocolOrderError(`over ${HEADS_PER_SECOND} heads a second`), false)
      }
      return
    }
    if (message.head == null) return
    this.theirs.head = readHead(message.head)
    this.owner.headChanged(this)
  }
}

function decode(bytes: Uint8Array): StatusMessage {
  try {
    return StatusMessage.decode(bytes, { limits: { hello: { params: 17 } } })
  } catch (err) {
    throw new MalformedError(`status message: ${(err as Error).message}`, err)
  }
}
