import type { Stream } from '@libp2p/interface'
import type { Framed, FramedInit } from './framed.js'
import { FramedStream } from './framed-stream.js'
import { terminated } from './framing.js'

export interface LinedInit extends Omit<FramedInit, 'maxFrame'> {
  /** Longest line that is read, in bytes without its `\n`. A longer one is a `TooLargeError` as soon as that many have come. */
  maxLine: number
}

/**
 * Lines ended by `\n` over `stream`, as a duplex that `it-pipe` joins; see `Framed`, with lines for frames. They go in and come out
 * without their end. What comes after the last `\n` is no line: a stream that ends there is a `TruncatedError`.
 */
export function lined(stream: Stream, { maxLine, ...init }: LinedInit): Framed {
  return new FramedStream(stream, { ...init, maxFrame: maxLine }, terminated(maxLine))
}
