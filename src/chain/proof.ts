import { equalBytes } from '../hex.js'
import { merkleRoot, nodeHash } from './merkle.js'

/** That a leaf is in a tree. */
export interface MerkleProof {
  /** Hash of the leaf: for a transaction its ID. */
  leaf: Uint8Array
  /** Which leaf, counted from 0. */
  index: number
  /** Leaves of the tree. */
  size: number
  /** Audit path of RFC 6962, section 2.1.1: from beside the leaf up to below the root. */
  path: Uint8Array[]
}

/**
 * The audit path of a leaf, for `verifyMerkleProof`. `leaves` are leaf hashes, as for `merkleRoot`.
 * @throws RangeError when there is no such leaf
 */
export function merkleProof(leaves: Uint8Array[], index: number): Uint8Array[] {
  if (!Number.isInteger(index) || index < 0 || index >= leaves.length)
    throw new RangeError(`leaf ${index} of ${leaves.length}`)
  const path: Uint8Array[] = []
  // each step is the root of the leaves below what stands beside
  for (let width = 1; width < leaves.length; width *= 2) {
    const from = (Math.floor(index / width) ^ 1) * width
    if (from < leaves.length) path.push(merkleRoot(leaves.slice(from, from + width)))
  }
  return path
}

/**
 * Whether a leaf is in the tree of this root (RFC 9162, section 2.1.3.2). Takes whatever a stranger sent.
 *
 * A root says nothing about the number of leaves. So what is proven is that the leaf is in the tree, at the place to which the lefts and
 * rights of its path lead: leaves and nodes are hashed differently, and no `index` and `size` make a leaf of what is none. `index` itself
 * is proven only where `size` is known to be right: leaf 2 of 3 and leaf 1 of 2 have the same path. 0 is always the first leaf.
 */
export function verifyMerkleProof({ leaf, index, size, path }: MerkleProof, root: Uint8Array): boolean {
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(index) || index < 0 || index >= size) return false
  if (leaf.length !== 32) return false
  let hash = leaf
  let used = 0
  // the path of a leaf has a fixed length: one hash too few or too many is none
  for (let at = index, last = size - 1; last > 0; at = Math.floor(at / 2), last = Math.floor(last / 2)) {
    const left = at % 2 === 1
    if (!left && at === last) continue
    const beside = path[used++]
    if (beside?.length !== 32) return false
    hash = left ? nodeHash(beside, hash) : nodeHash(hash, beside)
  }
  return used === path.length && equalBytes(hash, root)
}
