/**
 * What one session sends: hello, heads, and at last a goodbye. At most one head waits; a newer one takes its place. So a peer
 * that reads slowly costs nothing.
 */
export class Outbox implements AsyncIterable<Uint8Array> {
  #first: Uint8Array | undefined
  #head: Uint8Array | undefined
  #goodbye: Uint8Array | undefined
  #ended = false
  #wake: (() => void) | undefined

  constructor(hello: Uint8Array) {
    this.#first = hello
  }

  head(message: Uint8Array): void {
    if (this.#ended) return
    this.#head = message
    this.#wake?.()
  }

  /** The last message; a head that still waits is dropped. */
  goodbye(message: Uint8Array): void {
    if (this.#ended) return
    this.#goodbye = message
    this.end()
  }

  end(): void {
    this.#ended = true
    this.#head = undefined
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (true) {
      const message = this.#first ?? this.#goodbye ?? this.#head
      if (message != null) {
        if (message === this.#first) this.#first = undefined
        else if (message === this.#goodbye) this.#goodbye = undefined
        else this.#head = undefined
        yield message
      } else if (this.#ended) {
        return
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }
}
