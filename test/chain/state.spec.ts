import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeUndo, encodeUndo, Overlay } from '../../dist/src/chain/state.js'

const bytes = (text: string) => new TextEncoder().encode(text)
const textOf = (value: Uint8Array | undefined) => value && new TextDecoder().decode(value)

type Step = { key: string; value: string | undefined; undo: number | undefined }
const steps = fc.array(
  fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    value: fc.option(fc.string({ maxLength: 3 }), { nil: undefined }),
    // roll back so many steps of this block
    undo: fc.option(fc.nat(4), { nil: undefined, freq: 4 })
  }) as fc.Arbitrary<Step>,
  { maxLength: 8 }
)

describe('an overlay', () => {
  it('reads as if written, rolls back, and its undo records lead back to where it began', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.string({ maxLength: 3 }), { noNullPrototype: true }),
        fc.array(steps, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (stored, blocks, slow) => {
          const read = (key: Uint8Array) => {
            const text = stored[textOf(key)!]
            const value = text === undefined ? undefined : bytes(text)
            return slow ? Promise.resolve(value) : value
          }
          const overlay = new Overlay(read)
          const truth = new Map<string, string | undefined>(Object.entries(stored))
          const undos = []
          for (const block of blocks) {
            overlay.begin()
            const past: Array<{ mark: number; state: Map<string, string | undefined> }> = []
            for (const { key, value, undo } of block) {
              past.push({ mark: overlay.mark, state: new Map(truth) })
              if (value === undefined) overlay.del(bytes(key))
              else overlay.put(bytes(key), bytes(value))
              truth.set(key, value)
              if (undo !== undefined && past.length > undo) {
                const back = past[past.length - 1 - undo]!
                past.length -= 1 + undo
                overlay.rollback(back.mark)
                for (const each of ['a', 'b', 'c']) truth.set(each, back.state.get(each))
              }
              for (const each of ['a', 'b', 'c']) expect(textOf(await overlay.get(bytes(each)))).toBe(truth.get(each))
            }
            undos.push(encodeUndo(await overlay.undo()))
          }
          for (const record of undos.reverse()) overlay.revert(decodeUndo(record)!)
          for (const each of ['a', 'b', 'c']) expect(textOf(await overlay.get(bytes(each)))).toBe(stored[each])
        }
      ),
      { numRuns: 200 }
    )
  })

  it('answers at once what it can, and a promise only of what must be fetched', async () => {
    const overlay = new Overlay(async () => bytes('stored'))
    overlay.begin()
    expect(overlay.get(bytes('k'))).toBeInstanceOf(Promise)
    expect(textOf(await overlay.get(bytes('k')))).toBe('stored')
    expect(textOf(overlay.get(bytes('k')) as Uint8Array)).toBe('stored')
    overlay.put(bytes('n'), bytes('new'))
    expect(textOf(overlay.get(bytes('n')) as Uint8Array)).toBe('new')
    await overlay.prefetch([bytes('p')])
    expect(textOf(overlay.get(bytes('p')) as Uint8Array)).toBe('stored')
  })

  it('takes keys of 1 to 256 bytes and keeps its own copy of what is put', () => {
    const overlay = new Overlay(() => undefined)
    for (const length of [0, 257]) {
      expect(() => overlay.get(new Uint8Array(length))).toThrow(RangeError)
      expect(() => overlay.put(new Uint8Array(length), bytes(''))).toThrow(RangeError)
      expect(() => overlay.del(new Uint8Array(length))).toThrow(RangeError)
    }
    const key = Buffer.alloc(256, 1)
    const value = Buffer.from('value')
    overlay.put(key, value)
    value.fill(0)
    key.fill(9)
    expect(textOf(overlay.get(new Uint8Array(256).fill(1)) as Uint8Array)).toBe('value')
  })

  it('finds an undo record damaged whichever byte is another', () => {
    const record = encodeUndo([
      { key: bytes('key'), value: bytes('before') },
      { key: bytes('other'), value: undefined }
    ])
    expect(decodeUndo(record)).toEqual([
      { key: bytes('key'), value: bytes('before') },
      { key: bytes('other'), value: undefined }
    ])
    for (let i = 0; i < record.length; i++) {
      const bent = Uint8Array.from(record)
      bent[i]! ^= 1
      expect(decodeUndo(bent)).toBe(undefined)
      expect(decodeUndo(record.slice(0, i))).toBe(undefined)
    }
  })
})
