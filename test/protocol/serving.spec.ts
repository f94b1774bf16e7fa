import { Serving, type Turns } from 'blockwire/protocol'
import { HandClock } from 'blockwire/testing'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { DeficitRoundRobin } from '../../dist/src/protocol/deficit.js'

const KIB = 1_024
const FRAME = 64 * KIB

describe('deficit round-robin', () => {
  it('gives peers that always have something waiting the same bytes, whatever the size of their pieces', () => {
    const peers = fc.array(fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 20 }), {
      minLength: 2,
      maxLength: 8
    })
    fc.assert(
      fc.property(
        peers,
        fc.integer({ min: 100, max: 2_000 }),
        fc.integer({ min: 1, max: 500 }),
        (sizes, quantum, steps) => {
          const line = new DeficitRoundRobin<number>(quantum)
          const next = sizes.map(() => 0)
          const got = sizes.map(() => 0)
          const add = (peer: number): void => {
            const list = sizes[peer]!
            line.add(String(peer), list[next[peer]!++ % list.length]!, peer)
          }
          for (const peer of sizes.keys()) for (let i = 0; i < 2; i++) add(peer)
          for (let step = 0; step < steps; step++) {
            const next = line.next()
            if (next == null) continue
            got[next.piece]! += next.cost
            add(next.piece)
          }
          // a quantum for being visited first, and what each has saved, which is less than its largest piece
          const largest = Math.max(...sizes.flat())
          expect(Math.max(...got) - Math.min(...got)).toBeLessThanOrEqual(quantum + largest)
        }
      )
    )
  })

  it('gives everything that waits, each piece once and those of a peer in order, and forgets who leaves', () => {
    const actions = fc.array(
      fc.oneof(
        fc.record({ do: fc.constant('add' as const), peer: fc.nat(4), cost: fc.nat(3_000) }),
        fc.record({ do: fc.constant('next' as const) }),
        fc.record({ do: fc.constant('delete' as const), index: fc.nat(50) })
      ),
      { maxLength: 200 }
    )
    fc.assert(
      fc.property(actions, (list) => {
        const line = new DeficitRoundRobin<{ peer: string; n: number }>(1_000)
        const waiting: { peer: string; n: number }[] = []
        const take = (): void => {
          const next = line.next()
          if (next == null) return
          const first = waiting.find(({ peer }) => peer === next.piece.peer)
          expect(next.piece).toBe(first)
          waiting.splice(waiting.indexOf(first!), 1)
        }
        for (const [n, action] of list.entries()) {
          if (action.do === 'add') {
            const piece = { peer: String(action.peer), n }
            waiting.push(piece)
            line.add(piece.peer, action.cost, piece)
          } else if (action.do === 'next') take()
          else {
            const piece = waiting[action.index]
            if (piece == null) continue
            expect(line.delete(piece.peer, piece)).toBe(true)
            expect(line.delete(piece.peer, piece)).toBe(false)
            waiting.splice(action.index, 1)
          }
          expect(line.size).toBe(new Set(waiting.map(({ peer }) => peer)).size)
        }
        for (let rounds = 0; waiting.length > 0 && rounds < 1_000; rounds++) take()
        expect(waiting).toEqual([])
        for (let peer = 0; peer < 5; peer++) line.leave(String(peer))
        expect(line.next()).toBeUndefined()
      })
    )
  })

  it('lets a newcomer wait for one round at most', () => {
    const line = new DeficitRoundRobin<string>(1_000)
    for (const peer of ['a', 'b', 'c']) for (let i = 0; i < 50; i++) line.add(peer, 1_000, peer)
    for (let i = 0; i < 20; i++) line.next()
    line.add('new', 1_000, 'new')
    const order = Array.from({ length: 8 }, () => line.next()?.piece)
    expect(order).toContain('new')
  })
})

describe('serving', () => {
  let clock: HandClock
  let tasks: (() => void)[]
  let urgent: boolean
  let serving: Serving

  beforeEach(() => {
    clock = new HandClock()
    tasks = []
    urgent = false
    serving = new Serving({
      clock,
      urgent: () => urgent,
      heldBytes: 100 * FRAME,
      defer: (task) => void tasks.push(task)
    })
  })

  const begin = (peer: string, cut = (): void => {}): Turns => serving.begin(peer, FRAME, cut)!
  /** All that is due in this turn of the event loop, and what follows from it before the next. */
  async function loop(): Promise<void> {
    for (const task of tasks.splice(0)) {
      task()
      for (let i = 0; i < 10; i++) await undefined
    }
  }

  /** An answer that sends a frame whenever it is let. `work` is done with each. */
  function sends(peer: string, cost = FRAME, work = (): void => {}): { bytes: number; turns: Turns; stop(): void } {
    const turns = begin(peer)
    let stopped = false
    const answer = {
      bytes: 0,
      turns,
      stop(): void {
        stopped = true
        turns.end()
      }
    }
    const run = async (): Promise<void> => {
      while (!stopped) {
        // free turns come at once and for ever: only those count that were waited for
        const turn = turns.take(cost)
        if (turn == null) return
        await turn
        if (stopped) return
        answer.bytes += cost
        work()
      }
    }
    void run()
    return answer
  }

  it('lets one peer go on at once, with all its requests', () => {
    const [one, two] = [begin('a'), begin('a')]
    for (const turns of [one, two, one, two]) expect(turns.take(FRAME)).toBeUndefined()
    expect(tasks).toEqual([])
  })

  it('lets the event loop go on after each MiB all the same', async () => {
    const turns = begin('a')
    for (let i = 0; i < 16; i++) expect(turns.take(FRAME)).toBeUndefined()
    const turn = turns.take(FRAME)
    expect(turn).toBeInstanceOf(Promise)
    await Promise.all([turn, loop()])
    expect(turns.take(FRAME)).toBeUndefined()
  })

  it('lets two share, however many requests one has and however large its frames are', async () => {
    const idle = begin('c')
    const [small, big, bigger] = [sends('a'), sends('b', 1_024 * KIB), sends('b', 1_024 * KIB)]
    for (let i = 0; i < 200; i++) await loop()
    expect(small.bytes).toBeGreaterThan(100 * FRAME)
    const ratio = small.bytes / (big.bytes + bigger.bytes)
    expect(ratio).toBeGreaterThan(0.9)
    expect(ratio).toBeLessThan(1.1)
    idle.end()
  })

  it('passes over who does not come for its turn', async () => {
    // it reads nothing: its answer waits for the stream, and asks for no turn
    const stuck = begin('stuck')
    const reader = sends('reader')
    for (let i = 0; i < 10; i++) await loop()
    expect(reader.bytes).toBeGreaterThanOrEqual(10 * FRAME)
    stuck.end()
  })

  it('sends about 256 KiB before the event loop goes on', async () => {
    const answers = Array.from({ length: 16 }, (_, i) => sends(String(i)))
    const all = (): number => answers.reduce((sum, { bytes }) => sum + bytes, 0)
    const first = sends('last')
    for (let i = 0; i < 5; i++) {
      const before = all() + first.bytes
      await loop()
      expect(all() + first.bytes - before).toBe(256 * KIB)
    }
  })

  it('takes half of the time while something urgent waits, and all of it when nothing does', async () => {
    const share = async (): Promise<number> => {
      let used = 0
      const work = (): void => {
        clock.turn(2)
        used += 2
      }
      const answers = [sends('a', FRAME, work), sends('b', FRAME, work)]
      const from = clock.now()
      while (clock.now() - from < 4_000) {
        await loop()
        // nobody else works: time passes only when all wait for it
        if (tasks.length === 0) clock.turn(1)
      }
      const all = clock.now() - from
      for (const answer of answers) answer.stop()
      await loop()
      return used / all
    }
    expect(await share()).toBe(1)
    urgent = true
    expect(await share()).toBeCloseTo(0.5, 1)
    urgent = false
    expect(await share()).toBeCloseTo(1, 1)
  })

  it('keeps one peer to its half too, while something urgent waits', async () => {
    urgent = true
    const one = sends('a', FRAME, () => clock.turn(4))
    for (let i = 0; i < 3; i++) await loop()
    const { bytes } = one
    expect(bytes).toBeGreaterThan(0)
    for (let i = 0; i < 5; i++) await loop()
    expect(one.bytes).toBe(bytes)
    clock.turn(4)
    await loop()
    expect(one.bytes).toBeGreaterThan(bytes)
  })

  it('forgets an answer that ends while it waits, which then goes on to its end', async () => {
    begin('a')
    const other = begin('b')
    const waiting = other.take(10 * FRAME)
    expect(waiting).toBeInstanceOf(Promise)
    other.end()
    other.end()
    await waiting
    expect(other.take(FRAME)).toBeUndefined()
    expect(serving.held).toBe(FRAME)
    for (let i = 0; i < 3; i++) await loop()
    expect(tasks).toEqual([])
    expect(clock.pending).toBe(0)
  })

  it('has no room for more than it may hold; then the slowest of those that take long is cut', () => {
    const cuts: string[] = []
    const old = Array.from({ length: 99 }, (_, i) => begin(`old ${i}`, () => cuts.push(`old ${i}`)))
    for (const [i, turns] of old.entries()) void turns.take(i === 7 ? 1 : FRAME)
    clock.turn(4_000)
    begin('young', () => cuts.push('young'))
    expect(serving.begin('more', FRAME, () => {})).toBeUndefined()
    expect(cuts, 'nobody takes over 5 s yet').toEqual([])
    clock.turn(1_000)
    expect(serving.begin('more', FRAME, () => {})).toBeUndefined()
    expect(cuts).toEqual(['old 7'])
    old[7]!.end()
    expect(serving.begin('more', FRAME, () => {})).toBeDefined()
    expect(serving.held).toBe(100 * FRAME)
  })

  it('has room for one answer, however large', () => {
    expect(serving.begin('a', 1_000 * FRAME, () => {})).toBeDefined()
    expect(serving.begin('b', 1, () => {})).toBeUndefined()
  })
})
