import { createNode } from 'blockwire'
import type { PeerReport } from 'blockwire/peers'
import { testRules, until } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { whyOf } from '../../dist/src/explanation.js'
import { freePort } from '../helpers/port.js'

const ID = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'

/** A node without a peer that serves blocks. */
const alone = (peers: Partial<PeerReport>[], suspended = false) =>
  whyOf({
    role: 'full',
    sync: { state: 'no-peers', why: 'no connected peer serves blocks' },
    peers: peers.map((peer) => ({ peer: ID, state: 'waiting', ...peer })),
    suspended
  })
const dial = (inMs: number) => ({ action: 'dial', inMs }) as const

describe('why a node waits', () => {
  it('is what sync says while it has peers', () => {
    const sync = { state: 'bodies', why: 'waiting for blocks' } as const
    expect(whyOf({ role: 'full', sync, peers: [], suspended: false })).toBe('waiting for blocks')
  })

  it('is, without them, what is done to find some', () => {
    const address = `/ip4/127.0.0.1/tcp/5000/p2p/${ID}`
    const said = [
      alone([]),
      alone([{ state: 'banned', next: { action: 'lift ban', inMs: 5 } }]),
      alone([{ address, state: 'dialling' }, { state: 'dialling' }, { next: dial(1_000) }]),
      alone([{ next: dial(9_000) }, { address, next: dial(3_100), error: 'connect ECONNREFUSED' }]),
      alone([{ next: dial(0) }]),
      alone([{ state: 'dialling' }], true)
    ]
    expect(said.map((why) => why.replace('no connected peer serves blocks; ', ''))).toEqual([
      'no peer is known: give seeds, or wait for others to dial',
      'no known peer is to be dialled: waits for others to dial',
      'dialling /ip4/127.0.0.1/tcp/5000 and 1 more',
      '/ip4/127.0.0.1/tcp/5000 is dialled again in 4 s (connect ECONNREFUSED)',
      `${ID} is dialled next`,
      'peers are suspended until resume()'
    ])
  })

  it('of a seed is its duty, and what it does while nobody is there', () => {
    const sync = { state: 'idle', why: 'sync does not run' } as const
    const duty = 'a seed keeps no chain and introduces peers to each other'
    expect(whyOf({ role: 'seed', sync, peers: [{ peer: ID, state: 'joined' }], suspended: false })).toBe(duty)
    expect(whyOf({ role: 'seed', sync, peers: [], suspended: false })).toBe(`${duty}; ${alone([]).split('; ')[1]}`)
  })

  it('names the seed that is not there, and when it is tried again', async () => {
    const absent = `/ip4/127.0.0.1/tcp/${await freePort()}`
    await using node = await createNode({ rules: testRules({ network: 'why' }), seeds: [`${absent}/p2p/${ID}`] })
    let explanation = node.explain()
    await until('a failed dial', () => {
      explanation = node.explain()
      return explanation.why.includes('ECONNREFUSED')
    })
    const { why, sync, peers } = explanation
    expect(why.startsWith(`no connected peer serves blocks; ${absent} is dialled again in `)).toBe(true)
    expect(sync.why).toBe('no connected peer serves blocks')
    expect(peers).toMatchObject([{ peer: ID, next: { action: 'dial' } }])
  })
})
