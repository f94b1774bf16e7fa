import { FrameBuffer } from './frame-buffer.js'
import { LineBuffer } from './line-buffer.js'
import { type Message, SendBuffer } from './send-buffer.js'
import { varintLength, writeVarint } from './varint.js'

/** How one message is told from the next in the bytes of a stream. */
export interface Framing {
  /** What a message is called in errors. */
  readonly unit: 'frame' | 'line'
  /** Messages out of bytes that came, cut anywhere. */
  readonly received: {
    /** Held, marks included. */
    readonly bytes: number
    push(chunk: Uint8Array): void
    /** Throws a `PeerError` after which nothing can be read. */
    next(): Uint8Array | undefined
  }
  readonly pending: SendBuffer
}

/** Each message after its length as a varint. */
export function prefixed(maxFrame: number): Framing {
  const mark = (frame: Message): Uint8Array[] => {
    const prefix = new Uint8Array(varintLength(frame.byteLength))
    writeVarint(frame.byteLength, prefix, 0)
    return [prefix, ...partsOf(frame)]
  }
  return { unit: 'frame', received: new FrameBuffer(maxFrame), pending: new SendBuffer(mark) }
}

const NEWLINE = Uint8Array.of(10)

/** Each message before a `\n`, which it must not hold. */
export function terminated(maxLine: number): Framing {
  return {
    unit: 'line',
    received: new LineBuffer(maxLine),
    pending: new SendBuffer((line) => [...partsOf(line), NEWLINE])
  }
}

function partsOf(message: Message): Iterable<Uint8Array> {
  return message instanceof Uint8Array ? [message] : message
}
