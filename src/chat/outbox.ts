import { BusyError } from '../errors.js'

/** Waiting to be sent at most, in lines and in bytes. */
const MAX_LINES = 1_000
const MAX_BYTES = 1 << 20

interface Waiting {
  line: Uint8Array
  sent(): void
  failed(reason: Error): void
}

/** Own lines on their way out, in order. Read once, by what writes them to the stream. */
export class Outbox implements AsyncIterable<Uint8Array> {
  #waiting: Waiting[] = []
  #bytes = 0
  #ended = false
  #failure: Error | undefined
  #wake: (() => void) | undefined

  /**
   * Resolves when the line was taken. Rejects with BusyError when too many wait, and with the reason when it is never taken. A
   * rejection that nobody looks at ends no process.
   */
  push(line: Uint8Array): Promise<void> {
    const pushed = new Promise<void>((sent, failed) => {
      if (this.#failure != null) failed(this.#failure)
      else if (this.#waiting.length >= MAX_LINES || this.#bytes + line.byteLength > MAX_BYTES) {
        failed(new BusyError(1_000, `${this.#waiting.length} lines wait to be sent: the peer does not read`))
      } else {
        this.#waiting.push({ line, sent, failed })
        this.#bytes += line.byteLength
        this.#wake?.()
      }
    })
    pushed.catch(() => {})
    return pushed
  }

  /** No more is taken in; what waits still goes out. `reason` is what later ones are told. */
  end(reason: Error): void {
    this.#failure ??= reason
    this.#ended = true
    this.#wake?.()
  }

  /** Nothing goes out any more. */
  fail(reason: Error): void {
    this.end(reason)
    for (const { failed } of this.#waiting.splice(0)) failed(reason)
    this.#bytes = 0
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    while (true) {
      const next = this.#waiting.shift()
      if (next != null) {
        this.#bytes -= next.line.byteLength
        next.sent()
        yield next.line
      } else if (this.#ended) return
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        this.#wake = undefined
      }
    }
  }
}
