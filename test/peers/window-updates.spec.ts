import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WindowUpdates } from '../../dist/src/peers/window-updates.js'

const WINDOW = 262_144
const UPDATE = 1
const [SYN, RESET] = [1, 8]

function frame(type: number, flags: number, stream: number, length: number): Uint8Array {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  view.setUint8(1, type)
  view.setUint16(2, flags)
  view.setUint32(4, stream)
  view.setUint32(8, length)
  return bytes
}

const lengthOf = (bytes: Uint8Array | undefined): number =>
  bytes == null ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(8)

describe('window updates', () => {
  it('never leave a sender without window, and lose nothing', () => {
    const sizes = fc.array(fc.tuple(fc.constantFrom(1, 3), fc.integer({ min: 1, max: 65_500 })), { maxLength: 200 })
    fc.assert(
      fc.property(sizes, (received) => {
        const updates = new WindowUpdates(() => ['1', '3'])
        const window = new Map([
          [1, WINDOW],
          [3, WINDOW]
        ])
        const taken = new Map([
          [1, 0],
          [3, 0]
        ])
        for (const [stream, bytes] of received) {
          expect(window.get(stream)).toBeGreaterThanOrEqual(bytes)
          taken.set(stream, taken.get(stream)! + bytes)
          const granted = lengthOf(updates.pass(frame(UPDATE, 0, stream, bytes)))
          window.set(stream, window.get(stream)! - bytes + granted)
          expect(window.get(stream)).toBeLessThanOrEqual(WINDOW)
          expect(window.get(stream)).toBeGreaterThan(WINDOW / 2)
        }
      })
    )
  })

  it('that are worth it, all other frames, and those with flags pass as they are', () => {
    const updates = new WindowUpdates(() => ['1'])
    for (const bytes of [
      frame(UPDATE, 0, 1, WINDOW),
      frame(UPDATE, SYN, 1, 0),
      frame(0, 0, 1, 0),
      frame(2, SYN, 0, 7),
      frame(3, 0, 0, 0)
    ]) {
      expect(Buffer.compare(updates.pass(bytes)!, bytes)).toBe(0)
    }
    const list = { byteLength: 12 }
    expect(updates.pass(list)).toBe(list)
  })

  it('of a stream that was reset are forgotten', () => {
    const updates = new WindowUpdates(() => ['1'])
    expect(updates.pass(frame(UPDATE, 0, 1, 60_000))).toBeUndefined()
    updates.pass(frame(UPDATE, RESET, 1, 0))
    expect(updates.pass(frame(UPDATE, 0, 1, 60_000))).toBeUndefined()
    expect(lengthOf(updates.pass(frame(UPDATE, 0, 1, 60_000)))).toBe(120_000)
  })

  it('of streams that are gone are not remembered for ever, those of open ones are', () => {
    let asked = 0
    const updates = new WindowUpdates(() => {
      asked++
      return ['1', '3']
    })
    updates.pass(frame(UPDATE, 0, 1, 90_000))
    for (let stream = 5; stream < 2_005; stream += 2) updates.pass(frame(UPDATE, 0, stream, 1_000))
    expect(asked).toBeGreaterThan(2)
    expect(asked).toBeLessThan(20)
    expect(lengthOf(updates.pass(frame(UPDATE, 0, 1, 10_000)))).toBe(100_000)
  })
})
