import { Uint8ArrayList } from 'uint8arraylist'
import { BusyError, MalformedError, NotFoundError, TooLargeError, TooManyItemsError } from '../errors.js'
import { Frame } from '../pb/frame.js'
import { LARGE_BYTES, type Message, SEND_BYTES } from './send-buffer.js'
import { soon } from './soon.js'
import { readVarint, varintLength, writeVarint } from './varint.js'

/** What items are gathered to: a frame with all its prefixes is then one send. */
const GATHER_BYTES = SEND_BYTES - 16
/** Over the content of a frame: its tag and length. */
const FRAME_OVERHEAD = 16
const WHOLE = 0
const CUT = 1

/** Limits of one answer. */
export interface AnswerLimits {
  /** Bytes of one item. */
  itemBytes: number
  items: number
  /** Bytes of all items together. The first item may be larger. */
  answerBytes: number
}

/** Largest frame that an answer may have. */
export function largestFrame(itemBytes: number): number {
  return Math.max(65_536, itemBytes + varintLength(itemBytes)) + FRAME_OVERHEAD
}

/**
 * Items to frames, ended by `End`. Items are gathered up to 64 KiB as long as they are at hand; a large one by itself is not copied. What would go over a limit is
 * not sent: the answer then ends with code 1, as it does when the source returns `'more'`.
 *
 * @throws whatever the source throws; `BusyError` and `NotFoundError` become frames
 */
export async function* answerFrames<Item>(
  source: AsyncIterable<Item | Item[]>,
  encode: (item: Item) => Uint8Array,
  limits: AnswerLimits
): AsyncGenerator<Message> {
  const iterator: AsyncIterator<Item | Item[], unknown> = source[Symbol.asyncIterator]()
  let batch: Uint8Array[] = []
  let batchBytes = 0
  let count = 0
  let total = 0
  let code = WHOLE
  const flush = (): Message => {
    const frame = itemsFrame(batch, batchBytes)
    batch = []
    batchBytes = 0
    return frame
  }
  try {
    pages: while (true) {
      const next = iterator.next()
      if (batch.length > 0 && !(await soon(next))) yield flush()
      const { done, value } = await next
      if (done === true) {
        if (value === 'more') code = CUT
        break
      }
      for (const item of Array.isArray(value) ? (value as Item[]) : [value as Item]) {
        const bytes = encode(item)
        if (count >= limits.items || (count > 0 && total + bytes.byteLength > limits.answerBytes)) {
          code = CUT
          break pages
        }
        if (bytes.byteLength > limits.itemBytes) {
          throw new RangeError(`own item of ${bytes.byteLength} bytes, the limit is ${limits.itemBytes}`)
        }
        const size = varintLength(bytes.byteLength) + bytes.byteLength
        if (batch.length > 0 && batchBytes + size > GATHER_BYTES) yield flush()
        batch.push(bytes)
        batchBytes += size
        count++
        total += bytes.byteLength
      }
    }
  } catch (err) {
    const name = (err as Error).name
    if (name !== 'BusyError' && name !== 'NotFoundError') throw err
    if (count === 0) {
      yield name === 'BusyError' ? busyFrame((err as BusyError).retryMs) : Frame.encode({ notFound: {} })
      return
    }
    code = CUT
  } finally {
    Promise.resolve(iterator.return?.()).catch(() => {})
  }
  if (batch.length > 0) yield flush()
  yield Frame.encode({ end: { code, count } })
}

/** A whole answer: come back in `retryMs`. */
export function busyFrame(retryMs: number): Uint8Array {
  return Frame.encode({ busy: { retryMs } })
}

function itemsFrame(items: Uint8Array[], size: number): Message {
  const alone = items.length === 1 && size >= LARGE_BYTES ? items[0] : undefined
  const frame = new Uint8Array(1 + varintLength(size) + size - (alone?.byteLength ?? 0))
  frame[0] = ITEMS_TAG
  let offset = writeVarint(size, frame, 1)
  if (alone != null) {
    writeVarint(alone.byteLength, frame, offset)
    return new Uint8ArrayList(frame, alone)
  }
  for (const item of items) {
    offset = writeVarint(item.byteLength, frame, offset)
    frame.set(item, offset)
    offset += item.byteLength
  }
  return frame
}

/** Field 1, length-delimited. */
const ITEMS_TAG = (1 << 3) | 2

/** Reads the frames of one answer, in order. Pure. */
export class AnswerReader<Item> {
  /** The end has been read. */
  done = false
  /** The server cut the answer at a limit of its own: ask again from where it stopped. */
  more = false
  /** Items so far. */
  count = 0
  #bytes = 0

  constructor(
    private readonly decode: (bytes: Uint8Array) => Item,
    private readonly limits: AnswerLimits
  ) {}

  /**
   * The items of one frame; none when it was the end.
   *
   * @throws BusyError, NotFoundError when that was the answer; TooLargeError, MalformedError, TooManyItemsError
   */
  push(bytes: Uint8Array): Item[] {
    if (this.done) throw new MalformedError('a frame after the end')
    const frame = decodeFrame(bytes)
    if (frame.items != null) return this.#items(frame.items)
    if (frame.end != null) {
      if (frame.end.count !== this.count) {
        throw new MalformedError(`the end says ${frame.end.count} items, ${this.count} came`)
      }
      this.more = frame.end.code === CUT
      this.done = true
      return []
    }
    if (frame.busy == null && frame.notFound == null) throw new MalformedError('a frame with nothing known in it')
    if (this.count > 0) throw new MalformedError('a refusal after items')
    throw frame.busy != null ? new BusyError(frame.busy.retryMs) : new NotFoundError()
  }

  #items(content: Uint8Array): Item[] {
    const items: Item[] = []
    let offset = 0
    do {
      const prefix = readPrefix(content, offset)
      const start = offset + prefix.length
      offset = start + prefix.value
      if (prefix.value > this.limits.itemBytes) {
        throw new TooLargeError(`item of ${prefix.value} bytes, the limit is ${this.limits.itemBytes}`)
      }
      if (offset > content.byteLength) throw new MalformedError('an item reaches over its frame')
      if (++this.count > this.limits.items) throw new TooManyItemsError(`more than ${this.limits.items} items`)
      this.#bytes += prefix.value
      if (this.#bytes > this.limits.answerBytes && this.count > 1) {
        throw new TooLargeError(`answer of over ${this.limits.answerBytes} bytes`)
      }
      try {
        items.push(this.decode(content.subarray(start, offset)))
      } catch (err) {
        throw new MalformedError(`item ${this.count}: ${(err as Error).message}`, err)
      }
    } while (offset < content.byteLength)
    if (items.length > 1 && content.byteLength > 65_536) {
      throw new TooLargeError(`frame of ${content.byteLength} bytes with more than one item`)
    }
    return items
  }
}

function readPrefix(content: Uint8Array, offset: number): { value: number; length: number } {
  try {
    const prefix = readVarint((index) => content[offset + index])
    if (prefix != null) return prefix
  } catch (err) {
    throw new MalformedError(`item length: ${(err as Error).message}`, err)
  }
  throw new MalformedError('a frame that ends inside an item length, or has no item')
}

function decodeFrame(bytes: Uint8Array): Frame {
  try {
    return Frame.decode(bytes)
  } catch (err) {
    throw new MalformedError(`frame: ${(err as Error).message}`, err)
  }
}
