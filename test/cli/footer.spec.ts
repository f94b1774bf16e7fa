import { encodeBlock, fromHex, sha256, toHex } from 'blockwire/chain'
import { coin, ed25519 } from 'blockwire/pow'
import type { SyncProgress } from 'blockwire/sync'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { doneText, leftText } from '../../dist/examples/mining-node/line.js'
import type { AbsentSeed } from '../../dist/examples/mining-node/seeds.js'
import { pad, shorten, width } from '../../dist/examples/mining-node/width.js'
import { tally, WinsWatch, winsText } from '../../dist/examples/mining-node/wins.js'
import { bar, footerLines, type Live, stateOf } from '../../dist/src/cli/footer.js'

const ID = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const HASH = '3fa9c1'.padStart(64, '0')
const EVIL = 'eve\u001b[2J\u001b]0;title\u0007\u009b31m\r\n\u202e\u2028x'
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not come through
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/

/** A sync that is three fifths done. */
const SYNCING: SyncProgress = {
  state: 'bodies',
  height: 10_944,
  target: 16_000,
  claimed: 18_240,
  peers: 2,
  blocksPerSecond: 9_120.4,
  headersPerSecond: 16_000,
  eta: 801
}
const SYNCED: SyncProgress = {
  state: 'live',
  height: 18_240,
  target: 18_240,
  claimed: 18_240,
  peers: 2,
  blocksPerSecond: 0.2,
  headersPerSecond: 0.2
}

function live(change: Partial<Live> = {}): string {
  return footerLines({
    state: 'synced',
    progress: SYNCED,
    why: '',
    hash: HASH,
    hashrate: 412_000,
    peers: { in: 1, out: 2, full: 2, agreed: 2 },
    pool: 3,
    upMs: 131_000,
    wins: [],
    seeds: [],
    ...change
  }).join('\n')
}

/** The same while it syncs. */
function syncing(change: Partial<SyncProgress> = {}, more: Partial<Live> = {}): string {
  return live({ state: 'syncing', progress: { ...SYNCING, ...change }, ...more })
}

/** A seed that has just refused a connection. */
function seed(change: Partial<AbsentSeed> = {}): AbsentSeed {
  return {
    address: `/ip4/127.0.0.1/tcp/5000/p2p/${ID}`,
    trouble: 'failed',
    error: 'connect ECONNREFUSED 127.0.0.1:5000',
    dialling: false,
    nextMs: 3_100,
    ...change
  }
}

describe('the foot of the screen', () => {
  it('ends with a line that begins with the state', () => {
    const states = [
      stateOf({ role: 'seed', sync: 'idle', mining: false, peers: 0 }),
      stateOf({ role: 'full', sync: 'no-peers', mining: false, peers: 0 }),
      stateOf({ role: 'full', sync: 'no-peers', mining: true, peers: 0 }),
      stateOf({ role: 'full', sync: 'headers', mining: true, peers: 1 }),
      stateOf({ role: 'full', sync: 'live', mining: false, peers: 1 }),
      stateOf({ role: 'full', sync: 'stalled', mining: true, peers: 1 }),
      stateOf({ role: 'light', sync: 'headers', mining: false, peers: 1 }),
      stateOf({ role: 'light', sync: 'live', mining: false, peers: 1 }),
      stateOf({ role: 'light', sync: 'no-peers', mining: false, peers: 0 })
    ]
    const full = ['seeding', 'alone', 'mining', 'syncing', 'synced', 'stalled']
    expect(states).toEqual([...full, 'syncing', 'light', 'alone'])
    for (const state of states) expect(live({ state }).split('\n').at(-1)!.startsWith(state)).toBe(true)
  })

  it('says of a light node that it keeps headers only: no pool, no bar of blocks', () => {
    expect(live({ state: 'light', light: true })).toBe(
      [
        '3 peers (1 in, 2 out)  headers only  up 2m11s  Ctrl-C stops',
        'light  head #18,240 3fa9c1 agreed by 2 of 2'
      ].join('\n')
    )
    const behind = syncing({ state: 'headers', height: 40, target: 40, claimed: 100 }, { light: true })
    expect(behind.split('\n')).toHaveLength(2)
    expect(behind).toMatch(/^headers \[#+-+\] +40% {2}40 of 100/)
  })

  it('shows who won, who is here and what is mined', () => {
    const wins = [
      { name: 'ana', own: true, blocks: 21 },
      { name: '小明', own: false, blocks: 15 },
      { name: '', own: false, blocks: 4 }
    ]
    expect(live({ state: 'mining', wins, balance: 123_450_000_000n })).toBe(
      [
        'won by you 21, 小明 15, unnamed 4   of the last 40',
        'balance 1,234.5',
        '3 peers (1 in, 2 out)  pool 3 tx  up 2m11s  Ctrl-C stops',
        'mining #18,241  412 kH/s  head #18,240 3fa9c1 agreed by 2 of 2'
      ].join('\n')
    )
    expect(live({ peers: { in: 0, out: 1, full: 0, agreed: 0 } })).not.toContain('agreed')
    expect(live()).not.toContain('balance')
  })

  it('has bars for headers and blocks while it syncs: percent, how many, how fast, how long', () => {
    expect(syncing()).toBe(
      [
        'headers [##############--]  87%  16,000 of 18,240  16,000/s',
        'blocks  [#########-------]  60%  10,944 of 18,240  9,120/s  1 s left',
        'syncing  from 2 of 3 peers (1 in, 2 out)  up 2m11s'
      ].join('\n')
    )
    // what is not known is left out, and so is the speed of what is done
    const { eta: _, ...waiting } = SYNCING
    const progress = { ...waiting, target: 18_240, blocksPerSecond: 0 }
    expect(live({ state: 'syncing', progress }).split('\n').slice(0, 2)).toEqual([
      'headers [################] 100%  18,240 of 18,240',
      'blocks  [#########-------]  60%  10,944 of 18,240'
    ])
    expect(syncing({ blocksPerSecond: 0.3, eta: 24_320_000 })).toContain('10,944 of 18,240  0.3/s  7 h left')
  })

  it('keeps to 80 columns while it syncs', () => {
    const large = { height: 1_234_567, target: 9_999_999, claimed: 9_999_999 }
    const lines = [
      ...syncing({ ...large, blocksPerSecond: 226_000, eta: 97_000 }, { why: 'x'.repeat(300) }).split('\n'),
      ...syncing({ ...large, blocksPerSecond: 0.1, eta: 10 ** 12 }).split('\n')
    ]
    for (const line of lines) expect(width(line)).toBeLessThan(80)
  })

  it('says in words how long it takes', () => {
    const minute = 60_000
    const times = [1, 99_000, 99_001, 45 * minute, 99 * minute, 101 * minute, 40 * 60 * minute, 72 * 60 * minute, 1e15]
    expect(times.map(leftText)).toEqual([
      '1 s left',
      '99 s left',
      '2 min left',
      '45 min left',
      '99 min left',
      '2 h left',
      '40 h left',
      '3 days left',
      '999+ days left'
    ])
  })

  it('says why it waits, in a line of its own or two', () => {
    const why = `nobody serves ${EVIL}; block 120 is wanted: goes on as soon as a peer offers it`
    expect(live({ state: 'stalled', why }).split('\n')).toEqual([
      'why     nobody serves eve?[2J?]0;title??31m????x; block 120 is wanted: goes on',
      '        as soon as a peer offers it',
      '3 peers (1 in, 2 out)  pool 3 tx  up 2m11s  Ctrl-C stops',
      'stalled  head #18,240 3fa9c1 agreed by 2 of 2'
    ])
    expect(syncing({}, { why: 'asked 4kx6nXTN' }).split('\n').slice(2)).toEqual([
      'why     asked 4kx6nXTN',
      'syncing  from 2 of 3 peers (1 in, 2 out)  up 2m11s'
    ])
    for (const long of ['x'.repeat(300), 'xy '.repeat(100), '小'.repeat(300)]) {
      const lines = live({ state: 'stalled', why: long }).split('\n')
      expect(lines).toHaveLength(4)
      for (const line of lines) expect(width(line)).toBeLessThan(80)
    }
    expect(live()).not.toContain('why')
  })

  it('shows the seeds that are not there, why, and when they are tried again', () => {
    expect(live({ state: 'seeding', seeds: [seed()] })).toBe(
      [
        'seed    /ip4/127.0.0.1/tcp/5000 not reached: ECONNREFUSED; next try in 4 s',
        'seeding  3 peers (1 in, 2 out)  up 2m11s'
      ].join('\n')
    )
    const first = (change: Partial<AbsentSeed>) => live({ seeds: [seed(change)] }).split('\n')[0]
    expect(first({ nextMs: 10 })).toMatch(/; next try in 1 s$/)
    expect(first({ nextMs: undefined })).toMatch(/ ECONNREFUSED$/)
    expect(first({ dialling: true, nextMs: undefined })).toMatch(/ ECONNREFUSED; trying now$/)
    expect(first({ trouble: undefined, error: '', dialling: true })).toBe(
      'seed    /ip4/127.0.0.1/tcp/5000 is being dialled'
    )
    expect(first({ trouble: 'waiting', error: 'the connection closed' })).toBe(
      'seed    /ip4/127.0.0.1/tcp/5000 lost: the connection closed; next try in 4 s'
    )
  })

  it('has a line for two of them, and a number for the others', () => {
    const others = Array.from({ length: 4 }, (_, i) => seed({ address: `/dns4/seed${i}.example/tcp/1/p2p/${ID}` }))
    expect(live({ seeds: others.slice(0, 2) }).split('\n')).toHaveLength(4)
    const lines = live({ seeds: others }).split('\n')
    expect(lines[0]).toContain('/dns4/seed0.example/tcp/1 not reached')
    expect(lines[1]).toContain('/dns4/seed1.example/tcp/1 not reached')
    expect(lines[2]).toBe('        and 2 seeds more')
    expect(lines).toHaveLength(5)
  })

  it('shortens the address and the reason of a seed to a line of 80 columns', () => {
    const line = (change: Partial<AbsentSeed>) => live({ seeds: [seed(change)] }).split('\n')[0]!
    const far = { address: `/ip4/192.168.1.20/tcp/5000/p2p/${ID}` }
    expect(line({ ...far, error: 'connect EHOSTUNREACH 192.168.1.20:5000', nextMs: 9_500 })).toBe(
      'seed    /ip4/192.168.1.20/tcp/5000 not reached: EHOSTUNREACH; next try in 10 s'
    )
    expect(line({ ...far, error: 'no connection within 10 s' })).toBe(
      'seed    /ip4/192.168.1.20/tcp/5000 not reached: no connecti...; next try in 4 s'
    )
    const ip4 = { address: `/ip4/192.168.100.200/tcp/50000/p2p/${ID}` }
    expect(line({ ...ip4, nextMs: 9_500 })).toBe(
      'seed    /ip4/192.168.100.200/tcp/50000 not reached: ECONNR...; next try in 10 s'
    )
    const ip6 = { address: `/ip6/2001:db8:85a3:8d3:1319:8a2e:370:7348/tcp/5000/p2p/${ID}` }
    expect(line(ip6)).toBe('seed    /ip6/2001:db8...:7348/tcp/5000 not reached: ECONNRE...; next try in 4 s')
    const changes = [
      far,
      ip4,
      ip6,
      { error: 'x'.repeat(300) },
      { error: '小'.repeat(300), trouble: 'waiting' as const }
    ]
    for (const change of changes) expect(width(line(change))).toBeLessThanOrEqual(79)
  })

  it('has bars that are full only when all is done', () => {
    expect(bar(999, 1_000)).toBe(`[${'#'.repeat(15)}-]`)
    expect([bar(0, 0), bar(5, 1_000)]).toEqual([`[${'-'.repeat(16)}]`, `[${'-'.repeat(16)}]`])
    expect(bar(3, 2)).toBe(`[${'#'.repeat(16)}]`)
    expect(doneText(999, 1_000, 0)).toBe(' 99%  999 of 1,000')
    expect([doneText(0, 0, 0), doneText(3, 2, 5, 9)]).toEqual(['  0%  0 of 0', '100%  3 of 3'])
  })

  it('never holds a control character, whatever miners call themselves', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), fc.string({ unit: 'binary' }), (names, reason) => {
        const wins = tally([...names, EVIL].map((name) => ({ name, own: false })))
        const seeds = [seed({ address: `/dns4/${reason}/tcp/1`, error: reason })]
        for (const state of ['mining', 'stalled', 'syncing'] as const)
          for (const line of live({ state, wins, why: reason, seeds }).split('\n')) expect(line).not.toMatch(CONTROL)
      })
    )
  })
})

describe('wins', () => {
  it('are counted by name, ours apart, most first', () => {
    const wins = tally([
      { name: 'bob', own: false },
      { name: 'ana', own: false },
      { name: 'ana', own: true },
      { name: 'bob', own: false }
    ])
    expect(winsText(wins)).toBe('bob 2, you 1, ana 1   of the last 4')
  })

  it('name five, and are nothing where there is none', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    expect(winsText(tally(names.map((name) => ({ name, own: false }))))).toBe(
      'a 1, b 1, c 1, d 1, e 1, 2 others 2   of the last 7'
    )
    expect(winsText([])).toBeUndefined()
  })

  it('are read once per block, of the last 40, and follow a reorganisation', async () => {
    const rules = coin({ network: 'hello' })
    const ours = ed25519.generate().publicKey
    const theirs = ed25519.generate().publicKey
    const blocks = new Map<string, Uint8Array>()
    const main: Uint8Array[] = []
    let reads = 0
    const put = (height: number, to: Uint8Array, name: string): void => {
      const reward = rules.tx.encode({ kind: 'reward', height, to, name, extraNonce: 0 })
      const block = encodeBlock(new Uint8Array(4), [reward])
      main[height] = sha256(block)
      blocks.set(toHex(main[height]), block)
    }
    const limits = { blockBytes: 1_000_000, txBytes: 1_000, headerBytes: 1_000, txsPerBlock: 10 }
    const chain = {
      head: { height: 0 },
      limits: { ...limits, futureMs: 0 } as never,
      hashAt: (height: number) => main[height],
      block: async (hash: Uint8Array) => {
        reads++
        return blocks.get(toHex(hash))
      }
    }
    for (let height = 1; height <= 50; height++)
      put(height, height % 2 === 0 ? ours : theirs, height === 49 ? EVIL : 'ana')
    const watch = new WinsWatch(chain, rules, ours)
    expect(await watch.count()).toEqual([])
    chain.head.height = 50
    expect(await watch.count()).toEqual([
      { name: 'ana', own: true, blocks: 20 },
      { name: 'ana', own: false, blocks: 19 },
      { name: EVIL, own: false, blocks: 1 }
    ])
    expect(reads).toBe(40)
    put(50, theirs, 'ana')
    expect((await watch.count())[0]).toEqual({ name: 'ana', own: false, blocks: 20 })
    expect(reads).toBe(41)
    blocks.delete(toHex(main[50]!))
    main[50] = fromHex('00'.repeat(32))
    expect((await watch.count()).reduce((all, { blocks }) => all + blocks, 0)).toBe(39)
  })
})

describe('the width of a text', () => {
  it.each([
    ['ana', 3],
    ['小明', 4],
    ['ｱﾅ', 2],
    ['ＡＢ', 4],
    ['한국', 4],
    ['e\u0301te\u0301', 3],
    ['😀', 2],
    ['☃', 1],
    ['☃\ufe0f', 2],
    ['👩\u200d🔧', 2],
    ['🇩🇪', 2],
    ['Ünïté', 5],
    ['', 0]
  ])('of %s is %i', (text, columns) => {
    expect(width(text)).toBe(columns)
  })

  it('is what padding and shortening keep', () => {
    expect(pad('小明', 6)).toBe('小明  ')
    expect(pad('ana', 2)).toBe('ana')
    expect(shorten('小明小明', 5)).toBe('小明')
    expect(shorten('ana', 5)).toBe('ana')
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, columns) => {
        expect(width(shorten(text, columns))).toBeLessThanOrEqual(columns)
        expect(text.startsWith(shorten(text, columns))).toBe(true)
        expect(width(pad(text, columns))).toBeGreaterThanOrEqual(columns)
      })
    )
  })
})
