import { FloodError, MalformedError, TooLargeError } from '../errors.js'
import type { Bell } from './bell.js'
import { costOf, WINDOW } from './outgoing.js'
import { decodeText, MAX_LINE_BYTES } from './text.js'

/** The other side's lines of a conversation, in order, until they are taken. Rings the bell at every change. */
export class Incoming {
  #lines: { text: string; cost: number }[] = []
  /** What those cost, and what all that were taken did. */
  #cost = 0
  #takenCost = 0
  /** Number of the last line that came. */
  #received = 0
  /** The other side's last line, when it has said so. */
  #last: number | undefined
  #over = false

  constructor(private readonly bell: Bell) {}

  get received(): number {
    return this.#received
  }

  /** What all lines together may cost so far. */
  get limit(): number {
    return this.#takenCost + WINDOW
  }

  /** The other side says no more. */
  get ended(): boolean {
    return this.#last != null
  }

  /** @throws MalformedError, TooLargeError, FloodError */
  push(id: number, line: Uint8Array): void {
    if (id < 1) throw new MalformedError('a line without a number')
    // sent again over another stream
    if (id <= this.#received) return
    if (id !== this.#received + 1) throw new MalformedError(`line ${id} after line ${this.#received}`)
    if (this.#last != null) throw new MalformedError(`line ${id} after the end`)
    if (line.byteLength > MAX_LINE_BYTES) {
      throw new TooLargeError(`line of ${line.byteLength} bytes, the limit is ${MAX_LINE_BYTES}`)
    }
    if (line.includes(10)) throw new MalformedError('a line that holds a line break')
    const cost = costOf(line)
    if (this.#cost + cost > WINDOW) throw new FloodError('more lines than there is room for')
    this.#lines.push({ text: decodeText(line), cost })
    this.#cost += cost
    this.#received = id
    this.bell.ring()
  }

  /** @throws MalformedError */
  end(last: number): void {
    if (last !== this.#received || (this.#last ?? last) !== last) {
      throw new MalformedError(`the end says ${last} lines, ${this.#received} came`)
    }
    this.#last = last
    this.bell.ring()
  }

  /** Nothing more comes. What came may still be taken. */
  stop(): void {
    this.#over = true
    this.bell.ring()
  }

  /** The next line; undefined when there will be none. */
  async take(): Promise<string | undefined> {
    while (true) {
      const line = this.#lines.shift()
      if (line != null) {
        this.#cost -= line.cost
        this.#takenCost += line.cost
        this.bell.ring()
        return line.text
      }
      if (this.#over || this.#last != null) return undefined
      await this.bell.wait()
    }
  }
}
