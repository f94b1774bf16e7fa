/**
 * @packageDocumentation
 * Ed25519 keys and signatures, RFC 8032, in Node and in browsers with the same verdicts. For the rules of any chain: headers, transfers.
 *
 * ```ts
 * const { publicKey, secretKey } = ed25519.generate()
 * ed25519.verify(ed25519.sign(message, secretKey), message, publicKey) // true
 * ```
 */
export type { SignedMessage } from './chunk.js'
export { ed25519, type KeyPair } from './ed25519.js'
export { type Signed, signed, type WithSignature } from './signed.js'
