import fc from 'fast-check'
import { Uint8ArrayList } from 'uint8arraylist'
import { describe, expect, it } from 'vitest'
import { prefixed } from '../../dist/src/protocol/framing.js'
import { LARGE_BYTES, SEND_BYTES } from '../../dist/src/protocol/send-buffer.js'

/** Of Node: with more a socket asks to wait. */
const SOCKET_BYTES = 65_536
/** Of noise: text of one message, and what goes with it. */
const [NOISE_BYTES, LENGTH_BYTES, TAG_BYTES] = [65_519, 2, 16]
/** Of yamux. */
const HEADER_BYTES = 12

describe('what is sent', () => {
  it('fits, when it is full, into one message of noise and into a socket', () => {
    expect(SEND_BYTES + HEADER_BYTES).toBeLessThanOrEqual(NOISE_BYTES)
    expect(LENGTH_BYTES + HEADER_BYTES + SEND_BYTES + TAG_BYTES).toBeLessThan(SOCKET_BYTES)
  })

  it('is what was pushed, in pieces that are full while there is enough', () => {
    const size = fc.oneof(fc.nat(200), fc.constantFrom(LARGE_BYTES - 1, LARGE_BYTES), fc.nat(200_000))
    const action = fc.oneof(
      { weight: 3, arbitrary: fc.array(size, { minLength: 1, maxLength: 3 }) },
      { weight: 1, arbitrary: fc.constantFrom(1, SEND_BYTES) }
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 20 }), (actions) => {
        const { pending, received } = prefixed(1_000_000)
        const sent: Uint8Array[] = []
        const take = (least: number): void => {
          for (let piece = pending.take(least); piece != null; piece = pending.take(least)) {
            expect(piece.byteLength).toBeLessThanOrEqual(SEND_BYTES)
            if (pending.bytes > 0) expect(piece.byteLength).toBe(SEND_BYTES)
            received.push(piece.subarray())
          }
          expect(pending.bytes).toBeLessThan(least)
        }
        for (const [n, step] of actions.entries()) {
          if (typeof step === 'number') take(step)
          else {
            const parts = step.map((length, i) => new Uint8Array(length).fill(1 + n + i))
            pending.push(parts.length === 1 ? parts[0]! : new Uint8ArrayList(...parts))
            sent.push(Buffer.concat(parts))
          }
        }
        take(1)
        for (const message of sent) expect(Buffer.compare(received.next()!, message)).toBe(0)
        expect(received.bytes).toBe(0)
      }),
      { numRuns: 100 }
    )
  })

  it('has large parts as they are, between small ones that are copied together', () => {
    const { pending } = prefixed(1_000_000)
    const large = new Uint8Array(100_000).fill(7)
    for (const part of [new Uint8Array(10), new Uint8Array(20), large, new Uint8Array(30)]) pending.push(part)
    const [first, second] = [pending.take(1)!, pending.take(1)!]
    const buffers = (piece: Iterable<unknown>): unknown[] => [...piece].map((part) => (part as Uint8Array).buffer)
    expect(buffers(first as Uint8ArrayList)).toEqual([expect.any(ArrayBuffer), large.buffer])
    expect(buffers(second as Uint8ArrayList)[0]).toBe(large.buffer)
    expect(second.byteLength).toBe(1 + 10 + 1 + 20 + 3 + 100_000 + 1 + 30 - SEND_BYTES)
    expect(pending.take(1)).toBeUndefined()
  })

  it('is nothing any more once it was cleared', () => {
    const { pending } = prefixed(1_000)
    pending.push(new Uint8Array(900))
    pending.clear()
    expect(pending.bytes).toBe(0)
    expect(pending.take(1)).toBeUndefined()
  })
})
