import { Uint8ArrayList } from 'uint8arraylist'

/**
 * What is sent at once: contiguous buffers of this size go 20 times faster than many small ones. With yamux's 12 bytes it fits into one
 * message of noise (65,519), and that with its 18 into what a socket takes without asking to wait (65,536).
 */
export const SEND_BYTES = 65_500
/** Parts of this size are sent as they are, smaller ones are copied together. */
export const LARGE_BYTES = 4_096

/** A message, whole or in parts. */
export type Message = Uint8Array | Uint8ArrayList

/** Gathers messages into pieces to send; `mark` gives a message as parts with what tells it from the next. Pure. */
export class SendBuffer {
  #parts: Uint8Array[] = []
  #bytes = 0

  constructor(private readonly mark: (message: Message) => Iterable<Uint8Array>) {}

  get bytes(): number {
    return this.#bytes
  }

  /** Its large parts are not copied: they must not change any more. */
  push(message: Message): void {
    for (const part of this.mark(message)) {
      if (part.byteLength === 0) continue
      this.#parts.push(part)
      this.#bytes += part.byteLength
    }
  }

  /** A piece of at most `SEND_BYTES`; undefined when less than `least` is there. */
  take(least: number): Message | undefined {
    if (this.#bytes < least || this.#bytes === 0) return undefined
    const parts: Uint8Array[] = []
    let left = Math.min(SEND_BYTES, this.#bytes)
    this.#bytes -= left
    let used = 0
    while (left > 0) {
      const part = this.#parts[used]!
      if (part.byteLength >= LARGE_BYTES) {
        const taken = Math.min(left, part.byteLength)
        parts.push(part.subarray(0, taken))
        left -= taken
        if (taken < part.byteLength) this.#parts[used] = part.subarray(taken)
        else used++
        continue
      }
      const joined = new Uint8Array(Math.min(left, this.#smallFrom(used, left)))
      for (let filled = 0; filled < joined.byteLength; ) {
        const next = this.#parts[used]!
        const room = joined.byteLength - filled
        joined.set(next.byteLength > room ? next.subarray(0, room) : next, filled)
        filled += Math.min(room, next.byteLength)
        if (next.byteLength > room) this.#parts[used] = next.subarray(room)
        else used++
      }
      parts.push(joined)
      left -= joined.byteLength
    }
    this.#parts.splice(0, used)
    return parts.length === 1 ? parts[0] : new Uint8ArrayList(...parts)
  }

  clear(): void {
    this.#parts = []
    this.#bytes = 0
  }

  /** Bytes up to the next large part, counted no further than `enough`. */
  #smallFrom(index: number, enough: number): number {
    let bytes = 0
    for (let i = index; bytes < enough; i++) {
      const part = this.#parts[i]
      if (part == null || part.byteLength >= LARGE_BYTES) break
      bytes += part.byteLength
    }
    return bytes
  }
}
