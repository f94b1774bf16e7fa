import { ed25519 as noble } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { equalBytes } from '../hex.js'
import type { SignedMessage } from './chunk.js'
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
  },

  /** By WebCrypto, which works beside the page, where that has Ed25519; else here, in slices. */
  async verifyMany(list: SignedMessage[], _options: { urgent?: boolean } = {}): Promise<boolean[]> {
    const answers: boolean[] = []
    let since = performance.now()
    for (let at = 0; at < list.length; at += AT_ONCE) {
      const part = list.slice(at, at + AT_ONCE)
      const given = await Promise.all(part.map((each) => webVerify(each)))
      for (const [i, { signature, message, publicKey }] of part.entries()) {
        answers.push(given[i] ?? ed25519.verify(signature, message, publicKey))
        if (performance.now() - since < SLICE_MS) continue
        await new Promise((resolve) => setTimeout(resolve, 0))
        since = performance.now()
      }
    }
    return answers
  }
}

/** Signatures that WebCrypto is given at once. */
const AT_ONCE = 32
/** How long to verify here before the page has its turn. */
const SLICE_MS = 8

/**
 * The same verdict by WebCrypto, whose specification (Secure Curves) wants the equation without the cofactor; what else differs between
 * engines is looked at before. Undefined where it has no Ed25519.
 */
async function webVerify({ signature, message, publicKey }: SignedMessage): Promise<boolean | undefined> {
  if (signature.length !== 64 || publicKey.length !== 32) return false
  const r = signature.subarray(0, 32)
  if (!isSound(publicKey) || !isSound(r) || littleEndian(signature.subarray(32)) >= Point.Fn.ORDER) return false
  const { subtle } = globalThis.crypto ?? {}
  if (subtle == null) return undefined
  try {
    const key = await subtle.importKey('raw', publicKey.slice(), 'Ed25519', false, ['verify'])
    return await subtle.verify('Ed25519', key, signature.slice(), message.slice())
  } catch {
    // no Ed25519 there, or a key that is no point: `verify` tells
    return undefined
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
