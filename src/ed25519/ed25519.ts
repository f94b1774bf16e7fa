import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import type { SignedMessage } from './chunk.js'
import { isSound } from './point.js'
import { startThread, THREADS } from './thread.js'
import { Verifiers } from './verifiers.js'

/** RFC 8032 keys as raw bytes. */
export interface KeyPair {
  /** 32 bytes. */
  publicKey: Uint8Array
  /** The seed, 32 bytes. */
  secretKey: Uint8Array
}

/** How many public keys are kept parsed: parsing costs a tenth of a verification. */
const MAX_CACHED = 1_024
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

const publicKeys = new Map<string, KeyObject>()

/**
 * Ed25519 signatures, RFC 8032. In browsers `ed25519.browser.ts` stands in for this file. Both accept exactly the same signatures, or a
 * chain would split by platform: key and R are canonical and not of small order, S is below the group order, and R is compared byte
 * by byte, without the cofactor.
 */
export const ed25519 = {
  /** A new pair, or the one of a seed of 32 bytes. */
  generate(seed?: Uint8Array): KeyPair {
    const key = seed == null ? generateKeyPairSync('ed25519').privateKey : privateKey(seed)
    const jwk = key.export({ format: 'jwk' })
    return { publicKey: decode64(jwk.x!), secretKey: decode64(jwk.d!) }
  },

  /** 64 bytes. @throws RangeError when the key is not 32 bytes. */
  sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, message, privateKey(secretKey)))
  },

  /** False for anything but a good signature; never throws on bytes of any length. Measured: 9,000 a second. */
  verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
    if (signature.length !== 64 || publicKey.length !== 32) return false
    if (!isSound(publicKey) || !isSound(signature.subarray(0, 32))) return false
    return verify(null, message, parsed(publicKey), signature)
  },

  /**
   * `verify` for many, on all cores; in browsers by WebCrypto where it has Ed25519. The threads (16 at most) start with the first call and
   * end when nothing came for 30 s; they keep the process alive only while somebody waits. `urgent` goes before all calls that are not.
   */
  verifyMany(list: SignedMessage[], { urgent = false }: { urgent?: boolean } = {}): Promise<boolean[]> {
    verifiers ??= new Verifiers({
      threads: THREADS,
      start: startThread,
      verify: ({ signature, message, publicKey }) => ed25519.verify(signature, message, publicKey)
    })
    return verifiers.verify(list, urgent)
  }
}

let verifiers: Verifiers | undefined

function privateKey(seed: Uint8Array): KeyObject {
  if (seed.length !== 32) throw new RangeError(`a secret key of ${seed.length} bytes, not 32`)
  return createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
}

function parsed(publicKey: Uint8Array): KeyObject {
  const id = Buffer.from(publicKey.buffer, publicKey.byteOffset, 32).toString('latin1')
  let key = publicKeys.get(id)
  if (key == null) {
    key = createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' })
    const oldest = publicKeys.keys().next()
    if (publicKeys.size >= MAX_CACHED && !oldest.done) publicKeys.delete(oldest.value)
  } else {
    publicKeys.delete(id)
  }
  publicKeys.set(id, key)
  return key
}

function decode64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64url'))
}
