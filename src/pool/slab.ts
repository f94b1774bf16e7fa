/** So much is kept in memory at most for one transaction that alone is left of those beside it. */
const SLAB_BYTES = 4_096

/**
 * Copies of small pieces of bytes, several in one buffer: a buffer of its own costs more to make and to collect than all else that is done
 * with a transaction.
 */
export class Slab {
  #bytes = new Uint8Array(0)
  #used = 0

  copy(bytes: Uint8Array): Uint8Array {
    const { length } = bytes
    if (length > SLAB_BYTES / 4) return bytes.slice()
    if (this.#used + length > this.#bytes.length) {
      this.#bytes = new Uint8Array(SLAB_BYTES)
      this.#used = 0
    }
    const copy = this.#bytes.subarray(this.#used, this.#used + length)
    copy.set(bytes)
    this.#used += length
    return copy
  }
}
