import { describe, expect, it } from 'vitest'
import { type Block, type Pace, Simulation, World } from './simulation.js'

const BODY_BYTES = 40_000
/** 10 MB/s and 1 MB/s, each 20 ms away. */
const FAST: Pace = { firstMs: 20, bytesPerMs: 10_000 }
const SLOW: Pace = { firstMs: 20, bytesPerMs: 1_000 }

describe('with four serving peers: silent, slow, lying, honest', () => {
  const world = new World()

  /** How long it takes to be live on `tip`, in the time of the simulation. */
  function timeOf(tip: Block, join: (sim: Simulation) => void): { ms: number; charged: string[] } {
    const sim = new Simulation(world, { bodyBytes: BODY_BYTES })
    const from = sim.time
    join(sim)
    const done = sim.until(() => sim.chain.head === tip && sim.planner.state === 'live', 600_000)
    expect(done, `${sim.planner.state} (${sim.planner.reason}) at ${sim.chain.head.height}`).toBe(true)
    return { ms: sim.time - from, charged: [...sim.charged.keys()] }
  }

  it('sync takes at most 1.5 times as long as with the honest one alone', () => {
    // 120 MB, 12 s: who is silent costs 2 s of headers and 2 s of bodies, whatever the length; the slow one makes up for some of it
    const tip = world.grow(world.genesis, 3_000)
    const alone = timeOf(tip, (sim) => sim.join('honest', 'honest', tip, 0, FAST))
    for (const order of [
      ['silent', 'slow', 'liar', 'honest'],
      ['liar', 'slow', 'silent', 'honest'],
      ['honest', 'silent', 'liar', 'slow']
    ]) {
      const all = timeOf(tip, (sim) => {
        for (const who of order) {
          if (who === 'silent') sim.join(who, 'silent', tip)
          else if (who === 'slow') sim.join(who, 'honest', tip, 0, SLOW)
          else if (who === 'liar') sim.join(who, 'spoiler', tip, 0, FAST)
          else sim.join(who, 'honest', tip, 0, FAST)
        }
      })
      expect(all.charged).toEqual(['liar'])
      // 1.12 when this was written; without taking all at once from who is silent it is 1.5
      expect(all.ms / alone.ms, `joined in the order ${order}`).toBeLessThanOrEqual(1.3)
    }
  })
})
