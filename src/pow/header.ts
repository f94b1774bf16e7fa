import { bytes, type HeaderHash, struct, u32, u53, type ValueOf } from '../chain/index.js'
import { apart, sha256Many, sha256Short } from '../lanes.js'
import { remembered, toTarget } from './bits.js'
import { Search } from './loop.js'

/** 84 bytes; the nonce stands last, and all that changes while mining stands behind the first 64. */
export const header = struct({ version: u32, parent: bytes(32), root: bytes(32), time: u53, bits: u32, nonce: u32 })

/** A header with proof of work. `bits` is the target in Bitcoin's compact form. */
export type CoinHeader = ValueOf<typeof header>

/** The only version so far. */
export const VERSION = 1

/** SHA-256 of SHA-256. */
export const sha256d: HeaderHash = Object.assign((bytes: Uint8Array) => sha256Short(sha256Short(bytes)), {
  many: (list: Uint8Array[]) => apart(sha256Many(apart(sha256Many(list))))
})

/** Is the hash, read as a big-endian integer, at most the target of `bits`? So hashes that meet hard targets begin with zeros. */
export function meets(hash: Uint8Array, bits: number): boolean {
  const target = targetBytes(bits)
  if (target == null) return false
  for (let i = 0; i < 32; i++) {
    if (hash[i] !== target[i]) return hash[i]! < target[i]!
  }
  return true
}

/** The target of `bits` as 32 bytes, big-endian, not to be changed; undefined where there is none. */
export const targetBytes = remembered((bits: number): Uint8Array | undefined => {
  if (toTarget(bits) == null) return undefined
  const length = bits >>> 24
  const target = new Uint8Array(32)
  // the mantissa's 3 bytes stand at the top of `length` bytes; those that fall off either end are zero
  for (let i = 0; i < 3; i++) {
    const at = 32 - length + i
    if (at >= 0 && at < 32) target[at] = bits >>> (16 - 8 * i)
  }
  return target
})

/**
 * Finds a nonce at once, on this thread: for tests, and to build chains whose `powLimit` is trivially easy. Takes 0.5 µs times the
 * work of `bits`.
 * @throws RangeError when none of the 2^32 nonces does it, or `bits` has no target.
 */
export function mineHeader(draft: CoinHeader): CoinHeader {
  const target = targetBytes(draft.bits)
  const nonce = target == null ? -1 : new Search(header.encode(draft), target).run(0, 2 ** 32)
  if (nonce < 0) throw new RangeError(`no nonce meets bits 0x${draft.bits.toString(16)}`)
  return { ...draft, nonce }
}
