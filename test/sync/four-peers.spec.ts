import { describe, expect, it } from 'vitest'
import { type Block, type Pace, Simulation, type SimulationInit, World } from './simulation.js'

/** Two kinds of chain: of large blocks, 120 MB, where the link is the limit, and of small ones, where checking and writing is. */
const LARGE = { blocks: 3_000, init: { bodyBytes: 40_000 } }
const SMALL = { blocks: 60_000, init: { bodyBytes: 300, importMs: 0.05 } }
/** 10 MB/s and 1 MB/s, each 20 ms away. */
const FAST: Pace = { firstMs: 20, bytesPerMs: 10_000 }
const SLOW: Pace = { firstMs: 20, bytesPerMs: 1_000 }
/** The honest one and the liar are reached at once. */
const NEAR: Pace = { firstMs: 2, bytesPerMs: 40_000 }
const ORDERS = [
  ['silent', 'slow', 'liar', 'honest'],
  ['liar', 'slow', 'silent', 'honest'],
  ['slow', 'silent', 'liar', 'honest'],
  ['honest', 'silent', 'liar', 'slow']
]

describe('with four serving peers: silent, slow, lying, honest', () => {
  const world = new World()

  /** How long it takes to be live on `tip`, in the time of the simulation. */
  function timeOf(
    tip: Block,
    init: SimulationInit,
    join: (sim: Simulation) => void
  ): { ms: number; charged: string[] } {
    const sim = new Simulation(world, init)
    const from = sim.time
    join(sim)
    const done = sim.until(() => sim.chain.head === tip && sim.planner.state === 'live', 600_000)
    expect(done, `${sim.planner.state} (${sim.planner.reason}) at ${sim.chain.head.height}`).toBe(true)
    return { ms: sim.time - from, charged: [...sim.charged.keys()] }
  }

  it.each([
    // when this was written: 0.92 to 0.96
    ['large', LARGE, FAST, 1.1],
    // 1.05 to 1.30: 0.5 s of patience with who is silent, and as long until the slow one has sent a page of headers, whatever the length
    ['small', SMALL, NEAR, 1.4]
  ])(
    'sync of %s blocks takes about as long as with the honest one alone',
    (_name, { blocks, init }, fast, most) => {
      const tip = world.grow(world.genesis, blocks)
      const alone = timeOf(tip, init, (sim) => sim.join('honest', 'honest', tip, 0, fast))
      const ratios = ORDERS.map((order) => {
        const all = timeOf(tip, init, (sim) => {
          for (const who of order) {
            if (who === 'silent') sim.join(who, 'silent', tip)
            else if (who === 'slow') sim.join(who, 'honest', tip, 0, SLOW)
            else if (who === 'liar') sim.join(who, 'spoiler', tip, 0, fast)
            else sim.join(who, 'honest', tip, 0, fast)
          }
        })
        expect(all.charged).toEqual(['liar'])
        return all.ms / alone.ms
      })
      expect(Math.max(...ratios), `in turn: ${ratios.map((ratio) => ratio.toFixed(2))}`).toBeLessThanOrEqual(most)
    },
    180_000
  )
})
