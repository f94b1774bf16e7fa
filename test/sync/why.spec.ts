import { describe, expect, it } from 'vitest'
import { ProgressMeter } from '../../dist/src/sync/progress.js'
import { report, type SyncReport, type SyncSourceReport } from '../../dist/src/sync/report.js'
import { why } from '../../dist/src/sync/why.js'
import { Simulation, World } from './simulation.js'

const FACTS: SyncReport = {
  state: 'bodies',
  height: 119,
  target: 2_000,
  claimed: 18_240,
  peers: 2,
  blocksPerSecond: 0,
  headersPerSecond: 0,
  why: '',
  window: { blocks: 1_024, asked: 257, here: 0, bytes: 0, stallMs: 2_000 },
  requests: [],
  parked: [],
  sources: []
}
const A = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const B = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nBBB'

const facts = (change: Partial<SyncReport>): SyncReport => ({ ...FACTS, ...change })
const front = (state: NonNullable<SyncReport['window']['front']>['state']) => ({
  ...FACTS.window,
  front: { height: 120, state }
})
const source = (peer: string, change: Partial<SyncSourceReport> = {}): SyncSourceReport => ({
  peer,
  height: 18_240,
  lowest: 0,
  standing: 'open',
  requests: 0,
  rate: 0,
  fails: 0,
  restMs: 0,
  ...change
})
const sourceWith = (peer: string, action: 'headers' | 'blocks', inMs: number, fails = 0) =>
  source(peer, { next: { action, inMs }, fails })

describe('why sync waits', () => {
  it.each<[string, string, SyncReport]>([
    ['idle', 'sync does not run', facts({ state: 'idle' })],
    [
      'no-peers',
      'no connected peer serves blocks',
      facts({ state: 'no-peers', reason: 'no connected peer serves blocks' })
    ],
    ['live', 'nothing is missing: follows gossip and what peers announce', facts({ state: 'live' })],
    [
      'live, in doubt',
      'nothing is missing: follows gossip and what peers announce; 1 better branch nobody delivers; 1 peer claims more and did not show it',
      facts({ state: 'live', parked: ['x'], sources: [source(A, { doubt: 'x' }), source(B, { standing: 'met' })] })
    ],
    [
      'headers that are asked for',
      'headers up to 18240 are fetched and checked, of 4kx6nXTN, asked 0.3 s ago; another peer is asked after 2 s without any',
      facts({
        state: 'headers',
        requests: [{ peer: A, for: 'headers', ageMs: 312 }],
        sources: [source(A, { rate: 900 }), sourceWith(B, 'headers', 0)]
      })
    ],
    [
      'headers of a peer that never sent anything',
      'headers up to 18240 are fetched and checked, of 4kx6nXTN, asked 0.3 s ago; another peer is asked after 0.5 s without any',
      facts({
        state: 'headers',
        requests: [{ peer: A, for: 'headers', ageMs: 312 }],
        sources: [source(A), sourceWith(B, 'headers', 0)]
      })
    ],
    [
      'headers of the only peer',
      'headers up to 18240 are fetched and checked, of 4kx6nXTN, asked 12 s ago',
      facts({ state: 'headers', requests: [{ peer: A, for: 'headers', ageMs: 12_312 }], sources: [source(A)] })
    ],
    [
      'headers to be asked for',
      '4kx6nBBB is asked in 0.4 s, after 2 failures',
      facts({ state: 'headers', sources: [sourceWith(A, 'headers', 900), sourceWith(B, 'headers', 400, 2)] })
    ],
    ['headers that are here', 'what has come is being checked and written', facts({ state: 'headers' })],
    [
      'blocks that others have too',
      'waiting for blocks 120 to 376 of 4kx6nXTN, asked 1.2 s ago; another peer is asked when they hold up the rest, after 2 s at the latest',
      facts({
        window: front('asked'),
        requests: [{ peer: A, for: 'blocks', from: 120, to: 376, ageMs: 1_200 }],
        sources: [source(A), sourceWith(B, 'blocks', 0)]
      })
    ],
    [
      'blocks of the only peer',
      'waiting for blocks 120 to 376 of 4kx6nXTN, asked 0 s ago; no other has them',
      facts({
        window: front('asked'),
        requests: [
          { peer: B, for: 'blocks', ageMs: 5 },
          { peer: A, for: 'blocks', from: 120, to: 376, ageMs: 3 }
        ],
        sources: [sourceWith(A, 'blocks', 0)]
      })
    ],
    [
      'blocks that nobody may be asked for now',
      'block 120 is wanted: 4kx6nXTN is asked in 3 s, after 1 failure',
      facts({ window: front('wanted'), sources: [sourceWith(A, 'blocks', 3_000, 1), sourceWith(B, 'blocks', 9_949)] })
    ],
    ['blocks that are here', 'blocks from 120 on are being checked and written', facts({ window: front('importing') })],
    [
      'stalled: nobody serves them',
      'no connected peer serves block 120: the lowest offered is 600; block 120 is wanted: goes on as soon as a peer offers it',
      facts({
        state: 'stalled',
        reason: 'no connected peer serves block 120: the lowest offered is 600',
        window: front('wanted')
      })
    ],
    [
      'stalled: no import',
      'block 120 cannot be imported now (error: the disk is full); tried again in 2 s',
      facts({
        state: 'stalled',
        reason: 'block 120 cannot be imported now (error: the disk is full)',
        retryMs: 1_990,
        window: front('here')
      })
    ]
  ])('is said of %s', (_name, sentence, report) => {
    expect(why(report)).toBe(sentence)
    expect(why(structuredClone(report))).toBe(sentence)
  })
})

describe('the report', () => {
  /** As `explain()` would give it now. */
  const explain = (sim: Simulation): SyncReport =>
    report(new ProgressMeter().progress(sim.time, sim.chain, sim.planner), sim.planner)

  it('is that of a sync that does not run without a planner', () => {
    const { chain } = new Simulation(new World())
    expect(report(new ProgressMeter().progress(0, chain, undefined), undefined)).toMatchObject({
      state: 'idle',
      why: 'sync does not run',
      requests: [],
      sources: []
    })
  })

  it('says of a silent peer for what it is waited, and who is next', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 600)
    const sim = new Simulation(world)
    sim.join('silent-1', 'silent', tip)
    expect(explain(sim)).toMatchObject({
      claimed: 600,
      why: 'headers up to 600 are fetched and checked, of silent-1, asked 0 s ago',
      requests: [{ peer: 'silent-1', for: 'headers', ageMs: 0 }]
    })
    sim.join('honest-2', 'honest', tip)
    sim.at(400, () => {})
    sim.until(() => false, 400)
    expect(explain(sim).why).toBe(
      'headers up to 600 are fetched and checked, of silent-1, asked 0.4 s ago; another peer is asked after 0.5 s without any'
    )
    expect(explain(sim).sources[1]).toMatchObject({ peer: 'honest-2', next: { action: 'headers', inMs: 0 } })
    expect(sim.until(() => explain(sim).why.includes('blocks 1 to '), 10_000)).toBe(true)
    expect(sim.until(() => sim.planner.state === 'live', 60_000)).toBe(true)
    expect(explain(sim).requests.filter(({ peer }) => peer === 'honest-2')).toEqual([])
    expect(explain(sim).sources[1]).not.toHaveProperty('next')
  })

  it('says when a peer that failed is asked again', () => {
    const world = new World()
    const sim = new Simulation(world)
    sim.join('busy-one', 'busy', world.grow(world.genesis, 30))
    expect(sim.until(() => explain(sim).sources[0]!.restMs > 0, 1_000)).toBe(true)
    expect(explain(sim)).toMatchObject({
      state: 'headers',
      why: 'busy-one is asked in 0.7 s',
      sources: [{ next: { action: 'headers', inMs: 700 } }]
    })
  })

  it('says when a peer that had no body is asked again, and nothing of one that will not be', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 20)
    const sim = new Simulation(world)
    sim.join('held-one', 'withholder', tip)
    expect(sim.until(() => explain(sim).sources[0]!.lacksFrom === 1, 5_000)).toBe(true)
    expect(explain(sim)).toMatchObject({
      why: 'block 1 is wanted: held-one is asked in 1 s',
      sources: [{ next: { action: 'blocks', inMs: 1_000 } }]
    })
    // it keeps the branch from being given up
    sim.join('silent', 'silent', tip)
    const isSpent = () => explain(sim).sources[0]!.next == null && explain(sim).window.front?.height === 1
    expect(sim.until(isSpent, 10_000)).toBe(true)
    expect(explain(sim).why).toBe('block 1 is wanted: silent is asked in 1 s, after 1 failure')
  })

  it('has a reason at every moment of a sync from bad peers', () => {
    const world = new World()
    const tip = world.grow(world.genesis, 400)
    const sim = new Simulation(world)
    for (const temper of ['silent', 'slow', 'breaker', 'miser', 'withholder', 'boaster'] as const) {
      sim.join(`${temper}-peer`, temper, tip)
    }
    const said = new Set<string>()
    const isLive = sim.until(() => {
      const { why, state } = explain(sim)
      expect(why, state).not.toBe('')
      expect(why, state).not.toMatch(/undefined|NaN|Infinity/)
      said.add(why)
      return state === 'live'
    }, 300_000)
    expect(isLive).toBe(true)
    expect([...said].some((why) => why.startsWith('waiting for blocks'))).toBe(true)
  })

  it('names the lowest block that nobody serves', () => {
    const world = new World()
    const sim = new Simulation(world)
    sim.join('pruned-1', 'honest', world.grow(world.genesis, 100), 60)
    expect(sim.planner.state).toBe('stalled')
    expect(sim.until(() => sim.planner.window.front != null, 60_000)).toBe(true)
    expect(explain(sim).why).toBe(
      'no connected peer serves block 1: the lowest offered is 60; block 1 is wanted: goes on as soon as a peer offers it'
    )
  })
})
