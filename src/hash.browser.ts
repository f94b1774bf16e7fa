import { sha256 as noble } from '@noble/hashes/sha2.js'

/** SHA-256 without Node. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return noble(bytes)
}
