import { readFileSync } from 'node:fs'
import { asert, bitsOfWork, EASIEST, nextBits, type PowHeader, toBits, toTarget, workOf } from 'blockwire/pow'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { targetBytes } from '../../dist/src/pow/header.js'

interface Run {
  description: string
  anchor: { height: string; parentTime: number; bits: string }
  vectors: Array<[height: string, time: number, bits: string]>
}
const { runs } = JSON.parse(readFileSync(new URL('../fixtures/asert-vectors.json', import.meta.url), 'utf8')) as {
  runs: Run[]
}

describe('compact bits', () => {
  it.each([
    [0x1d00ffff, 0xffffn << 208n],
    [0x207fffff, 0x7fffffn << 232n],
    [0x1b0404cb, 0x0404cbn << 192n],
    [0x05009234, 0x92340000n],
    [0x01010000, 1n],
    [0x02008000, 0x80n],
    // from Bitcoin Core's tests: no target
    [0x00000000, undefined],
    [0x01003456, undefined],
    [0x04923456, undefined],
    [0x01fedcba, undefined],
    [0xff123456, undefined],
    [0x23000001, undefined]
  ])('0x%s', (bits, target) => {
    expect(toTarget(bits)).toBe(target)
    expect(workOf(bits)).toBe(target == null ? 0n : (1n << 256n) / (target + 1n))
    const bytes = targetBytes(bits)
    expect(bytes == null ? undefined : BigInt(`0x${Buffer.from(bytes).toString('hex')}`)).toBe(target)
  })

  it('are rounded down to 24 bits, and are the same after a way there and back', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: (1n << 256n) - 1n }), fc.integer({ min: 0, max: 255 }), (number, shift) => {
        const target = number >> BigInt(shift) || 1n
        const bits = toBits(target)
        const back = toTarget(bits)!
        expect(back).toBeLessThanOrEqual(target)
        expect(target - back).toBeLessThanOrEqual(target >> 15n)
        expect(toBits(back)).toBe(bits)
        expect(BigInt(`0x${Buffer.from(targetBytes(bits)!).toString('hex')}`)).toBe(back)
      })
    )
  })

  it('of a work are the easiest that take it', () => {
    expect(bitsOfWork(1)).toBe(EASIEST)
    expect(workOf(EASIEST)).toBe(2n)
    for (const hashes of [1_000, 100_000, 1_000_000]) {
      expect(Number(workOf(bitsOfWork(hashes))) / hashes).toBeCloseTo(1, 3)
      expect(Number(workOf(bitsOfWork(hashes)))).toBeGreaterThanOrEqual(hashes)
    }
  })
})

describe('asert', () => {
  it.each(runs)('gives the published vectors: $description', ({ anchor, vectors }) => {
    expect(vectors.length).toBeGreaterThan(9)
    for (const [height, time, bits] of vectors) {
      const target = asert({
        target: toTarget(Number(anchor.bits))!,
        timeDelta: time - anchor.parentTime,
        heightDelta: Number(BigInt(height) - BigInt(anchor.height)),
        halfLife: 172_800,
        blockTime: 600,
        limit: toTarget(0x1d00ffff)!
      })
      expect(toBits(target)).toBe(Number(bits))
    }
  })

  it('stays within 1 and the limit, whatever the times are', () => {
    const limit = toTarget(EASIEST)!
    const time = fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER })
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: limit }),
        time,
        fc.integer({ min: 1, max: 1e9 }),
        (target, timeDelta, halfLife) => {
          const next = asert({ target, timeDelta, heightDelta: 0, halfLife, blockTime: 600, limit })
          expect(next >= 1n && next <= limit).toBe(true)
        }
      )
    )
  })
})

const BLOCK_TIME = 10_000
const HALF_LIFE = 32 * BLOCK_TIME
/** One thread of this machine, in hashes a ms. */
const RATE = 2_000
const HOUR = 3_600_000

/** A chain of headers alone, on which so many hashes a ms are made. `luck` gives what a block takes, 1 on average. */
class Simulation {
  readonly init = { blockTime: BLOCK_TIME, halfLife: HALF_LIFE, powLimit: bitsOfWork(100 * BLOCK_TIME) }
  readonly headers: PowHeader[] = []
  now: number

  constructor(
    now: number,
    genesisTime: number,
    readonly luck: () => number
  ) {
    this.now = now
    this.headers.push({ time: genesisTime, bits: this.init.powLimit })
  }

  get bits(): number {
    const at = (back: number) => {
      const height = this.headers.length - back
      return height < 0 ? undefined : { hash: new Uint8Array(32), height, work: 0n, header: this.headers[height]! }
    }
    return nextBits({ parent: at(1)!, back: at }, this.init)
  }

  /** Mines until so much time is over; how many ms each block took. */
  mine(ms: number): number[] {
    const until = this.now + ms
    const took: number[] = []
    while (this.now < until) {
      const { bits } = this
      const time = (this.luck() * Number(workOf(bits))) / RATE
      this.now += time
      took.push(time)
      this.headers.push({ time: Math.round(this.now), bits })
    }
    return took
  }
}

const even = (): number => 1
/** Exponential, from a fixed seed: the waits of real mining. */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return -Math.log((state + 1) / 4_294_967_297)
  }
}
const mean = (times: number[]): number => times.reduce((sum, time) => sum + time, 0) / times.length

describe('difficulty', () => {
  it('of blocks 1 and 2 is that of genesis, however old it is', () => {
    const chain = new Simulation(1e12, 1e12 - 720 * HOUR, even)
    chain.mine(1)
    expect(chain.bits).toBe(chain.init.powLimit)
  })

  it('rises when a block came early, falls when it came late, and stays when it was on time', () => {
    const target = toBits(toTarget(bitsOfWork(1e9))!)
    const init = { blockTime: BLOCK_TIME, halfLife: HALF_LIFE, powLimit: EASIEST }
    const workAfter = (took: number): number => {
      const blocks = [0, took].map((time, i) => ({
        hash: new Uint8Array(32),
        height: i + 5,
        work: 0n,
        header: { time, bits: target }
      }))
      return Number(workOf(nextBits({ parent: blocks[1]!, back: (n) => blocks[2 - n] }, init)))
    }
    expect(workAfter(BLOCK_TIME)).toBe(Number(workOf(target)))
    expect(workAfter(0) / 1e9).toBeCloseTo(2 ** (1 / 32), 3)
    expect(workAfter(BLOCK_TIME + HALF_LIFE) / 1e9).toBeCloseTo(1 / 2, 3)
    expect(workAfter(BLOCK_TIME - HALF_LIFE) / 1e9).toBeCloseTo(2, 3)
  })

  it('keeps the block time, by chance and for long', () => {
    const chain = new Simulation(1e12, 1e12, chance(1))
    chain.mine(4 * HALF_LIFE)
    const took = chain.mine(30_000 * BLOCK_TIME)
    expect(mean(took) / BLOCK_TIME).toBeGreaterThan(0.98)
    expect(mean(took) / BLOCK_TIME).toBeLessThan(1.02)
  })

  const cases: Array<[string, (luck: () => number) => Simulation]> = [
    ['a month-old genesis', (luck) => new Simulation(1e12, 1e12 - 720 * HOUR, luck)],
    [
      'a month-old genesis and a night after block 1',
      (luck) => {
        const chain = new Simulation(1e12, 1e12 - 720 * HOUR, luck)
        chain.mine(1)
        chain.now += 8 * HOUR
        return chain
      }
    ],
    ...[1, 8, 720].map((hours): [string, (luck: () => number) => Simulation] => [
      `a stop of ${hours} h`,
      (luck) => {
        const chain = new Simulation(1e12, 1e12, luck)
        chain.mine(20 * HALF_LIFE)
        chain.now += hours * HOUR
        return chain
      }
    ])
  ]

  it.each(cases)('after %s blocks come in a burst of two half-lives at most', (_what, make) => {
    const steady = make(even)
    // the block that ends a stop is still one of the old difficulty
    steady.mine(1)
    steady.mine(2 * HALF_LIFE)
    const after = steady.mine(10 * HALF_LIFE)
    expect(Math.min(...after) / BLOCK_TIME).toBeGreaterThanOrEqual(0.75)
    expect(Math.max(...after) / BLOCK_TIME).toBeLessThan(1.01)
    for (let seed = 1; seed <= 20; seed++) {
      const lucky = make(chance(seed))
      lucky.mine(1)
      lucky.mine(2 * HALF_LIFE)
      // 192 blocks' time: 1.25 of what is due would be 240
      const blocks = lucky.mine(6 * HALF_LIFE).length
      expect(blocks).toBeGreaterThan(150)
      expect(blocks).toBeLessThan(240)
    }
  })

  it('bursts by few blocks: 32 for each doubling that the limit is too easy, and 64', () => {
    const chain = new Simulation(1e12, 1e12 - 720 * HOUR, even)
    const doublings = Math.log2((RATE * BLOCK_TIME) / Number(workOf(chain.init.powLimit)))
    expect(chain.mine(2 * HALF_LIFE).length).toBeLessThan(32 * doublings + 64)
  })
})
