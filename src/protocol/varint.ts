/** Unsigned LEB128 as the wire has it: at most 8 bytes (53 bits), in its shortest form. */

/** Bytes that `value` takes. */
export function varintLength(value: number): number {
  let length = 1
  while (value >= 128) {
    value = Math.floor(value / 128)
    length++
  }
  return length
}

/** Writes `value` at `offset`; returns the offset behind it. */
export function writeVarint(value: number, bytes: Uint8Array, offset: number): number {
  while (value >= 128) {
    bytes[offset++] = (value % 128) + 128
    value = Math.floor(value / 128)
  }
  bytes[offset++] = value
  return offset
}

/**
 * Reads a varint through `at(index)`, which answers undefined behind the last byte.
 *
 * @returns its value and length; undefined when it is not whole yet
 * @throws RangeError when it is longer than 8 bytes, over 53 bits or not in its shortest form
 */
export function readVarint(at: (index: number) => number | undefined): { value: number; length: number } | undefined {
  let value = 0
  let scale = 1
  for (let index = 0; index < 8; index++) {
    const byte = at(index)
    if (byte == null) return undefined
    value += (byte % 128) * scale
    if (byte < 128) {
      if (byte === 0 && index > 0) throw new RangeError('varint not in its shortest form')
      if (value > Number.MAX_SAFE_INTEGER) throw new RangeError('varint over 53 bits')
      return { value, length: index + 1 }
    }
    scale *= 128
  }
  throw new RangeError('varint over 8 bytes')
}
