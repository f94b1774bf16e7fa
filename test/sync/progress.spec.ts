import { describe, expect, it } from 'vitest'
import { isNews, ProgressMeter, type SyncProgress } from '../../dist/src/sync/progress.js'
import { Simulation, World } from './simulation.js'

/** A simulated sync of some blocks; `next` is its progress a quarter of a second later. */
function syncing(blocks = 600) {
  const world = new World()
  const tip = world.grow(world.genesis, blocks)
  const sim = new Simulation(world)
  const meter = new ProgressMeter()
  sim.planner.evaluate()
  const note = () => meter.note(sim.time, sim.planner.state, sim.chain)
  note()
  const next = (ms = 250): SyncProgress => {
    const end = sim.time + ms
    sim.at(ms, () => {})
    // the meter is told of every step, as by the service
    sim.until(() => {
      note()
      return sim.time >= end
    }, ms)
    return meter.progress(sim.time, sim.chain, sim.planner)
  }
  return { world, tip, sim, next }
}

describe('progress', () => {
  it('is idle without a planner, and all is 0', () => {
    const { chain } = new Simulation(new World())
    expect(new ProgressMeter().progress(0, chain, undefined)).toEqual({
      state: 'idle',
      height: 0,
      target: 0,
      claimed: 0,
      peers: 0,
      blocksPerSecond: 0,
      headersPerSecond: 0
    })
  })

  it('knows what peers claim before it has a header, and no time left before anything came', () => {
    const { sim, tip, next } = syncing()
    sim.join('a', 'silent', tip)
    expect(next()).toEqual({
      state: 'headers',
      height: 0,
      target: 0,
      claimed: 600,
      peers: 1,
      blocksPerSecond: 0,
      headersPerSecond: 0
    })
  })

  it('goes up to what is claimed, with the time that is left, and ends there', () => {
    const { sim, tip, next } = syncing()
    sim.join('slow', 'slow', tip)
    const seen: SyncProgress[] = []
    while (seen.at(-1)?.state !== 'live' && seen.length < 1_000) seen.push(next())
    for (const { height, target, claimed } of seen) {
      expect(height).toBeLessThanOrEqual(target)
      expect(target).toBeLessThanOrEqual(claimed)
      expect(claimed).toBe(600)
    }
    const bodies = seen.filter(({ eta }) => eta != null)
    expect(bodies.length).toBeGreaterThan(10)
    for (const { eta, blocksPerSecond, height } of bodies) {
      expect(eta! / 1_000).toBeCloseTo((600 - height) / blocksPerSecond, -1)
    }
    // the time left of the middle of it is about what it took
    const middle = seen.findIndex(({ height }) => height >= 300)
    const left = (seen.length - 1 - middle) * 250
    expect(seen[middle]!.eta! / left).toBeGreaterThan(0.7)
    expect(seen[middle]!.eta! / left).toBeLessThan(1.5)
    expect(seen.at(-1)).toMatchObject({ state: 'live', height: 600, target: 600, claimed: 600 })
    expect(seen.at(-1)).not.toHaveProperty('eta')
    expect(next(15_000)).toMatchObject({ blocksPerSecond: 0, headersPerSecond: 0 })
  })

  it('reckons the time left up to what is claimed, not to the headers that are here', () => {
    const { sim, tip, next } = syncing()
    sim.join('slow', 'slow', tip)
    let progress = next()
    while (progress.height < 100) progress = next()
    const head = { hash: new Uint8Array(32).fill(9), height: 6_000, work: 6_000n }
    sim.planner.offer({ id: 'other', role: 'full', lowest: 0, head })
    const { height, target, claimed, blocksPerSecond, eta } = next(0)
    expect([target, claimed]).toEqual([600, 6_000])
    const left = (6_000 - height) / blocksPerSecond
    expect(Math.abs(eta! / 1_000 - left)).toBeLessThan(left / 100)
  })

  it('leaves out a claim that was not proven, and that of a peer that is gone', () => {
    const { sim, tip, next } = syncing(40)
    sim.join('liar', 'boaster', tip)
    expect(next(10).claimed).toBe(1_040)
    sim.join('good', 'honest', tip)
    expect(sim.until(() => sim.planner.state === 'live', 60_000)).toBe(true)
    expect(next(10).claimed).toBe(40)
    sim.planner.offer({
      id: 'other',
      role: 'full',
      lowest: 0,
      head: { hash: new Uint8Array(32).fill(9), height: 99, work: 99n }
    })
    expect(next(0).claimed).toBe(99)
    sim.planner.leave('other')
    expect(next(0).claimed).toBe(40)
  })
})

describe('news', () => {
  const progress: SyncProgress = {
    state: 'bodies',
    height: 1,
    target: 2,
    claimed: 3,
    peers: 1,
    blocksPerSecond: 0.5,
    headersPerSecond: 0
  }

  it('is any change but that of the time left', () => {
    expect(isNews(progress, undefined)).toBe(true)
    expect(isNews({ ...progress }, progress)).toBe(false)
    expect(isNews({ ...progress, eta: 5 }, progress)).toBe(false)
    for (const [field, value] of Object.entries(progress)) {
      expect(isNews({ ...progress, [field]: `${value}0` }, progress), field).toBe(true)
    }
    expect(isNews({ ...progress, reason: 'x' }, progress)).toBe(true)
    expect(isNews(progress, { ...progress, reason: 'x' })).toBe(true)
  })
})
