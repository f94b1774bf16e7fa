import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Reader, varintLength, Writer } from '../../dist/src/chain/cursor.js'
import {
  bytes,
  list,
  struct,
  text,
  u8,
  u16,
  u32,
  u53,
  u64,
  uint,
  union,
  type ValueOf,
  varBytes
} from '../../dist/src/chain/struct.js'

const codec = struct({
  version: u16,
  parent: bytes(4),
  time: u53,
  bits: u32,
  flag: u8,
  amount: u64,
  huge: uint(32),
  odd: uint(11),
  name: text(12),
  note: varBytes(200),
  links: list(struct({ to: bytes(2), weight: u8 }), 3),
  pay: union({ reward: [0, struct({ height: u53 })], transfer: [7, struct({ amount: u64, memo: text(5) })] })
})
type Value = ValueOf<typeof codec>

const text12 = fc.string({ unit: 'binary', maxLength: 3 })
const value: fc.Arbitrary<Value> = fc.record({
  version: fc.integer({ min: 0, max: 0xffff }),
  parent: fc.uint8Array({ minLength: 4, maxLength: 4 }),
  time: fc.maxSafeNat(),
  bits: fc.integer({ min: 0, max: 0xffff_ffff }),
  flag: fc.integer({ min: 0, max: 255 }),
  amount: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  huge: fc.bigInt({ min: 0n, max: (1n << 256n) - 1n }),
  odd: fc.bigInt({ min: 0n, max: (1n << 88n) - 1n }),
  name: text12,
  note: fc.uint8Array({ maxLength: 200 }),
  links: fc.array(
    fc.record({ to: fc.uint8Array({ minLength: 2, maxLength: 2 }), weight: fc.integer({ min: 0, max: 255 }) }),
    { maxLength: 3 }
  ),
  pay: fc.oneof(
    fc.record({ kind: fc.constant('reward' as const), height: fc.maxSafeNat() }),
    fc.record({
      kind: fc.constant('transfer' as const),
      amount: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      memo: fc.string({ unit: 'binary', maxLength: 1 })
    })
  )
})

/** What decoding gives: a value, or the name of the error. */
function attempt(input: Uint8Array): Value | string {
  try {
    return codec.decode(input)
  } catch (err) {
    return (err as Error).name
  }
}

describe('struct', () => {
  it('lays fields out one after another, integers big-endian', () => {
    const small = struct({ a: u8, b: u16, c: u32, d: u53, e: u64, f: bytes(2), g: text(4), h: varBytes(4), i: uint(3) })
    const sample = {
      a: 1,
      b: 0x0203,
      c: 0x04050607,
      d: 0x1f_ffff_ffff_fffe,
      e: 0xffee_ddcc_bbaa_9988n,
      f: new Uint8Array([9, 8]),
      g: 'é',
      h: new Uint8Array([7]),
      i: 0x010203n
    }
    const encoded = small.encode(sample)
    expect(Buffer.from(encoded).toString('hex')).toBe(
      '01 0203 04050607 001ffffffffffffe ffeeddccbbaa9988 0908 02c3a9 0107 010203'.replaceAll(' ', '')
    )
    expect(small.decode(encoded)).toEqual(sample)
  })

  it('decodes what it encoded, also as a part of larger memory', () => {
    fc.assert(
      fc.property(value, (sample) => {
        const encoded = codec.encode(sample)
        expect(codec.measure(sample)).toBe(encoded.length)
        expect(codec.decode(encoded)).toEqual(sample)
        const inside = new Uint8Array(encoded.length + 7)
        inside.set(encoded, 5)
        expect(codec.decode(inside.subarray(5, 5 + encoded.length))).toEqual(sample)
      })
    )
  })

  it('refuses changed bytes with MalformedBytesError, or reads what encodes to the same bytes again', () => {
    fc.assert(
      fc.property(
        value,
        fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (sample, changes) => {
          const mutated = codec.encode(sample)
          for (const [at, byte] of changes) mutated[at % mutated.length] = byte
          const found = attempt(mutated)
          if (typeof found === 'string') expect(found).toBe('MalformedBytesError')
          else expect(codec.encode(found)).toEqual(mutated)
        }
      ),
      { numRuns: 500 }
    )
  })

  it('refuses strangers’ bytes with MalformedBytesError, or reads what encodes to the same bytes again', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (input) => {
        const found = attempt(input)
        if (typeof found === 'string') expect(found).toBe('MalformedBytesError')
        else expect(codec.encode(found)).toEqual(input)
      }),
      { numRuns: 500 }
    )
  })

  it('refuses what is cut short and what is too long', () => {
    fc.assert(
      fc.property(value, fc.nat(), (sample, cut) => {
        const encoded = codec.encode(sample)
        expect(attempt(encoded.subarray(0, cut % encoded.length))).toBe('MalformedBytesError')
        expect(attempt(new Uint8Array([...encoded, 0]))).toBe('MalformedBytesError')
      })
    )
  })

  it.each([
    ['a number over 53 bits', struct({ n: u53 }), [0, 0x20, 0, 0, 0, 0, 0, 0]],
    ['text that is not UTF-8', struct({ t: text(9) }), [2, 0xc3, 0x28]],
    ['an overlong form of UTF-8', struct({ t: text(9) }), [2, 0xc0, 0x80]],
    ['half a surrogate pair', struct({ t: text(9) }), [3, 0xed, 0xa0, 0x80]],
    ['text over its limit', struct({ t: text(1) }), [2, 0x61, 0x61]],
    ['a length that is longer than it need be', struct({ b: varBytes(9) }), [0x81, 0x00, 5]],
    ['a length beyond the end', struct({ b: varBytes(99) }), [90, 5]],
    ['a list over its limit', struct({ l: list(u8, 2) }), [3, 1, 2, 3]],
    ['a kind that there is not', union({ a: [0, struct({})] }), [1]],
    ['nothing', struct({ a: u8 }), []]
  ] as const)('refuses %s', (_what, layout, input) => {
    expect(() => layout.decode(new Uint8Array(input))).toThrow(expect.objectContaining({ name: 'MalformedBytesError' }))
  })

  it('keeps a byte order mark: it is part of the text', () => {
    const layout = struct({ t: text(9) })
    expect(layout.decode(layout.encode({ t: '\ufeffa' }))).toEqual({ t: '\ufeffa' })
  })

  it.each([
    ['an integer too large', struct({ n: u16 }), { n: 65_536 }, 'n: 65536'],
    ['a fraction', struct({ n: u32 }), { n: 1.5 }, 'n: 1.5'],
    ['a negative number', struct({ n: u53 }), { n: -1 }, 'n: -1'],
    ['a bigint too large', struct({ n: u64 }), { n: 1n << 64n }, 'n: 18446744073709551616'],
    ['bytes of another length', struct({ b: bytes(2) }), { b: new Uint8Array(3) }, 'b: 3 bytes'],
    ['text too long in bytes', struct({ t: text(2) }), { t: 'éa' }, 't: éa'],
    ['half a surrogate pair', struct({ t: text(9) }), { t: '\ud800' }, 't: '],
    ['an unknown kind', union({ a: [0, struct({})] }), { kind: 'b' }, 'kind: b'],
    ['a fault inside', struct({ in: struct({ n: u8 }) }), { in: { n: 256 } }, 'in: n: 256']
  ] as const)('does not encode %s, and names the field', (_what, layout, wrong, message) => {
    expect(() => layout.encode(wrong as never)).toThrow(message)
    expect(() => layout.encode(wrong as never)).toThrow(RangeError)
  })

  it('does not take one tag twice', () => {
    expect(() => union({ a: [1, struct({})], b: [1, struct({})] })).toThrow('b: tag 1 is taken')
  })
})

describe('varint', () => {
  it('is the shortest LEB128 of up to 53 bits', () => {
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeNat(), fc.nat(300)), (number) => {
        const writer = new Writer(new Uint8Array(varintLength(number)))
        writer.varint(number)
        expect(new Reader(writer.bytes).varint()).toBe(number)
      })
    )
    const max = new Writer(new Uint8Array(8))
    max.varint(Number.MAX_SAFE_INTEGER)
    expect([...max.bytes]).toEqual([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f])
  })

  it('refuses 54 bits, nine bytes and a last byte of zero', () => {
    for (const wrong of [
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f],
      [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
      [0x80, 0x00],
      [0x80]
    ]) {
      expect(() => new Reader(new Uint8Array(wrong)).varint()).toThrow(
        expect.objectContaining({ name: 'MalformedBytesError' })
      )
    }
  })
})
