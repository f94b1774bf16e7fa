import { describe, expect, it } from 'vitest'
import { FIRST_PATIENCE_MS } from '../../dist/src/sync/limit.js'
import { type Block, Simulation, World } from './simulation.js'

/** Turns the clock until the node stands on `tip` and is live; the failure shows where it stands instead. */
function expectLiveOn(sim: Simulation, tip: Block, ms = 300_000): void {
  sim.until(() => sim.chain.head === tip && sim.planner.state === 'live', ms)
  const { state, reason, window } = sim.planner
  const { height, id } = sim.chain.head
  expect({ height, id, state, reason }).toEqual({ height: tip.height, id: tip.id, state: 'live', reason: undefined })
  expect(window.held).toBe(0)
}

describe('the planner', () => {
  it('has no peers at first, downloads, and is live', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 5_000)
    const sim = new Simulation(world)
    sim.planner.evaluate()
    expect(sim.planner.state).toBe('no-peers')
    sim.join('a', 'honest', tip)
    sim.join('b', 'honest', tip)
    expectLiveOn(sim, tip)
    expect(sim.states).toEqual(['headers', 'bodies', 'live'])
    expect(sim.mostInFlight).toBe(2)
    expect(sim.asked.get('b')).toBeGreaterThan(3)
  })

  it('asks for bodies while headers still come', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 9_000)
    const sim = new Simulation(world)
    sim.join('a', 'honest', tip)
    expect(sim.until(() => sim.chain.head.height > 0, 60_000)).toBe(true)
    expect(sim.chain.known.size).toBeLessThan(9_000)
  })

  it('is live at once when a peer has nothing more than we', () => {
    const world = new World()
    const sim = new Simulation(world)
    sim.join('a', 'honest', world.genesis)
    expect(sim.planner.state).toBe('live')
    expect(sim.asked.size).toBe(0)
  })

  it('is not held up by a peer that answers nothing', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 3_000)
    const sim = new Simulation(world)
    sim.join('mute', 'silent', tip)
    sim.join('good', 'honest', tip)
    const from = sim.time
    expectLiveOn(sim, tip)
    // patience for its headers, and nothing else: it is given no part of the window that others wait for
    expect(sim.time - from).toBeLessThan(FIRST_PATIENCE_MS + 1_500)
    expect(sim.charged.size).toBe(0)
  })

  it('leaves a slow peer alone when there is no other', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 600)
    const sim = new Simulation(world)
    sim.join('slow', 'slow', tip)
    expectLiveOn(sim, tip)
  })

  it('is not held up by a claim of 2^200 work without headers, nor by one that drips', () => {
    for (const temper of ['boaster', 'dripper', 'silent'] as const) {
      const world = new World()
      const tip = world.grow(world.genesis, 100)
      const sim = new Simulation(world)
      sim.join('liar', temper, temper === 'silent' ? world.grow(world.genesis, 500) : tip)
      sim.join('good', 'honest', tip)
      expectLiveOn(sim, tip, 120_000)
      // and it stays so, whatever is claimed next
      sim.states.length = 0
      for (let i = 0; i < 100; i++) {
        sim.at(i * 1_000, () => sim.move('liar', temper === 'silent' ? world.grow(tip, 600) : tip))
      }
      sim.until(() => false, 100_000)
      expect(new Set(sim.states)).toEqual(new Set(['live']))
    }
  })

  it('asks another for headers beside one that sends them drop by drop', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 3_000)
    const sim = new Simulation(world)
    sim.join('drop', 'trickler', tip)
    sim.join('good', 'honest', tip)
    expect(sim.until(() => sim.chain.head === tip, 15_000)).toBe(true)
    expect(sim.charged.size).toBe(0)
  })

  it('asks who is here longest beside one that is slow, however many come who claim more', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 3_000)
    const sim = new Simulation(world)
    sim.join('drop 0', 'trickler', tip)
    sim.join('good', 'honest', tip)
    for (let i = 1; i < 30; i++) {
      sim.at(i * 2_000, () => {
        sim.join(`drop ${i}`, 'trickler', tip)
        if (i >= 6) sim.leave(`drop ${i - 6}`)
      })
    }
    expect(sim.until(() => sim.chain.head === tip, 15_000)).toBe(true)
  })

  it('gives up such requests, and asks everybody once before anybody twice', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 3_000)
    const sim = new Simulation(world)
    for (let i = 0; i < 8; i++) sim.join(`drop ${i}`, 'trickler', tip)
    sim.join('good', 'honest', tip)
    expectLiveOn(sim, tip, 60_000)
  })

  it('is not kept from live by liars that come and go', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 10)
    const sim = new Simulation(world)
    sim.join('good', 'honest', tip)
    expectLiveOn(sim, tip)
    let live = 0
    for (let at = 0; at < 1_200; at++) {
      sim.at(at * 1_000, () => {
        if (at % 50 === 0) sim.leave(`liar ${at / 50 - 1}`)
        if (at % 50 === 1) sim.join(`liar ${Math.floor(at / 50)}`, 'silent', world.grow(tip, 100))
        if (sim.planner.state === 'live') live++
      })
    }
    sim.until(() => false, 1_201_000)
    expect(live / 1_200).toBeGreaterThan(0.8)
  })

  it('refutes such a claim after three answers in vain', () => {
    const world = new World()
    const sim = new Simulation(world)
    sim.join('liar', 'boaster', world.genesis)
    expectLiveOn(sim, world.genesis, 5_000)
    expect(sim.asked.get('liar')).toBe(3)
  })

  it('is not kept from live by a liar that tells the truth in between', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 10)
    const sim = new Simulation(world)
    sim.join('liar', 'honest', tip)
    expectLiveOn(sim, tip)
    for (let i = 0; i < 200; i += 2) {
      sim.at(i * 2_000, () => sim.boast('liar'))
      sim.at((i + 1) * 2_000, () => sim.move('liar', tip))
    }
    sim.until(() => sim.planner.sources.get('liar')?.doubt != null, 20_000)
    sim.states.length = 0
    sim.until(() => false, 300_000)
    expect(new Set(sim.states)).toEqual(new Set(['live']))
  })

  it('gives a new head to gossip for 500 ms, then fetches it from one peer', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 10)
    const sim = new Simulation(world)
    for (const id of ['a', 'b', 'c']) sim.join(id, 'honest', tip)
    expectLiveOn(sim, tip)
    sim.asked.clear()
    const next = world.grow(tip, 1)
    for (const id of ['a', 'b', 'c']) sim.move(id, next)
    const from = sim.time
    expect(sim.until(() => sim.asked.size > 0, 10_000)).toBe(true)
    expect(sim.time - from).toBe(500)
    expectLiveOn(sim, next)
    expect([...sim.asked.values()].reduce((a, b) => a + b)).toBe(2)
  })

  it('asks nobody for a head that gossip brought', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 10)
    const sim = new Simulation(world)
    sim.join('a', 'honest', tip)
    expectLiveOn(sim, tip)
    sim.asked.clear()
    sim.states.length = 0
    const next = world.grow(tip, 1)
    sim.at(200, () => {
      sim.chain.addBlocks([{ block: next, good: true, bytes: new Uint8Array() }])
      sim.planner.changed()
    })
    sim.move('a', next)
    sim.until(() => false, 5_000)
    expect(sim.asked.size).toBe(0)
    expect(sim.states).toEqual(['live'])
  })

  it('says that it is stalled when all peers begin above what it needs', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 900)
    const sim = new Simulation(world)
    sim.join('pruned', 'honest', tip, 500)
    sim.until(() => false, 200_000)
    expect(sim.planner.state).toBe('stalled')
    expect(sim.planner.reason).toMatch(/no connected peer serves block 1: the lowest offered is 500/)
    expect(sim.states).not.toContain('live')
    sim.join('archive', 'honest', tip)
    expectLiveOn(sim, tip)
  })

  it('gives up a branch whose bodies nobody delivers, and takes it up when somebody does', () => {
    const world = new World()
    const good = world.grow(world.genesis, 50)
    const heavy = world.grow(world.grow(world.genesis, 10), 60)
    const sim = new Simulation(world)
    sim.join('withholder', 'withholder', heavy)
    sim.join('good', 'honest', good)
    expectLiveOn(sim, good)
    expect(sim.planner.parked.size).toBe(1)
    expect(sim.charged.size).toBe(0)
    sim.join('owner', 'honest', heavy)
    expectLiveOn(sim, heavy)
  })

  it('stays live when a branch without bodies grows', () => {
    const world = new World()
    const good = world.grow(world.genesis, 50)
    let heavy = world.grow(world.genesis, 60)
    const sim = new Simulation(world)
    sim.join('withholder', 'withholder', heavy)
    sim.join('good', 'honest', good)
    expectLiveOn(sim, good)
    sim.states.length = 0
    for (let i = 1; i < 50; i++) {
      sim.at(i * 3_000, () => {
        heavy = world.grow(heavy, 1)
        sim.move('withholder', heavy)
      })
    }
    sim.until(() => false, 200_000)
    // for a moment it must look for the header, but never waits for the body again
    expect(sim.states.filter((state) => state === 'bodies')).toEqual([])
    expect(sim.planner.state).toBe('live')
  })

  it('gives up a branch that left with the peer that claimed it', () => {
    const world = new World()
    const good = world.grow(world.genesis, 50)
    const heavy = world.grow(world.genesis, 60)
    const sim = new Simulation(world)
    sim.join('withholder', 'silent', heavy)
    sim.chain.addHeaders(world.path(heavy).slice(1))
    sim.planner.changed()
    sim.join('good', 'honest', good)
    sim.leave('withholder')
    expectLiveOn(sim, good)
  })

  it('charges who sends wrong bodies, and nobody else', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 2_000)
    const sim = new Simulation(world)
    sim.join('spoiler', 'spoiler', tip)
    sim.join('good', 'honest', tip)
    sim.join('slow', 'slow', tip)
    expectLiveOn(sim, tip)
    expect([...sim.charged]).toEqual([['spoiler', 'root']])
  })

  it('charges a bad state only to who serves it as his own chain', () => {
    const world = new World()
    const fork = world.grow(world.genesis, 20)
    const good = world.grow(fork, 20)
    const bad = world.grow(world.grow(fork, 1, 1n, { badState: true }), 40)
    const sim = new Simulation(world)
    sim.join('liar', 'honest', bad)
    sim.join('good', 'honest', good)
    expectLiveOn(sim, good)
    expect([...sim.charged.keys()]).toEqual(['liar'])
  })

  it('does not charge a bad state to who has the block beside his chain', () => {
    const world = new World()
    const good = world.grow(world.genesis, 20)
    const bad = world.grow(world.grow(good, 1, 1n, { badState: true }), 1)
    const sim = new Simulation(world)
    sim.join('liar', 'withholder', bad)
    // as high, so that it is asked too
    sim.join('keeper', 'keeper', world.grow(good, 1, 0n))
    sim.until(() => sim.chain.invalid.size > 0, 60_000)
    expect(sim.chain.invalid.size).toBe(2)
    sim.until(() => sim.planner.state === 'live', 60_000)
    expect(sim.planner.state).toBe('live')
    expect([...sim.charged.keys()]).toEqual([])
  })

  it('does not ask again for a body of who sent a wrong one', () => {
    const world = new World()
    const sim = new Simulation(world)
    sim.join('spoiler', 'spoiler', world.grow(world.genesis, 5))
    expectLiveOn(sim, world.genesis, 2_000)
    expect(sim.asked.get('spoiler')).toBe(2)
    expect(sim.planner.parked.explain()).toEqual([expect.stringMatching(/none of 1 peers has block 1/)])
  })

  it('asks a peer on another branch for a range once, then by hash', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 500)
    const sim = new Simulation(world)
    sim.join('slow', 'slow', tip)
    sim.join('aside', 'honest', world.grow(world.genesis, 499))
    expectLiveOn(sim, tip)
    expect(sim.planner.sources.get('aside')?.byHash).toBe(true)
    expect(sim.asked.get('aside')).toBeLessThan(25)
    expect(sim.charged.size).toBe(0)
  })

  it('keeps nothing of an answer that the chain has turned away from', () => {
    const world = new World()
    const common = world.grow(world.genesis, 15)
    const light = world.grow(common, 20)
    const heavy = world.grow(common, 40)
    const sim = new Simulation(world)
    sim.join('slow', 'slow', light)
    sim.until(() => sim.planner.window.requests.size > 0, 10_000)
    sim.at(100, () => sim.join('good', 'honest', heavy))
    expectLiveOn(sim, heavy)
  })

  it('charges bad headers and headers that link to nothing', () => {
    const world = new World()
    const good = world.grow(world.genesis, 20)
    const bad = world.grow(world.grow(good, 1, 1n, { badHeader: true }), 40)
    const sim = new Simulation(world)
    sim.join('liar', 'honest', bad)
    sim.join('good', 'honest', good)
    expectLiveOn(sim, good)
    expect([...sim.charged]).toEqual([['liar', 'header']])
  })

  it('goes on with another peer when the serving one leaves', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 4_000)
    const sim = new Simulation(world)
    sim.join('a', 'honest', tip)
    sim.until(() => sim.chain.head.height > 500, 60_000)
    sim.leave('a')
    expect(sim.planner.state).toBe('no-peers')
    sim.join('b', 'honest', tip)
    expectLiveOn(sim, tip)
  })

  it('waits at 50,000 headers ahead of head until bodies follow', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 10)
    const sim = new Simulation(world)
    sim.join('a', 'honest', tip)
    sim.until(() => sim.chain.head === tip, 10_000)
    const source = sim.planner.sources.get('a')!
    source.last = { hash: tip.hash, height: tip.height + 200_000, work: tip.work + 1n }
    sim.move('a', world.grow(tip, 100))
    sim.asked.clear()
    sim.until(() => false, 2_000)
    expect(sim.asked.size).toBe(0)
    source.last = { hash: tip.hash, height: tip.height + 200_000, work: tip.work }
    sim.until(() => false, 100_000)
    expect(sim.asked.size).toBe(0)
    expect(source.doubt).toMatch(/50000 headers/)
    expect(sim.planner.state).toBe('live')
  })
})

describe('the planner of a light node', () => {
  it('downloads headers and no bodies, and is live with them', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 5_000)
    const sim = new Simulation(world, { light: true })
    sim.join('a', 'withholder', tip)
    expectLiveOn(sim, tip)
    expect(sim.states).toEqual(['headers', 'live'])
    expect(sim.asked.get('a')).toBe(3)
  })

  it('fetches an announced head at once: nobody brings it by gossip', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 10)
    const sim = new Simulation(world, { light: true })
    sim.join('a', 'honest', tip)
    expectLiveOn(sim, tip)
    const next = world.grow(tip, 1)
    sim.move('a', next)
    expectLiveOn(sim, next, 100)
  })

  it('takes headers of light peers too, which the planner of a full node does not', () => {
    for (const light of [true, false]) {
      const world = new World()
      const tip = world.grow(world.genesis, 100)
      const sim = new Simulation(world, { light })
      sim.join('a', 'honest', tip, 0, undefined, 'light')
      sim.until(() => sim.planner.state === 'live', 10_000)
      expect([sim.planner.state, sim.chain.head.height]).toEqual(light ? ['live', 100] : ['no-peers', 0])
    }
  })
})
