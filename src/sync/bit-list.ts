/** Bits in the order in which they came, an eighth of a byte each. */
export class BitList {
  readonly #max: number
  #words = new Uint8Array(64)
  #length = 0

  constructor(max: number) {
    this.#max = max
  }

  get bytes(): number {
    return this.#words.length
  }

  /** False when it is full. */
  push(bit: boolean): boolean {
    if (this.#length >= this.#max) return false
    const index = this.#length >> 3
    if (index === this.#words.length) {
      const wider = new Uint8Array(Math.min(2 * index, Math.ceil(this.#max / 8)))
      wider.set(this.#words)
      this.#words = wider
    }
    if (bit) this.#words[index]! |= 1 << (this.#length & 7)
    this.#length++
    return true
  }

  /** Undefined behind the end. */
  at(n: number): boolean | undefined {
    return n < this.#length ? ((this.#words[n >> 3]! >> (n & 7)) & 1) === 1 : undefined
  }
}
