import { bytes } from 'blockwire/chain'
import { ed25519, type SignedMessage, signed } from 'blockwire/ed25519'
import { HandClock } from 'blockwire/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { packChunk, unpackChunk } from '../../dist/src/ed25519/chunk.js'
import { ed25519 as browser } from '../../dist/src/ed25519/ed25519.browser.js'
import type { ThreadEvents } from '../../dist/src/ed25519/thread.js'
import { Verifiers } from '../../dist/src/ed25519/verifiers.js'

/** Good and bad ones of every kind, in a mixed order. */
function mixture(count: number): { list: SignedMessage[]; good: boolean[] } {
  const pair = ed25519.generate(new Uint8Array(32).fill(1))
  const other = ed25519.generate(new Uint8Array(32).fill(2))
  const list: SignedMessage[] = []
  for (let i = 0; i < count; i++) {
    const message = new Uint8Array(i % 70).fill(i)
    const signature = ed25519.sign(message, pair.secretKey)
    const good = { signature, message, publicKey: pair.publicKey }
    const kinds: SignedMessage[] = [
      good,
      { ...good, publicKey: other.publicKey },
      { ...good, signature: signature.subarray(1) },
      { ...good, publicKey: new Uint8Array(32) },
      { ...good, publicKey: pair.publicKey.subarray(2) },
      { ...good, signature: Uint8Array.from(signature, (byte, at) => byte ^ (at === 40 ? 1 : 0)) }
    ]
    list.push(kinds[i % 7] ?? good)
  }
  return { list, good: list.map((each) => ed25519.verify(each.signature, each.message, each.publicKey)) }
}

/** Threads that answer by hand: what is good begins with a 1. */
function setup(threads = 2) {
  const clock = new HandClock()
  const started: { on: ThreadEvents; chunks: SignedMessage[][]; holds: boolean; stopped: boolean }[] = []
  let here = 0
  const verifiers = new Verifiers({
    threads,
    clock,
    verify: ({ message }) => {
      here++
      return message[0] === 1
    },
    start(on) {
      const thread = { on, chunks: [] as SignedMessage[][], holds: false, stopped: false }
      started.push(thread)
      return {
        post: (chunk) => void thread.chunks.push(unpackChunk(chunk)),
        hold: (holds) => {
          thread.holds = holds
        },
        stop() {
          thread.stopped = true
        }
      }
    }
  })
  const items = (count: number, first = 1, mark = 0): SignedMessage[] =>
    Array.from({ length: count }, () => ({
      signature: new Uint8Array(64),
      publicKey: new Uint8Array(32),
      message: Uint8Array.of(first, mark)
    }))
  const answer = (thread: number): SignedMessage[] => {
    const chunk = started[thread]!.chunks.shift()!
    started[thread]!.on.done(Uint8Array.from(chunk, ({ message }) => message[0]!))
    return chunk
  }
  return { clock, verifiers, started, items, answer, here: () => here }
}

describe.each([
  ['on Node', ed25519],
  ['in browsers', browser]
])('many signatures %s', (_, keys) => {
  it('get the verdicts that each would get alone', async () => {
    const { list, good } = mixture(100)
    expect(new Set(good).size).toBe(2)
    expect(await keys.verifyMany(list)).toEqual(good)
    expect(await keys.verifyMany(list, { urgent: true })).toEqual(good)
    expect(await keys.verifyMany([])).toEqual([])
  })
})

describe('many signed structs', () => {
  it('are checked as each would be alone', async () => {
    const transfer = signed({ from: bytes(32), to: bytes(32) })
    const { publicKey, secretKey } = ed25519.generate()
    const good = transfer.sign({ from: publicKey, to: new Uint8Array(32) }, secretKey, Uint8Array.of(7))
    const bad = { ...good, to: new Uint8Array(32).fill(1) }
    const checks = await transfer.verifyMany([good, bad, good], ({ from }) => from, Uint8Array.of(7))
    expect(checks).toEqual([true, { reject: 'wrong signature' }, true])
    expect(await transfer.verifyMany([good], () => undefined, Uint8Array.of(7))).toEqual([
      { reject: 'wrong signature' }
    ])
  })
})

describe('a chunk', () => {
  it('comes apart as it was put together', () => {
    const item = fc.record({
      signature: fc.uint8Array({ minLength: 64, maxLength: 64 }),
      publicKey: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      message: fc.uint8Array({ maxLength: 100 })
    })
    fc.assert(
      fc.property(fc.array(item), (list) => {
        expect(unpackChunk(packChunk(list))).toEqual(list)
      })
    )
  })
})

describe('the threads', () => {
  it('start when they are needed, work side by side, and hold the process only meanwhile', async () => {
    const { verifiers, started, items, answer, clock } = setup()
    expect(started).toEqual([])
    const verdicts = verifiers.verify(items(200), false)
    expect(started).toHaveLength(2)
    // both get something before either gets more
    expect(started.map(({ chunks }) => chunks.map(({ length }) => length))).toEqual([
      [64, 64],
      [64, 8]
    ])
    for (const thread of [0, 1, 0, 1]) answer(thread)
    expect(await verdicts).toEqual(items(200).map(() => true))
    expect(started.map(({ holds }) => holds)).toEqual([false, false])
    clock.turn(30_000)
    expect(started.map(({ stopped }) => stopped)).toEqual([true, true])
    void verifiers.verify(items(1), false)
    expect(started).toHaveLength(3)
  })

  it('take what is urgent before all that waits', () => {
    const { verifiers, items, answer, started } = setup(1)
    void verifiers.verify(items(400, 1, 1), false)
    void verifiers.verify(items(80, 1, 2), true)
    const marks = (): number[] => answer(0).map(({ message }) => message[1]!)
    // two chunks were on their way
    expect(new Set([...marks(), ...marks()])).toEqual(new Set([1]))
    expect(new Set(marks())).toEqual(new Set([2]))
    expect(started[0]!.chunks.length).toBeGreaterThan(0)
  })

  it('serve each call in turn, so that a small one does not wait for a large one', () => {
    const { verifiers, items, answer } = setup(1)
    void verifiers.verify(items(500, 1, 1), false)
    void verifiers.verify(items(10, 1, 2), false)
    const seen: number[] = []
    for (let i = 0; i < 4; i++) seen.push(...answer(0).map(({ message }) => message[1]!))
    expect(seen).toContain(2)
  })

  it('that end by themselves lose nothing, and are not started for ever', async () => {
    const { verifiers, items, started, here } = setup(1)
    for (let i = 0; i < 8; i++) {
      const verdicts = verifiers.verify([...items(40, 1), ...items(40, 0)], false)
      const thread = started.at(-1)!
      if (!thread.stopped && thread.chunks.length > 0) {
        thread.chunks.length = 0
        thread.on.lost()
        for (const other of started.slice(i + 1)) {
          while (other.chunks.length > 0) {
            const chunk = other.chunks.shift()!
            other.on.done(Uint8Array.from(chunk, ({ message }) => message[0]!))
          }
        }
      }
      expect(await verdicts).toEqual([...items(40).map(() => true), ...items(40).map(() => false)])
    }
    expect(started.length).toBeLessThanOrEqual(5)
    expect(here()).toBeGreaterThan(0)
  })
})
