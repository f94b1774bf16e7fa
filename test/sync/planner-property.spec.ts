import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dice } from '../helpers/dice.js'
import { type Block, LIARS, Simulation, type Temper, World } from './simulation.js'

const TEMPERS: Temper[] = [
  'honest',
  'slow',
  'silent',
  'boaster',
  'spoiler',
  'withholder',
  'swapper',
  'miser',
  'dripper',
  'trickler',
  'keeper',
  'busy',
  'breaker',
  'stranger'
]
/** They deliver, sooner or later, all that they have. */
const SERVING = new Set<Temper>(['honest', 'slow', 'breaker'])

const moment = fc.option(fc.nat(60_000), { nil: undefined })
const peer = fc.record({
  temper: fc.constantFrom(...TEMPERS),
  /** Its link: as fast as its temper says, or near and fast, or far, or slow. */
  pace: fc.constantFrom(
    undefined,
    { firstMs: 1, bytesPerMs: 20_000 },
    { firstMs: 400, bytesPerMs: 2_000 },
    { firstMs: 20, bytesPerMs: 20 }
  ),
  /** Which branch, and how much of it. */
  branch: fc.nat(3),
  part: fc.integer({ min: 1, max: 10 }),
  joins: fc.nat(30_000),
  leaves: moment,
  /** And joins again, as if nothing had been. */
  returns: moment,
  /** Moves on to the end of its branch. */
  grows: moment,
  /** Goes back to the middle of it. */
  retreats: moment,
  /** Serves only what is near its head. */
  prunes: moment
})
const setting = fc.record({
  lengths: fc.tuple(
    fc.integer({ min: 1, max: 700 }),
    fc.integer({ min: 1, max: 700 }),
    fc.integer({ min: 1, max: 60 }),
    fc.integer({ min: 1, max: 200 })
  ),
  forks: fc.tuple(fc.nat(300), fc.nat(300), fc.nat(300)),
  flaw: fc.constantFrom('badState', 'badHeader', 'none'),
  /** How often an event of the chain gets lost. */
  deafness: fc.constantFrom(0, 0.5, 1),
  importMs: fc.constantFrom(undefined, 0.1, 2),
  peers: fc.array(peer, { maxLength: 7 }),
  anchor: fc.record({ branch: fc.nat(1), temper: fc.constantFrom<Temper>('honest', 'slow', 'breaker') })
})

describe('the planner among all kinds of peers', () => {
  // at every instant besides: see Simulation.#watch
  it.each([
    ['with all blocks', false],
    ['with headers alone', true]
  ])('ends live at the best honest head %s, charges only liars, and loses no request', (_name, light) => {
    fc.assert(
      fc.property(setting, ({ lengths, forks, flaw, deafness, importMs, peers, anchor }) => {
        const world = new World()
        const main = world.path(world.grow(world.genesis, lengths[0]))
        const from = (fork: number): Block => main[Math.min(fork, main.length - 1)]!
        const flawed = world.grow(from(forks[2]), 1, 1n, flaw === 'none' ? {} : { [flaw]: true })
        const tips = [
          main.at(-1)!,
          world.grow(from(forks[0]), lengths[1]),
          world.grow(from(forks[1]), lengths[2]),
          world.grow(flawed, lengths[3])
        ]
        const isBad = (tip: Block): boolean => flaw !== 'none' && world.path(tip).includes(flawed)
        const liars = new Set<string>()
        const sim = new Simulation(world, { light, deafness, importMs, random: dice(lengths[0]) })
        // one peer stays to the end and serves everything of its branch; all others may do anything
        const staying = tips[anchor.branch]!
        sim.join('anchor', anchor.temper, staying)
        peers.forEach(({ temper, pace, branch, part, joins, leaves, returns, grows, retreats, prunes }, i) => {
          const id = `${i}-${temper}`
          const path = world.path(tips[branch]!)
          const tip = path[Math.max(1, Math.floor(((path.length - 1) * part) / 10))] ?? world.genesis
          const middle = path[tip.height >> 1]!
          // whoever ever claimed a bad block as his own
          if (LIARS.has(temper) || isBad(tip) || (grows != null && isBad(tips[branch]!))) liars.add(id)
          const present = (run: () => void) => (): void => {
            if (sim.peers.has(id)) run()
          }
          // light peers have headers as good as any
          const role = light && i % 2 === 1 ? 'light' : 'full'
          sim.at(joins, () => sim.join(id, temper, tip, 0, pace, role))
          if (grows != null) sim.at(joins + grows, () => sim.move(id, tips[branch]!))
          if (retreats != null) sim.at(joins + retreats, () => sim.move(id, middle))
          if (prunes != null)
            sim.at(
              joins + prunes,
              present(() => sim.move(id, sim.peers.get(id)!.tip, tip.height))
            )
          if (leaves == null) return
          sim.at(
            joins + leaves,
            present(() => sim.leave(id))
          )
          if (returns != null) sim.at(joins + leaves + returns, () => sim.join(id, temper, tip, 0, pace, role))
        })
        sim.until(() => false, 160_000)
        const honest = [...sim.peers.values()].filter(
          ({ id, temper, lowest }) => lowest === 0 && SERVING.has(temper) && !liars.has(id)
        )
        const best = Math.max(Number(staying.work), ...honest.map(({ tip }) => Number(tip.work)))
        const done = sim.until(() => sim.planner.state === 'live' && sim.chain.head.work >= best, 600_000)
        const where = `${sim.planner.state} (${sim.planner.reason}) at ${sim.chain.head.work} of ${best}`
        expect(done, where).toBe(true)
        // of a state it knows nothing
        if (!light || flaw !== 'badState') expect(isBad(sim.chain.head)).toBe(false)
        if (light) expect(sim.states).not.toContain('bodies')
        for (const [id, why] of sim.charged) expect(liars, `${id} was charged: ${why}`).toContain(id)
        expect(sim.mostInFlight).toBeLessThanOrEqual(2)
        expect(sim.planner.window.held).toBe(0)
      }),
      { numRuns: 150, endOnFailure: true }
    )
  })
})
