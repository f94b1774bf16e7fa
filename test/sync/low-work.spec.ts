import { Chain, toHex } from 'blockwire/chain'
import { type TestRulesOptions, testRules, until } from 'blockwire/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { chainOf, extend, type Host, host, join, liveAt, stopAll, type TestChain } from './hosts.js'

afterEach(stopAll)

/** A new chain by the same rules, which asks for more. */
async function wanting(options: TestRulesOptions): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules: testRules(options) })
  await chain.open()
  return chain
}

/** Counts the headers that a chain is asked for, and the requests for bodies. */
function counted(chain: TestChain): { asked: { headers: number; bodies: number }; disguise: Record<string, unknown> } {
  const asked = { headers: 0, bodies: 0 }
  const disguise = {
    async *headers(from: number, to: number) {
      for await (const page of chain.headers(from, to)) {
        asked.headers += page.length
        yield page
      }
    },
    blocks: (from: number, to: number) => {
      asked.bodies++
      return chain.blocks(from, to)
    },
    block: (hash: Uint8Array) => {
      asked.bodies++
      return chain.block(hash)
    }
  }
  return { asked, disguise }
}

const boast = (height: number) => ({ hash: new Uint8Array(32).fill(9), height, work: 1n << 80n })
const sourceOf = (node: Host, of: Host) => node.sync.explain().sources.find(({ peer }) => peer === of.id)

describe('a node that wants minimumWork', () => {
  it('downloads the headers twice and keeps none before it has seen enough', async () => {
    const chain = await chainOf(2_200, () => ({ weight: 100 }))
    const { asked, disguise } = counted(chain)
    const server = await host({ chain, disguise })
    const own = await wanting({ minimumWork: 205_000n })
    let before = 0
    const late = await host({
      chain: own,
      disguise: {
        addHeaders: (headers: Uint8Array[]) => {
          before ||= asked.headers
          return own.addHeaders(headers)
        }
      }
    })
    await join(late, server)
    await liveAt(late, 2_200)
    expect(before).toBeGreaterThan(2_040)
    expect(asked.headers).toBeGreaterThan(4_000)
    expect(late.states.map(({ state }) => state).filter((state) => state === 'live')).toHaveLength(1)
    expect(late.peers.charged).toEqual([])
    // from now on it is as any other
    await extend(chain, 5, () => ({ weight: 100 }))
    await liveAt(late, 2_205)
  })

  it('takes all of one page at once when that has enough work', async () => {
    const chain = await chainOf(100)
    const { asked, disguise } = counted(chain)
    const server = await host({ chain, disguise })
    const late = await host({ chain: await wanting({ minimumWork: 90n }) })
    await join(late, server)
    await liveAt(late, 100)
    expect(asked.headers).toBe(100)
  })

  it('keeps nothing of a chain with less, and takes the honest one beside it', async () => {
    const spam = await chainOf(3_000)
    // the liar itself follows the honest chain as soon as it hears of it
    const first = spam.hashAt(1)!
    const liar = await host({ chain: spam, claim: boast(3_000) })
    const honest = await host({ chain: await chainOf(2_150, () => ({ weight: 100 })) })
    const together = Promise.withResolvers<void>()
    const own = await wanting({ minimumWork: 205_000n })
    const late = await host({ chain: own, gate: together.promise })
    await join(late, liar)
    await until('a doubt', () => sourceOf(late, liar)?.doubt != null)
    expect(sourceOf(late, liar)).toMatchObject({ doubt: expect.stringMatching(/too little work/) })
    expect(own.target.height).toBe(0)
    expect(late.sync.progress).toMatchObject({
      state: 'stalled',
      reason: 'the best chain known has less than minimumWork'
    })
    together.resolve()
    await join(late, honest)
    await liveAt(late, 2_150)
    expect(own.has(first)).toBeUndefined()
    expect(late.peers.charged).toEqual([])
  })

  it('is stalled, never live, while nobody claims so much, and asks nobody', async () => {
    const chain = await chainOf(50)
    const { asked, disguise } = counted(chain)
    const server = await host({ chain, disguise })
    const late = await host({ chain: await wanting({ minimumWork: 10_000n }) })
    await join(late, server)
    await until('stalled', () => late.sync.state === 'stalled')
    expect(late.sync.reason).toBe('the best chain known has less than minimumWork')
    expect(sourceOf(late, server)).toMatchObject({ standing: 'too-little' })
    expect(asked.headers).toBe(0)
    await extend(chain, 1, () => ({ weight: 10_000 }))
    await liveAt(late, 51)
    expect(late.states.map(({ state }) => state).filter((state) => state === 'live')).toHaveLength(1)
  })

  it('charges who shows a good chain first and another one then', async () => {
    const good = await chainOf(2_150, () => ({ weight: 100 }))
    const other = await chainOf(2_150, () => ({ weight: 1, nonce: 5 }))
    const seen = { first: 0 }
    const liar = await host({
      chain: good,
      disguise: {
        headers: (from: number, to: number) => {
          if (from === 1) seen.first++
          return (seen.first > 1 ? other : good).headers(from, to)
        },
        // it would know where it is asked to go on
        locate: (hash: Uint8Array) => good.locate(hash) ?? other.locate(hash),
        hashAt: (height: number) => (seen.first > 1 ? other : good).hashAt(height)
      }
    })
    const own = await wanting({ minimumWork: 205_000n })
    const late = await host({ chain: own })
    await join(late, liar)
    await until('a charge', () => late.peers.faults.length > 0)
    expect(late.peers.faults[0]).toMatchObject({
      peer: liar.id,
      fault: 'protocol',
      reason: expect.stringMatching(/not the one that it sent before/)
    })
    expect(own.has(other.hashAt(1)!)).toBeUndefined()
    const honest = await host({ chain: await copyOf(good) })
    await join(late, honest)
    await liveAt(late, 2_150)
  })

  it('gets there although the peer that it began with leaves in the middle', async () => {
    const chain = await chainOf(2_200, () => ({ weight: 100 }))
    const { asked, disguise } = counted(chain)
    const first = await host({ chain, disguise })
    const late = await host({ chain: await wanting({ minimumWork: 205_000n }) })
    await join(late, first)
    await until('headers', () => asked.headers > 500)
    const second = await host({ chain: await copyOf(chain) })
    await first.node.stop()
    await join(late, second)
    await liveAt(late, 2_200)
    expect(late.peers.charged).toEqual([])
  })

  it('fetches no branch of too little work for an orphan', async () => {
    const spam = await chainOf(20)
    const liar = await host({ chain: spam })
    const own = await wanting({ minimumWork: 1_000n })
    const late = await host({ chain: own })
    const { remotePeer } = await join(late, liar)
    const signal = AbortSignal.timeout(20_000)
    expect(await late.sync.fetchBranch(spam.head.hash, remotePeer, { signal })).toBe(false)
    expect(own.has(spam.hashAt(1)!)).toBeUndefined()
    expect(late.peers.charged).toEqual([])
  })
})

describe('a node with a chain', () => {
  it('keeps nothing of a long branch with much less work, and stays live', async () => {
    const spam = await chainOf(4_000, () => ({ nonce: 3 }))
    const first = spam.hashAt(1)!
    const liar = await host({ chain: spam, claim: boast(4_000) })
    const own = await chainOf(300, () => ({ weight: 100 }))
    const node = await host({ chain: own })
    await join(node, liar)
    await until('a doubt', () => sourceOf(node, liar)?.doubt != null)
    expect(own.has(first)).toBeUndefined()
    await liveAt(node, 300)
  })

  it('follows a better branch from far below, though its first page has too little work', async () => {
    const own = await chainOf(1_500)
    const better = await chainOf(1_700, () => ({ nonce: 4 }))
    const { asked, disguise } = counted(better)
    const server = await host({ chain: better, disguise })
    const node = await host({ chain: own })
    await join(node, server)
    await liveAt(node, 1_700)
    expect(asked.headers).toBeGreaterThan(2_400)
    expect(own.head.hash).toEqual(better.head.hash)
    expect(node.peers.charged).toEqual([])
  })
})

describe('a peer on another branch at a checkpoint', () => {
  it('is judged by its headers, before any body is asked of it', async () => {
    const main = await chainOf(1_000)
    const other = await chainOf(900, () => ({ nonce: 8, weight: 3 }))
    const { asked, disguise } = counted(other)
    const stray = await host({ chain: other, disguise })
    const own = await wanting({ checkpoints: { 500: toHex(main.hashAt(500)!) } })
    const late = await host({ chain: own })
    await join(late, stray)
    await until('a verdict', () => late.peers.verdicts.length > 0)
    expect(late.peers.verdicts[0]).toEqual({ peer: stray.id, reason: 'checkpoint', via: 'headers' })
    expect(late.sync.progress).toMatchObject({
      state: 'stalled',
      reason: 'the best chain known does not reach the checkpoint at 500'
    })
    expect(asked).toMatchObject({ headers: 900, bodies: 0 })
    expect(own.has(other.hashAt(1)!)).toBeUndefined()
    // the peers service does that: a verdict like this is provable
    await late.node.hangUp(stray.node.peerId)
    await join(late, await host({ chain: main }))
    await liveAt(late, 1_000)
    expect(late.peers.charged).toEqual([stray.id])
  })

  it('is judged by a node that has passed it, too', async () => {
    const main = await chainOf(100)
    const other = await chainOf(90, () => ({ nonce: 8, weight: 3 }))
    const { asked, disguise } = counted(other)
    const stray = await host({ chain: other, disguise })
    const own = await wanting({ checkpoints: { 50: toHex(main.hashAt(50)!) } })
    for await (const page of main.blocks(1, 100)) await own.addBlocks(page)
    const node = await host({ chain: own })
    await join(node, stray)
    await until('a verdict', () => node.peers.verdicts.length > 0)
    expect(node.peers.verdicts[0]).toMatchObject({ peer: stray.id, reason: 'checkpoint' })
    await liveAt(node, 100)
    expect(asked.bodies).toBe(0)
    expect(own.has(other.hashAt(1)!)).toBeUndefined()
  })

  it('does not keep a node waiting that claims less than the checkpoint', async () => {
    const main = await chainOf(600)
    const own = await wanting({ checkpoints: { 500: toHex(main.hashAt(500)!) } })
    const late = await host({ chain: own })
    const young = await chainOf(0)
    for await (const page of main.blocks(1, 100)) await young.addBlocks(page)
    await join(late, await host({ chain: young }))
    await until('stalled', () => late.sync.state === 'stalled')
    expect(late.sync.explain().sources[0]).toMatchObject({ standing: 'too-little' })
    await join(late, await host({ chain: main }))
    await liveAt(late, 600)
    expect(late.peers.charged).toEqual([])
  })
})

async function copyOf(chain: TestChain): Promise<TestChain> {
  const copy = await chainOf(0)
  for await (const page of chain.blocks(1, chain.head.height)) await copy.addBlocks(page)
  return copy
}
