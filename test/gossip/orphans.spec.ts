import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ORPHAN_LIMITS, type Orphan, type OrphanLimits, Orphans } from '../../dist/src/gossip/orphans.js'

const limits: OrphanLimits = { blocks: 6, bytes: 60, blocksPerPeer: 3, bytesPerPeer: 25, holdMs: 100 }

function orphan(hash: string, parent: string, peer: string, size = 5): Orphan {
  return { hash, parent, peer, bytes: new Uint8Array(size) }
}

describe('orphans', () => {
  it('has the limits of docs/wire.md', () => {
    expect(ORPHAN_LIMITS).toEqual({
      blocks: 64,
      bytes: 64 * 1024 * 1024,
      blocksPerPeer: 8,
      bytesPerPeer: 16 * 1024 * 1024,
      holdMs: 25_000
    })
  })

  it('gives the children of a block in the order in which they came', () => {
    const orphans = new Orphans(limits)
    const [a, b, c] = [orphan('a', 'p', 'one'), orphan('b', 'q', 'two'), orphan('c', 'p', 'two')]
    for (const block of [a, b, c]) expect(orphans.add(block, 0)).toEqual([])
    expect(orphans.parents()).toEqual(['p', 'q'])
    expect(orphans.take('p')).toEqual([a, c])
    expect(orphans.awaited('p')).toBe(false)
    expect(orphans.size).toBe(1)
  })

  it('names the lowest missing block of a chain of held ones', () => {
    const orphans = new Orphans(limits)
    orphans.add(orphan('c', 'b', 'one'), 0)
    orphans.add(orphan('b', 'a', 'one'), 0)
    expect(orphans.missing('c')).toBe('a')
    expect(orphans.missing('x')).toBe('x')
  })

  it('holds a wrong body beside the right one of the same header', () => {
    const orphans = new Orphans(limits)
    const [spoilt, right] = [orphan('a', 'p', 'bad'), orphan('a', 'p', 'good')]
    orphans.add(spoilt, 0)
    orphans.add(right, 0)
    expect(orphans.take('p')).toEqual([spoilt, right])
  })

  it("evicts a peer's own oldest when the peer is over its share", () => {
    const orphans = new Orphans(limits)
    const blocks = ['a', 'b', 'c', 'd'].map((hash) => orphan(hash, 'p', 'one'))
    expect(blocks.flatMap((block) => orphans.add(block, 0))).toEqual([blocks[0]])
    expect(orphans.add(orphan('large', 'p', 'one', 26), 0)).toHaveLength(1)
    expect(orphans.size).toBe(3)
  })

  it("keeps an honest peer's block under a flood from others", () => {
    const orphans = new Orphans({ ...limits, blocks: 4 })
    const honest = orphan('honest', 'p', 'honest')
    orphans.add(honest, 0)
    for (let i = 0; i < 100_000; i++) orphans.add(orphan(`x${i}`, `y${i}`, `flooder ${i % 2}`), 0)
    expect([orphans.size, orphans.bytes]).toEqual([4, 20])
    expect(orphans.take('p')).toEqual([honest])
  })

  it('lets go of what was held too long', () => {
    const orphans = new Orphans(limits)
    const [a, b] = [orphan('a', 'p', 'one'), orphan('b', 'p', 'one')]
    orphans.add(a, 0)
    orphans.add(b, 50)
    expect(orphans.nextDue).toBe(100)
    expect(orphans.expire(99)).toEqual([])
    expect(orphans.expire(100)).toEqual([a])
    expect(orphans.nextDue).toBe(150)
    expect(orphans.expire(Number.POSITIVE_INFINITY)).toEqual([b])
    expect([orphans.size, orphans.bytes, orphans.nextDue]).toEqual([0, 0, undefined])
  })

  it('never holds more than its limits, and loses count of nothing', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e')
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ do: fc.constant('add'), hash: name, parent: name, peer: name, size: fc.nat(30) })
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('take'), parent: name }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('delete'), nth: fc.nat(20) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('wait'), ms: fc.nat(80) }) }
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const orphans = new Orphans(limits)
        let held: Orphan[] = []
        let now = 0
        const gone = (out: Orphan[]): void => {
          for (const block of out) expect(held).toContain(block)
          held = held.filter((block) => !out.includes(block))
        }
        for (const step of steps) {
          if ('hash' in step) {
            const block = orphan(step.hash, step.parent, step.peer, step.size)
            held.push(block)
            gone(orphans.add(block, now))
          } else if ('parent' in step) gone(orphans.take(step.parent))
          else if ('nth' in step) {
            const block = held[step.nth]
            if (block != null && orphans.delete(block)) gone([block])
          } else {
            now += step.ms
            gone(orphans.expire(now))
          }
          const size = (blocks: Orphan[]): number => blocks.reduce((sum, { bytes }) => sum + bytes.length, 0)
          expect([orphans.size, orphans.bytes]).toEqual([held.length, size(held)])
          expect(held.length).toBeLessThanOrEqual(limits.blocks)
          expect(size(held)).toBeLessThanOrEqual(limits.bytes)
          for (const peer of ['a', 'b', 'c', 'd', 'e']) {
            const own = held.filter((block) => block.peer === peer)
            expect(own.length).toBeLessThanOrEqual(limits.blocksPerPeer)
            expect(size(own)).toBeLessThanOrEqual(limits.bytesPerPeer)
          }
          expect(new Set(orphans.parents())).toEqual(new Set(held.map(({ parent }) => parent)))
        }
      })
    )
  })
})
