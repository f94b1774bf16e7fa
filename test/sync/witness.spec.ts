import { describe, expect, it } from 'vitest'
import { toHex } from '../../dist/src/hex.js'
import type { ChainView } from '../../dist/src/sync/source.js'
import { Source } from '../../dist/src/sync/source.js'
import { CONTRADICTION_MS, Witness } from '../../dist/src/sync/witness.js'

/** Blocks are numbers: below 1,000 on our chain, height and work alike; above on another. */
const block = (id: number) => {
  const hash = new Uint8Array(32)
  new DataView(hash.buffer).setUint32(28, id)
  return { hash, height: id % 1_000, work: BigInt(id % 1_000) }
}

class View implements ChainView {
  height = 100
  get head() {
    return block(this.height)
  }
  get target() {
    return this.head
  }
  has(hash: Uint8Array): 'valid' | undefined {
    const id = new DataView(hash.buffer).getUint32(28)
    return id <= this.height ? 'valid' : undefined
  }
  locate(): undefined {}
  missing(): [] {
    return []
  }
}

class Peers {
  readonly view = new View()
  readonly witness = new Witness(this.view)
  readonly sources: Source[] = []
  now = 1_000_000

  add(id: string, head: number, role: 'full' | 'light' = 'full'): Source {
    const source = new Source({ id, role, lowest: 0 }, true)
    this.sources.push(source)
    this.move(source, head)
    return source
  }

  move(source: Source, head: number): void {
    const at = block(head)
    source.offer({ id: source.id, role: source.role, lowest: 0, head: at }, toHex(at.hash), this.now, false, false)
  }

  /** Looks every second for so long; answers who contradicts at the end, and how often it was warned. */
  wait(ms: number): { who: string[]; warnings: number } {
    let warnings = 0
    for (const end = this.now + ms; this.now < end; this.now += 1_000)
      if (this.witness.warning(this.sources, this.now) != null) warnings++
    return { who: this.witness.contradictions(this.sources, this.now).map(({ peer }) => peer), warnings }
  }
}

const LONG = CONTRADICTION_MS + 2_000

describe('full peers', () => {
  it('who stand on our head, or follow it at a distance, do not contradict', () => {
    const peers = new Peers()
    peers.add('same', 100)
    const behind = peers.add('behind', 20)
    for (let i = 0; i < 20; i++) {
      peers.move(behind, 20 + i)
      expect(peers.wait(30_000)).toEqual({ who: [], warnings: 0 })
    }
  })

  it('who stay on another branch, however it grows, or below our head contradict after a minute', () => {
    const peers = new Peers()
    const off = peers.add('off', 1_050)
    peers.add('stuck', 99)
    peers.add('same', 100)
    expect(peers.wait(CONTRADICTION_MS - 5_000)).toEqual({ who: [], warnings: 0 })
    peers.move(off, 1_051)
    expect(peers.wait(10_000)).toEqual({ who: ['off', 'stuck'], warnings: 1 })
    expect(peers.witness.contradictions(peers.sources, peers.now)).toMatchObject([
      { peer: 'off', height: 51, hash: toHex(block(1_051).hash), why: 'follows another branch, of less work' },
      { peer: 'stuck', height: 99, why: 'stays below our head' }
    ])
    // once is enough, until it was over
    expect(peers.wait(LONG).warnings).toBe(0)
    for (const source of peers.sources) peers.move(source, 100)
    expect(peers.wait(LONG)).toEqual({ who: [], warnings: 0 })
    peers.move(off, 1_060)
    peers.move(peers.sources[1]!, 1_060)
    expect(peers.wait(LONG).warnings).toBe(1)
  })

  it('who claim more than their headers prove contradict, and those who are only ahead do not', () => {
    const peers = new Peers()
    peers.add('ahead', 1_500)
    expect(peers.wait(LONG).who).toEqual([])
    peers.sources[0]!.doubt = 'its headers are refused: header'
    expect(peers.wait(LONG)).toEqual({ who: ['ahead'], warnings: 1 })
    expect(peers.witness.contradictions(peers.sources, peers.now)[0]!.why).toMatch(/its headers are refused/)
  })

  it('that are fewer than half are told of, but give no warning', () => {
    const peers = new Peers()
    peers.add('liar', 1_050)
    peers.add('b', 100)
    peers.add('c', 100)
    expect(peers.wait(LONG)).toEqual({ who: ['liar'], warnings: 0 })
    peers.add('liar too', 1_050)
    expect(peers.wait(LONG)).toEqual({ who: ['liar', 'liar too'], warnings: 1 })
  })

  it('are the only ones asked: light peers do not know better', () => {
    const peers = new Peers()
    peers.add('light', 1_050, 'light')
    expect(peers.wait(LONG)).toEqual({ who: [], warnings: 0 })
  })

  it('who stand on another block of the same work do not contradict: the next block will tell', () => {
    const peers = new Peers()
    peers.add('tie', 1_100)
    expect(peers.wait(LONG)).toEqual({ who: [], warnings: 0 })
  })

  it('that are gone are forgotten', () => {
    const peers = new Peers()
    peers.add('off', 1_050)
    peers.wait(30_000)
    const [gone] = peers.sources.splice(0)
    peers.wait(1_000)
    peers.sources.push(gone!)
    expect(peers.wait(CONTRADICTION_MS - 5_000)).toEqual({ who: [], warnings: 0 })
  })
})
