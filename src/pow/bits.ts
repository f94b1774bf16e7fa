const WHOLE = 1n << 256n

/** One block after the other has the same bits, or nearly: the last two answers are kept. */
export function remembered<T>(of: (bits: number) => T): (bits: number) => T {
  let last = { bits: 0, value: of(0) }
  let before = last
  return (bits) => {
    if (bits !== last.bits) {
      const other = before
      before = last
      last = bits === other.bits ? other : { bits, value: of(bits) }
    }
    return last.value
  }
}

/**
 * The target of Bitcoin's compact form: 1 byte of length, 3 of mantissa. A hash that is at most the target, both read as big-endian
 * integers, is proof of work. Undefined for a target that is zero, negative or over 256 bits.
 */
export const toTarget = remembered((bits: number): bigint | undefined => {
  const length = bits >>> 24
  const mantissa = bits & 0x7f_ffff
  if ((bits & 0x80_0000) !== 0) return undefined
  const target = length <= 3 ? BigInt(mantissa >>> (8 * (3 - length))) : BigInt(mantissa) << BigInt(8 * (length - 3))
  return target === 0n || target >= WHOLE ? undefined : target
})

/** The compact form of a target from 1 to 2^256 - 1. Low bits are cut off: the target that comes back is never easier. */
export function toBits(target: bigint): number {
  let length = Math.ceil(target.toString(16).length / 2)
  let mantissa = Number(length <= 3 ? target << BigInt(8 * (3 - length)) : target >> BigInt(8 * (length - 3)))
  // the highest bit is a sign
  if (mantissa > 0x7f_ffff) {
    mantissa >>>= 8
    length++
  }
  return ((length << 24) | mantissa) >>> 0
}

/** Hashes that finding one block takes on average: 2^256 / (target + 1). Zero for bits without a target. */
export const workOf = remembered((bits: number): bigint => {
  const target = toTarget(bits)
  return target == null ? 0n : WHOLE / (target + 1n)
})

/** The easiest compact bits that take at least `hashes` hashes on average, at least 2. */
export function bitsOfWork(hashes: number): number {
  return toBits(WHOLE / BigInt(Math.max(2, Math.ceil(hashes))) - 1n)
}
