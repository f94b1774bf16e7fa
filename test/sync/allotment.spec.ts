import { describe, expect, it } from 'vitest'
import { Allotment } from '../../dist/src/sync/allotment.js'
import { FIRST_BATCH, MIN_BATCH, STALL_MS } from '../../dist/src/sync/limit.js'
import { type ChainView, type Place, Source } from '../../dist/src/sync/source.js'
import { type BodiesAsked, Window } from '../../dist/src/sync/window.js'

const BYTES = 1_000
const body = { bytes: new Uint8Array(BYTES) }

/** A window of so many blocks, and a clock. */
function windowOf(blocks: number) {
  const missing = Array.from({ length: blocks }, (_, i): Place => {
    const hash = new Uint8Array(32)
    new DataView(hash.buffer).setUint32(0, i + 1)
    return { hash, height: i + 1 }
  })
  const window = new Window()
  const bench = {
    now: 1_000,
    window,
    allotment: new Allotment(window),
    sources: [] as Source[],
    /** A peer that has all of it; tested where it has sent so many bytes a second before. */
    peer(id: string, speed = 0): Source {
      const head = { hash: new Uint8Array(32).fill(9), height: blocks, work: 1n }
      const source = new Source({ id, role: 'full', lowest: 0, head })
      source.offer({ id, role: 'full', lowest: 0, head }, id, 0, false, true)
      if (speed > 0) {
        source.pace.begin(0)
        // a little more, for what is rounded
        source.pace.heard(speed + BYTES / 2, 1_000)
        source.pace.end(1_000)
        source.delivered(4_096, 0)
      }
      bench.sources.push(source)
      return source
    },
    /** Who is asked for what now, as `id first-last`, with a `?` where nobody waits for it. */
    assign(): string[] {
      return bench.allotment.assign(bench.sources, bench.now, () => ++ids).map(show)
    },
    /** The oldest request of a peer brings so many more. */
    bring(id: string, count: number): void {
      const request = [...window.requests.values()].find(({ peer }) => peer === id)!
      window.moved(id, bench.now)
      for (let i = 0; i < count; i++) window.receive(request, body)
      if (request.got < request.slots.length) return
      window.forget(request)
      bench.sources.find((source) => source.id === id)!.end(bench.now)
    }
  }
  let ids = 0
  window.refresh({ missing: (limit: number) => missing.slice(0, limit) } as ChainView)
  // so that it knows the size of a block
  const probe = window.ask(bench.peer('probe'), window.slots.slice(0, 1), 0, 0)
  for (let i = 0; i < 300; i++) window.receive({ ...probe, slots: [window.slots[0]!], got: 0 }, body)
  window.forget(probe)
  window.empty(window.slots[0]!)
  bench.sources.length = 0
  return bench
}

function show({ peer, slots }: BodiesAsked): string {
  const [first, last] = [slots[0]!.place.height, slots.at(-1)!.place.height]
  return `${peer} ${first}-${last}${slots[0]!.state === 'wanted' ? '?' : ''}`
}

describe('the allotment', () => {
  it('gives each a small first batch of the oldest where nobody answered yet', () => {
    const bench = windowOf(1_000)
    for (const id of ['a', 'b']) bench.peer(id)
    expect(bench.assign()).toEqual([`a 1-${FIRST_BATCH}`, `b ${FIRST_BATCH + 1}-${2 * FIRST_BATCH}`])
  })

  it('gives the oldest to who answered, and a little of the newest to others, one thing at a time', () => {
    const bench = windowOf(1_000)
    bench.peer('new')
    const failed = bench.peer('failed')
    failed.rest(0)
    bench.peer('old', 100_000)
    expect(bench.assign()).toEqual([
      'old 1-100',
      'old 101-200',
      `new ${1_001 - FIRST_BATCH}-1000?`,
      `failed ${1_001 - FIRST_BATCH - MIN_BATCH}-${1_000 - FIRST_BATCH}?`
    ])
    expect(bench.assign()).toEqual([])
  })

  it('waits for nobody who never answered: others take what he was asked for when they come to it', () => {
    const bench = windowOf(300)
    bench.peer('silent')
    bench.peer('old', 200_000)
    expect(bench.assign()).toEqual(['old 1-200', 'old 201-300'])
    const small = windowOf(500)
    small.peer('silent')
    small.peer('old', 200_000)
    expect(small.assign()).toEqual(['old 1-200', 'old 201-400', 'silent 437-500?'])
    small.bring('old', 200)
    expect(small.assign()).toEqual(['old 401-500'])
  })

  it('takes what he brings first all the same', () => {
    const bench = windowOf(500)
    bench.peer('new')
    bench.peer('old', 200_000)
    bench.assign()
    bench.bring('new', FIRST_BATCH)
    bench.bring('old', 200)
    expect(bench.assign()[0]).toBe('old 401-436')
    expect(bench.window.held).toBe((200 + FIRST_BATCH) * BYTES)
  })

  it('shares the window by what each sends', () => {
    const bench = windowOf(8_192)
    bench.peer('fast', 9e6)
    bench.peer('slow', 1e6)
    const blocks: Record<string, number> = {}
    bench.assign()
    for (const { peer, slots } of bench.window.requests.values()) blocks[peer] = (blocks[peer] ?? 0) + slots.length
    expect(blocks.fast! / blocks.slow!).toBeCloseTo(9, 0)
    expect(blocks.fast! + blocks.slow!).toBeGreaterThan(8_000)
  })

  it('gives the oldest to who has nothing to do when nothing comes of it', () => {
    const bench = windowOf(150)
    bench.peer('held', 100_000)
    const idle = bench.peer('idle', 100_000)
    expect(bench.assign()).toEqual(['held 1-100', 'idle 101-150'])
    bench.bring('idle', 50)
    expect(bench.assign()).toEqual([])
    // as long as it would take the other
    expect(bench.allotment.takeOverAt! - bench.now).toBeCloseTo(1_000, -2)
    bench.now = bench.allotment.takeOverAt!
    expect(bench.assign()).toEqual(['idle 1-100'])
    // it is still asked, and nothing else is given to it meanwhile
    bench.bring('held', 40)
    expect(bench.window.held).toBe(90 * BYTES)
    expect(bench.allotment.beaten()).toEqual([])
    bench.bring('idle', 100)
    expect(bench.window.held).toBe(150 * BYTES)
    expect(bench.allotment.beaten().map(({ peer }) => peer)).toEqual(['held'])
    expect(idle.inFlight).toBe(0)
  })

  it('does so at once when the holder is much slower, and not when it is as fast', () => {
    for (const [speed, taken] of [
      [20_000, ['idle 1-60']],
      [400_000, []]
    ] as const) {
      const bench = windowOf(60)
      bench.window.ask(bench.peer('held', speed), bench.window.slots, bench.now, 100)
      bench.peer('idle', 400_000)
      expect(bench.assign(), `${speed}`).toEqual(taken)
    }
  })

  it('takes it from who sends nothing for 2 s only for somebody better', () => {
    const bench = windowOf(100)
    bench.peer('held', 100_000)
    expect(bench.assign()).toEqual(['held 1-100'])
    const other = bench.peer('failed')
    other.rest(0)
    bench.allotment.stalled(bench.sources, bench.now)
    // it sends slowly, and who failed before is no better
    for (let i = 0; i < 10; i++) {
      bench.now += STALL_MS / 2
      bench.window.moved('held', bench.now)
      expect(bench.allotment.stalled(bench.sources, bench.now)).toBe(undefined)
    }
    bench.now += STALL_MS
    expect(bench.allotment.stalled(bench.sources, bench.now)?.peer).toBe('held')
    expect(bench.allotment.stallMs).toBe(2 * STALL_MS)
  })
})
