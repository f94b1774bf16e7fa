import { DataLockedError } from 'blockwire/errors'
import type { SyncProgress } from 'blockwire/sync'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dialable } from '../../dist/examples/mining-node/address.js'
import { clean } from '../../dist/examples/mining-node/clean.js'
import type { NodeEvent } from '../../dist/examples/mining-node/event.js'
import { count, duration, lineOf, rate, SyncWatch } from '../../dist/examples/mining-node/line.js'
import { failureLines, failureOf } from '../../dist/src/cli/failure.js'
import { jsonLine } from '../../dist/src/cli/json.js'
import { logLine, type Welcome, welcomeLines } from '../../dist/src/cli/screen.js'

const ID = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const HASH = '3fa9c1'.padStart(64, '0')
const OTHER = 'b81e02'.padStart(64, '0')
const EVIL = 'eve\u001b[2J\u001b]0;title\u0007\u009b31m\r\n\u202e\u2028x'

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not come through
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/

const SYNCING: SyncProgress = {
  state: 'bodies',
  height: 0,
  target: 16_000,
  claimed: 18_240,
  peers: 3,
  blocksPerSecond: 1_200,
  headersPerSecond: 0,
  eta: 10_200
}

const EVENTS: NodeEvent[] = [
  { event: 'listening', multiaddrs: [`/ip4/127.0.0.1/tcp/5000/p2p/${ID}`] },
  { event: 'peer', action: 'join', peer: ID },
  { event: 'peer', action: 'leave', peer: ID, reason: EVIL },
  { event: 'refused', peer: ID, code: 'genesis', field: EVIL, ours: EVIL, theirs: EVIL },
  {
    event: 'head',
    height: 2,
    hash: HASH,
    miner: EVIL,
    work: '123456789012345678901234567890',
    txs: 3,
    own: false,
    blocks: 1
  },
  { event: 'mined', height: 3, hash: HASH },
  { event: 'balance', height: 3, address: HASH, balance: '5000000000' },
  { event: 'fork', height: 3, ours: HASH, theirs: OTHER, peer: ID },
  { event: 'seed', address: `/dns4/${EVIL}/tcp/1`, state: 'failed', error: EVIL, nextMs: 2_000 },
  { event: 'seed', address: `/dns4/${EVIL}/tcp/1`, state: 'waiting', error: EVIL, nextMs: 2_000 },
  { event: 'seed', address: `/dns4/${EVIL}/tcp/1`, state: 'dialling' },
  { event: 'reorg', from: HASH, to: OTHER, common: HASH, depth: 1 },
  { event: 'sync', ...SYNCING, reason: EVIL },
  { event: 'repaired', height: 3, what: [EVIL, `cut back from 4 to block 3 (${HASH})`] },
  { event: 'error', code: 'BW_X', message: EVIL, fix: EVIL },
  { event: 'stopped', height: 3, hash: HASH }
]

describe('text of strangers', () => {
  it('loses everything that a terminal would obey', () => {
    expect(clean(EVIL)).toBe('eve?[2J?]0;title??31m????x')
    expect(clean('小明 😀')).toBe('小明 😀')
    expect(clean('x'.repeat(50), 10)).toBe('xxxxxxx...')
    expect(clean('\ud800')).toBe('?')
  })

  it('never holds a control character, whatever it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(clean(text)).not.toMatch(CONTROL)
      })
    )
  })

  it.each(EVENTS.map((event) => [event.event, event] as const))('is harmless in the line of %s', (_name, event) => {
    const line = lineOf(event)
    if (line != null) expect(logLine(line, 0, false)).not.toMatch(CONTROL)
    expect(jsonLine(event) ?? '').not.toMatch(CONTROL)
  })
})

describe('lines for people', () => {
  const said = (event: NodeEvent) => {
    const line = lineOf(event)
    return line == null ? undefined : `${line.word} ${line.text}`
  }

  it('begin with a word for what happened', () => {
    expect(said({ event: 'mined', height: 18_240, hash: HASH })).toBe('mined #18,240 3fa9c1   you')
    expect(said({ event: 'head', height: 2, hash: HASH, miner: 'ana', work: '9', txs: 3, own: false, blocks: 1 })).toBe(
      'got #2 3fa9c1   ana            2 tx'
    )
    expect(
      said({ event: 'head', height: 900, hash: HASH, miner: 'ana', work: '9', txs: 1, own: false, blocks: 898 })
    ).toBe('got #900 3fa9c1   898 blocks, the last from ana')
    expect(said({ event: 'fork', height: 3, ours: HASH, theirs: OTHER, peer: ID })).toBe(
      'fork #3 3fa9c1 here | b81e02 at 4kx6nXTN'
    )
    expect(said({ event: 'reorg', from: HASH, to: OTHER, common: HASH, depth: 2 })).toBe(
      'reorg b81e02 wins over 3fa9c1: 2 blocks set aside'
    )
    expect(
      said({ event: 'refused', peer: ID, code: 'genesis', field: 'params.blockTime', ours: '2000', theirs: '1000' })
    ).toBe('refused 4kx6nXTN follows another chain: params.blockTime 2000 here, 1000 there')
  })

  it('tell of a repair in one, with short hashes, and the first three only', () => {
    expect(
      said({ event: 'repaired', height: 89, what: ['block 90 has no body', `cut back to block 89 (${HASH})`] })
    ).toBe('repair now at #89: block 90 has no body; cut back to block 89 (3fa9c1)')
    const what = ['one', 'two', 'three', 'four', 'five'].map((what) => `${what} was wrong`)
    expect(said({ event: 'repaired', height: 1_200, what })).toBe(
      'repair now at #1,200: one was wrong; two was wrong; three was wrong; and 2 repairs more'
    )
  })

  it('do not say our own block twice', () => {
    expect(
      said({ event: 'head', height: 2, hash: HASH, miner: 'ana', work: '9', txs: 1, own: true, blocks: 1 })
    ).toBeUndefined()
  })

  const sync = (state: SyncProgress['state'], height: number, more: Partial<SyncProgress> = {}) => ({
    event: 'sync' as const,
    ...SYNCING,
    state,
    height,
    ...more
  })

  it('tell of a sync once, when it is over, unless it was short', () => {
    const watch = new SyncWatch()
    const few = { target: 900, claimed: 900 }
    expect(watch.line(sync('live', 0), 0)).toBeUndefined()
    expect(watch.line(sync('headers', 0, few), 100)).toBeUndefined()
    expect(watch.line(sync('bodies', 400, few), 500)).toBeUndefined()
    expect(watch.line(sync('stalled', 400, { ...few, reason: 'x' }), 600)).toBeUndefined()
    expect(watch.line(sync('bodies', 500, few), 700)).toBeUndefined()
    expect(watch.line(sync('live', 900, few), 1_300)).toEqual({
      word: 'synced',
      text: 'in sync at #900, 900 blocks in 1.2 s',
      tone: 'good'
    })
    expect(watch.line(sync('headers', 900, few), 2_000)).toBeUndefined()
    expect(watch.line(sync('live', 901, few), 2_010)).toBeUndefined()
  })

  it('tell of a sync that takes long now and then, with its progress', () => {
    const watch = new SyncWatch(5_000)
    expect(watch.line(sync('headers', 0), 0)).toBeUndefined()
    expect(watch.bulk).toBe(true)
    expect(watch.line(sync('headers', 0, { headersPerSecond: 3_200 }), 5_000)?.text).toBe(
      'headers  87%  16,000 of 18,240  3,200/s  from 3 peers'
    )
    expect(watch.line(sync('bodies', 4_000), 9_000)).toBeUndefined()
    expect(watch.line(sync('bodies', 6_000), 10_000)).toEqual({
      word: 'syncing',
      text: ' 32%  6,000 of 18,240  1,200/s  11 s left  from 3 peers',
      tone: 'plain'
    })
    expect(watch.line(sync('bodies', 6_100), 10_100)).toBeUndefined()
    const live = { target: 18_240, claimed: 18_240 }
    expect(watch.line(sync('live', 18_240, live), 14_000)?.word).toBe('synced')
    expect(watch.bulk).toBe(false)
    watch.line(sync('bodies', 18_240, { target: 18_242, claimed: 18_242 }), 14_500)
    expect(watch.bulk, 'two blocks are news').toBe(false)
  })

  it('say why a sync is stalled, at once, and another reason not before it is time', () => {
    const watch = new SyncWatch(5_000)
    watch.line(sync('bodies', 0), 0)
    expect(watch.line(sync('stalled', 0, { reason: EVIL }), 100)).toEqual({
      word: 'stalled',
      text: 'at #0: eve?[2J?]0;title??31m????x',
      tone: 'warn'
    })
    expect(watch.line(sync('stalled', 0, { reason: 'second' }), 200)).toBeUndefined()
    expect(watch.line(sync('stalled', 0, { reason: EVIL }), 9_000)).toBeUndefined()
    expect(watch.line(sync('stalled', 0, { reason: 'third' }), 9_000)?.text).toBe('at #0: third')
    expect(new SyncWatch().line(sync('stalled', 0, { reason: EVIL }), 0), 'where there is a footer').toBeUndefined()
  })

  it('have colour only where asked', () => {
    const line = lineOf({ event: 'mined', height: 1, hash: HASH })!
    expect(logLine(line, 0, true)).toContain('\u001b[')
    expect(logLine(line, 0, false)).toMatch(/^\d\d:\d\d:\d\d {2}mined {3}#1/)
  })

  it('write numbers for reading', () => {
    expect([0, 999, 1000, 1_234_567].map(count)).toEqual(['0', '999', '1,000', '1,234,567'])
    expect([0, 999, 1234, 412_000, 2_100_000].map(rate)).toEqual([
      '0 H/s',
      '999 H/s',
      '1.23 kH/s',
      '412 kH/s',
      '2.10 MH/s'
    ])
    expect([900, 131_000, 3_720_000].map(duration)).toEqual(['0s', '2m11s', '1h02m'])
  })
})

describe('lines for programs', () => {
  it('have exactly the documented fields', () => {
    const fields = Object.fromEntries(
      EVENTS.flatMap((event) => {
        const line = jsonLine(event)
        return line == null ? [] : [[event.event, Object.keys(JSON.parse(line))]]
      })
    )
    expect(fields).toEqual({
      listening: ['event', 'multiaddrs'],
      peer: ['event', 'action', 'peer', 'reason'],
      refused: ['event', 'peer', 'code', 'field', 'ours', 'theirs'],
      head: ['event', 'height', 'hash', 'miner', 'work', 'txs'],
      mined: ['event', 'height', 'hash'],
      balance: ['event', 'height', 'address', 'balance'],
      reorg: ['event', 'from', 'to', 'common', 'depth'],
      seed: ['event', 'address', 'state', 'error', 'nextMs'],
      sync: [
        'event',
        'state',
        'height',
        'target',
        'claimed',
        'peers',
        'blocksPerSecond',
        'headersPerSecond',
        'eta',
        'reason'
      ],
      repaired: ['event', 'height', 'what'],
      error: ['event', 'code', 'message', 'fix'],
      stopped: ['event', 'height', 'hash']
    })
  })

  it('leave out what is not there, and keep what strangers wrote', () => {
    expect(jsonLine({ event: 'peer', action: 'join', peer: ID })).toBe(
      `{"event":"peer","action":"join","peer":"${ID}"}`
    )
    const { eta: _, ...waiting } = SYNCING
    expect(jsonLine({ event: 'sync', ...waiting })).toBe(
      '{"event":"sync","state":"bodies","height":0,"target":16000,"claimed":18240,"peers":3,"blocksPerSecond":1200,"headersPerSecond":0}'
    )
    expect(JSON.parse(jsonLine({ event: 'error', code: 'X', message: EVIL, fix: '' })!).message).toBe(EVIL)
  })
})

describe('the first screen', () => {
  const welcome: Welcome = {
    version: '0.1.0',
    network: 'hello',
    genesis: HASH,
    readyMs: 712,
    role: 'full',
    name: 'ana',
    peerId: ID,
    data: undefined,
    height: 0,
    movedTo: undefined,
    debugIdentity: false,
    multiaddrs: [
      `/ip4/192.168.1.20/tcp/5000/p2p/${ID}`,
      `/ip4/127.0.0.1/tcp/5000/p2p/${ID}`,
      `/ip4/0.0.0.0/tcp/5000/p2p/${ID}`
    ],
    program: 'npx blockwire',
    blockTime: undefined
  }
  const text = (change: Partial<Welcome> = {}) => welcomeLines({ ...welcome, ...change }).join('\n')

  it('gives the exact command for the next terminal, and for another computer', () => {
    expect(text()).toContain(`in another terminal:  npx blockwire node --seed /ip4/127.0.0.1/tcp/5000/p2p/${ID}\n`)
    expect(text()).toContain(`on another computer:  npx blockwire node --seed /ip4/192.168.1.20/tcp/5000/p2p/${ID}`)
    expect(text({ blockTime: 2 })).toContain(`/p2p/${ID} --block-time 2\n`)
  })

  it('begins with version, network, genesis and how long it took, in 80 columns', () => {
    const lines = text({ name: '小明' }).split('\n')
    expect(lines[0]).toBe('blockwire 0.1.0   network hello   genesis 00000000   ready in 0.7 s')
    expect(lines[1]).toBe('  you      小明   12D3KooWDpJ7...4kx6nXTN')
  })

  it('shows where the rewards go', () => {
    expect(text({ wallet: HASH })).toContain(`  wallet   ${HASH}\n`)
    expect(text()).not.toContain('wallet')
  })

  it('says where the chain is kept', () => {
    expect(text()).toContain('in memory: gone when this stops')
    expect(text({ data: './data' })).toContain('./data (new chain)')
    expect(text({ data: './data', height: 1200 })).toContain('./data (#1,200)')
    // a seed has none, but an address that others wrote down
    expect(text({ role: 'seed' })).toContain('in memory: another address after each start; --data DIR keeps it')
    expect(text({ role: 'seed', data: './data' })).toContain('  data     ./data\n')
    expect(text({ role: 'light' })).toContain('  you      light, keeps headers and checks no state   12D3KooW')
  })

  it('says that the default port was taken, and warns of a debug identity', () => {
    expect(text({ movedTo: 5001 })).toContain('5000 is taken, using 5001')
    expect(text({ debugIdentity: true })).toContain('warning')
    expect(text()).not.toContain('warning')
  })

  it('shows only addresses that can be dialled', () => {
    expect(text()).not.toContain('0.0.0.0')
    expect(text({ multiaddrs: [] })).toContain('none that others can dial')
    expect(
      dialable([
        '/ip4/0.0.0.0/tcp/5000',
        '/ip6/::/tcp/5000',
        '/ip4/127.0.0.1/tcp/0',
        '/ip6/fe80::1/tcp/5000',
        '/ip4/169.254.1.1/tcp/5000',
        '/ip6/::1/tcp/5000',
        '/ip4/10.0.0.1/tcp/5000'
      ])
    ).toEqual([
      { address: '/ip6/::1/tcp/5000', reach: 'this computer' },
      { address: '/ip4/10.0.0.1/tcp/5000', reach: 'other computers' }
    ])
  })
})

describe('failures', () => {
  it('say facts and remedy in lines of their own to people', () => {
    const failure = failureOf(new DataLockedError('./data', 'process 4121 (for 3 min)'))
    expect(failureLines(failure, 'blockwire node', true)).toEqual([
      'error BW_DATA_LOCKED  ./data is in use by process 4121 (for 3 min)',
      '  fix    stop it, or give this node its own directory',
      '  more   docs/errors.md#bw_data_locked'
    ])
    expect(failureLines(failure, 'blockwire node')).toHaveLength(1)
  })

  it('of ours say code, message and remedy in one line', () => {
    const err = Object.assign(new Error('x'), { code: 'E' })
    expect(failureLines(failureOf(err))).toEqual([
      'error BW_INTERNAL  Error: x; please report this, with the command that led to it'
    ])
  })
})
