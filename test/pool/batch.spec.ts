import { BATCH_BYTES, encodeBatch, splitBatch } from 'blockwire/pool'
import { HandClock } from 'blockwire/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Outbox } from '../../dist/src/pool/outbox.js'

describe('a batch of transactions', () => {
  it('has its bytes on the wire', () => {
    expect([...encodeBatch([Uint8Array.of(7), Uint8Array.of(8, 9)])]).toEqual([1, 7, 2, 8, 9])
    expect([...encodeBatch([new Uint8Array(200)])].slice(0, 3)).toEqual([0xc8, 1, 0])
  })

  it('comes apart as it was put together', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1 }), (txs) => {
        expect(splitBatch(encodeBatch(txs), 300)).toEqual(txs)
      })
    )
  })

  it('never throws anything but its two errors', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          const txs = splitBatch(bytes, 20)
          expect(encodeBatch(txs)).toEqual(bytes)
        } catch (err) {
          expect(['MalformedBytesError', 'TooLargeBytesError']).toContain((err as Error).name)
        }
      })
    )
  })

  it.each<[string, Uint8Array, string]>([
    ['nothing', Uint8Array.of(), 'MalformedBytesError'],
    ['a transaction of no bytes', Uint8Array.of(1, 5, 0), 'MalformedBytesError'],
    ['a length in a longer form', Uint8Array.of(0x81, 0, 5), 'MalformedBytesError'],
    ['less than it says', Uint8Array.of(3, 1, 2), 'MalformedBytesError'],
    ['a transaction over the limit', encodeBatch([new Uint8Array(100_001)]), 'TooLargeBytesError'],
    ['several over 64 KiB', encodeBatch([new Uint8Array(40_000), new Uint8Array(40_000)]), 'TooLargeBytesError']
  ])('is refused with %s', (_, bytes, name) => {
    expect(() => splitBatch(bytes, 100_000)).toThrow(expect.objectContaining({ name }))
  })

  it('may be one transaction over 64 KiB where the chain allows it', () => {
    expect(splitBatch(encodeBatch([new Uint8Array(90_000)]), 100_000)).toHaveLength(1)
  })
})

describe('own transactions', () => {
  const sizes = (sent: Uint8Array[]): number[][] =>
    sent.map((batch) => splitBatch(batch, 100_000).map((tx) => tx.length))

  it('wait 10 ms for company', () => {
    const clock = new HandClock()
    const sent: Uint8Array[] = []
    const outbox = new Outbox(clock, (batch) => sent.push(batch))
    outbox.put(new Uint8Array(5))
    clock.turn(9)
    outbox.put(new Uint8Array(6))
    expect(sent).toEqual([])
    clock.turn(1)
    expect(sizes(sent)).toEqual([[5, 6]])
    outbox.put(new Uint8Array(7))
    outbox.clear()
    expect(clock.pending).toBe(0)
    clock.turn(100)
    expect(sent).toHaveLength(1)
  })

  it('do not wait once 64 KiB are together', () => {
    const sent: Uint8Array[] = []
    const outbox = new Outbox(new HandClock(), (batch) => sent.push(batch))
    for (let i = 0; i < 5; i++) outbox.put(new Uint8Array(20_000))
    expect(sizes(sent)).toEqual([[20_000, 20_000, 20_000]])
    outbox.put(new Uint8Array(90_000))
    outbox.flush()
    expect(sizes(sent)).toEqual([[20_000, 20_000, 20_000], [20_000, 20_000], [90_000]])
    expect(sent[0]!.length).toBeLessThanOrEqual(BATCH_BYTES)
  })
})
