import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { type Clock, systemClock } from '../clock.js'
import { type PeerError, StreamLostError, TimeoutError, TruncatedError } from '../errors.js'
import type { Framed, FramedInit } from './framed.js'
import { type Framing, prefixed } from './framing.js'
import { ReadDeadline } from './read-deadline.js'
import { type Message, SEND_BYTES, type SendBuffer } from './send-buffer.js'
import { soon } from './soon.js'

/** Over the largest window that yamux opens (16 MiB), so that pausing never overflows a stream's buffer: the window is the bound. */
const READ_BUFFER_BYTES = 17 << 20

/** See `Framed`. */
export class FramedStream implements Framed {
  readonly source: AsyncGenerator<Uint8Array, void, undefined>
  readonly sink = (source: AsyncIterable<Message> | Iterable<Message>): Promise<void> => this.#write(source)

  readonly #clock: Clock
  readonly #highWater: number
  readonly #frames: Framing['received']
  /** Why all ended. */
  #failure: Error | undefined
  #closed = false
  /** All was handed to the stream: that it closes from now on is no loss. */
  #wrote = false
  /** Of the reader, while it waits. */
  #wakeReader: (() => void) | undefined
  /** Of the writer, while it waits for its source or for a drain. */
  #wakeWriter: (() => void) | undefined
  readonly #pending: SendBuffer
  readonly #deadline: ReadDeadline

  constructor(
    readonly stream: Stream,
    readonly init: FramedInit,
    private readonly framing: Framing = prefixed(init.maxFrame)
  ) {
    this.#clock = init.clock ?? systemClock
    this.#highWater = init.highWater ?? 1 << 20
    this.#frames = framing.received
    this.#pending = framing.pending
    this.#deadline = new ReadDeadline(init, this.#clock, (err) => this.#fail(err))
    this.source = this.#read()
    stream.maxReadBufferLength = Math.max(stream.maxReadBufferLength, READ_BUFFER_BYTES)
    // What happened before we listened is not told again.
    if (stream.status === 'reset' || stream.status === 'aborted') this.#fail(lost(stream))
    if (stream.status === 'closed') this.#closed = true
    stream.addEventListener('message', this.#onMessage)
    stream.addEventListener('remoteCloseWrite', this.#wakeUpReader)
    stream.addEventListener('close', this.#onClose)
    if (init.signal?.aborted) this.#onAbort()
    else init.signal?.addEventListener('abort', this.#onAbort)
  }

  get buffered(): number {
    return this.#frames.bytes + this.stream.readBufferLength
  }

  last(): void {
    this.#deadline.expectEnd()
  }

  abort(reason: Error): void {
    if (this.#closed) return
    this.#fail(reason)
  }

  // Reading

  async *#read(): AsyncGenerator<Uint8Array, void, undefined> {
    let done = false
    try {
      for (let frame = await this.#frame(); frame != null; frame = await this.#frame()) yield frame
      done = true
    } finally {
      if (!done) this.abort(new StreamLostError('stopped reading'))
    }
  }

  /** The next frame, undefined at a clean end. */
  async #frame(): Promise<Uint8Array | undefined> {
    try {
      while (true) {
        const frame = this.#take()
        if (frame != null) return frame
        if (this.#failure != null) {
          if (this.#deadline.last && this.#failure instanceof TimeoutError) return undefined
          throw this.#failure
        }
        if (this.#ended()) {
          if (this.#frames.bytes > 0)
            throw this.#fail(new TruncatedError(`the stream ended inside a ${this.framing.unit}`))
          return undefined
        }
        this.#deadline.begin()
        if (this.stream.readStatus === 'paused') {
          this.#resume()
          continue
        }
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve
        })
      }
    } finally {
      this.#deadline.end()
    }
  }

  #take(): Uint8Array | undefined {
    try {
      const frame = this.#frames.next()
      if (this.#frames.bytes <= this.#highWater / 2 && this.stream.readStatus === 'paused') this.#resume()
      return frame
    } catch (err) {
      throw this.#fail(err as Error)
    }
  }

  #ended(): boolean {
    return this.stream.remoteWriteStatus === 'closed' && this.stream.readBufferLength === 0
  }

  /** May deliver what was held back at once. */
  #resume(): void {
    try {
      this.stream.resume()
    } catch {
      // The connection closed meanwhile: what was held back has been delivered all the same.
    }
  }

  readonly #onMessage = (event: StreamMessageEvent): void => {
    const data = event.data
    if (data instanceof Uint8Array) this.#frames.push(data)
    else for (const chunk of data) this.#frames.push(chunk)
    // Not at once: a pause inside the delivery that a resume set off is lost at the muxer. By then a reader that was waiting
    // has taken what it could; one that still waits needs more for its frame, whatever is held.
    if (this.#frames.bytes > this.#highWater) queueMicrotask(() => queueMicrotask(this.#pauseIfFull))
    this.#wakeUpReader()
  }

  readonly #pauseIfFull = (): void => {
    if (this.#frames.bytes <= this.#highWater || this.#wakeReader != null || this.stream.readStatus !== 'readable')
      return
    try {
      this.stream.pause()
    } catch {
      // It closed meanwhile.
    }
  }

  // Writing

  async #write(source: AsyncIterable<Message> | Iterable<Message>): Promise<void> {
    const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
    try {
      while (true) {
        const next = Promise.resolve(iterator.next())
        if (this.#pending.bytes > 0 && !(await soon(next))) await this.#flush(1)
        const { done, value } = await this.#unlessLost(next)
        if (done === true) break
        this.#pending.push(value)
        await this.#flush(SEND_BYTES)
      }
      await this.#flush(1)
      await this.#closeWrite()
    } catch (err) {
      const failure = this.#fail(err instanceof Error ? err : lost(this.stream, err))
      // Not awaited: a source that waits for the world outside would hold us up.
      Promise.resolve(iterator.return?.()).catch(() => {})
      throw failure
    }
  }

  async #flush(least: number): Promise<void> {
    for (let piece = this.#pending.take(least); piece != null; piece = this.#pending.take(least))
      await this.#send(piece)
  }

  async #send(bytes: Message): Promise<void> {
    this.#throwIfLost()
    if (this.stream.writeStatus !== 'writable') throw lost(this.stream)
    try {
      this.stream.send(bytes)
    } catch (err) {
      throw lost(this.stream, err)
    }
    if (!this.stream.writableNeedsDrain) return
    // One `drain` is not enough: a reader that opens its window byte by byte would have us pile up a buffer per byte.
    const cancel = this.#stallDeadline()
    // only now: a listener costs half a KB, and most streams never wait
    this.stream.addEventListener('drain', this.#wakeUpWriter)
    try {
      while (this.stream.writableNeedsDrain) {
        await new Promise<void>((resolve) => {
          this.#wakeWriter = resolve
        })
        this.#throwIfLost()
      }
    } finally {
      this.stream.removeEventListener('drain', this.#wakeUpWriter)
      cancel()
    }
  }

  async #closeWrite(): Promise<void> {
    this.#throwIfLost()
    this.#wrote = true
    const controller = new AbortController()
    const cancel = this.#stallDeadline()
    const closing = this.stream.close({ signal: controller.signal })
    closing.catch(() => {})
    try {
      await this.#unlessLost(closing)
    } finally {
      cancel()
      controller.abort()
    }
  }

  #stallDeadline(): () => void {
    const ms = this.init.stallMs ?? 10_000
    return this.#clock.after(ms, () => this.#fail(new TimeoutError(`did not read for ${ms} ms`)))
  }

  /** The value of `promise`, or an error as soon as the stream is lost. */
  #unlessLost<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const watch = (): void => {
        try {
          this.#throwIfLost()
          this.#wakeWriter = watch
        } catch (err) {
          reject(err)
        }
      }
      promise.then(
        (value) => {
          if (this.#wakeWriter === watch) this.#wakeWriter = undefined
          resolve(value)
        },
        (err) => {
          if (this.#wakeWriter === watch) this.#wakeWriter = undefined
          reject(err)
        }
      )
      watch()
    })
  }

  #throwIfLost(): void {
    if (this.#failure != null) throw this.#failure
    // A connection that goes away closes its streams without an error.
    if (this.#closed && !this.#wrote) throw lost(this.stream)
  }

  // Ending

  readonly #wakeUpReader = (): void => {
    this.#wakeReader?.()
    this.#wakeReader = undefined
  }

  readonly #wakeUpWriter = (): void => {
    this.#wakeWriter?.()
  }

  readonly #onClose = (event: StreamCloseEvent): void => {
    if (event.error != null && this.#failure == null) this.#fail(lost(this.stream, event.error))
    this.#closed = true
    this.init.signal?.removeEventListener('abort', this.#onAbort)
    this.#wakeUpReader()
    this.#wakeUpWriter()
  }

  readonly #onAbort = (): void => {
    const reason: unknown = this.init.signal?.reason
    this.abort(reason instanceof Error ? reason : new StreamLostError('aborted', reason))
  }

  /** The first failure counts. */
  #fail(err: Error): Error {
    if (this.#failure == null) {
      this.#failure = err
      this.#pending.clear()
      this.init.signal?.removeEventListener('abort', this.#onAbort)
      this.stream.abort(err)
    }
    this.#wakeUpReader()
    this.#wakeUpWriter()
    return this.#failure
  }
}

function lost(stream: Stream, cause?: unknown): PeerError {
  const why = cause instanceof Event ? (cause as StreamCloseEvent).error : cause
  return new StreamLostError(`the stream is ${stream.status}${why instanceof Error ? `: ${why.message}` : ''}`, why)
}
