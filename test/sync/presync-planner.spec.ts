import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LightSimulation, type Manner, World } from './light-simulation.js'

const MIB = 1 << 20
/** What a liar claims. */
const boast = (height: number) => ({
  hash: new Uint8Array(32).fill(0xee),
  height,
  work: 2n ** 200n
})

describe('a planner without a chain', () => {
  it('downloads twice, and is live when all is there', async () => {
    const world = new World()
    const tip = world.grow(world.genesis, 7_000, 10n)
    const sim = new LightSimulation(world, 60_000n)
    sim.join('a', 'honest', tip)
    expect(await sim.until(() => sim.chain.head === tip && sim.planner.state === 'live', 60_000)).toBe(true)
    expect([...sim.states]).toEqual(['headers', 'live'])
    expect(sim.served).toBeGreaterThan(12_500)
    expect(sim.served).toBeLessThan(14_500)
    expect(sim.planner.sources.get('a')!.presync).toBeUndefined()
  })

  it('checks first what is soonest proven right or wrong', async () => {
    const world = new World()
    const tip = world.grow(world.genesis, 3_000, 10n)
    const spam = world.grow(world.genesis, 40_000, 1n)
    const sim = new LightSimulation(world, 25_000n)
    sim.join('liar', 'honest', spam, { claim: boast(100_000_000) })
    sim.join('good', 'honest', tip)
    expect(await sim.until(() => sim.chain.head === tip, 60_000)).toBe(true)
    expect(sim.served).toBeLessThan(9_000)
  })

  it('refutes headers that go on beyond the claim without the work', async () => {
    const world = new World()
    const spam = world.grow(world.genesis, 40_000, 1n)
    const sim = new LightSimulation(world, 2n ** 100n)
    sim.join('liar', 'honest', spam, { claim: boast(5_000) })
    const doubt = () => sim.planner.sources.get('liar')!.doubt
    expect(await sim.until(() => doubt() != null, 120_000)).toBe(true)
    expect(doubt()).toMatch(/beyond its claim/)
    expect(sim.planner.state).toBe('stalled')
    expect(sim.planner.reason).toBe('the best chain known has less than minimumWork')
    expect(sim.chain.known.size).toBe(1)
  })

  it('holds the presync of eight peers at most', async () => {
    const world = new World()
    const sim = new LightSimulation(world, 2n ** 100n)
    const spam = world.grow(world.genesis, 50_000, 1n)
    for (let i = 0; i < 20; i++) sim.join(`liar ${i}`, 'slow', spam, { claim: boast(1_000_000 + i) })
    let most = 0
    await sim.until(() => {
      const going = [...sim.planner.sources.values()].filter(({ presync }) => presync != null)
      most = Math.max(most, going.length)
      return false
    }, 300_000)
    expect(most).toBeGreaterThan(4)
    expect(most).toBeLessThanOrEqual(8)
  })
})

describe('a planner with a chain', () => {
  it('stays live beside a peer with low-work headers without end, and does not hurry with them', async () => {
    const world = new World()
    const tip = world.grow(world.genesis, 1_000, 100n)
    const spam = world.grow(world.genesis, 30_000, 1n)
    const sim = new LightSimulation(world, 0n)
    sim.join('good', 'honest', tip)
    expect(await sim.until(() => sim.chain.head === tip && sim.planner.state === 'live', 60_000)).toBe(true)
    sim.join('liar', 'honest', spam, { claim: boast(1_000_000_000) })
    sim.served = 0
    const next = world.grow(tip, 5, 100n)
    sim.at(600, () => sim.join('good', 'honest', next))
    expect(await sim.until(() => sim.chain.head === next, 5_000)).toBe(true)
    const from = sim.time
    await sim.until(() => sim.planner.sources.get('liar')!.doubt != null, 60_000)
    expect(sim.planner.sources.get('liar')!.doubt).toMatch(/too little work/)
    expect(sim.served / ((sim.time - from) / 1_000)).toBeLessThan(30_000)
    expect(sim.chain.known.size).toBe(1_006)
    expect(sim.charged.size).toBe(0)
  })
})

describe('a planner with a chain, among many liars', () => {
  it('checks no more of their headers than of one', async () => {
    const world = new World()
    const tip = world.grow(world.genesis, 1_000, 100n)
    const spam = world.grow(world.genesis, 100_000, 1n)
    const sim = new LightSimulation(world, 0n)
    sim.join('good', 'honest', tip)
    expect(await sim.until(() => sim.chain.head === tip && sim.planner.state === 'live', 60_000)).toBe(true)
    for (let i = 0; i < 12; i++) sim.join(`liar ${i}`, 'honest', spam, { claim: boast(1_000_000_000 + i) })
    await sim.until(() => false, 1_000)
    sim.served = 0
    await sim.until(() => false, 10_000)
    expect(sim.served).toBeGreaterThan(50_000)
    expect(sim.served).toBeLessThan(250_000)
    expect(await sim.until(() => sim.planner.state === 'live', 70_000)).toBe(true)
    expect(sim.chain.known.size).toBe(1_001)
  })
})

describe('with one honest peer among any others', () => {
  it('the node gets there, keeps nothing else, and charges no honest one', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          length: fc.integer({ min: 10, max: 6_000 }),
          minimum: fc.double({ min: 0.1, max: 1, noNaN: true }),
          joins: fc.nat(20_000),
          leaves: fc.option(fc.record({ at: fc.nat(2_000), back: fc.nat(30_000) })),
          others: fc.array(
            fc.record({
              manner: fc.constantFrom<Manner>(
                'honest',
                'ender',
                'shrinker',
                'swapper',
                'slow',
                'dripper',
                'silent',
                'jumper'
              ),
              length: fc.integer({ min: 1, max: 8_000 }),
              boasts: fc.boolean(),
              joins: fc.nat(20_000)
            }),
            { maxLength: 5 }
          )
        }),
        async ({ length, minimum, joins, leaves, others }) => {
          const world = new World()
          const tip = world.grow(world.genesis, length, 1_000n)
          const wanted = BigInt(Math.max(1, Math.floor(length * 1_000 * minimum)))
          // too light, however long
          const spams = others.map((each) => world.grow(world.genesis, each.length, 1n))
          const sim = new LightSimulation(world, wanted)
          sim.at(joins, () => sim.join('good', 'honest', tip))
          if (leaves != null) {
            sim.at(joins + leaves.at, () => sim.leave('good'))
            sim.at(joins + leaves.at + leaves.back, () => sim.join('good', 'honest', tip))
          }
          others.forEach((each, i) => {
            const claim = each.boasts ? { claim: boast(each.length) } : {}
            // whoever changes or ends its chain shows the good one first
            const turns = each.manner === 'swapper' || each.manner === 'shrinker' || each.manner === 'slow'
            const shown = turns ? tip : spams[i]!
            sim.at(each.joins, () => sim.join(`other ${i}`, each.manner, shown, { other: spams[i]!, ...claim }))
          })
          const there = await sim.until(() => sim.chain.head === tip && sim.planner.state === 'live', 900_000)
          expect({ there, head: sim.chain.head.height, reason: sim.planner.reason }).toMatchObject({ there: true })
          expect(sim.charged.has('good')).toBe(false)
          const onPath = new Set(world.path(tip))
          const strays = [...sim.chain.known].filter((block) => !onPath.has(block))
          if (spams.every((spam) => spam.work < wanted)) expect(strays).toEqual([])
          expect(sim.most).toBeLessThan(8 * MIB)
        }
      ),
      { numRuns: 25 }
    )
  }, 120_000)
})
