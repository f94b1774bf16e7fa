import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { type Clock, systemClock } from '../clock.js'
import { type PeerError, StreamLostError, TimeoutError, TruncatedError } from '../errors.js'
import { FrameBuffer } from './frame-buffer.js'
import { soon } from './soon.js'
import { varintLength, writeVarint } from './varint.js'

/** Sends are gathered into contiguous buffers of this size: 20 times faster than many small ones. */
export const SEND_BYTES = 65_536
/** Over the largest window that yamux opens (16 MiB), so that pausing never overflows a stream's buffer: the window is the bound. */
const READ_BUFFER_BYTES = 17 << 20
/** How long the other side may take to close after its last frame. */
const LAST_MS = 1_000

export interface FramedInit {
  /** Largest frame that is read, in bytes without its prefix. A larger one is a `TooLargeError` before it is allocated. */
  maxFrame: number
  /** Bytes held for a slow reader before the other side is made to wait. @default 1_048_576 */
  highWater?: number
  /** How long the first frame may take, while it is waited for, in ms. @default no limit */
  firstMs?: number
  /** How long each further frame may take, while it is waited for, in ms. @default no limit */
  nextMs?: number
  /** How long all frames together may take, counting only the time that they are waited for, in ms. @default no limit */
  totalMs?: number
  /** How long a send may wait for the other side to read, in ms. @default 10_000 */
  stallMs?: number
  /** Aborts the stream with its reason. */
  signal?: AbortSignal
  clock?: Clock
}

/**
 * Length-prefixed frames over one libp2p stream, as a duplex that `it-pipe` joins: `pipe(a, framed, b)`. Back-pressure is real
 * both ways: a slow consumer of `source` pauses the stream, `sink` waits while the stream's buffer is full.
 *
 * Owns the stream: when `source` was read to its end and `sink` has returned, it is closed. Anything that goes wrong aborts it
 * and rejects both with the same `PeerError`: `TooLargeError`, `MalformedError`, `TimeoutError`, `StreamLostError`, and
 * `TruncatedError` where the stream ends inside a frame. A clean end is no sign that all has come: a lost connection looks the same.
 */
export interface Framed {
  /** The frames, views where possible: copy what is kept for long. To be read once; leaving it early aborts the stream. */
  readonly source: AsyncGenerator<Uint8Array, void, undefined>
  /** Writes frames and then closes the writing side. At most once. A source that throws aborts the stream. */
  readonly sink: (source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) => Promise<void>
  /** Bytes that came and were not taken from `source` yet. */
  readonly buffered: number
  /** Says that nothing more is expected: what is being waited for may take a second, and is then given up without an error. */
  last(): void
  /** Resets the stream; `source` and `sink` end with `reason`. Does nothing once all is closed. */
  abort(reason: Error): void
}

/** Frames over `stream`; nothing else may read from it or write to it from now on. */
export function framed(stream: Stream, init: FramedInit): Framed {
  return new FramedStream(stream, init)
}

class FramedStream implements Framed {
  readonly source: AsyncGenerator<Uint8Array, void, undefined>
  readonly sink = (source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> => this.#write(source)

  readonly #clock: Clock
  readonly #highWater: number
  readonly #frames: FrameBuffer
  /** Why all ended. */
  #failure: Error | undefined
  #closed = false
  #last = false
  /** All was handed to the stream: that it closes from now on is no loss. */
  #wrote = false
  /** Of the reader, while it waits. */
  #wakeReader: (() => void) | undefined
  /** Of the writer, while it waits for its source or for a drain. */
  #wakeWriter: (() => void) | undefined
  #cancelReadDeadline: (() => void) | undefined
  /** Of `totalMs`. */
  #waited = 0
  #pending: Uint8Array[] = []
  #pendingBytes = 0

  constructor(
    readonly stream: Stream,
    readonly init: FramedInit
  ) {
    this.#clock = init.clock ?? systemClock
    this.#highWater = init.highWater ?? 1 << 20
    this.#frames = new FrameBuffer(init.maxFrame)
    this.source = this.#read()
    stream.maxReadBufferLength = Math.max(stream.maxReadBufferLength, READ_BUFFER_BYTES)
    // What happened before we listened is not told again.
    if (stream.status === 'reset' || stream.status === 'aborted') this.#fail(lost(stream))
    if (stream.status === 'closed') this.#closed = true
    stream.addEventListener('message', this.#onMessage)
    stream.addEventListener('remoteCloseWrite', this.#wakeUpReader)
    stream.addEventListener('drain', this.#wakeUpWriter)
    stream.addEventListener('close', this.#onClose)
    if (init.signal?.aborted) this.#onAbort()
    else init.signal?.addEventListener('abort', this.#onAbort)
  }

  get buffered(): number {
    return this.#frames.bytes + this.stream.readBufferLength
  }

  last(): void {
    this.#last = true
    if (this.#cancelReadDeadline != null) this.#setReadDeadline(LAST_MS)
  }

  abort(reason: Error): void {
    if (this.#closed) return
    this.#fail(reason)
  }

  // Reading

  async *#read(): AsyncGenerator<Uint8Array, void, undefined> {
    let first = true
    let done = false
    try {
      while (true) {
        const frame = await this.#frame(first ? this.init.firstMs : this.init.nextMs)
        if (frame == null) break
        first = false
        yield frame
      }
      done = true
    } finally {
      if (!done) this.abort(new StreamLostError('stopped reading'))
    }
  }

  /** The next frame, undefined at a clean end. */
  async #frame(ms: number | undefined): Promise<Uint8Array | undefined> {
    const started = this.#clock.now()
    try {
      while (true) {
        const frame = this.#take()
        if (frame != null) return frame
        if (this.#failure != null) {
          if (this.#last && this.#failure instanceof TimeoutError) return undefined
          throw this.#failure
        }
        if (this.#ended()) {
          if (this.#frames.bytes > 0) throw this.#fail(new TruncatedError('the stream ended inside a frame'))
          return undefined
        }
        if (this.#cancelReadDeadline == null) this.#setReadDeadline(ms)
        if (this.stream.readStatus === 'paused') {
          this.#resume()
          continue
        }
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve
        })
      }
    } finally {
      this.#cancelReadDeadline?.()
      this.#cancelReadDeadline = undefined
      this.#waited += Math.max(0, this.#clock.now() - started)
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

  #setReadDeadline(ms: number | undefined): void {
    this.#cancelReadDeadline?.()
    const left = this.#last || this.init.totalMs == null ? Number.POSITIVE_INFINITY : this.init.totalMs - this.#waited
    const wait = Math.max(0, Math.min(this.#last ? LAST_MS : (ms ?? Number.POSITIVE_INFINITY), left))
    if (wait === Number.POSITIVE_INFINITY) {
      this.#cancelReadDeadline = () => {}
      return
    }
    this.#cancelReadDeadline = this.#clock.after(wait, () => {
      const what =
        left <= (ms ?? Number.POSITIVE_INFINITY) ? `all within ${this.init.totalMs} ms` : `a frame within ${ms} ms`
      this.#fail(new TimeoutError(`did not send ${what}`))
    })
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

  async #write(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
    try {
      while (true) {
        const next = Promise.resolve(iterator.next())
        if (this.#pendingBytes > 0 && !(await soon(next))) await this.#flush(1)
        const { done, value } = await this.#unlessLost(next)
        if (done === true) break
        const prefix = new Uint8Array(varintLength(value.byteLength))
        writeVarint(value.byteLength, prefix, 0)
        this.#pending.push(prefix, value)
        this.#pendingBytes += prefix.byteLength + value.byteLength
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

  /** Sends what is pending in pieces of `SEND_BYTES`, until less than `least` is left. */
  async #flush(least: number): Promise<void> {
    while (this.#pendingBytes >= least && this.#pendingBytes > 0) {
      const piece = new Uint8Array(Math.min(SEND_BYTES, this.#pendingBytes))
      let filled = 0
      let used = 0
      for (const part of this.#pending) {
        const room = piece.byteLength - filled
        if (room === 0) break
        if (part.byteLength > room) {
          piece.set(part.subarray(0, room), filled)
          this.#pending[used] = part.subarray(room)
          filled += room
        } else {
          piece.set(part, filled)
          filled += part.byteLength
          used++
        }
      }
      this.#pending.splice(0, used)
      this.#pendingBytes -= filled
      await this.#send(piece)
    }
  }

  async #send(bytes: Uint8Array): Promise<void> {
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
    try {
      while (this.stream.writableNeedsDrain) {
        await new Promise<void>((resolve) => {
          this.#wakeWriter = resolve
        })
        this.#throwIfLost()
      }
    } finally {
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
      this.#pending = []
      this.#pendingBytes = 0
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
