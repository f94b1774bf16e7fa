import { multiaddr } from '@multiformats/multiaddr'
import { HandClock } from 'blockwire/testing'
import { describe, expect, test } from 'vitest'
import { CHURN_MS, OLD_MS } from '../../dist/src/peers/churn.js'
import { SETTLING_MS } from '../../dist/src/peers/eviction.js'
import { HALF_LIFE_MS } from '../../dist/src/peers/faults.js'
import { Turnover, type TurnoverInit } from '../../dist/src/peers/turnover.js'

const REMOTE = multiaddr('/ip4/8.8.8.8/tcp/1')

function setup(peers: Record<string, 'inbound' | 'outbound'>, more: Partial<TurnoverInit> = {}) {
  const clock = new HandClock()
  const connection = { remoteAddr: REMOTE }
  const members = new Map(
    Object.entries(peers).map(([id, direction]) => [id, { connection, direction, since: clock.now() }])
  ) as never
  const leaving = new Set<string>()
  const gone: string[] = []
  const turnover = new Turnover({
    ...{ clock, random: () => 0, maxInbound: 2, members },
    outboundFull: () => false,
    rttOf: () => undefined,
    isLeaving: (id) => leaving.has(id),
    isSeed: (id) => id.startsWith('seed'),
    onReplaced: (id, why) => gone.push(`${id} ${why}`),
    ...more
  })
  return { clock, turnover, leaving, gone }
}

describe('room', () => {
  test('is there for a seed of ours, which is never pushed out; nobody goes while one is leaving', () => {
    const full = setup({ a: 'inbound', b: 'inbound' })
    expect([full.turnover.makeRoom('seed1', REMOTE), full.gone]).toEqual([true, []])
    full.clock.turn(SETTLING_MS)
    full.leaving.add('a')
    expect([full.turnover.makeRoom('x', REMOTE), full.gone]).toEqual([true, []])
    const seeds = setup({ seed1: 'inbound', seed2: 'inbound' })
    seeds.clock.turn(SETTLING_MS)
    expect(seeds.turnover.makeRoom('x', REMOTE)).toBe(false)
  })

  test('is made by sending one away', () => {
    const { clock, turnover, gone } = setup({ a: 'inbound', b: 'inbound', o: 'outbound' })
    expect(turnover.makeRoom('x', REMOTE)).toBe(false)
    clock.turn(SETTLING_MS)
    expect(turnover.makeRoom('x', REMOTE)).toBe(true)
    expect(gone).toEqual([expect.stringMatching(/^[ab] evicted$/)])
  })
})

test('usefulness is of members only, halves in ten minutes and goes with the peer', () => {
  const { clock, turnover } = setup({ a: 'inbound' })
  for (const id of ['stranger', 'a']) turnover.useful(id)
  clock.turn(HALF_LIFE_MS)
  expect([turnover.pointsOf('stranger'), turnover.pointsOf('a')]).toEqual([0, 0.5])
  turnover.left('a')
  expect(turnover.pointsOf('a')).toBe(0)
})

test.each([
  [{ a: 'inbound', b: 'inbound' }, false, ['a replaced']],
  [{ a: 'inbound' }, false, []],
  [{ o: 'outbound' }, false, []],
  [{ o: 'outbound' }, true, ['o replaced']],
  [{ seed1: 'inbound', leaving: 'inbound', a: 'inbound', b: 'inbound' }, false, ['a replaced']]
] as const)('of %o, with all outbound places taken: %s, is in the end %o', (peers, isFull, expected) => {
  const { clock, turnover, leaving, gone } = setup(peers, { outboundFull: () => isFull })
  leaving.add('leaving')
  clock.turn(OLD_MS + CHURN_MS.most)
  turnover.look()
  expect(gone).toEqual(expected)
})
