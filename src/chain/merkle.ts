import { sha256 } from '../hash.js'
import { type Opened, rootOf, rootsOf, sha256Many } from '../lanes.js'

const HASH_BYTES = 32
/** Of RFC 6962: what tells leaves from nodes. */
const LEAF = 0
const EMPTY_ROOT = sha256(new Uint8Array(0))
/** Of leaves up to this size no copy is made anew. */
const scratch = new Uint8Array(4_097)
const pair = new Uint8Array(65)
pair[0] = 1

/** SHA-256(0x00 ‖ bytes): the ID of a transaction. */
export function leafHash(bytes: Uint8Array): Uint8Array {
  const length = bytes.length + 1
  if (length > scratch.length) {
    const prefixed = new Uint8Array(length)
    prefixed.set(bytes, 1)
    return sha256(prefixed)
  }
  scratch.set(bytes, 1)
  return sha256(scratch.subarray(0, length))
}

/** The same of many, one after the other, hashed side by side. */
export function leafHashes(list: Uint8Array[]): Uint8Array {
  return sha256Many(list, LEAF)
}

/** SHA-256(0x01 ‖ left ‖ right). Both are 32 bytes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  pair.set(left, 1)
  pair.set(right, 33)
  return sha256(pair)
}

/**
 * Root over leaf hashes, RFC 6962 section 2.1: split at the largest power of two below the number of leaves; a last one without a
 * partner moves up as it is, so no two lists share a root. Of none: SHA-256 of the empty string.
 */
export function merkleRoot(leaves: Uint8Array[]): Uint8Array {
  const hashes = new Uint8Array(HASH_BYTES * leaves.length)
  for (const [i, leaf] of leaves.entries()) hashes.set(leaf, HASH_BYTES * i)
  return rootOfLeaves(hashes)
}

/** The same over leaf hashes that stand one after the other. */
export function rootOfLeaves(hashes: Uint8Array): Uint8Array {
  return hashes.length === 0 ? EMPTY_ROOT.slice() : rootOf(hashes)
}

/** Roots over the transactions of several blocks, their leaves hashed side by side. */
export function merkleRoots(blocks: Opened[]): Uint8Array[] {
  return rootsOf(blocks).map((root) => root ?? EMPTY_ROOT.slice())
}
