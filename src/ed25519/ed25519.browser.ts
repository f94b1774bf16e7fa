import { ed25519 as noble } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { equalBytes } from '../hex.js'
import type { KeyPair } from './ed25519.js'
import { isSound } from './point.js'

const { Point } = noble

/** Ed25519 without Node: the same API and the same verdicts as `ed25519.ts`. */
export const ed25519 = {
  generate(seed?: Uint8Array): KeyPair {
    const { publicKey, secretKey } = noble.keygen(seed?.slice())
    return { publicKey, secretKey }
  },

  sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array {
    if (secretKey.length !== 32) throw new RangeError(`a secret key of ${secretKey.length} bytes, not 32`)
    return noble.sign(message, secretKey)
  },

  /** By hand, because noble's own check multiplies by the cofactor, and so accepts signatures that OpenSSL refuses. */
  verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
    if (signature.length !== 64 || publicKey.length !== 32) return false
    const r = signature.subarray(0, 32)
    if (!isSound(publicKey) || !isSound(r)) return false
    const s = littleEndian(signature.subarray(32))
    const order = Point.Fn.ORDER
    if (s >= order) return false
    try {
      const key = Point.fromBytes(publicKey)
      const k = littleEndian(sha512(concat(r, publicKey, message))) % order
      const point = Point.BASE.multiplyUnsafe(s).subtract(key.multiplyUnsafe(k))
      return equalBytes(point.toBytes(), r)
    } catch {
      return false
    }
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!)
  return value
}

function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
