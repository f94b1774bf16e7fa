import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Chain, sha256, toHex, type Verdict } from 'blockwire/chain'
import { testRules } from 'blockwire/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BitList } from '../../dist/src/sync/bit-list.js'
import { MAX_COMMITMENTS } from '../../dist/src/sync/limit.js'
import type { SyncWalk } from '../../dist/src/sync/port.js'
import { Presync, type PresyncStep } from '../../dist/src/sync/presync.js'

const MIB = 1 << 20

/** A chain of the model: `tag(height)` says which of several blocks stands there, and what work it has. */
type Line = (height: number) => { tag: number; work: number }

const steady =
  (work: number): Line =>
  () => ({ tag: 1, work })
/** Leaves `line` behind a height. */
const forked =
  (line: Line, height: number, work: number, tag = 2): Line =>
  (at) =>
    at <= height ? line(at) : { tag, work }

function headerAt(line: Line, height: number, size = 20): Uint8Array {
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, height)
  view.setUint32(4, line(height).tag)
  view.setUint32(8, height === 1 ? 0 : line(height - 1).tag)
  view.setUint32(12, line(height).work)
  return bytes
}

function walk(): SyncWalk {
  const genesis = { hash: new Uint8Array(32), height: 0, work: 0n, header: { parent: new Uint8Array(32), time: 0 } }
  let tag = 0
  let last: SyncWalk['last'] = genesis
  return {
    get last() {
      return last
    },
    add(bytes): Verdict {
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      if (view.getUint32(0) !== last.height + 1 || view.getUint32(8) !== tag)
        return { result: 'ignore', reason: 'unknown-parent' }
      if (view.getUint32(12) === 0) return { result: 'reject', reason: 'header' }
      tag = view.getUint32(4)
      last = {
        get hash() {
          return sha256(bytes)
        },
        height: last.height + 1,
        work: last.work + BigInt(view.getUint32(12)),
        header: genesis.header
      }
      return { result: 'accept' }
    }
  }
}

interface Options {
  work: number
  height?: number
  salt?: number
  claimed?: number
  headerBytes?: number
  now?: number
}

function presyncOf({ work, height = 0, salt = 0, claimed = 0, headerBytes = 1_024, now = 0 }: Options): Presync {
  return new Presync({
    walk: walk(),
    again: () => walk(),
    threshold: { work: BigInt(work), height },
    salt: sha256(Uint8Array.of(salt, salt >> 8, salt >> 16)),
    claimed,
    headerBytes,
    now
  })
}

interface Run {
  step: PresyncStep
  released: Uint8Array[]
  height: number
  most: number
}

/** Serves a line's headers up to a height, from where presync wants to go on, until something comes of it. */
function serve(presync: Presync, line: Line, tip: number, { size = 20, pause = () => {} } = {}): Run {
  const run: Run = { step: 'more', released: [], height: presync.height, most: 0 }
  while (run.step === 'more' && run.height < tip) {
    run.height++
    run.step = presync.add(headerAt(line, run.height, size))
    run.released.push(...presync.release())
    run.most = Math.max(run.most, presync.bytes)
    pause()
  }
  return run
}

const bytesOf = (line: Line, from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => toHex(headerAt(line, from + i)))

describe('presync', () => {
  it('keeps nothing the first time, and all of it when it comes again', () => {
    const presync = presyncOf({ work: 5_000 })
    const line = steady(1)
    const first = serve(presync, line, 6_000)
    expect(first).toMatchObject({ step: 'again', height: 5_000, released: [] })
    expect(presync.headers).toBe(5_000)
    expect(presync.phase).toBe('redownload')
    expect(presync.locator).toEqual([new Uint8Array(32)])
    const second = serve(presync, line, 6_000)
    expect(second).toMatchObject({ step: 'done', height: 5_000 })
    expect(second.released.map(toHex)).toEqual(bytesOf(line, 1, 5_000))
  })

  it('releases headers before the end, 24 commitments behind', () => {
    const presync = presyncOf({ work: 5_000 })
    serve(presync, steady(1), 6_000)
    const some = serve(presync, steady(1), 1_000)
    // 384 KiB hold 16 periods of the largest headers, 24 times
    expect(some.released).toHaveLength(1_000 - 24 * 16)
  })

  it('wants the height of a checkpoint, too', () => {
    const presync = presyncOf({ work: 10, height: 300 })
    expect(serve(presync, steady(1), 400)).toMatchObject({ step: 'again', height: 300 })
    expect(serve(presync, steady(1), 400)).toMatchObject({ step: 'done', height: 300 })
  })

  it('goes on from the last header, and from the start for the second time', () => {
    const presync = presyncOf({ work: 100 })
    serve(presync, steady(1), 50)
    expect(presync.locator).toEqual([sha256(headerAt(steady(1), 50)), new Uint8Array(32)])
    expect(presync.add(headerAt(steady(1), 52))).toMatchObject({ end: { fault: 'none' } })
  })

  it('passes on what the rules say of a header, either time', () => {
    const bad = forked(steady(1), 30, 0)
    expect(serve(presyncOf({ work: 100 }), bad, 50)).toMatchObject({
      step: { verdict: { result: 'reject', reason: 'header' } },
      height: 31
    })
    const presync = presyncOf({ work: 100 })
    serve(presync, steady(1), 100)
    expect(serve(presync, bad, 50).step).toMatchObject({ verdict: { reason: 'header' } })
  })

  it('charges nobody for a reorganisation near the tip', () => {
    const ends: PresyncStep[] = []
    for (let salt = 0; salt < 30; salt++) {
      const presync = presyncOf({ work: 1_000, salt })
      serve(presync, steady(1), 1_000)
      const { step } = serve(presync, forked(steady(1), 990, 1), 1_100)
      if (step !== 'done') ends.push(step)
    }
    expect(ends.length).toBeGreaterThan(0)
    for (const step of ends) expect(step).toMatchObject({ end: { fault: 'none' } })
  })

  it('gives up more headers than any chain can have by now', () => {
    const early = presyncOf({ work: 1e9, now: 1_000 })
    const run = serve(early, steady(1), 300_000)
    expect(run.step).toMatchObject({
      end: { why: expect.stringMatching(/200000 headers are more than/), fault: 'none' }
    })
    const late = presyncOf({ work: 1e9, now: 3_000_000 })
    expect(serve(late, steady(1), 200_001).step).toBe('more')
  })

  it('gives up where headers are too large for so long a chain', () => {
    // so long a claim makes the commitments rare: the buffer would have to hold more than it may
    const presync = presyncOf({ work: 5_000, claimed: 2_000_000_000 })
    expect(serve(presync, steady(1), 5_000, { size: 200 }).step).toBe('again')
    const run = serve(presync, steady(1), 5_000, { size: 200 })
    expect(run.step).toMatchObject({ end: { why: expect.stringMatching(/too large/), fault: 'none' } })
    expect(run.released).toEqual([])
    expect(run.most).toBeLessThan(MIB)
  })
})

describe('any honest peer', () => {
  it('gets its chain through, each header once and in order, whatever its length and however often it pauses', () => {
    fc.assert(
      fc.property(
        fc.record({
          length: fc.integer({ min: 1, max: 3_000 }),
          reached: fc.double({ min: 0.01, max: 1, noNaN: true }),
          work: fc.integer({ min: 1, max: 5 }),
          salt: fc.nat(1e6),
          headerBytes: fc.constantFrom(64, 200, 1_024, 16_384, 65_536),
          claimed: fc.constantFrom(0, 3_000, 80_000_000)
        }),
        ({ length, reached, work, salt, headerBytes, claimed }) => {
          const wanted = Math.max(1, Math.floor(length * work * reached))
          const presync = presyncOf({ work: wanted, salt, headerBytes, claimed })
          const line = steady(work)
          const first = serve(presync, line, length)
          expect(first.step).toBe('again')
          expect(first.released).toEqual([])
          const second = serve(presync, line, length)
          expect(second.step).toBe('done')
          expect(second.height).toBe(Math.ceil(wanted / work))
          expect(second.released.map(toHex)).toEqual(bytesOf(line, 1, second.height))
        }
      ),
      { numRuns: 60 }
    )
  })
})

describe('a liar', () => {
  it('that shows a good chain first and another one then gets none of the other one kept', () => {
    fc.assert(
      fc.property(
        fc.record({
          length: fc.integer({ min: 1, max: 3_000 }),
          fork: fc.double({ min: 0, max: 0.999, noNaN: true }),
          salt: fc.nat(1e6),
          headerBytes: fc.constantFrom(200, 1_024, 16_384)
        }),
        ({ length, fork, salt, headerBytes }) => {
          const presync = presyncOf({ work: 10 * length, salt, headerBytes })
          const good = steady(10)
          expect(serve(presync, good, length).step).toBe('again')
          const from = Math.floor(fork * length)
          const second = serve(presync, forked(good, from, 1, 7), 50_000)
          if (second.step === 'done') {
            // too few commitments to tell them apart, but then it has the work itself
            expect(10 * from + (second.height - from)).toBeGreaterThanOrEqual(10 * length)
            expect(second.height).toBeLessThan(length + 2 * 640)
            return
          }
          expect(second.step).toMatchObject({ end: {} })
          expect(second.released.map(toHex)).toEqual(bytesOf(good, 1, second.released.length))
          expect(second.released.length).toBeLessThanOrEqual(from)
        }
      ),
      { numRuns: 100 }
    )
  })

  it('is charged when it was caught well below where its chain had work enough', () => {
    const faults = new Set<string>()
    for (let salt = 0; salt < 50; salt++) {
      const presync = presyncOf({ work: 30_000, salt })
      serve(presync, steady(10), 3_000)
      const { step } = serve(presync, forked(steady(10), 500, 1), 50_000)
      if (typeof step === 'object' && 'end' in step) faults.add(step.end.fault)
    }
    expect([...faults]).toEqual(['protocol'])
  })

  it('cannot tell what is committed to: the bits differ from salt to salt', () => {
    const caught = new Set<number>()
    for (let salt = 0; salt < 30; salt++) {
      const presync = presyncOf({ work: 30_000, salt })
      serve(presync, steady(10), 3_000)
      caught.add(serve(presync, forked(steady(10), 500, 1), 50_000).height)
    }
    expect(caught.size).toBeGreaterThan(10)
  })

  it('that ends, shrinks or leaves its chain keeps no more than it had', () => {
    const presync = presyncOf({ work: 5_000 })
    expect(serve(presync, steady(1), 4_000)).toMatchObject({ step: 'more', released: [] })
    serve(presync, steady(1), 5_000)
    const shrunk = serve(presync, steady(1), 2_000)
    expect(shrunk.step).toBe('more')
    expect(shrunk.released.length).toBeLessThan(2_000)
    expect(presync.bytes).toBeLessThan(MIB)
  })
})

describe('memory', () => {
  it('stays below 1 MiB whatever is served', () => {
    fc.assert(
      fc.property(
        fc.record({
          headerBytes: fc.constantFrom(64, 1_024, 16_384),
          claimed: fc.constantFrom(0, 1_000_000, 2_000_000_000, Number.MAX_SAFE_INTEGER),
          fork: fc.integer({ min: 0, max: 4_000 }),
          salt: fc.nat(1e6)
        }),
        ({ headerBytes, claimed, fork, salt }) => {
          const size = Math.max(20, headerBytes)
          const presync = presyncOf({ work: 4_000, headerBytes, claimed, salt })
          const first = serve(presync, steady(1), 4_000, { size })
          const second = serve(presync, forked(steady(1), fork, 1), 5_000, { size })
          expect(Math.max(first.most, second.most)).toBeLessThanOrEqual(MIB)
        }
      ),
      { numRuns: 20 }
    )
  }, 60_000)

  it('of the commitments is bounded, and they come back as they went in', () => {
    const bits = new BitList(MAX_COMMITMENTS)
    const bit = (n: number): boolean => (n * 2_654_435_761) % 7 < 3
    for (let n = 0; n < MAX_COMMITMENTS; n++) if (!bits.push(bit(n))) throw new Error(`no room for bit ${n}`)
    expect(bits.push(true)).toBe(false)
    expect(bits.bytes).toBe(MIB / 2)
    for (let n = 0; n < MAX_COMMITMENTS; n += 997) expect(bits.at(n)).toBe(bit(n))
    expect(bits.at(MAX_COMMITMENTS)).toBeUndefined()
  })

  it('is next to none for a peer with 200,000 low-work headers, checked by the rules', async () => {
    const rules = testRules({ minimumWork: 1n << 40n })
    const chain = new Chain({ rules })
    await chain.open()
    const header = { ...chain.genesis.header, parent: chain.genesis.hash }
    const walk = chain.walk(rules.header.encode(header))!
    const presync = new Presync({
      walk,
      again: () => undefined,
      threshold: chain.threshold,
      salt: sha256(new Uint8Array(1)),
      claimed: 1_000_000,
      headerBytes: chain.limits.headerBytes,
      now: Date.now()
    })
    const add = (count: number): void => {
      for (let i = 0; i < count; i++) {
        header.parent = walk.last.hash
        header.time++
        if (presync.add(rules.header.encode(header)) !== 'more') throw new Error('it should go on')
      }
    }
    // what is compiled and cached on the way is not the peer's
    add(20_000)
    const before = used()
    add(180_000)
    const grown = used() - before
    expect(presync.headers).toBe(200_000)
    expect(grown).toBeLessThan(MIB / 4)
    expect(presync.bytes).toBeLessThanOrEqual(2 << 10)
    expect(chain.target.height).toBe(0)
    await chain.close()
  })
})

/** Bytes in use once everything else is collected. */
function used(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  return getHeapStatistics().used_heap_size + process.memoryUsage().arrayBuffers
}
