import { ed25519 as noble } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { ed25519 } from 'blockwire/ed25519'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ed25519 as browser } from '../../dist/src/ed25519/ed25519.browser.js'
import { fromHex, toHex } from '../../dist/src/hex.js'

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe.each([
  ['on Node', ed25519],
  ['in browsers', browser]
])('ed25519 %s', (_where, keys) => {
  it('signs as RFC 8032 section 7.1 says, tests 1 to 3', () => {
    for (const [secret, publicKey, message, signature] of [
      [
        '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
        'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
        '',
        'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b'
      ],
      [
        '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
        '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
        '72',
        '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00'
      ],
      [
        'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
        'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
        'af82',
        '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a'
      ]
    ] as const) {
      const pair = keys.generate(fromHex(secret))
      expect(toHex(pair.publicKey)).toBe(publicKey)
      expect(toHex(keys.sign(fromHex(message), pair.secretKey))).toBe(signature)
      expect(keys.verify(fromHex(signature), fromHex(message), pair.publicKey)).toBe(true)
    }
  })

  it('makes new pairs that sign', () => {
    const pair = keys.generate()
    expect(pair.publicKey).not.toEqual(keys.generate().publicKey)
    const message = new Uint8Array([1, 2, 3])
    const signature = keys.sign(message, pair.secretKey)
    expect(keys.verify(signature, message, pair.publicKey)).toBe(true)
    expect(keys.verify(signature, new Uint8Array([1, 2, 4]), pair.publicKey)).toBe(false)
    expect(keys.verify(signature, message, keys.generate().publicKey)).toBe(false)
  })

  it('answers false, and never throws, for whatever bytes strangers send', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 70 }),
        fc.uint8Array(),
        fc.uint8Array({ maxLength: 40 }),
        (sig, message, key) => {
          expect(keys.verify(sig, message, key)).toBe(false)
        }
      )
    )
    expect(() => keys.sign(new Uint8Array(1), new Uint8Array(31))).toThrow(RangeError)
  })
})

describe('ed25519 on both', () => {
  it('accepts the same changed signatures', () => {
    fc.assert(
      fc.property(bytes32, fc.nat(63), fc.nat(7), (seed, at, bit) => {
        const { publicKey, secretKey } = ed25519.generate(seed)
        const signature = ed25519.sign(seed, secretKey)
        expect(browser.verify(signature, seed, publicKey)).toBe(true)
        signature[at]! ^= 1 << bit
        expect(browser.verify(signature, seed, publicKey)).toBe(ed25519.verify(signature, seed, publicKey))
      }),
      { numRuns: 50 }
    )
  })

  it('agrees on keys of small order, on keys with a part of small order, and on S above the order', () => {
    const torsion = [
      '0100000000000000000000000000000000000000000000000000000000000000',
      'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
      '0000000000000000000000000000000000000000000000000000000000000080',
      '0000000000000000000000000000000000000000000000000000000000000000',
      'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
      '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
      // not canonical: p + 1, and -0
      'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
      '0100000000000000000000000000000000000000000000000000000000000080'
    ].map(fromHex)
    const L = noble.Point.Fn.ORDER
    const little = (n: bigint): Uint8Array => fromHex(n.toString(16).padStart(64, '0')).reverse()
    let accepted = 0
    let refused = 0
    const compare = (signature: Uint8Array, message: Uint8Array, key: Uint8Array): void => {
      const verdict = ed25519.verify(signature, message, key)
      expect(browser.verify(signature, message, key), toHex(key)).toBe(verdict)
      if (verdict) accepted++
      else refused++
    }
    for (const key of torsion) {
      for (let i = 0; i < 16; i++) {
        for (const r of torsion) compare(new Uint8Array([...r, ...little(0n)]), new Uint8Array([i]), key)
      }
    }
    expect(accepted).toBe(0)
    // an honest key, and R of small order: S = k × secret
    const scalar = 5n
    const weak = noble.Point.BASE.multiply(scalar).toBytes()
    for (const r of torsion) {
      const message = new Uint8Array([1])
      const k = BigInt(`0x${toHex(sha512(new Uint8Array([...r, ...weak, ...message])).reverse())}`) % L
      compare(new Uint8Array([...r, ...little((k * scalar) % L)]), message, weak)
    }
    expect(accepted).toBe(0)
    // R or key moved by a point of small order: with the cofactor these would pass
    const point = noble.Point.fromBytes(torsion[5]!, true)
    for (let i = 0; i < 16; i++) {
      const { publicKey, secretKey } = ed25519.generate(new Uint8Array(32).fill(i))
      const message = new Uint8Array([i])
      const signature = ed25519.sign(message, secretKey)
      const moved = noble.Point.fromBytes(signature.subarray(0, 32)).add(point).toBytes()
      compare(new Uint8Array([...moved, ...signature.subarray(32)]), message, publicKey)
      compare(signature, message, noble.Point.fromBytes(publicKey).add(point).toBytes())
      const s = BigInt(`0x${toHex(signature.slice(32).reverse())}`)
      compare(new Uint8Array([...signature.subarray(0, 32), ...little(s + L)]), message, publicKey)
      compare(signature, message, publicKey)
    }
    expect(accepted).toBeGreaterThanOrEqual(16)
    expect(refused).toBeGreaterThan(16)
  })
})
