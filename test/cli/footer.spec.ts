import { encodeBlock, fromHex, sha256, toHex } from 'blockwire/chain'
import { coin, ed25519 } from 'blockwire/pow'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pace } from '../../dist/examples/mining-node/pace.js'
import type { AbsentSeed } from '../../dist/examples/mining-node/seeds.js'
import { pad, shorten, width } from '../../dist/examples/mining-node/width.js'
import { tally, WinsWatch, winsText } from '../../dist/examples/mining-node/wins.js'
import { bar, footerLines, type Live, stateOf } from '../../dist/src/cli/footer.js'

const ID = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const HASH = '3fa9c1'.padStart(64, '0')
const EVIL = 'eve\u001b[2J\u001b]0;title\u0007\u009b31m\r\n\u202e\u2028x'
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not come through
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/

/** From 0 to `done` in `ms`. */
function paceOf(done: number, ms: number): Pace {
  const pace = new Pace()
  pace.note(0, 0)
  pace.note(ms, done)
  return pace
}

function live(change: Partial<Live> = {}): string {
  return footerLines({
    state: 'synced',
    reason: '',
    height: 18_240,
    hash: HASH,
    headers: 18_240,
    claimed: 0,
    hashrate: 412_000,
    peers: { in: 1, out: 2, full: 2, agreed: 2 },
    pool: 3,
    upMs: 131_000,
    wins: [],
    seeds: [],
    headerPace: new Pace(),
    blockPace: new Pace(),
    ...change
  }).join('\n')
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
    const syncing = live({ state: 'syncing', light: true, height: 40, headers: 40, claimed: 100 })
    expect(syncing.split('\n')).toHaveLength(2)
    expect(syncing).toMatch(/^headers \[#+-+\] 40 of 100/)
  })

  it('shows who won, who is here and what is mined', () => {
    const wins = [
      { name: 'ana', own: true, blocks: 21 },
      { name: '小明', own: false, blocks: 15 },
      { name: '', own: false, blocks: 4 }
    ]
    expect(live({ state: 'mining', wins })).toBe(
      [
        'won by you 21, 小明 15, unnamed 4   of the last 40',
        '3 peers (1 in, 2 out)  pool 3 tx  up 2m11s  Ctrl-C stops',
        'mining #18,241  412 kH/s  head #18,240 3fa9c1 agreed by 2 of 2'
      ].join('\n')
    )
    expect(live({ peers: { in: 0, out: 1, full: 0, agreed: 0 } })).not.toContain('agreed')
  })

  it('has bars for headers and blocks while it syncs, in 80 columns', () => {
    const change: Partial<Live> = {
      state: 'syncing',
      height: 10_944,
      headers: 16_000,
      claimed: 18_240,
      headerPace: paceOf(16_000, 1_000),
      blockPace: paceOf(9_120, 1_000)
    }
    const text = live(change)
    expect(text).toBe(
      [
        'headers [###################---] 16,000 of 18,240   16,000/s   1s left',
        'blocks  [#############---------] 10,944 of 18,240   9,120/s   1s left',
        'syncing  from 3 peers (1 in, 2 out)  up 2m11s'
      ].join('\n')
    )
    const large = live({ ...change, height: 1_234_567, headers: 9_999_999, blockPace: paceOf(22, 3_600_000) })
    for (const line of large.split('\n')) expect(width(line)).toBeLessThanOrEqual(80)
    // the time left is that of what is not here yet
    expect(live({ ...change, headers: 18_240 }).split('\n')[0]).toBe(`headers ${bar(1, 1)} 18,240 of 18,240`)
  })

  it('says why it is stalled', () => {
    expect(live({ state: 'stalled', reason: `nobody serves ${EVIL}` })).toMatch(
      /\nstalled {2}head .* nobody serves eve\?/
    )
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
    expect(bar(999, 1_000)).toBe(`[${'#'.repeat(21)}-]`)
    expect([bar(0, 0), bar(5, 1_000)]).toEqual([`[${'-'.repeat(22)}]`, `[${'-'.repeat(22)}]`])
    expect(bar(3, 2)).toBe(`[${'#'.repeat(22)}]`)
  })

  it('never holds a control character, whatever miners call themselves', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), fc.string({ unit: 'binary' }), (names, reason) => {
        const wins = tally([...names, EVIL].map((name) => ({ name, own: false })))
        const seeds = [seed({ address: `/dns4/${reason}/tcp/1`, error: reason })]
        for (const state of ['mining', 'stalled'] as const)
          for (const line of live({ state, wins, reason, seeds }).split('\n')) expect(line).not.toMatch(CONTROL)
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

describe('pace', () => {
  it('is that of the last five seconds', () => {
    const pace = new Pace()
    expect([pace.perSecond, pace.left(10)]).toEqual([0, undefined])
    for (let second = 0; second <= 20; second++)
      pace.note(second * 1_000, second < 10 ? second : 10 + (second - 10) * 100)
    expect(pace.perSecond).toBe(100)
    expect(pace.left(1_510)).toBe(5_000)
    pace.note(21_000, 3)
    expect(pace.perSecond).toBe(0)
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
