import { Chain, type Check, type Rules, sha256, txId, txIds } from 'blockwire/chain'
import { describe, expect, it } from 'vitest'
import { buildBlock, buildChain, type TestHeader, type TestTx, testRules } from '../../dist/src/testing/rules.js'

const tx = (key: string, kind: TestTx['kind'] = 'set'): TestTx => ({ key, value: 'x', salt: 0, kind })

interface Call {
  keys: string[]
  urgent: boolean
}

/** A chain whose rules say what they were asked. */
async function setup(many: 'none' | 'at once' | 'later' = 'later') {
  const rules: Rules<TestHeader, TestTx> = testRules()
  const singles: string[] = []
  const calls: Call[] = []
  const check = (value: TestTx): Check => value.kind !== 'bad' || { reject: 'marked bad' }
  rules.checkTx = (value) => {
    singles.push(value.key)
    return check(value)
  }
  if (many !== 'none') {
    rules.checkTxs = (values, _genesis, { urgent }) => {
      calls.push({ keys: values.map(({ key }) => key), urgent })
      const checks = values.map(check)
      return many === 'later' ? Promise.resolve(checks) : checks
    }
  }
  const chain = new Chain<TestHeader, TestTx>({ rules })
  await chain.open()
  const encode = (values: TestTx[]): Uint8Array[] => values.map((value) => rules.tx.encode(value))
  const results = async (list: Uint8Array[], options = {}): Promise<string[]> =>
    (await chain.checkTxs(list, undefined, options)).map(({ verdict }) =>
      verdict.result === 'accept' ? 'accept' : verdict.reason
    )
  return { rules, chain, singles, calls, encode, results }
}

describe.each(['none', 'at once', 'later'] as const)('many transactions, checked together: %s', (many) => {
  it('get the answers that each would get alone', async () => {
    const { chain, encode, results } = await setup(many)
    const list = [...encode([tx('a'), tx('b', 'bad'), tx('c')]), Uint8Array.of(1, 2, 3), new Uint8Array(0)]
    const alone = list
      .map((bytes) => chain.checkTx(bytes).verdict)
      .map((v) => (v.result === 'accept' ? 'accept' : v.reason))
    expect(alone).toEqual(['accept', 'tx', 'accept', 'malformed', 'malformed'])
    expect(await results(list)).toEqual(alone)
    expect(await results([])).toEqual([])
  })

  it('are not checked again when they come in a block, nor when one is built', async () => {
    const { chain, rules, singles, calls, encode, results } = await setup(many)
    const list = encode([tx('a'), tx('b')])
    await results(list)
    singles.length = calls.length = 0
    const block = buildBlock(rules, chain.head, { txs: [tx('a'), tx('b'), tx('new')] })
    expect(chain.check(block.bytes).verdict).toEqual({ result: 'accept' })
    expect([...singles, ...calls.flatMap(({ keys }) => keys)]).toEqual(['new'])
    expect(await chain.add(block.bytes)).toEqual({ result: 'accept' })
    singles.length = 0
    await chain.propose({
      txs: list,
      seal: ({ header }) => ({ header: { ...header, nonce: 0, weight: 1, bad: 0 } })
    })
    expect(singles).toEqual([])
  })
})

describe('rules that check many at once', () => {
  it('need a check for one beside it', () => {
    const { checkTx: _, ...rules } = testRules()
    expect(() => new Chain({ rules: { ...rules, checkTxs: () => [] } })).toThrow(
      expect.objectContaining({ name: 'ConfigError', option: 'checkTxs' })
    )
  })

  it('are asked for a block before it is checked, urgently, and then find it done', async () => {
    const { chain, rules, singles, calls } = await setup()
    const block = buildBlock(rules, chain.head, { txs: [tx('a'), tx('b')] })
    const preparing = chain.prepare(block.bytes)
    expect(preparing).toBeInstanceOf(Promise)
    await preparing
    expect(calls).toEqual([{ keys: ['a', 'b'], urgent: true }])
    // other bytes of the same block, as when it came another way
    expect(chain.check(block.bytes.slice()).verdict).toEqual({ result: 'accept' })
    expect(chain.prepare(block.bytes)).toBeUndefined()
    expect(await chain.add(block.bytes)).toEqual({ result: 'accept' })
    expect([singles, calls.length]).toEqual([[], 1])
  })

  it('refuse a block for one bad transaction, and blame it on that', async () => {
    const { chain, rules } = await setup()
    const block = buildBlock(rules, chain.head, { txs: [tx('a'), tx('b', 'bad')] })
    await chain.prepare(block.bytes)
    expect(chain.check(block.bytes).verdict).toMatchObject({
      result: 'reject',
      reason: 'tx',
      detail: expect.stringContaining('transaction 1')
    })
    expect(await chain.add(block.bytes)).toMatchObject({ result: 'reject', reason: 'tx' })
    expect(chain.has(block.hash)).toBe('invalid')
  })

  it.each<[string, (rules: Rules<TestHeader, TestTx>, chain: Chain<TestHeader, TestTx>) => Uint8Array]>([
    ['is no block', () => Uint8Array.of(1, 2, 3)],
    [
      'has a header against the rules',
      (rules, chain) => buildBlock(rules, chain.head, { txs: [tx('a')], bad: true }).bytes
    ],
    [
      'has another Merkle root',
      (rules, chain) => buildBlock(rules, chain.head, { txs: [tx('a')], badRoot: true }).bytes
    ],
    [
      'has no parent here',
      (rules, chain) => buildBlock(rules, { ...chain.head, hash: sha256(new Uint8Array(1)) }, { txs: [tx('a')] }).bytes
    ]
  ])('are not asked for what %s: nobody would have paid for the work', async (_, make) => {
    const { chain, rules, calls } = await setup()
    expect(chain.prepare(make(rules, chain))).toBeUndefined()
    expect(calls).toEqual([])
  })

  it('are asked for blocks of a download, header first, and stop at the bad one', async () => {
    const { chain, rules, singles, calls } = await setup()
    const blocks = buildChain(rules, chain.head, 6, (i) => ({
      txs: [tx(`a${i}`), tx(`b${i}`, i === 4 ? 'bad' : 'set')]
    }))
    await chain.addHeaders(blocks.map(({ headerBytes }) => headerBytes))
    const { verdict, added, index } = await chain.addBlocks(blocks.map(({ bytes }) => bytes))
    expect({ result: verdict.result, added, index }).toEqual({ result: 'reject', added: 4, index: 4 })
    expect(calls.length).toBeGreaterThan(0)
    expect(singles).toEqual([])
    expect(chain.head.height).toBe(4)
  })

  it.each<[string, () => Check[] | Promise<Check[]>]>([
    [
      'throw',
      () => {
        throw new Error('no')
      }
    ],
    ['reject', () => Promise.reject(new Error('no'))],
    ['give too few answers', () => [true]],
    ['give none', () => undefined as never]
  ])("that %s are nobody else's fault", async (_, checkTxs) => {
    const { chain, rules, encode, results } = await setup()
    const errors: string[] = []
    chain.addEventListener('error', ({ detail }) => errors.push(detail.name))
    rules.checkTxs = checkTxs
    expect(await results(encode([tx('a'), tx('b')]))).toEqual(['error', 'error'])
    expect(errors).toEqual(['RuleError'])
    // `checkTx` is still there
    const block = buildBlock(rules, chain.head, { txs: [tx('a'), tx('b')] })
    expect(await chain.add(block.bytes)).toEqual({ result: 'accept' })
  })

  it('are not asked for what is trusted, which its block finds checked', async () => {
    const { chain, rules, singles, calls, encode, results } = await setup()
    expect(await results([...encode([tx('a')]), Uint8Array.of(9)], { trusted: true })).toEqual(['accept', 'malformed'])
    const block = buildBlock(rules, chain.head, { txs: [tx('a')] })
    expect(chain.check(block.bytes).verdict).toEqual({ result: 'accept' })
    expect([singles, calls]).toEqual([[], []])
  })
})

describe('IDs of many transactions', () => {
  it('are those of each', () => {
    const list = Array.from({ length: 50 }, (_, i) => new Uint8Array(1 + 7 * i).fill(i))
    expect(txIds(list)).toEqual(list.map(txId))
    expect(txIds([])).toEqual([])
  })
})
