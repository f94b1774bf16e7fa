import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Frame } from '../../dist/src/pb/frame.js'
import { AnswerReader, answerFrames, largestFrame } from '../../dist/src/protocol/answer.js'

const limits = { itemBytes: 200_000, items: 1_000, answerBytes: 10_000_000 }
const raw = (bytes: Uint8Array): Uint8Array => bytes

async function* pagesOf<T>(pages: T[][]): AsyncGenerator<T[]> {
  for (const page of pages) {
    if (page.length === 0) await new Promise((resolve) => setImmediate(resolve))
    yield page
  }
}

describe('an answer', () => {
  it('comes out as it went in, in frames of at most 64 KiB or one item', async () => {
    const sizes = fc.oneof(fc.nat(200), fc.nat(70_000), fc.integer({ min: 65_000, max: 66_000 }))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(sizes, { maxLength: 6 }), { maxLength: 6 }), async (pages) => {
        const sent = pages.map((page, i) => page.map((size, j) => new Uint8Array(size).fill(i * 7 + j)))
        const reader = new AnswerReader(raw, limits)
        const got: Uint8Array[] = []
        for await (const frame of answerFrames(pagesOf(sent), raw, limits)) {
          expect(frame.length).toBeLessThanOrEqual(largestFrame(limits.itemBytes))
          const items = reader.push(frame.subarray())
          if (items.length > 1) expect(frame.length + 3).toBeLessThanOrEqual(65_536)
          got.push(...items)
        }
        expect(reader.done).toBe(true)
        expect(reader.more).toBe(false)
        expect(got.length).toBe(sent.flat().length)
        expect(got.every((item, i) => Buffer.compare(item, sent.flat()[i]!) === 0)).toBe(true)
      }),
      { numRuns: 50 }
    )
  })

  it('has no frame over 64 KiB but for one item', () => {
    const content = new Uint8Array(100_000)
    content.set([0x80, 0x80, 0x04]) // 65,536 bytes, then 34,461 empty items
    expect(() => new AnswerReader(raw, { ...limits, items: 1e6 }).push(Frame.encode({ items: content }))).toThrow(
      expect.objectContaining({ name: 'TooLargeError' })
    )
  })

  it('never makes a reader throw anything but a PeerError', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }), (frames) => {
        const reader = new AnswerReader(raw, limits)
        try {
          for (const frame of frames) reader.push(frame)
        } catch (err) {
          expect(err).toMatchObject({ fault: expect.stringMatching(/^(protocol|none)$/) })
        }
      })
    )
  })
})
