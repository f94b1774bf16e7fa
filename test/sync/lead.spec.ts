import { describe, expect, it } from 'vitest'
import { FIRST_PATIENCE_MS, HEADERS_LEAD, HEADERS_PATIENCE_MS } from '../../dist/src/sync/limit.js'
import { Planner } from '../../dist/src/sync/planner.js'
import type { ChainView, Place } from '../../dist/src/sync/source.js'
import { TxServer } from '../../dist/src/sync/tx-server.js'

const hashOf = (n: number, branch = 0): Uint8Array => {
  const hash = new Uint8Array(32).fill(branch)
  new DataView(hash.buffer).setUint32(8, n)
  return hash
}

/** A chain of `head` blocks whose headers reach `target`. */
function chainOf(head: number, target: number) {
  const places = Array.from({ length: target + 1 }, (_, height) => ({
    hash: hashOf(height),
    height,
    work: BigInt(height)
  }))
  const bodies = new Set<number>()
  const at = (hash: Uint8Array): number => {
    const height = new DataView(hash.buffer, hash.byteOffset).getUint32(8)
    return hash[0] === 0 && height <= target ? height : -1
  }
  const here = (height: number): boolean => height <= head || bodies.has(height)
  const missing = (): Place[] => places.slice(head + 1).filter(({ height }) => !bodies.has(height))
  const view: ChainView = {
    head: places[head]!,
    target: places[target]!,
    has: (hash) => (at(hash) === -1 ? undefined : here(at(hash)) ? (at(hash) <= head ? 'valid' : 'body') : 'header'),
    locate: (hash) => (at(hash) === -1 ? undefined : places[at(hash)]),
    missing: (limit) => missing().slice(0, limit),
    missingAfter: (place, limit) =>
      missing()
        .filter(({ height }) => height > place.height)
        .slice(0, limit)
  }
  return { view, bodies }
}

const claim = (id: string, height: number, work: bigint, branch = 0) => ({
  id,
  role: 'full' as const,
  lowest: 0,
  head: { hash: hashOf(height, branch), height, work }
})

describe('the planner, when headers are far ahead', () => {
  it('asks for no more of who gave them while bodies come, but of who claims more and gave none', () => {
    const { view } = chainOf(10, 10 + HEADERS_LEAD)
    const planner = new Planner(view, () => 0)
    planner.offer(claim('a', 40_000, 1_000_000n, 1))
    planner.sources.get('a')!.last = { ...view.target }
    const headers = (): string[] =>
      planner.evaluate().flatMap((action) => (action.do === 'headers' ? [action.peer] : []))
    for (const action of planner.evaluate()) {
      if (action.do === 'bodies') planner.bodies(action.id, [{ bytes: new Uint8Array(10) }])
      // it was asked before any body had come
      if (action.do === 'headers') planner.done(action.id, true)
    }
    expect(headers()).toEqual([])
    planner.offer(claim('less', 5_000, 100n, 2))
    expect(headers()).toEqual([])
    planner.offer(claim('more', 50_000, 2_000_000n, 3))
    expect(headers()).toEqual(['more'])
  })

  it('asks again whom it likes when bodies stop coming', () => {
    let now = 0
    const { view } = chainOf(10, 10 + HEADERS_LEAD)
    const planner = new Planner(view, () => now)
    planner.offer(claim('a', 40_000, 1_000_000n, 1))
    planner.sources.get('a')!.last = { ...view.target }
    for (const action of planner.evaluate()) {
      if (action.do === 'bodies') planner.bodies(action.id, [{ bytes: new Uint8Array(10) }])
      if (action.do === 'headers') planner.done(action.id, true)
    }
    now += 10 * HEADERS_PATIENCE_MS
    expect(planner.evaluate().flatMap((action) => (action.do === 'headers' ? [action.peer] : []))).toEqual(['a'])
  })

  it('does not count the time in which headers are checked against who sent them', () => {
    let now = 0
    const { view } = chainOf(10, 10)
    const planner = new Planner(view, () => now)
    planner.offer(claim('a', 40_000, 1_000_000n, 1))
    planner.offer(claim('b', 40_000, 1_000_000n, 1))
    const [asked] = planner.evaluate().filter((action) => action.do === 'headers')
    planner.taking(asked!.id, true)
    now += 60_000
    expect(planner.evaluate().filter((action) => action.do === 'headers' || action.do === 'cancel')).toEqual([])
    expect(planner.open(asked!.id)).toBe(true)
    planner.taking(asked!.id, false)
    now += HEADERS_PATIENCE_MS
    expect(planner.evaluate().some((action) => action.do === 'headers' && action.peer !== asked!.peer)).toBe(true)
  })

  it('lets go of a block that came another way', () => {
    let now = 0
    const { view, bodies } = chainOf(0, 1_000)
    const planner = new Planner(view, () => now)
    planner.offer({ ...claim('a', 1_000, 1_000n), lowest: 600 })
    planner.evaluate()
    expect(planner.window.front?.place.height).toBe(1)
    for (let height = 1; height <= 100; height++) bodies.add(height)
    planner.changed()
    now += 10
    planner.evaluate()
    expect(planner.window.front?.place.height).toBe(101)
  })
})

describe('who is asked for headers', () => {
  /** Has sent so many bytes in a second. */
  function sent(planner: Planner, id: string, bytes: number): void {
    const { pace } = planner.sources.get(id)!
    pace.begin(-1_000)
    pace.heard(bytes, 0)
    pace.end(0)
  }
  const asked = (planner: Planner) => {
    const [action] = planner.evaluate().filter((one) => one.do === 'headers')
    return action && { id: action.id, peer: action.peer, from: action.from?.height }
  }

  it('is the fastest, also when others have a place free and it has none, but not when it has become silent', () => {
    let now = 0
    const { view } = chainOf(10, 10)
    const planner = new Planner(view, () => now)
    for (const id of ['new', 'slow', 'fast']) planner.offer(claim(id, 40_000, 1_000_000n, 1))
    sent(planner, 'slow', 1_000)
    sent(planner, 'fast', 9_000)
    const fast = planner.sources.get('fast')!
    for (let i = 0; i < 2; i++) fast.begin(now)
    expect(asked(planner)).toBe(undefined)
    fast.end(now)
    expect(asked(planner)?.peer).toBe('fast')

    const other = new Planner(view, () => now)
    for (const id of ['slow', 'fast']) other.offer(claim(id, 40_000, 1_000_000n, 1))
    sent(other, 'slow', 1_000)
    sent(other, 'fast', 9_000)
    for (let i = 0; i < 2; i++) other.sources.get('fast')!.begin(now)
    now += HEADERS_PATIENCE_MS
    expect(asked(other)?.peer).toBe('slow')
  })

  it('is who claims the most among those that are about as fast', () => {
    const planner = new Planner(chainOf(10, 10).view, () => 0)
    for (const [id, work] of [
      ['a', 1_000_000n],
      ['b', 2_000_000n]
    ] as const) {
      planner.offer(claim(id, 40_000, work, 1))
      sent(planner, id, id === 'a' ? 9_000 : 8_000)
    }
    expect(asked(planner)?.peer).toBe('b')
  })

  it('is a second one after 0.5 s, where the first never sent anything', () => {
    let now = 0
    const planner = new Planner(chainOf(10, 10).view, () => now)
    for (const id of ['a', 'b']) planner.offer(claim(id, 40_000, 1_000_000n, 1))
    expect(asked(planner)?.peer).toBe('a')
    expect(planner.wakeAt()).toBe(FIRST_PATIENCE_MS)
    now = FIRST_PATIENCE_MS - 1
    expect(asked(planner)).toBe(undefined)
    now = FIRST_PATIENCE_MS
    expect(asked(planner)?.peer).toBe('b')
  })

  it('goes on from what others brought meanwhile, unless it is on another branch', () => {
    const { view } = chainOf(100, 100)
    const planner = new Planner(view, () => 0)
    planner.offer(claim('a', 40_000, 1_000_000n, 1))
    const source = planner.sources.get('a')!
    source.last = { hash: hashOf(20), height: 20, work: 20n }
    const first = asked(planner)!
    expect(first.from).toBe(undefined)
    // all that it has to say about where our target is leads to its own branch
    const last = { hash: hashOf(60, 1), height: 60, work: 60n }
    planner.headers(first.id, { count: 2_000, bytes: 100, added: 2_000, verdict: { result: 'accept' }, last })
    planner.done(first.id, true)
    expect(asked(planner)?.from).toBe(60)
  })
})

describe('a peer whose first headers are being checked', () => {
  it('is known to answer: others wait for none that may not', () => {
    const { view } = chainOf(10, 400)
    const planner = new Planner(view, () => 0)
    planner.offer(claim('a', 40_000, 1_000_000n, 1))
    const first = planner.evaluate().find((action) => action.do === 'headers')!
    expect(planner.sources.get('a')?.tested).toBe(false)
    planner.taking(first.id, true, 1_000)
    expect(planner.sources.get('a')?.tested).toBe(true)
    // they are counted once
    const bytesPerSecond = planner.sources.get('a')!.pace.bytesPerSecond
    planner.taking(first.id, false)
    planner.headers(first.id, { count: 10, bytes: 1_000, added: 10, verdict: { result: 'accept' }, last: undefined })
    expect(planner.sources.get('a')!.pace.bytesPerSecond).toBe(bytesPerSecond)
  })
})

describe('a proof', () => {
  it('costs who asks as much as the block that is hashed for it', async () => {
    const block = new Uint8Array([2, 0, 0, 3, 1, 1, 1, 3, 2, 2, 2])
    const chain = {
      limits: { blockBytes: 1_000, headerBytes: 100, txBytes: 100, futureMs: 0 },
      has: () => 'valid',
      block: async () => block,
      locate: () => ({ hash: hashOf(1), height: 1, work: 1n, header: { parent: hashOf(0), root: hashOf(0) } })
    }
    const spent: number[] = []
    const asked = new TxServer(chain as never).proof(
      { block: hashOf(1) as never, tx: hashOf(2) as never },
      async (bytes) => {
        spent.push(bytes)
      }
    )
    await expect(asked.next()).rejects.toMatchObject({ name: 'NotFoundError' })
    expect(spent).toEqual([block.length])
  })
})
