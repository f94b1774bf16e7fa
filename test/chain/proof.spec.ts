import { leafHash, merkleProof, merkleRoot, nodeHash, verifyMerkleProof } from 'blockwire/chain'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../dist/src/hex.js'

// Certificate Transparency's reference vectors: leaves, and audit paths in the trees of the first 1 to 8 of them
// (google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc; there leaves are counted from 1)
const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map(
  (hex) => leafHash(fromHex(hex))
)
const PATHS: [index: number, size: number, path: string[]][] = [
  [0, 1, []],
  [
    0,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4'
    ]
  ],
  [
    5,
    8,
    [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7'
    ]
  ],
  [2, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
  [
    1,
    5,
    [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b'
    ]
  ]
]

/** Section 2.1.1 of RFC 6962 word for word. */
function asWritten(index: number, leaves: Uint8Array[]): Uint8Array[] {
  if (leaves.length === 1) return []
  let k = 1
  while (2 * k < leaves.length) k *= 2
  return index < k
    ? [...asWritten(index, leaves.slice(0, k)), merkleRoot(leaves.slice(k))]
    : [...asWritten(index - k, leaves.slice(k)), merkleRoot(leaves.slice(0, k))]
}

const leavesOf = (size: number): Uint8Array[] => Array.from({ length: size }, (_, i) => leafHash(Uint8Array.of(i)))
const tree = fc.integer({ min: 1, max: 70 }).chain((size) => fc.tuple(fc.constant(size), fc.nat(size - 1)))

describe('merkleProof', () => {
  it.each(PATHS)('gives the path of Certificate Transparency’s vectors: leaf %i of %i', (index, size, path) => {
    const leaves = LEAVES.slice(0, size)
    expect(merkleProof(leaves, index).map(toHex)).toEqual(path)
    expect(verifyMerkleProof({ leaf: leaves[index]!, index, size, path: path.map(fromHex) }, merkleRoot(leaves))).toBe(
      true
    )
  })

  it('is what the RFC’s recursion gives, for any leaf of any tree', () => {
    fc.assert(
      fc.property(tree, ([size, index]) => {
        const leaves = leavesOf(size)
        const path = merkleProof(leaves, index)
        expect(path).toEqual(asWritten(index, leaves))
        expect(verifyMerkleProof({ leaf: leaves[index]!, index, size, path }, merkleRoot(leaves))).toBe(true)
      })
    )
  })

  it('throws for a leaf that is not there', () => {
    for (const index of [-1, 3, 0.5, Number.NaN]) expect(() => merkleProof(leavesOf(3), index)).toThrow(RangeError)
    expect(() => merkleProof([], 0)).toThrow(RangeError)
  })
})

describe('verifyMerkleProof', () => {
  it('takes no leaf that is not in the tree, whatever index, size and path say', () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(
        tree,
        fc.nat(80),
        fc.nat(80),
        fc.array(fc.oneof(hash, fc.nat(200)), { maxLength: 9 }),
        ([size, true_], index, otherSize, parts) => {
          const leaves = leavesOf(size)
          const root = merkleRoot(leaves)
          // all that a liar has: the leaves, the nodes, the root, and what he makes up
          const known = [...leaves, ...merkleProof(leaves, true_), root]
          const path = parts.map((part) => (typeof part === 'number' ? known[part % known.length]! : part))
          const leaf = leafHash(Uint8Array.of(200, 1))
          expect(verifyMerkleProof({ leaf, index, size: otherSize, path }, root)).toBe(false)
          // nor with the true path of another leaf
          expect(verifyMerkleProof({ leaf, index: true_, size, path: merkleProof(leaves, true_) }, root)).toBe(false)
        }
      )
    )
  })

  it('takes only true leaves, whatever is lied about the index and the size of a true path', () => {
    fc.assert(
      fc.property(tree, fc.nat(70), fc.nat(140), fc.nat(140), ([size, at], which, index, claimed) => {
        const leaves = leavesOf(size)
        const leaf = leaves[which % size]!
        const proof = { leaf, index, size: claimed, path: merkleProof(leaves, at) }
        if (verifyMerkleProof(proof, merkleRoot(leaves))) {
          // the path is that of this very leaf
          expect(which % size).toBe(at)
          // the first leaf is never passed off as another, nor another as the first
          expect(index === 0).toBe(at === 0)
        }
      })
    )
  })

  it('does not take a node for a leaf: a transaction that is two hashes has another ID', () => {
    const leaves = leavesOf(4)
    const [a, b, c, d] = leaves as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
    const node = new Uint8Array(64)
    node.set(a)
    node.set(b, 32)
    const proof = { index: 0, size: 2, path: [nodeHash(c, d)] }
    expect(verifyMerkleProof({ ...proof, leaf: leafHash(node) }, merkleRoot(leaves))).toBe(false)
    // what the prefixes keep apart
    expect(verifyMerkleProof({ ...proof, leaf: nodeHash(a, b) }, merkleRoot(leaves))).toBe(true)
  })

  it('proves the index only together with the size: the root says nothing about how many leaves there are', () => {
    const leaves = leavesOf(3)
    const proof = { leaf: leaves[2]!, path: merkleProof(leaves, 2) }
    expect(verifyMerkleProof({ ...proof, index: 2, size: 3 }, merkleRoot(leaves))).toBe(true)
    expect(verifyMerkleProof({ ...proof, index: 1, size: 2 }, merkleRoot(leaves))).toBe(true)
    expect(verifyMerkleProof({ ...proof, index: 1, size: 3 }, merkleRoot(leaves))).toBe(false)
  })

  it('refuses a path that is too short, too long, or of other things than hashes, and numbers that are none', () => {
    const leaves = leavesOf(6)
    const root = merkleRoot(leaves)
    const good = { leaf: leaves[3]!, index: 3, size: 6, path: merkleProof(leaves, 3) }
    expect(verifyMerkleProof(good, root)).toBe(true)
    const bad = [
      { ...good, path: good.path.slice(0, -1) },
      { ...good, path: [...good.path, root] },
      { ...good, path: [good.path[0]!.subarray(0, 31), ...good.path.slice(1)] },
      { ...good, path: [new Uint8Array(33), ...good.path.slice(1)] },
      { ...good, leaf: new Uint8Array(31) },
      { ...good, index: -1 },
      { ...good, index: 6 },
      { ...good, index: 3.5 },
      { ...good, size: 0 },
      { ...good, size: Number.NaN },
      { ...good, size: 2 ** 60 }
    ]
    for (const proof of bad) expect(verifyMerkleProof(proof, root)).toBe(false)
    expect(verifyMerkleProof({ leaf: leaves[0]!, index: 0, size: 1, path: [] }, merkleRoot([]))).toBe(false)
  })
})
