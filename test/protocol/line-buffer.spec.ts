import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LineBuffer } from '../../dist/src/protocol/line-buffer.js'

const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes == null ? undefined : Buffer.from(bytes).toString()

describe('lines out of chunks', () => {
  it('are the same wherever the chunks are cut and whenever they are taken', () => {
    const line = fc.string({ unit: fc.constantFrom('a', 'b', '\r', ' '), maxLength: 600 })
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat(400)), fc.array(fc.boolean()), (lines, cuts, turns) => {
        const buffer = new LineBuffer(600)
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
        const got: (string | undefined)[] = []
        let at = 0
        for (let i = 0; at < bytes.length; i++) {
          const size = cuts.length === 0 ? 100 : cuts[i % cuts.length]! + 1
          buffer.push(bytes.subarray(at, at + size))
          at += size
          if (turns[i % turns.length] !== true) continue
          for (let next = buffer.next(); next != null; next = buffer.next()) got.push(text(next))
        }
        for (let next = buffer.next(); next != null; next = buffer.next()) got.push(text(next))
        expect(got).toEqual(lines)
        expect(buffer.bytes).toBe(0)
      })
    )
  })

  it('are refused as soon as they are too long, with or without their end', () => {
    for (const bytes of ['12345', '12345\n', '1\n12345']) {
      const buffer = new LineBuffer(4)
      buffer.push(Buffer.from(bytes))
      expect(() => {
        while (buffer.next() != null);
      }).toThrow(expect.objectContaining({ name: 'TooLargeError', fault: 'protocol' }))
    }
    const buffer = new LineBuffer(4)
    buffer.push(Buffer.from('1234\n'))
    expect(text(buffer.next())).toBe('1234')
  })

  it('are copies: the chunk may be used again', () => {
    const buffer = new LineBuffer(10)
    const chunk = Buffer.from('one\ntwo\n')
    buffer.push(chunk)
    chunk.fill(0)
    expect([text(buffer.next()), text(buffer.next()), buffer.next()]).toEqual(['one', 'two', undefined])
  })
})
