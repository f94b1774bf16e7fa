import { MalformedBytesError, type Reader, varintLength, type Writer } from './cursor.js'

/** One part of a struct: how it lies in bytes. Made by `bytes()`, `u32` and the others, or by hand. */
export interface Field<T> {
  /** How many bytes `write` will write. Throws RangeError for a value that cannot be written. */
  measure(value: T): number
  /** Writes a value that was measured. */
  write(value: T, writer: Writer): void
  /** Throws MalformedBytesError for anything that `write` would not have written. */
  read(reader: Reader): T
}

const eight = new DataView(new ArrayBuffer(8))
const eightBytes = new Uint8Array(eight.buffer)
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

/** An integer of 1 byte, a number. */
export const u8: Field<number> = integer(1)
/** An integer of 2 bytes, a number. */
export const u16: Field<number> = integer(2)
/** An integer of 4 bytes, a number. */
export const u32: Field<number> = integer(4)

/** An integer of up to 53 bits in 8 bytes, a number: times, heights. */
export const u53: Field<number> = {
  measure(value) {
    if (!Number.isSafeInteger(value) || value < 0) throw unfit(value, 'an integer from 0 to 2^53 - 1')
    return 8
  },
  write(value, writer) {
    writer.u32(Math.floor(value / 0x1_0000_0000))
    writer.u32(value)
  },
  read(reader) {
    const high = reader.u32()
    const low = reader.u32()
    if (high > 0x1f_ffff) throw new MalformedBytesError('an integer over 53 bits')
    return high * 0x1_0000_0000 + low
  }
}

/** An integer of 8 bytes, a bigint: amounts. */
export const u64: Field<bigint> = uint(8)

/** An integer of `size` bytes, 1 to 32, a bigint. */
export function uint(size: number): Field<bigint> {
  if (!Number.isInteger(size) || size < 1 || size > 32) throw new RangeError(`uint(${size}): 1 to 32 bytes`)
  const bits = BigInt(8 * size)
  const first = size % 8
  return {
    measure(value) {
      if (typeof value !== 'bigint' || value < 0n || value >> bits !== 0n) {
        throw unfit(value, `a bigint of at most ${size} bytes`)
      }
      return size
    },
    write(value, writer) {
      const from = writer.skip(size)
      let rest = value
      for (let at = from + size; at > from; at -= 8) {
        eight.setBigUint64(0, rest)
        const part = Math.min(8, at - from)
        for (let i = 1; i <= part; i++) writer.bytes[at - i] = eightBytes[8 - i]!
        rest >>= 64n
      }
    },
    read(reader) {
      let at = reader.skip(size)
      const end = at + size
      let value = 0n
      if (first > 0) {
        eightBytes.fill(0)
        for (let i = 8 - first; i < 8; i++) eightBytes[i] = reader.bytes[at++]!
        value = eight.getBigUint64(0)
      }
      while (at < end) {
        for (let i = 0; i < 8; i++) eightBytes[i] = reader.bytes[at++]!
        const part = eight.getBigUint64(0)
        value = value === 0n ? part : (value << 64n) | part
      }
      return value
    }
  }
}

/** Exactly `size` bytes. Decoded as a view of the input. */
export function bytes(size: number): Field<Uint8Array> {
  return {
    measure(value) {
      if (!(value instanceof Uint8Array) || value.length !== size) throw unfit(value, `${size} bytes`)
      return size
    },
    write: (value, writer) => writer.put(value),
    read: (reader) => reader.take(size)
  }
}

/** A varint length, then at most `max` bytes. Decoded as a view of the input. */
export function varBytes(max: number): Field<Uint8Array> {
  return {
    measure(value) {
      if (!(value instanceof Uint8Array) || value.length > max) throw unfit(value, `at most ${max} bytes`)
      return varintLength(value.length) + value.length
    },
    write(value, writer) {
      writer.varint(value.length)
      writer.put(value)
    },
    read: (reader) => reader.take(bounded(reader, max))
  }
}

/** A varint length, then UTF-8 of at most `maxBytes` bytes. Half a surrogate pair has no encoding. */
export function text(maxBytes: number): Field<string> {
  return {
    measure(value) {
      if (typeof value !== 'string' || /\p{Surrogate}/u.test(value)) throw unfit(value, 'well-formed text')
      const length = utf8Length(value)
      if (length > maxBytes) throw unfit(value, `text of at most ${maxBytes} bytes`)
      return varintLength(length) + length
    },
    write(value, writer) {
      const encoded = encoder.encode(value)
      writer.varint(encoded.length)
      writer.put(encoded)
    },
    read(reader) {
      const encoded = reader.take(bounded(reader, maxBytes))
      try {
        return utf8.decode(encoded)
      } catch {
        throw new MalformedBytesError('text is not UTF-8')
      }
    }
  }
}

/** A varint count, then at most `max` times `field`. */
export function list<T>(field: Field<T>, max: number): Field<T[]> {
  return {
    measure(value) {
      if (!Array.isArray(value) || value.length > max) throw unfit(value, `a list of at most ${max}`)
      let size = varintLength(value.length)
      for (const item of value) size += field.measure(item)
      return size
    },
    write(value, writer) {
      writer.varint(value.length)
      for (const item of value) field.write(item, writer)
    },
    read(reader) {
      const count = bounded(reader, max)
      const items: T[] = []
      for (let i = 0; i < count; i++) items.push(field.read(reader))
      return items
    }
  }
}

function integer(size: 1 | 2 | 4): Field<number> {
  const max = 2 ** (8 * size) - 1
  return {
    measure(value) {
      if (!Number.isInteger(value) || value < 0 || value > max) throw unfit(value, `an integer from 0 to ${max}`)
      return size
    },
    write(value, writer) {
      if (size === 4) return writer.u32(value)
      if (size === 2) writer.u8(value >>> 8)
      writer.u8(value)
    },
    read(reader) {
      if (size === 4) return reader.u32()
      if (size === 1) return reader.u8()
      const at = reader.skip(2)
      return (reader.bytes[at]! << 8) | reader.bytes[at + 1]!
    }
  }
}

function bounded(reader: Reader, max: number): number {
  const length = reader.varint()
  if (length > max) throw new MalformedBytesError(`a length of ${length}, over ${max}`)
  return length
}

function utf8Length(value: string): number {
  let length = value.length
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i)
    // a surrogate pair is two units and four bytes
    if (unit > 0x7f) length += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1
  }
  return length
}

function unfit(value: unknown, wanted: string): RangeError {
  const found = value instanceof Uint8Array ? `${value.length} bytes` : String(value).slice(0, 80)
  return new RangeError(`${found} where ${wanted} should be`)
}
