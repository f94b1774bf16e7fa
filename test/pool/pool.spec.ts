import { Chain, type Located } from 'blockwire/chain'
import { type Blocks, blocks } from 'blockwire/gossip'
import { encodeBatch, type Pool, type PoolInit, pool } from 'blockwire/pool'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../dist/src/hex.js'
import { buildBlock, type TestHeader, type TestTx, testRules } from '../../dist/src/testing/rules.js'
import { changed, type Host, host, limits, line, meshed, until } from '../gossip/hosts.js'

const tx = (key: string, kind: TestTx['kind'] = 'set', salt = 0): TestTx => ({ key, value: 'x', salt, kind })

interface PoolHost extends Host {
  chain: Chain<TestHeader, TestTx>
  pool: Pool<TestTx>
  blocks: Blocks
  /** Events of the pool in order. */
  events: string[]
}

/** Genesis time now: blocks of these tests are fresh. */
const rules = testRules({ genesisTime: Date.now() - 60_000 })

async function poolHost(init: PoolInit = {}, transport: 'memory' | 'tcp' = 'memory'): Promise<PoolHost> {
  const chain = new Chain<TestHeader, TestTx>({ rules })
  chain.addEventListener('head', changed)
  const made = await host({
    transport,
    chain,
    services: { blocks: blocks() as never, pool: pool<TestTx>(init) as never }
  })
  const { services } = made.libp2p
  const self = {
    ...made,
    chain,
    pool: services.pool as Pool<TestTx>,
    blocks: services.blocks as Blocks,
    events: [] as string[]
  }
  self.pool.addEventListener('add', ({ detail }) => {
    self.events.push(`add ${name(chain, self.pool, detail.id)}`)
    changed()
  })
  self.pool.addEventListener('remove', ({ detail }) => {
    self.events.push(`remove ${detail.why}`)
    changed()
  })
  return self
}

function name(chain: Chain<TestHeader, TestTx>, of: Pool<TestTx>, id: Uint8Array): string {
  return chain.rules.tx.decode(of.get(id)!).key
}

/** Keys of what is pooled, in order. */
function pooled({ chain, pool }: PoolHost): string[] {
  return pool.select({ maxBytes: 1_000_000 }).map((bytes) => chain.rules.tx.decode(bytes).key)
}

/** Adds a block with these transactions on the head, or on another block. */
async function mine(
  { chain }: PoolHost,
  txs: TestTx[],
  on: Located<TestHeader> = chain.head,
  weight = 1
): Promise<ReturnType<typeof buildBlock>> {
  const block = buildBlock(rules, on, { txs, weight })
  expect(await chain.add(block.bytes)).toEqual({ result: 'accept' })
  return block
}

/** Another topic of the same name, for what a well-behaved pool would not send. */
async function stranger(): Promise<Host & { send(batch: Uint8Array): Promise<unknown> }> {
  const chain = new Chain({ rules })
  const made = await host({ chain: { id: chain.id, limits } })
  const topic = made.gossip.topic('txs', { maxBytes: 70_000 })
  return { ...made, send: (batch) => topic.publish(batch) }
}

describe('a pool', () => {
  it('takes own transactions in order of arrival, and says what became of them', async () => {
    const a = await poolHost()
    const added = await a.pool.add(tx('one'))
    expect(added.verdict).toEqual({ result: 'accept' })
    expect(added.handle?.status()).toEqual({ state: 'pending' })
    await a.pool.add(rules.tx.encode(tx('two')))
    expect((await a.pool.add(tx('one'))).verdict).toEqual({ result: 'ignore', reason: 'known' })
    expect(pooled(a)).toEqual(['one', 'two'])
    expect(a.pool.has(added.id)).toBe(true)
    expect(a.pool.get(added.id)).toEqual(rules.tx.encode(tx('one')))
    expect([a.pool.size, a.pool.bytes]).toEqual([2, 2 * rules.tx.encode(tx('one')).length])
    expect(a.events).toEqual(['add one', 'add two'])
  })

  it('refuses with a verdict, never an exception', async () => {
    const a = await poolHost()
    expect((await a.pool.add(tx('x', 'bad'))).verdict).toMatchObject({ result: 'reject', reason: 'tx' })
    expect((await a.pool.add(Uint8Array.of(1, 2, 3))).verdict).toMatchObject({ result: 'reject', reason: 'malformed' })
    expect((await a.pool.add(tx('x', 'fail'))).verdict).toMatchObject({ result: 'ignore', reason: 'state' })
    expect((await a.pool.add(tx('x', 'throw'))).verdict.result).toBe('ignore')
    expect((await a.pool.add(tx('x'))).verdict).toEqual({ result: 'accept' })
    expect(a.pool.size).toBe(1)
  })

  it('admits by the state at head and what is pooled', async () => {
    const a = await poolHost()
    expect((await a.pool.add(tx('name', 'once'))).verdict).toEqual({ result: 'accept' })
    expect((await a.pool.add(tx('name', 'once', 1))).verdict).toMatchObject({ result: 'ignore', reason: 'state' })
    await mine(a, [tx('other', 'once')])
    expect((await a.pool.add(tx('other', 'once', 1))).verdict).toMatchObject({ result: 'ignore', reason: 'state' })
    expect(pooled(a)).toEqual(['name'])
  })

  it('holds calls made at once apart', async () => {
    const a = await poolHost()
    const added = await Promise.all(Array.from({ length: 20 }, (_, salt) => a.pool.add(tx('name', 'once', salt))))
    expect(added.filter(({ verdict }) => verdict.result === 'accept')).toHaveLength(1)
    expect(a.pool.size).toBe(1)
  })

  it('is bounded in number and bytes, and full is a verdict', async () => {
    const size = rules.tx.encode(tx('a')).length
    const [few, small] = [await poolHost({ txs: 2 }), await poolHost({ bytes: 2 * size + 1 })]
    for (const { pool } of [few, small]) {
      for (const key of ['a', 'b']) expect((await pool.add(tx(key))).verdict.result).toBe('accept')
      expect((await pool.add(tx('c'))).verdict).toMatchObject({ result: 'ignore', reason: 'full' })
      expect(pool.size).toBe(2)
    }
  })

  it('selects for a block within its bytes', async () => {
    const a = await poolHost()
    for (const key of ['a', 'long'.repeat(10), 'b']) await a.pool.add(tx(key))
    const size = 1 + rules.tx.encode(tx('a')).length
    const keys = (maxBytes: number): string[] => a.pool.select({ maxBytes }).map((bytes) => rules.tx.decode(bytes).key)
    expect(keys(2 * size)).toEqual(['a', 'b'])
    expect(keys(2 * size - 1)).toEqual(['a'])
    expect(keys(0)).toEqual([])
  })
})

describe('a new head', () => {
  it('takes out what it holds, and what its state does not admit any more', async () => {
    const a = await poolHost()
    for (const each of [tx('mined'), tx('taken', 'once'), tx('stays')]) await a.pool.add(each)
    await mine(a, [tx('mined'), tx('taken', 'once', 1)])
    expect(pooled(a)).not.toContain('mined')
    await until('the rest to be checked', () => a.pool.size === 1)
    expect(pooled(a)).toEqual(['stays'])
    expect(a.events.slice(3)).toEqual(['remove mined', 'remove state'])
    expect((await a.pool.add(tx('mined'))).verdict).toEqual({ result: 'ignore', reason: 'known' })
  })

  it('of another branch brings back what it does not hold, first, each once', async () => {
    const a = await poolHost()
    const { genesis } = a.chain
    await a.pool.add(tx('both'))
    await a.pool.add(tx('old'))
    await mine(a, [tx('both'), tx('old'), tx('clash', 'once')])
    await a.pool.add(tx('later'))
    expect(pooled(a)).toEqual(['later'])
    await mine(a, [tx('both'), tx('clash', 'once', 1)], genesis, 2)
    await until('the old one to come back', () => a.pool.size === 2)
    expect(pooled(a)).toEqual(['old', 'later'])
    // it can be mined again, and then it is gone
    await mine(a, [tx('old')])
    expect(pooled(a)).toEqual(['later'])
  })

  it('of another branch that goes on while they are tried brings back all the same', async () => {
    const a = await poolHost()
    const { genesis } = a.chain
    const keys = Array.from({ length: 40 }, (_, i) => `${i}`)
    await mine(
      a,
      keys.map((key) => tx(key))
    )
    const other = buildBlock(rules, genesis, { weight: 2 })
    await a.chain.add(other.bytes)
    // one head after another, before the pool has looked at the first
    let parent = other.located
    for (let i = 0; i < 30; i++) {
      const next = buildBlock(rules, parent, { nonce: i })
      void a.chain.add(next.bytes)
      parent = next.located
    }
    const own = a.pool.add(tx('own'))
    await until('all to be pooled again', () => a.pool.size === 41)
    expect((await own).verdict).toEqual({ result: 'accept' })
    expect(pooled(a)).toEqual([...keys, 'own'])
    expect(a.chain.head.height).toBe(31)
  })

  it('is followed by the handle of a transaction, through a reorganisation', async () => {
    const a = await poolHost()
    const { genesis } = a.chain
    const { handle } = await a.pool.add(tx('mine'))
    const first = handle!.included()
    const deep = handle!.included(3)
    const block = await mine(a, [tx('mine')])
    expect(await first).toEqual({ height: 1, hash: block.hash })
    expect(handle!.status()).toEqual({ state: 'included', height: 1, hash: block.hash, depth: 1 })
    const other = await mine(a, [], genesis, 5)
    expect(handle!.status()).toEqual({ state: 'pending' })
    await until('it to come back', () => a.pool.size === 1)
    const again = await mine(a, [tx('mine')], other.located)
    await mine(a, [])
    expect(handle!.status()).toMatchObject({ state: 'included', depth: 2 })
    await mine(a, [])
    expect(await deep).toEqual({ height: 2, hash: again.hash })
  })

  it('ends the wait for a transaction that it makes impossible', async () => {
    const a = await poolHost()
    const { handle } = await a.pool.add(tx('name', 'once'))
    const refused = expect(handle!.included()).rejects.toMatchObject({ name: 'RefusedError', reason: 'state' })
    await mine(a, [tx('name', 'once', 1)])
    await refused
    expect(handle!.status()).toEqual({ state: 'dropped', why: 'state' })
  })

  it('need not come: a signal and the end of the node end the wait', async () => {
    const a = await poolHost()
    const { handle } = await a.pool.add(tx('mine'))
    const abort = new AbortController()
    const [aborted, stopped] = [handle!.included(1, { signal: abort.signal }), handle!.included()]
    const both = Promise.all([
      expect(aborted).rejects.toMatchObject({ name: 'AbortError' }),
      expect(stopped).rejects.toMatchObject({ name: 'AbortError' })
    ])
    abort.abort()
    await a.libp2p.stop()
    await both
    expect((await a.pool.add(tx('late'))).verdict).toMatchObject({ result: 'ignore', reason: 'error' })
  })
})

describe.each(['memory', 'tcp'] as const)('transactions over %s', (transport) => {
  it('reach the pools of all, over two hops', async () => {
    const [a, b, c] = [await poolHost({}, transport), await poolHost({}, transport), await poolHost({}, transport)]
    await line(a, b, c)
    await meshed('txs', a, b, c)
    const keys = Array.from({ length: 200 }, (_, i) => `key ${i}`)
    const added = await Promise.all(keys.map((key) => a.pool.add(tx(key))))
    expect(added.every(({ verdict }) => verdict.result === 'accept')).toBe(true)
    await until('all pools to hold them', () => [b, c].every(({ pool }) => pool.size === 200))
    expect(pooled(c)).toEqual(keys)
    // together, not one by one
    expect(b.judge.verdicts.length).toBeLessThan(50)
    expect(new Set(b.judge.results)).toEqual(new Set(['accept']))
  })
})

describe('a batch from others', () => {
  const batch = (...txs: TestTx[]): Uint8Array => encodeBatch(txs.map((each) => rules.tx.encode(each)))

  it('is judged as a whole', async () => {
    const [s, a, b] = [await stranger(), await poolHost(), await poolHost()]
    await line(s, a, b)
    await meshed('txs', s, a, b)
    const told = async (data: Uint8Array): Promise<string> => {
      const before = a.judge.results.length
      await s.send(data)
      await until('a to judge the batch', () => a.judge.results.length > before)
      return a.judge.results[before]!
    }
    expect(await told(batch(tx('one'), tx('no', 'fail')))).toBe('accept')
    expect(await told(batch(tx('no', 'fail')))).toBe('ignore state')
    expect(await told(encodeBatch([rules.tx.encode(tx('one'))]))).toBe('ignore known')
    expect(await told(batch(tx('two'), tx('x', 'bad')))).toBe('reject tx')
    expect(await told(Uint8Array.of(3, 1))).toBe('reject malformed')
    expect(await told(encodeBatch([new Uint8Array(40_000), new Uint8Array(29_000)]))).toBe('reject too-large')
    expect(pooled(a)).toEqual(['one'])
    // not a view that keeps the whole message in memory
    const [one] = a.pool.select({ maxBytes: 1_000 })
    expect(one!.buffer.byteLength).toBe(one!.byteLength)
    await until('b to hear of the one', () => b.pool.size === 1)
    expect(b.judge.results).toEqual(['accept'])
  })

  it('that comes after its transactions were mined pools nothing', async () => {
    const [s, a] = [await stranger(), await poolHost()]
    await line(s, a)
    await meshed('txs', s, a)
    await mine(a, [tx('mined')])
    await s.send(batch(tx('mined')))
    await until('a to judge it', () => a.judge.results.length > 0)
    expect([a.judge.results, a.pool.size]).toEqual([['ignore known'], 0])
  })

  it('of a peer that floods fills its own share only', async () => {
    const [s, a, b] = [await stranger(), await poolHost({ txsPerPeer: 100 }), await poolHost()]
    await line(s, a, b)
    await meshed('txs', s, a, b)
    for (let i = 0; i < 40; i++) {
      await s.send(batch(...Array.from({ length: 50 }, (_, j) => tx(`flood ${i} ${j}`))))
    }
    await until('a to judge 40 batches', () => a.judge.results.length === 40)
    expect(a.pool.size).toBe(100)
    expect(a.judge.results.filter((result) => result === 'ignore full')).toHaveLength(38)
    expect((await b.pool.add(tx('honest'))).verdict.result).toBe('accept')
    await until('a to pool the honest one', () => pooled(a).includes('honest'))
  })
})

describe('a restart', () => {
  it('keeps what is pooled, and hears again', async () => {
    const [a, b] = [await poolHost(), await poolHost()]
    await line(a, b)
    await meshed('txs', a, b)
    await b.pool.add(tx('before'))
    await until('a to pool it', () => a.pool.size === 1)
    await b.libp2p.stop()
    await until('a to forget b', () => a.gossip.links().length === 0)
    await b.libp2p.start()
    await line(a, b)
    await meshed('txs', a, b)
    expect(pooled(b)).toEqual(['before'])
    await a.pool.add(tx('after'))
    await until('b to pool it', () => b.pool.size === 2)
  })

  it('forgets no transaction that it answered to', async () => {
    const a = await poolHost()
    const { id } = await a.pool.add(tx('mine'))
    await a.libp2p.stop()
    await a.libp2p.start()
    expect(a.pool.has(id)).toBe(true)
    expect(toHex(a.chain.genesis.hash)).toBe(toHex(a.chain.head.hash))
    expect((await a.pool.add(tx('more'))).verdict.result).toBe('accept')
  })
})
