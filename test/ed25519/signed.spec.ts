import { bytes, struct, u64 } from 'blockwire/chain'
import { ed25519, signed } from 'blockwire/ed25519'
import { describe, expect, it } from 'vitest'

const layout = signed({ to: bytes(4), amount: u64 })
const { publicKey, secretKey } = ed25519.generate()
const value = { to: new Uint8Array([1, 2, 3, 4]), amount: 5n }
const chain = new Uint8Array(32).fill(9)
const wrong = { reject: 'wrong signature' }

describe('a signed struct', () => {
  it('signs context and fields; the signature stands last', () => {
    const whole = layout.sign(value, secretKey, chain)
    const unsigned = struct({ to: bytes(4), amount: u64 }).encode(value)
    const message = new Uint8Array([...chain, ...unsigned])
    expect(whole.signature).toEqual(ed25519.sign(message, secretKey))
    expect(layout.encode(whole)).toEqual(new Uint8Array([...unsigned, ...whole.signature]))
    expect(layout.decode(layout.encode(whole))).toEqual(whole)
    expect(layout.verify(whole, publicKey, chain)).toBe(true)
  })

  it('refuses another context, another key, no key, and any other value', () => {
    const whole = layout.sign(value, secretKey, chain)
    expect(layout.verify(whole, publicKey)).toEqual(wrong)
    expect(layout.verify(whole, ed25519.generate().publicKey, chain)).toEqual(wrong)
    expect(layout.verify(whole, undefined, chain)).toEqual(wrong)
    expect(layout.verify(whole, publicKey.subarray(1), chain)).toEqual(wrong)
    expect(layout.verify({ ...whole, amount: 6n }, publicKey, chain)).toEqual(wrong)
    expect(layout.verify({ ...whole, signature: new Uint8Array(64) }, publicKey, chain)).toEqual(wrong)
  })

  it('can be a field of another struct', () => {
    const outer = struct({ inner: layout, more: u64 })
    const whole = { inner: layout.sign(value, secretKey), more: 1n }
    expect(outer.decode(outer.encode(whole))).toEqual(whole)
  })
})
