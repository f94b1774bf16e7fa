import { Chain, encodeBlock, type Rules, sha256, toHex } from 'blockwire/chain'
import { buildBlock, type TestHeader, type TestTx, testRules } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { memoryDb, type TestChain, table } from './model.js'

const id = (options: Parameters<typeof testRules>[0]) => new Chain({ rules: testRules(options) }).genesis.hash

describe('genesis', () => {
  it('is another one by time, params, money, and stays the same by all else', () => {
    const options: Array<Parameters<typeof testRules>[0]> = [
      {},
      { genesisTime: 1 },
      { params: { reward: 50 } },
      { params: { reward: 51 } },
      { params: { reward: '50' } },
      { params: { reward: 50, time: 1 } },
      { state: { alice: '1' } },
      { state: { alice: '2' } },
      { state: { alice: '1', bob: '' } }
    ]
    const hashes = options.map((each) => toHex(id(each)))
    expect(new Set(hashes).size).toBe(hashes.length)
    expect(toHex(id({ forks: [5], limits: { blockBytes: 2_000_000 }, tie: 'lowest-hash', network: 'x' }))).toBe(
      hashes[0]
    )
    expect(toHex(id({ params: { b: 1, a: 2 } }))).toBe(toHex(id({ params: { a: 2, b: 1 } })))
  })

  it('has the hash that docs/wire.md says', () => {
    const rules = testRules({ params: { reward: 50, 'block-time': '10s' }, state: { bob: '2', alice: '1' } })
    const chain = new Chain({ rules })
    const header = rules.header.encode({
      ...chain.genesis.header,
      parent: new Uint8Array(32),
      root: sha256(new Uint8Array(0))
    })
    const text = new TextEncoder()
    const writes = sha256(text.encode('\x05alice\x011\x03bob\x012'))
    const params = sha256(text.encode('block-time="10s"\nreward=50\n'))
    expect(toHex(chain.genesis.hash)).toBe(toHex(sha256(Uint8Array.from([...header, ...writes, ...params]))))
    expect(chain.id).toBe(`test-${toHex(chain.genesis.hash).slice(0, 8)}`)
  })

  it('is block 0 under that hash everywhere', async () => {
    const chain: TestChain = new Chain({ rules: testRules() })
    await chain.open()
    const block = (await chain.block(chain.genesis.hash))!
    expect(toHex(chain.hashAt(0)!)).toBe(toHex(chain.genesis.hash))
    expect(chain.has(chain.genesis.hash)).toBe('valid')
    expect(chain.check(block)).toMatchObject({
      verdict: { result: 'ignore', reason: 'known' },
      hash: chain.genesis.hash
    })
    expect(await chain.add(block)).toMatchObject({ result: 'ignore', reason: 'known' })
    expect(chain.locator().map(toHex)).toEqual([toHex(chain.genesis.hash)])
    await chain.close()
  })

  it('and the store have bytes that never change', async () => {
    const rules = testRules({ params: { reward: 50 }, state: { alice: '1' } })
    const db = memoryDb()
    const chain: TestChain = new Chain({ rules, db })
    await chain.open()
    const block = buildBlock(rules, chain.genesis, {
      txs: [{ kind: 'set', key: 'alice', value: 'x', salt: 7 }],
      weight: 300
    })
    await chain.add(block.bytes)
    const side = buildBlock(rules, chain.genesis, { txs: [{ kind: 'fail', key: 'k', value: 'v', salt: 8 }] })
    const refused = buildBlock(rules, chain.head, { txs: [{ kind: 'fail', key: 'k', value: 'v', salt: 9 }] })
    await chain.add(side.bytes)
    await chain.add(refused.bytes)
    const golden: Record<string, unknown> = {
      genesis: toHex(chain.genesis.hash),
      block: toHex(block.bytes),
      hash: toHex(block.hash)
    }
    for (const letter of 'mhbicxus') golden[letter] = Object.fromEntries(await table(db, letter))
    expect(
      encodeBlock(block.headerBytes, [rules.tx.encode({ kind: 'set', key: 'alice', value: 'x', salt: 7 })])
    ).toEqual(block.bytes)
    await expect(`${JSON.stringify(golden, null, 2)}\n`).toMatchFileSnapshot('../fixtures/store.json')
    await chain.close()
  })
})

describe('rules that cannot work', () => {
  const good = testRules()
  const cases: Array<[option: string, change: Partial<Rules<TestHeader, TestTx>>]> = [
    ['network', { network: 'Upper' }],
    ['network', { network: '' }],
    ['network', { network: 'x'.repeat(33) }],
    ['params', { params: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`p${i}`, i])) }],
    ['params', { params: { long: 'x'.repeat(1_100) } }],
    ['params["a b"]', { params: { 'a b': 1 } }],
    ['params.rate', { params: { rate: Number.NaN } }],
    ['limits.blockBytes', { limits: { blockBytes: 16 * 1_048_576 + 1 } }],
    ['limits.txBytes', { limits: { blockBytes: 10_000, txBytes: 10_001 } }],
    ['limits.headerBytes', { limits: { headerBytes: 1.5 } }],
    ['limits.futureMs', { limits: { futureMs: -1 } }],
    ['lookback', { lookback: 1_025 }],
    ['lookback', { lookback: 0 }],
    ['forks[1]', { forks: [5, 5] }],
    ['forks[0]', { forks: [0] }],
    ['tie', { tie: 'last-seen' as 'first-seen' }],
    ['state.version', { state: { ...good.state!, version: 1.5 } }],
    ['header', { header: {} as typeof good.header }],
    ['work', { work: () => 0n }],
    ['hash', { hash: () => new Uint8Array(20) }],
    ['genesis.header.time', { genesis: { header: { ...good.genesis.header, time: -1 } } }],
    ['genesis.header.height', { genesis: { header: { ...good.genesis.header, height: 1 } } }],
    ['genesis.header', { genesis: { header: { ...good.genesis.header, weight: 70_000 } } }],
    [
      'genesis.txs[0]',
      { genesis: { ...good.genesis, txs: [{ kind: 'set', key: 'k'.repeat(65), value: '', salt: 0 }] } }
    ],
    ['state.genesis', { state: { ...good.state!, genesis: (db) => db.put(new Uint8Array(257), new Uint8Array(1)) } }],
    ['state.genesis', { state: { ...good.state!, genesis: (async () => {}) as () => void } }]
  ]
  it.each(cases)('name the option: %s', (option, change) => {
    expect(() => new Chain({ rules: { ...good, ...change } })).toThrow(
      expect.objectContaining({ name: 'ConfigError', option, message: expect.stringContaining(`${option}: `) })
    )
  })

  it('include a database that does not speak bytes, and a depth of nothing', async () => {
    const { MemoryLevel } = await import('memory-level')
    const db = new MemoryLevel() as unknown as ReturnType<typeof memoryDb>
    expect(() => new Chain({ rules: good, db })).toThrow(expect.objectContaining({ name: 'ConfigError', option: 'db' }))
    expect(() => new Chain({ rules: good, maxReorg: 0 })).toThrow(expect.objectContaining({ option: 'maxReorg' }))
  })
})
