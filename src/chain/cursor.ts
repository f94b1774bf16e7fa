/** Bytes that do not decode, or that no encoder would have written. */
export class MalformedBytesError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'MalformedBytesError'
  }
}

/** A part of a block is over its limit. */
export class TooLargeBytesError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'TooLargeBytesError'
  }
}

/** Reads bytes from front to back. Every read past the end throws MalformedBytesError. */
export class Reader {
  #at = 0

  constructor(readonly bytes: Uint8Array) {}

  get left(): number {
    return this.bytes.length - this.#at
  }

  /** Moves past `length` bytes and answers where they begin in `bytes`. */
  skip(length: number): number {
    const from = this.#at
    if (length > this.bytes.length - from) {
      throw new MalformedBytesError(`${length} bytes wanted at ${from}, ${this.bytes.length - from} there`)
    }
    this.#at = from + length
    return from
  }

  /** The next bytes, as a view of the input. */
  take(length: number): Uint8Array {
    const from = this.skip(length)
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + from, length)
  }

  u8(): number {
    return this.bytes[this.skip(1)]!
  }

  u32(): number {
    const at = this.skip(4)
    const b = this.bytes
    return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0
  }

  /** Unsigned LEB128 in its shortest form, at most 8 bytes and 53 bits. */
  varint(): number {
    const first = this.u8()
    if (first < 0x80) return first
    let value = first & 0x7f
    let unit = 0x80
    for (let length = 2; length <= 8; length++) {
      const byte = this.u8()
      value += (byte & 0x7f) * unit
      if (byte < 0x80) {
        if (byte === 0) throw new MalformedBytesError('a varint is longer than it need be')
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      unit *= 0x80
    }
    throw new MalformedBytesError('a varint is over 53 bits')
  }

  /** @throws MalformedBytesError when bytes are left over. */
  end(): void {
    if (this.left > 0) throw new MalformedBytesError(`${this.left} bytes too many`)
  }
}

/** Writes into bytes whose length was measured beforehand. */
export class Writer {
  #at = 0

  constructor(readonly bytes: Uint8Array) {}

  /** Moves past `length` bytes and answers where they begin in `bytes`. */
  skip(length: number): number {
    const from = this.#at
    this.#at = from + length
    return from
  }

  put(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.skip(bytes.length))
  }

  u8(value: number): void {
    this.bytes[this.skip(1)] = value
  }

  u32(value: number): void {
    const at = this.skip(4)
    const b = this.bytes
    b[at] = value >>> 24
    b[at + 1] = value >>> 16
    b[at + 2] = value >>> 8
    b[at + 3] = value
  }

  varint(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.u8((rest % 0x80) | 0x80)
      rest = Math.floor(rest / 0x80)
    }
    this.u8(rest)
  }
}

/** Bytes that a varint takes. `value` is a safe integer that is not negative. */
export function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++
  return length
}
