import { TooLargeError } from '../errors.js'

const NEWLINE = 10
const FIRST_BYTES = 256
const KEPT_BYTES = 4_096

/**
 * Lines ended by `\n` out of chunks that are cut anywhere. Pure. Chunks are copied together, so that a peer that sends byte by byte
 * costs no more memory than its bytes; no byte is looked at twice.
 */
export class LineBuffer {
  #held = new Uint8Array(FIRST_BYTES)
  #start = 0
  #end = 0
  /** Up to here there is no end of a line. */
  #seen = 0

  constructor(readonly maxLine: number) {}

  /** Bytes held. */
  get bytes(): number {
    return this.#end - this.#start
  }

  push(chunk: Uint8Array): void {
    this.#makeRoom(chunk.byteLength)
    this.#held.set(chunk, this.#end)
    this.#end += chunk.byteLength
  }

  /**
   * The next whole line, a copy without its `\n`, or undefined when more bytes are needed.
   *
   * @throws TooLargeError as soon as a line is longer than `maxLine`, whether its end has come or not
   */
  next(): Uint8Array | undefined {
    const found = this.#held.subarray(this.#seen, this.#end).indexOf(NEWLINE)
    const end = found < 0 ? this.#end : this.#seen + found
    if (end - this.#start > this.maxLine) {
      throw new TooLargeError(`line of over ${this.maxLine} bytes, which is the limit`)
    }
    this.#seen = end
    if (found < 0) return undefined
    const line = this.#held.slice(this.#start, end)
    this.#start = this.#seen = end + 1
    if (this.bytes === 0) this.#empty()
    return line
  }

  #empty(): void {
    // What a flood has made large does not stay so.
    if (this.#held.byteLength > KEPT_BYTES) this.#held = new Uint8Array(FIRST_BYTES)
    this.#start = this.#end = this.#seen = 0
  }

  #makeRoom(length: number): void {
    if (this.#end + length <= this.#held.byteLength) return
    const held = this.#held.subarray(this.#start, this.#end)
    const needed = held.byteLength + length
    // Moved within the same memory only when at most half of it is in use: each byte moves a bounded number of times.
    if (needed * 2 <= this.#held.byteLength) this.#held.copyWithin(0, this.#start, this.#end)
    else {
      const larger = new Uint8Array(needed * 2)
      larger.set(held)
      this.#held = larger
    }
    this.#seen -= this.#start
    this.#end -= this.#start
    this.#start = 0
  }
}
