import { describe, expect, it } from 'vitest'
import { STALLED_MS } from '../../dist/src/sync/limit.js'
import { type Block, Simulation, World } from './simulation.js'

function expectLiveOn(sim: Simulation, tip: Block, ms = 300_000): void {
  sim.until(() => sim.chain.head === tip && sim.planner.state === 'live', ms)
  const { state, reason } = sim.planner
  const { height, id } = sim.chain.head
  expect({ height, id, state, reason }).toEqual({ height: tip.height, id: tip.id, state: 'live', reason: undefined })
}

describe('levels, not edges', () => {
  it('sees headers and bodies of which no event told', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 40)
    const sim = new Simulation(world, { deafness: 1 })
    // it claims what it had: nothing will come of asking it
    sim.join('a', 'honest', world.genesis)
    expectLiveOn(sim, world.genesis)
    sim.chain.addHeaders(world.path(tip).slice(1))
    expect(sim.until(() => sim.planner.state !== 'live', 2_000)).toBe(true)
    sim.chain.addBlocks(
      world
        .path(tip)
        .slice(1)
        .map((block) => ({ block, good: true, bytes: new Uint8Array() }))
    )
    expectLiveOn(sim, tip, 2_000)
  })

  it('says why when nothing moves for 30 s, and says no more when it does', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 100)
    const sim = new Simulation(world)
    sim.join('a', 'honest', tip)
    sim.until(() => sim.chain.known.size > 100, 10_000)
    sim.leave('a')
    sim.join('a', 'busy', tip)
    expect(sim.until(() => sim.planner.state === 'stalled', STALLED_MS + 2_000)).toBe(true)
    expect(sim.planner.reason).toBe('no progress for 30 s: waiting for block 1')
    sim.join('b', 'honest', tip)
    expectLiveOn(sim, tip, 5_000)
  })
})

describe('a node whose peers all begin above what it needs (cometbft#5880)', () => {
  const PRUNED = 500
  const world = new World()
  const tip = world.grow(world.genesis, 900)

  it.each<[string, 'honest' | 'silent' | 'boaster' | 'stranger']>([
    ['serve headers', 'honest'],
    ['serve nothing', 'silent'],
    ['claim what they cannot show', 'boaster'],
    ['serve headers from there on only', 'stranger']
  ])('is stalled with the reason, never live, when they %s', (_, temper) => {
    const sim = new Simulation(world)
    sim.join('a', temper, tip, PRUNED)
    sim.join('b', temper, tip, PRUNED + 100)
    sim.until(() => false, 600_000)
    expect(sim.planner.state).toBe('stalled')
    expect(sim.planner.reason).toBe(`no connected peer serves block 1: the lowest offered is ${PRUNED}`)
    expect(sim.states).not.toContain('live')
    sim.join('archive', 'honest', tip)
    expectLiveOn(sim, tip)
  })

  it('is live where they claim no more than it has, or where somebody serves the next block', () => {
    const sim = new Simulation(world)
    sim.join('a', 'honest', tip)
    expectLiveOn(sim, tip)
    sim.join('b', 'honest', tip, PRUNED)
    sim.leave('a')
    sim.until(() => false, 5_000)
    expect(sim.planner.state).toBe('live')
    // one that begins above his own head is nobody
    const alone = new Simulation(world)
    alone.join('liar', 'boaster', tip, 1_000_000)
    expectLiveOn(alone, world.genesis)
    // one that claims the moon and serves only from there, beside an honest one
    sim.join('c', 'honest', tip)
    sim.join('liar', 'boaster', tip, 1_800)
    expectLiveOn(sim, tip)
  })

  it('says so as soon as the last one that served it is gone, or serves less', () => {
    for (const change of ['leaves', 'prunes'] as const) {
      const sim = new Simulation(world)
      sim.join('slow', 'slow', tip)
      sim.join('pruned', 'honest', tip, PRUNED)
      sim.until(() => sim.chain.head.height > 50, 60_000)
      if (change === 'leaves') sim.leave('slow')
      else sim.move('slow', tip, 800)
      expect(
        sim.until(() => sim.planner.state === 'stalled', 30_000),
        change
      ).toBe(true)
      expect(sim.planner.reason).toMatch(/^no connected peer serves block \d+: the lowest offered is 500$/)
      expect(sim.states, change).not.toContain('live')
    }
  })
})
