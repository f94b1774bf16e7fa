import { BusyError, MalformedError, StreamLostError } from '../errors.js'
import type { Bell } from './bell.js'
import { MAX_LINE_BYTES } from './text.js'

/** Not acknowledged at most, in lines and in bytes. */
const MAX_LINES = 1_000
const MAX_BYTES = 1 << 20

/** What may wait in a peer that does not read, where a line counts as its bytes and `LINE_COST`. */
export const WINDOW = 256 << 10
const LINE_COST = 64

export function costOf(line: Uint8Array): number {
  return line.byteLength + LINE_COST
}

interface Own {
  line: Uint8Array<ArrayBuffer>
  arrived(): void
  failed(reason: Error): void
}

/** Own lines of a conversation, in order, numbered from 1, until each is acknowledged. Rings the bell at every change. */
export class Outgoing {
  /** Not acknowledged, oldest first. */
  #lines: Own[] = []
  #bytes = 0
  /** Of `#lines`, those that were sent over the stream that there is now. */
  #sent = 0
  /** Number of the last line that was acknowledged. */
  #acked = 0
  /** What all lines up to that one cost, what all up to the last one that was sent do, and what these may. */
  #ackedCost = 0
  #sentCost = 0
  #limit = WINDOW
  #failure: Error | undefined
  #ended = false

  constructor(private readonly bell: Bell) {}

  /** Lines that are not acknowledged. */
  get waiting(): number {
    return this.#lines.length
  }

  /** Number of the last line that there is. */
  get last(): number {
    return this.#acked + this.#lines.length
  }

  /** No more is taken in, and all that was is sent. */
  get allSent(): boolean {
    return this.#ended && this.#sent === this.#lines.length
  }

  /** No more is taken in, and all that was is acknowledged. */
  get done(): boolean {
    return this.#ended && this.#lines.length === 0
  }

  /** A line of any length would be taken in, or refused for good. */
  get room(): boolean {
    return this.#failure != null || (this.#lines.length < MAX_LINES && this.#bytes <= MAX_BYTES - MAX_LINE_BYTES)
  }

  /**
   * Resolves when the line is acknowledged. Rejects with BusyError when too many are not, and with the reason when it never will be. A
   * rejection that nobody looks at ends no process.
   */
  push(line: Uint8Array<ArrayBuffer>): Promise<void> {
    const pushed = new Promise<void>((arrived, failed) => {
      if (this.#failure != null) failed(this.#failure)
      else if (this.#lines.length >= MAX_LINES || this.#bytes + line.byteLength > MAX_BYTES) {
        failed(new BusyError(1_000, `${this.#lines.length} lines wait for the peer`))
      } else {
        this.#lines.push({ line, arrived, failed })
        this.#bytes += line.byteLength
        this.bell.ring()
      }
    })
    pushed.catch(() => {})
    return pushed
  }

  /** The next line to send and its number; undefined while there is none, or the peer has no room for it. */
  next(): { id: number; line: Uint8Array<ArrayBuffer> } | undefined {
    const own = this.#lines[this.#sent]
    if (own == null || this.#sentCost + costOf(own.line) > this.#limit) return undefined
    this.#sentCost += costOf(own.line)
    this.#sent++
    return { id: this.#acked + this.#sent, line: own.line }
  }

  /** @throws MalformedError for a line that was not sent */
  acknowledge(id: number): void {
    if (id > this.#acked + this.#sent) throw new MalformedError(`line ${id} acknowledged, which was not sent`)
    if (id <= this.#acked) return
    const count = id - this.#acked
    for (const { line, arrived } of this.#lines.splice(0, count)) {
      this.#bytes -= line.byteLength
      this.#ackedCost += costOf(line)
      arrived()
    }
    this.#sent -= count
    this.#acked = id
    this.bell.ring()
  }

  /** What all lines together may cost from now on. */
  allow(limit: number): void {
    if (limit <= this.#limit) return
    this.#limit = limit
    this.bell.ring()
  }

  /**
   * There is another stream, and the peer has all lines up to `received`: those after it are sent again.
   *
   * @throws MalformedError when that cannot be
   */
  resume(received: number): void {
    if (received < this.#acked || received > this.last) {
      throw new MalformedError(`has ${received} lines, of ${this.last} it took ${this.#acked}`)
    }
    this.#sent = received - this.#acked
    this.#sentCost = this.#ackedCost
    for (const { line } of this.#lines.slice(0, this.#sent)) this.#sentCost += costOf(line)
    this.acknowledge(received)
  }

  /** No more is taken in; what waits still goes out. */
  end(): void {
    this.#failure ??= new StreamLostError('our side of the conversation is closed')
    this.#ended = true
    this.bell.ring()
  }

  /** Nothing more is acknowledged. */
  fail(reason: Error): void {
    this.end()
    for (const { failed } of this.#lines.splice(0)) failed(reason)
    this.#sent = this.#bytes = 0
    this.bell.ring()
  }
}
