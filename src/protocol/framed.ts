import type { Stream } from '@libp2p/interface'
import type { Uint8ArrayList } from 'uint8arraylist'
import type { Clock } from '../clock.js'
import { FramedStream } from './framed-stream.js'

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
  /**
   * Writes frames, whole or in parts, and then closes the writing side. Large ones are not copied: they must not change any more. At most
   * once. A source that throws aborts the stream.
   */
  readonly sink: (
    source: AsyncIterable<Uint8Array | Uint8ArrayList> | Iterable<Uint8Array | Uint8ArrayList>
  ) => Promise<void>
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
