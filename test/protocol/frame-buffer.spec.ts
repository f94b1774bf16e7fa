import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameBuffer } from '../../dist/src/protocol/frame-buffer.js'
import { readVarint, varintLength, writeVarint } from '../../dist/src/protocol/varint.js'

function prefixed(frame: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(varintLength(frame.byteLength) + frame.byteLength)
  bytes.set(frame, writeVarint(frame.byteLength, bytes, 0))
  return bytes
}

describe('varint', () => {
  it('reads back every integer up to 53 bits, in its shortest form', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const bytes = new Uint8Array(varintLength(value))
        expect(writeVarint(value, bytes, 0)).toBe(bytes.length)
        expect(readVarint((index) => bytes[index])).toEqual({ value, length: bytes.length })
      })
    )
  })

  it('asks for more while it is not whole', () => {
    expect(readVarint((index) => [0x80, 0x80][index])).toBeUndefined()
  })

  it.each([
    ['not the shortest form', [0x80, 0x00]],
    ['over 8 bytes', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ['over 53 bits', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]]
  ])('refuses one that is %s', (_name, bytes) => {
    expect(() => readVarint((index) => bytes[index])).toThrow(RangeError)
  })
})

describe('FrameBuffer', () => {
  it('gives the same frames however they are cut', () => {
    const frames = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 })
    const cuts = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(frames, cuts, (sent, sizes) => {
        const bytes = Uint8Array.from(sent.flatMap((frame) => [...prefixed(frame)]))
        const buffer = new FrameBuffer(300)
        const got: Uint8Array[] = []
        for (let offset = 0, cut = 0; offset < bytes.length; cut++) {
          const size = sizes[cut % sizes.length]!
          buffer.push(bytes.subarray(offset, offset + size))
          offset += size
          for (let frame = buffer.next(); frame != null; frame = buffer.next()) got.push(frame)
        }
        expect(got).toEqual(sent)
        expect(buffer.bytes).toBe(0)
      })
    )
  })

  it('refuses a frame by its prefix, before the frame is there', () => {
    const buffer = new FrameBuffer(1_000)
    buffer.push(Uint8Array.of(0xe9, 0x07))
    expect(() => buffer.next()).toThrow(expect.objectContaining({ name: 'TooLargeError', fault: 'protocol' }))
  })

  it('takes a frame of exactly the limit', () => {
    const buffer = new FrameBuffer(1_000)
    buffer.push(prefixed(new Uint8Array(1_000)))
    expect(buffer.next()).toHaveLength(1_000)
  })

  it('refuses a prefix that is no varint', () => {
    const buffer = new FrameBuffer(1_000)
    buffer.push(Uint8Array.of(0x80, 0x00))
    expect(() => buffer.next()).toThrow(expect.objectContaining({ name: 'MalformedError', fault: 'protocol' }))
  })

  it('keeps nothing of the buffers that small chunks are views of', () => {
    const frame = Uint8Array.from({ length: 20_000 }, (_, i) => i % 251)
    const buffer = new FrameBuffer(20_000)
    const sent = prefixed(frame)
    let before: Uint8Array | undefined
    for (let offset = 0; offset < sent.length; offset += 7) {
      const chunk = sent.slice(offset, offset + 7)
      buffer.push(chunk)
      before?.fill(255)
      before = chunk
    }
    expect(buffer.next()).toEqual(frame)
  })

  it('copies nothing for a frame that came in one piece', () => {
    const buffer = new FrameBuffer(1_000)
    const bytes = prefixed(new Uint8Array(500))
    buffer.push(bytes)
    expect(buffer.next()!.buffer).toBe(bytes.buffer)
  })
})
