import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  getCiphers,
  type KeyObject
} from 'node:crypto'
import { ChaCha20Poly1305, newInstance } from '@chainsafe/as-chacha20poly1305'
import { type ICryptoInterface, pureJsCrypto } from '@chainsafe/libp2p-noise'
import { Uint8ArrayList } from 'uint8arraylist'

/** The lists are of noise's own copy of uint8arraylist. */
type Bytes = Parameters<ICryptoInterface['hashSHA256']>[0]

const CIPHER = 'chacha20-poly1305'
const TAG_BYTES = 16
/** Shorter messages are quicker in WebAssembly: 1.3 against 5 µs at 12 bytes. */
const NATIVE_BYTES = 640
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex')
const SPKI = Buffer.from('302a300506032b656e032100', 'hex')

/** Of a connection's two keys, which noise hands over as bytes with each message. */
const keys = new WeakMap<Uint8Array, KeyObject>()

/**
 * What noise computes with in Node. Its own implementation hands the key to Node as bytes, which Node 24 takes 20 µs to prepare for each
 * message of 64 KiB, a third of what the message costs; here it is prepared once. Also, what comes in pieces is decrypted as one. In
 * browsers `noise-crypto.browser.ts` stands in for this file. Undefined where OpenSSL lacks the cipher.
 */
export const noiseCrypto: ICryptoInterface | undefined = getCiphers().includes(CIPHER) ? nodeCrypto() : undefined

function nodeCrypto(): ICryptoInterface {
  const short = new ChaCha20Poly1305(newInstance())
  return {
    ...pureJsCrypto,
    hashSHA256(data) {
      const hash = createHash('sha256')
      for (const part of partsOf(data)) hash.update(part)
      return hash.digest()
    },
    chaCha20Poly1305Encrypt(plaintext, nonce, ad, key) {
      if (plaintext.byteLength < NATIVE_BYTES) return short.seal(key, nonce, plaintext.subarray(), ad)
      const cipher = createCipheriv(CIPHER, keyOf(key), nonce, { authTagLength: TAG_BYTES })
      if (ad.byteLength > 0) cipher.setAAD(ad, { plaintextLength: plaintext.byteLength })
      const sealed = new Uint8ArrayList()
      for (const part of partsOf(plaintext)) sealed.append(cipher.update(part))
      cipher.final()
      sealed.append(cipher.getAuthTag())
      return sealed as unknown as Bytes
    },
    chaCha20Poly1305Decrypt(sealed, nonce, ad, key, copy) {
      if (sealed.byteLength < NATIVE_BYTES) {
        const plaintext = short.open(key, nonce, sealed.subarray(), ad, copy)
        if (plaintext == null) throw new Error('a message that does not authenticate')
        return plaintext
      }
      const end = sealed.byteLength - TAG_BYTES
      const open = (text: Uint8Array): Uint8Array => {
        const decipher = createDecipheriv(CIPHER, keyOf(key), nonce, { authTagLength: TAG_BYTES })
        if (ad.byteLength > 0) decipher.setAAD(ad, { plaintextLength: end })
        decipher.setAuthTag(sealed.subarray(end))
        const plaintext = decipher.update(text)
        decipher.final()
        return plaintext
      }
      // noise has put the text together already, to be decrypted where it is; nothing says that it always will
      if (copy?.byteLength === end) {
        try {
          return open(copy)
        } catch {}
      }
      return open(sealed.subarray(0, end))
    },
    generateX25519KeyPair() {
      const { publicKey, privateKey } = generateKeyPairSync('x25519', {
        publicKeyEncoding: { type: 'spki', format: 'der' },
        privateKeyEncoding: { type: 'pkcs8', format: 'der' }
      })
      return { publicKey: publicKey.subarray(SPKI.length), privateKey: privateKey.subarray(PKCS8.length) }
    },
    generateX25519KeyPairFromSeed(seed) {
      const publicKey = createPublicKey(x25519Private(seed)).export({ type: 'spki', format: 'der' })
      return { publicKey: publicKey.subarray(SPKI.length), privateKey: seed }
    },
    generateX25519SharedKey(privateKey, publicKey) {
      const key = Buffer.concat([SPKI, ...partsOf(publicKey)])
      return diffieHellman({
        privateKey: x25519Private(privateKey),
        publicKey: createPublicKey({ key, type: 'spki', format: 'der' })
      })
    }
  }
}

function x25519Private(key: Bytes): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8, ...partsOf(key)]), type: 'pkcs8', format: 'der' })
}

function keyOf(bytes: Uint8Array): KeyObject {
  let key = keys.get(bytes)
  if (key == null) {
    key = createSecretKey(bytes)
    keys.set(bytes, key)
  }
  return key
}

function partsOf(bytes: Bytes): Iterable<Uint8Array> {
  return bytes instanceof Uint8Array ? [bytes] : bytes
}
