import { Chain } from 'blockwire/chain'
import type { SyncProgress } from 'blockwire/sync'
import { buildBlock, buildChain, type TestTx, testRules, until } from 'blockwire/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { compareBytes } from '../../dist/src/hex.js'
import { chainOf, copyOf, extend, type Host, host, join, liveAt, rules, stopAll, type TestChain } from './hosts.js'

afterEach(stopAll)

/** Puts the same blocks on several chains. */
async function grow(chains: TestChain[], count: number): Promise<void> {
  const blocks = buildChain(rules, chains[0]!.head, count).map(({ bytes }) => bytes)
  for (const chain of chains) await chain.addBlocks(blocks)
}

/** The states that a loop sees until it ends. */
async function statesOf({ sync }: Host): Promise<string[]> {
  const states: string[] = []
  for await (const { state } of sync.watch()) states.push(state)
  return states
}

describe('a node that is late', () => {
  it('catches up with 1,500 blocks from several peers, then follows', async () => {
    const chain = await chainOf(1_500)
    const servers = await Promise.all([chain, copyOf(chain), copyOf(chain)].map(async (c) => host({ chain: await c })))
    const together = Promise.withResolvers<void>()
    const late = await host({ gate: together.promise })
    expect(late.sync.state).toBe('no-peers')
    for (const server of servers) await join(late, server)
    together.resolve()
    await liveAt(late, 1_500)
    expect(late.chain.head.hash).toEqual(chain.head.hash)
    expect(late.states.map(({ state }) => state)).toContain('bodies')
    expect(late.states.at(-1)).toMatchObject({ state: 'live', height: 1_500, target: 1_500, peers: 3 })
    expect([...late.peers.heardOf].sort()).toEqual(servers.map(({ id }) => id).sort())
    // no gossip here: the head that status tells is fetched
    await grow(
      servers.map((server) => server.chain),
      1
    )
    await liveAt(late, 1_501)
    await grow(
      servers.map((server) => server.chain),
      40
    )
    await liveAt(late, 1_541)
    expect(late.peers.charged).toEqual([])
  })

  it('completes from the other peer when one is killed in the middle', async () => {
    const chain = await chainOf(2_500)
    const first = await host({ chain })
    const second = await host({ chain: await copyOf(chain) })
    const chainOfLate = await chainOf(0)
    let imports = 0
    const together = Promise.withResolvers<void>()
    const late = await host({
      chain: chainOfLate,
      gate: together.promise,
      disguise: {
        async addBlocks(...args: Parameters<TestChain['addBlocks']>) {
          if (++imports === 2) await first.node.stop()
          return chainOfLate.addBlocks(...args)
        }
      }
    })
    await join(late, first)
    await join(late, second)
    together.resolve()
    await liveAt(late, 2_500)
    expect(imports).toBeGreaterThan(1)
    expect(late.sync.progress.peers).toBe(1)
    expect(late.peers.charged).toEqual([])
  })

  it('charges the peer that serves bad bodies, and completes from the honest one', async () => {
    const chain = await chainOf(1_200)
    const honest = await host({ chain })
    const liarChain = await copyOf(chain)
    const spoil = (block: Uint8Array): Uint8Array => Uint8Array.from([...block, 1, 7])
    const liar = await host({
      chain: liarChain,
      disguise: {
        async *blocks(from: number, to: number) {
          for await (const page of liarChain.blocks(from, to)) yield page.map(spoil)
        },
        block: async (hash: Uint8Array) => spoil((await liarChain.block(hash))!)
      }
    })
    const late = await host()
    await join(late, liar)
    await until('a charge against the only peer, which lies', () => late.peers.charged.length > 0)
    await join(late, honest)
    await liveAt(late, 1_200)
    expect(late.peers.charged).toEqual([liar.id])
    expect(late.peers.verdicts.map(({ reason, via }) => `${reason} ${via}`)).toContain('root sync')
  })

  it('charges a chain whose state is bad to who serves it, and follows the honest one', async () => {
    const chain = await chainOf(30)
    const honest = await host({ chain })
    const fork = await copyOf(chain)
    // a liar's own rules let everything pass
    const tolerant = { ...rules, state: { version: 1, applyTx: () => true as const } }
    const blocks = buildChain(rules, chain.head, 60, (i) => ({
      nonce: 1,
      txs: i === 20 ? [{ kind: 'fail', key: 'k', value: '', salt: 1 }] : []
    }))
    const lax = new Chain({ rules: tolerant })
    await lax.open()
    for await (const page of fork.blocks(1, 30)) await lax.addBlocks(page)
    await lax.addBlocks(blocks.map(({ bytes }) => bytes))
    expect(lax.head.height).toBe(90)
    const liar = await host({ chain: lax })
    const late = await host()
    await join(late, liar)
    await join(late, honest)
    // the part before the bad block is the heaviest valid chain that anybody has
    await liveAt(late, 50)
    expect(late.peers.charged).toEqual([liar.id])
    expect(late.peers.verdicts[0]).toMatchObject({ reason: 'state', via: 'sync' })
  })

  it('is not kept from live by a claim of 2^200 work without headers', async () => {
    const honest = await host({ blocks: 20 })
    const liar = await host({
      blocks: 0,
      claim: { hash: new Uint8Array(32).fill(7), height: 1_000_000, work: 2n ** 200n }
    })
    const late = await host()
    await join(late, liar)
    await join(late, honest)
    await liveAt(late, 20)
    const doubt = late.sync.explain().sources.find(({ peer }) => peer === liar.id)
    expect(doubt).toMatchObject({ standing: 'open', doubt: expect.stringMatching(/do not lead to the head/) })
    await grow([honest.chain], 1)
    await liveAt(late, 21)
  })

  it('goes on without bodies that are withheld', async () => {
    const chain = await chainOf(20)
    const honest = await host({ chain })
    const heavy = await copyOf(chain)
    await extend(heavy, 10, () => ({ weight: 1_000 }))
    const withholder = await host({
      chain: heavy,
      disguise: { blocks: async function* () {}, block: async () => undefined }
    })
    const late = await host()
    await join(late, withholder)
    await join(late, honest)
    await liveAt(late, 20)
    expect(late.sync.explain().parked).toHaveLength(1)
    expect(late.peers.charged).toEqual([])
    await extend(chain, 3)
    await liveAt(late, 23)
    const owner = await host({ chain: await copyOf(heavy) })
    await join(late, owner)
    await liveAt(late, 30)
    expect(late.chain.head.hash).toEqual(heavy.head.hash)
  })

  it('says why it cannot import, charges nobody, and goes on when it can', async () => {
    const server = await host({ blocks: 20 })
    const chain = await chainOf(0)
    let failures = 2
    const late = await host({
      chain,
      disguise: {
        addBlocks: async (blocks: Uint8Array[]) =>
          failures-- > 0
            ? { verdict: { result: 'ignore', reason: 'error', detail: 'the disk is full' }, added: 0, index: 0 }
            : chain.addBlocks(blocks)
      }
    })
    await join(late, server)
    await until('stalled', () => late.sync.state === 'stalled')
    expect(late.sync.reason).toBe('block 1 cannot be imported now (error: the disk is full)')
    await liveAt(late, 20)
    expect(late.sync.reason).toBeUndefined()
    expect(late.peers.charged).toEqual([])
  })

  it('tells its progress', async () => {
    const server = await host({ blocks: 1_200 })
    const late = await host()
    const told: SyncProgress[] = []
    late.sync.addEventListener('progress', ({ detail }) => told.push(detail))
    await join(late, server)
    await liveAt(late, 1_200)
    const live = told.find(({ state }) => state === 'live')!
    expect(live).toMatchObject({ state: 'live', height: 1_200, target: 1_200, claimed: 1_200, peers: 1 })
    // all of it within the last seconds
    expect(live.blocksPerSecond).toBeGreaterThan(100)
    expect(live.headersPerSecond).toBeGreaterThan(100)
    expect(live).not.toHaveProperty('eta')
    const heights = told.map(({ height }) => height)
    expect(heights).toEqual([...heights].sort((a, b) => a - b))
    const { window, parked, sources, requests, why } = late.sync.explain()
    expect({ window, parked, requests }).toEqual({
      window: { blocks: 0, asked: 0, here: 0, bytes: 0, stallMs: 2_000 },
      parked: [],
      requests: []
    })
    expect(why).toMatch(/^nothing is missing/)
    expect(sources).toMatchObject([{ peer: server.id, standing: 'met', height: 1_200, fails: 0, requests: 0 }])
  })

  it('is watched in a loop that ends when it is live, and waited for', async () => {
    const server = await host({ blocks: 1_200 })
    const late = await host()
    const live = late.sync.live()
    const states: string[] = []
    const loop = (async () => {
      for await (const { state, height, claimed } of late.sync.watch({ until: 'live' })) {
        expect(height).toBeLessThanOrEqual(claimed)
        states.push(state)
      }
    })()
    await join(late, server)
    await liveAt(late, 1_200)
    await loop
    expect(states[0]).toBe('no-peers')
    expect(states.indexOf('live')).toBe(states.length - 1)
    expect(states.length).toBeGreaterThan(2)
    expect(await live).toMatchObject({ state: 'live', height: 1_200 })
    expect(await late.sync.live()).toMatchObject({ state: 'live' })
  })

  it('is watched until it stops, and not waited for after that, nor on a seed', async () => {
    const late = await host()
    const abort = new AbortController()
    const given = late.sync.live({ signal: abort.signal })
    abort.abort(new Error('too long'))
    await expect(given).rejects.toThrow('too long')
    const states = statesOf(late)
    const live = late.sync.live()
    live.catch(() => {})
    await late.node.stop()
    expect((await states).at(-1)).toBe('idle')
    await expect(live).rejects.toMatchObject({ name: 'AbortError' })
    const seed = await host({ role: 'seed' })
    await expect(seed.sync.live()).rejects.toMatchObject({ name: 'AbortError' })
    expect(await statesOf(seed)).toEqual(['idle'])
  })

  it('is stalled, not live, when all peers have pruned what it needs', async () => {
    const pruned = await host({ blocks: 100, lowest: 60 })
    const late = await host()
    await join(late, pruned)
    await until('stalled', () => late.sync.state === 'stalled')
    expect(late.sync.reason).toBe('no connected peer serves block 1: the lowest offered is 60')
    expect(late.sync.explain().why).toMatch(/offered is 60; block 1 is wanted: goes on as soon as a peer offers it/)
    expect(late.states.map(({ state }) => state)).not.toContain('live')
    const archive = await host({ chain: await copyOf(pruned.chain) })
    await join(late, archive)
    await liveAt(late, 100)
  })

  it('is without peers when nobody serves blocks', async () => {
    const seed = await host({ role: 'seed' })
    const late = await host()
    await join(late, seed)
    expect(late.sync.state).toBe('no-peers')
    expect(late.sync.reason).toBe('no connected peer serves blocks')
    expect(seed.sync.state).toBe('idle')
    expect(seed.node.getProtocols().some((name) => name.includes('/sync/'))).toBe(false)
  })
})

describe('nodes that disagree', () => {
  it('converge on the fork with the most work', async () => {
    const light = await chainOf(12)
    const heavy = await copyOf(light)
    await extend(light, 20)
    await extend(heavy, 25, () => ({ nonce: 5 }))
    const a = await host({ chain: light })
    const b = await host({ chain: heavy })
    await join(a, b)
    await liveAt(a, 37)
    await liveAt(b, 37)
    expect(a.chain.head.hash).toEqual(b.chain.head.hash)
    expect([...a.peers.charged, ...b.peers.charged]).toEqual([])
  })
})

describe('two heads of equal work', () => {
  const branches = async (tie: 'lowest-hash' | 'first-seen') => {
    const own = testRules({ tie })
    const chains = [new Chain({ rules: own }), new Chain({ rules: own })]
    for (const [nonce, chain] of chains.entries()) {
      await chain.open()
      const blocks = buildChain(own, chain.genesis, 5, () => ({ nonce }))
      await chain.addBlocks(blocks.map(({ bytes }) => bytes))
    }
    const [a, b] = [await host({ chain: chains[0]! }), await host({ chain: chains[1]! })]
    await join(a, b)
    return [a, b] as const
  }

  it('become one where the lowest hash wins', async () => {
    const [a, b] = await branches('lowest-hash')
    await until('one head', () => compareBytes(a.chain.head.hash, b.chain.head.hash) === 0)
    await liveAt(a, 5)
    await liveAt(b, 5)
  })

  it('are left as they are where the first wins', async () => {
    const [a, b] = await branches('first-seen')
    await liveAt(a, 5)
    await liveAt(b, 5)
    expect(a.chain.head.hash).not.toEqual(b.chain.head.hash)
    expect(a.chain.has(b.chain.head.hash)).toBeUndefined()
    expect(b.chain.has(a.chain.head.hash)).toBeUndefined()
  })
})

describe('a branch that is fetched for an orphan', () => {
  it('comes with its parents from the peer that sent it, though it is no better than ours', async () => {
    const main = await chainOf(40)
    const other = await copyOf(main)
    const from = main.locate(main.hashAt(10)!)!
    const side = buildChain(rules, from, 12, () => ({ nonce: 3 }))
    await main.addBlocks(side.map(({ bytes }) => bytes))
    const sender = await host({ chain: main })
    const asker = await host({ chain: other })
    await join(asker, sender)
    const { signal } = new AbortController()
    const hash = side.at(-1)!.hash
    expect(await asker.sync.fetchBranch(hash, sender.node.peerId, { signal })).toBe(true)
    expect(asker.chain.has(hash)).toBe('body')
    expect(asker.chain.head.height).toBe(40)
  })

  it('is false for what nobody has, and for a peer that is gone', async () => {
    const sender = await host({ blocks: 5 })
    const asker = await host({ blocks: 5 })
    await join(asker, sender)
    const { signal } = new AbortController()
    const stranger = buildBlock(rules, sender.chain.head, { nonce: 99 }).hash
    expect(await asker.sync.fetchBranch(stranger, sender.node.peerId, { signal })).toBe(false)
    await sender.node.stop()
    await until('the peer is gone', () => asker.node.services.status.peers.size === 0)
    expect(await asker.sync.fetchBranch(stranger, sender.node.peerId, { signal })).toBe(false)
    expect(asker.peers.charged).toEqual([])
  })

  it('charges nobody for an invalid one that he has beside his chain', async () => {
    const main = await chainOf(40)
    const bad: TestTx = { kind: 'fail', key: 'k', value: '', salt: 1 }
    const side = buildChain(rules, main.genesis, 3, (i) => ({ nonce: 3, txs: i === 0 ? [bad] : [] }))
    await main.addBlocks(side.map(({ bytes }) => bytes))
    expect(main.has(side[2]!.hash)).toBe('body')
    const sender = await host({ chain: main })
    // whoever was on genesis then knows better
    const other = await chainOf(0)
    expect((await other.add(side[0]!.bytes)).result).toBe('reject')
    const asker = await host({ chain: other })
    await join(asker, sender)
    const { signal } = new AbortController()
    expect(await asker.sync.fetchBranch(side[1]!.hash, sender.node.peerId, { signal })).toBe(false)
    expect(asker.peers.charged).toEqual([])
  })

  it('over 32 heights away it comes by range sync, or not before the signal', async () => {
    const sender = await host({ blocks: 60 })
    const asker = await host()
    await join(asker, sender)
    const hash = sender.chain.head.hash
    expect(await asker.sync.fetchBranch(hash, sender.node.peerId, { signal: AbortSignal.timeout(20_000) })).toBe(true)
    await liveAt(asker, 60)
    const side = buildChain(rules, asker.chain.genesis, 40, () => ({ nonce: 3 }))
    await sender.chain.addBlocks(side.map(({ bytes }) => bytes))
    const late = new AbortController()
    const answer = asker.sync.fetchBranch(side.at(-1)!.hash, sender.node.peerId, { signal: late.signal })
    await until('the headers', () => asker.chain.has(side.at(-1)!.hash) === 'header')
    late.abort()
    expect(await answer).toBe(false)
  })
})

describe('stop', () => {
  it('ends everything within a second, in the middle of a sync', async () => {
    const server = await host({ blocks: 3_000 })
    const late = await host()
    await join(late, server)
    await until('the first import', () => late.chain.head.height > 0)
    const began = Date.now()
    await late.node.stop()
    expect(Date.now() - began).toBeLessThan(3_000)
    expect(late.sync.state).toBe('idle')
    expect(late.sync.explain().sources).toEqual([])
    const hash = server.chain.head.hash
    const { signal } = new AbortController()
    expect(await late.sync.fetchBranch(hash, server.node.peerId, { signal })).toBe(false)
    await until('the server forgets it', () => server.sync.progress.peers === 0)
  })
})
