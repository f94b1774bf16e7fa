import type { PeerId } from '@libp2p/interface'
import { TypedEventEmitter } from 'main-event'
import type { Clock } from '../clock.js'
import { MalformedError, PeerError, StreamLostError } from '../errors.js'
import type { ChatFrame } from '../pb/chat.js'
import { Bell } from './bell.js'
import { Incoming } from './incoming.js'
import type { Conversation, ConversationEvents, Ending, EndReason } from './index.js'
import type { Link } from './link.js'
import { Outgoing, WINDOW } from './outgoing.js'
import { redial } from './redial.js'
import { encodeLine } from './text.js'

/** How long `close` waits without anything happening, in ms. */
const LINGER_MS = 3_000
/** How much more the other side may say before it is told. */
const LIMIT_STEP = WINDOW / 4
/** How long a goodbye may take to be sent, in ms. */
const BYE_MS = 500

export interface ConfirmedInit {
  peer: PeerId
  direction: 'inbound' | 'outbound'
  /** How long the peer may be away, in ms. */
  awayMs: number
  clock: Clock
  /**
   * Another stream to the peer for this conversation, of which it has our lines up to `received`; rejects with NotFoundError when the peer
   * does not know it. The side that opened it has one: if both had, they would cross.
   */
  reopen?(signal: AbortSignal): Promise<{ link: Link; received: number }>
}

/** A conversation whose lines are acknowledged, over as many streams as it takes; see `Conversation`. */
export class ConfirmedConversation extends TypedEventEmitter<ConversationEvents> implements Conversation {
  readonly delivery = 'confirmed'
  readonly peer: PeerId
  readonly direction: 'inbound' | 'outbound'
  readonly closed: Promise<Ending>
  readonly #clock: Clock
  readonly #bell = new Bell()
  readonly #outgoing = new Outgoing(this.#bell)
  readonly #incoming = new Incoming(this.#bell)
  readonly #init: ConfirmedInit
  #link: Link | undefined
  /** The last link has sent all that it will. */
  #flushed: Promise<void> = Promise.resolve()
  /** Cancels what goes on while the peer is away. */
  #back: (() => void) | undefined
  /** Why it is over, once we have closed our side. */
  #why: EndReason | undefined
  #ending: Ending | undefined
  #over: (ending: Ending) => void = () => {}

  constructor(init: ConfirmedInit) {
    super()
    this.#init = init
    this.peer = init.peer
    this.direction = init.direction
    this.#clock = init.clock
    this.closed = new Promise((resolve) => {
      this.#over = resolve
    })
  }

  get connected(): boolean {
    return this.#link != null && this.#ending == null
  }

  get waiting(): number {
    return this.#outgoing.waiting
  }

  /** Number of the last line that came. */
  get received(): number {
    return this.#incoming.received
  }

  get source(): AsyncIterable<string> {
    return this
  }

  readonly sink = async (source: AsyncIterable<string> | Iterable<string>): Promise<void> => {
    let last = Promise.resolve()
    for await (const text of source) {
      while (!this.#outgoing.room) await this.#bell.wait()
      last = this.send(text)
      if (this.#ending != null) break
    }
    this.#closeSide('closed')
    // they are acknowledged in order
    await last
  }

  send(text: string): Promise<void> {
    return this.#outgoing.push(encodeLine(text))
  }

  /** Leaving a loop leaves the conversation as it is: the next loop goes on where this one was. */
  [Symbol.asyncIterator](): AsyncIterator<string, void, undefined> {
    return {
      next: async () => {
        const value = await this.#incoming.take()
        return value == null ? { done: true, value: undefined } : { done: false, value }
      }
    }
  }

  close(): Promise<Ending> {
    return this.finish('closed')
  }

  /** Closes for a reason of our own. */
  async finish(reason: 'closed' | 'stopped'): Promise<Ending> {
    this.#closeSide(reason)
    // a host that stops waits for nobody to come back
    if (reason === 'stopped' && this.#link == null) this.cut()
    let cancel = (): void => {}
    for (let least = Number.POSITIVE_INFINITY; this.#ending == null; await this.#bell.wait()) {
      if (this.waiting >= least) continue
      least = this.waiting
      cancel()
      cancel = this.#clock.after(LINGER_MS, () => this.cut())
    }
    cancel()
    // a goodbye is on its way
    await this.#flushed
    return this.closed
  }

  /** Goodbye, at once: what was not acknowledged is lost. */
  cut(): void {
    if (this.#ending == null) this.#link?.abortAfter(BYE_MS)
    this.#end({ reason: this.#why ?? 'closed' })
  }

  /** The peer is away, and is waited for no longer. */
  giveUp(error: PeerError): void {
    this.#gone(error)
  }

  /**
   * There is a stream, and the peer has our lines up to `received`. It takes the place of the one before, which may not know yet that it
   * is dead.
   *
   * @throws MalformedError when that cannot be
   */
  attach(link: Link, received: number): void {
    this.#outgoing.resume(received)
    const before = this.#link
    this.#link = link
    before?.abort(new StreamLostError('another stream took its place'))
    const away = this.#back
    this.#back = undefined
    away?.()
    void this.#read(link)
    this.#flushed = link.write(this.#frames(link)).then(
      () => this.#written(link),
      (err) => this.#lost(link, err)
    )
    if (away != null) this.safeDispatchEvent('back')
  }

  /** What is sent over a link, until it is replaced or all is said. */
  async *#frames(link: Link): AsyncGenerator<ChatFrame, void, undefined> {
    let acknowledged = 0
    let allowed = WINDOW
    let ended = false
    while (this.#link === link) {
      const { received, limit } = this.#incoming
      if (received > acknowledged || limit >= allowed + LIMIT_STEP) {
        acknowledged = received
        allowed = limit
        yield { ack: { received, limit } }
        continue
      }
      const own = this.#outgoing.next()
      if (own != null) yield { line: { id: own.id, text: own.line } }
      else if (this.#outgoing.allSent && !ended) {
        ended = true
        yield { end: { last: this.#outgoing.last } }
      } else if (this.#said) return
      else await this.#bell.wait()
    }
    if (this.#ending != null) yield { bye: {} }
  }

  /** Both sides have said all, and have it. */
  get #said(): boolean {
    return this.#outgoing.done && this.#incoming.ended
  }

  async #read(link: Link): Promise<void> {
    try {
      for (let frame = await link.read(); frame != null; frame = await link.read()) {
        if (this.#link !== link || this.#ending != null) continue
        this.#on(frame)
      }
      this.#lost(link, new StreamLostError('the connection was lost'))
    } catch (err) {
      this.#lost(link, err)
    }
  }

  /** @throws PeerError for what breaks the rules */
  #on({ line, ack, end, bye }: ChatFrame): void {
    if (line != null) this.#incoming.push(line.id, line.text)
    else if (ack != null) {
      this.#outgoing.acknowledge(ack.received)
      this.#outgoing.allow(ack.limit)
    } else if (end != null) this.#incoming.end(end.last)
    else if (bye != null) this.#end({ reason: this.#why ?? 'left' })
    else throw new MalformedError('a message that has no place here')
  }

  #written(link: Link): void {
    if (this.#link === link && this.#said) this.#end({ reason: this.#why ?? 'left' })
  }

  #lost(link: Link, err: unknown): void {
    if (this.#link !== link || this.#ending != null) return
    link.abort(err instanceof Error ? err : new StreamLostError('the connection was lost'))
    if (this.#said) this.#end({ reason: this.#why ?? 'left' })
    else if (err instanceof PeerError && err.fault === 'protocol') {
      this.#end({ reason: err.name === 'TooLargeError' ? 'too-large' : 'violation', error: err })
    } else this.#away(err)
  }

  #away(err: unknown): void {
    this.#link = undefined
    const error = err instanceof PeerError ? err : new StreamLostError('the connection was lost', err)
    if (this.#why === 'stopped' || this.#init.awayMs === 0) {
      this.#gone(error)
      return
    }
    const redialling = new AbortController()
    const cancel = this.#clock.after(this.#init.awayMs, () => this.#gone(error))
    this.#back = () => {
      cancel()
      redialling.abort()
    }
    this.safeDispatchEvent('away')
    const { reopen } = this.#init
    if (reopen == null || this.#ending != null) return
    redial(reopen, this.#clock, redialling.signal).then(
      ({ link, received }) => {
        if (redialling.signal.aborted) link.abort(CUT)
        else this.#reattach(link, received)
      },
      (err) => {
        if (!redialling.signal.aborted) this.#gone(err)
      }
    )
  }

  #reattach(link: Link, received: number): void {
    try {
      this.attach(link, received)
    } catch (err) {
      link.abort(err as Error)
      this.#end({ reason: 'violation', error: err as PeerError })
    }
  }

  /** The peer does not come back: all was well if both had said so and nothing of ours was missing. */
  #gone(error: PeerError): void {
    const reason = this.#why ?? (this.#incoming.ended ? 'left' : 'lost')
    if (reason === 'lost' || (this.waiting > 0 && reason !== 'stopped')) this.#end({ reason: 'lost', error })
    else this.#end({ reason })
  }

  #closeSide(reason: EndReason): void {
    this.#why ??= this.#incoming.ended ? 'left' : reason
    this.#outgoing.end()
  }

  #end(ending: Ending): void {
    if (this.#ending != null) return
    this.#ending = ending
    this.#link = undefined
    this.#back?.()
    this.#back = undefined
    this.#outgoing.fail(new StreamLostError(`the conversation is over: ${ending.reason}`, ending.error))
    this.#incoming.stop()
    this.#over(ending)
  }
}

/** Our own hand. */
const CUT = new StreamLostError('the conversation is over')
