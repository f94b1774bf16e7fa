import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { leafHash, merkleRoot, nodeHash } from '../../dist/src/chain/merkle.js'
import { sha256 as browserSha256 } from '../../dist/src/hash.browser.js'
import { sha256 } from '../../dist/src/hash.js'
import { fromHex, toHex } from '../../dist/src/hex.js'

// Certificate Transparency's reference vectors: leaves, and the roots of the first 1 to 8 of them
// (google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc)
const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map(
  fromHex
)
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328'
]

/** Section 2.1 of RFC 6962 word for word. */
function asWritten(leaves: Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return sha256(new Uint8Array(0))
  if (leaves.length === 1) return leaves[0]!
  let k = 1
  while (2 * k < leaves.length) k *= 2
  return nodeHash(asWritten(leaves.slice(0, k)), asWritten(leaves.slice(k)))
}

describe('merkleRoot', () => {
  it('gives the roots of Certificate Transparency’s vectors', () => {
    const leaves = LEAVES.map(leafHash)
    expect(leaves.map((_, i) => toHex(merkleRoot(leaves.slice(0, i + 1))))).toEqual(ROOTS)
  })

  it('of none is SHA-256 of the empty string', () => {
    expect(toHex(merkleRoot([]))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  })

  it('is what the RFC’s recursion gives, for any number of leaves', () => {
    fc.assert(
      fc.property(fc.nat(70), (count) => {
        const leaves = Array.from({ length: count }, (_, i) => leafHash(new Uint8Array([i])))
        expect(merkleRoot(leaves)).toEqual(asWritten(leaves))
      })
    )
  })

  it('differs when a last leaf is doubled', () => {
    const leaves = LEAVES.slice(0, 3).map(leafHash)
    expect(merkleRoot([...leaves, leaves[2]!])).not.toEqual(merkleRoot(leaves))
  })
})

describe('sha256', () => {
  it('is the same in browsers', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(browserSha256(bytes)).toEqual(sha256(bytes))
      })
    )
  })
})
