import { Chain, type Database, splitBlock, toHex, txId } from 'blockwire/chain'
import { buildBlock, buildChain, type TestTx, testRules } from 'blockwire/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blockKey, TABLE } from '../../dist/src/chain/layout.js'
import { contents, Model, memoryDb, plan, type TestChain } from './model.js'

const rules = testRules({ network: 'index', tie: 'lowest-hash' })
const tx = (key: string, salt = 0): TestTx => ({ kind: 'set', key, value: '', salt })
const idOf = (value: TestTx): Uint8Array => txId(rules.tx.encode(value))

async function open(init: { db?: Database; txIndex?: boolean; maxReorg?: number } = {}): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules, txIndex: true, ...init })
  await chain.open()
  return chain
}

const heights = async (chain: TestChain, value: TestTx): Promise<number[]> =>
  (await chain.findTx(idOf(value))).map(({ height }) => height)

/** Of the index: ID and height of every entry. */
async function indexOf(db: Database): Promise<string[]> {
  return (await contents(db)).map((line) => line.split(' ')[0]!).filter((key) => key.startsWith('74'))
}

/** What the index must be, worked out from the head chain's blocks. */
async function expected(chain: TestChain): Promise<string[]> {
  const keys: string[] = []
  for (let height = 0; height <= chain.head.height; height++) {
    const block = (await chain.block(chain.hashAt(height)!))!
    for (const bytes of splitBlock(block, chain.limits).txs)
      keys.push(`74${toHex(txId(bytes))}${height.toString(16).padStart(12, '0')}`)
  }
  return [...new Set(keys)].sort()
}

describe('the index of transactions', () => {
  it('tells the blocks of the head chain that hold one', async () => {
    const chain = await open()
    const blocks = buildChain(rules, chain.head, 3, (i) => ({ txs: [tx('a', i), tx('same')] }))
    await chain.addBlocks(blocks.map(({ bytes }) => bytes))
    expect(await heights(chain, tx('a', 1))).toEqual([2])
    expect(await heights(chain, tx('same'))).toEqual([1, 2, 3])
    expect(await heights(chain, tx('none'))).toEqual([])
    expect((await chain.findTx(idOf(tx('a', 1))))[0]).toEqual(blocks[1]!.located)
  })

  it('follows a reorganisation', async () => {
    const chain = await open()
    const old = buildChain(rules, chain.head, 3, (i) => ({ txs: [tx('old', i), tx('both')] }))
    await chain.addBlocks(old.map(({ bytes }) => bytes))
    const next = buildChain(rules, old[0]!.located, 1, () => ({ weight: 9, txs: [tx('new'), tx('both')] }))
    await chain.addBlocks(next.map(({ bytes }) => bytes))
    expect(await heights(chain, tx('old', 0))).toEqual([1])
    expect(await heights(chain, tx('old', 1))).toEqual([])
    expect(await heights(chain, tx('new'))).toEqual([2])
    expect(await heights(chain, tx('both'))).toEqual([1, 2])
  })

  it('is the same as one made from the blocks, whatever was added in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(plan(['set', 'fail']), { minLength: 1, maxLength: 25 }), async (plans) => {
        const db = memoryDb()
        const chain = await open({ db })
        for (const { block } of new Model(rules, chain.genesis).grow(plans).nodes) await chain.add(block.bytes)
        expect((await indexOf(db)).sort()).toEqual(await expected(chain))
        await chain.close()
      }),
      { numRuns: 40 }
    )
  })

  it('is made anew with the state, for a branch that forks off deeper than can be taken back', async () => {
    const db = memoryDb()
    const chain = await open({ db, maxReorg: 3 })
    const old = buildChain(rules, chain.head, 9, (i) => ({ txs: [tx('old', i), tx('both')] }))
    await chain.addBlocks(old.map(({ bytes }) => bytes))
    const next = buildChain(rules, old[1]!.located, 4, (i) => ({ weight: 9, txs: [tx('new', i), tx('both')] }))
    await chain.addHeaders(next.map(({ headerBytes }) => headerBytes))
    await chain.addBlocks(next.map(({ bytes }) => bytes))
    expect(chain.head.hash).toEqual(next[3]!.hash)
    expect(await heights(chain, tx('old', 3))).toEqual([])
    expect((await indexOf(db)).sort()).toEqual(await expected(chain))
  })

  it('is made for a store that had none, and goes when it is not wanted any more', async () => {
    const db = memoryDb()
    const plain = await open({ db, txIndex: false })
    const blocks = buildChain(rules, plain.head, 3, (i) => ({ txs: [tx('a', i)] }))
    await plain.addBlocks(blocks.map(({ bytes }) => bytes))
    expect(plain.txIndex).toBe(false)
    expect(await plain.findTx(idOf(tx('a', 1)))).toEqual([])
    expect(await indexOf(db)).toEqual([])
    await plain.close()

    const indexed = await open({ db })
    expect(indexed.report.repaired).toEqual([])
    expect(await heights(indexed, tx('a', 2))).toEqual([3])
    expect((await indexOf(db)).sort()).toEqual(await expected(indexed))
    await indexed.close()

    // a block joins while it is off: an index that was left there would lack it
    const off = await open({ db, txIndex: false })
    expect(await indexOf(db)).toEqual([])
    await off.add(buildBlock(rules, off.head, { txs: [tx('later')] }).bytes)
    await off.close()
    const again = await open({ db })
    expect(await heights(again, tx('later'))).toEqual([4])
    await again.close()
  })

  it('loses the entries of blocks that a repair cuts off', async () => {
    const db = memoryDb()
    const chain = await open({ db })
    const blocks = buildChain(rules, chain.head, 5, (i) => ({ txs: [tx('a', i)] }))
    await chain.addBlocks(blocks.map(({ bytes }) => bytes))
    await chain.close()
    await db.del(blockKey(TABLE.body, 4, blocks[3]!.hash))
    const again = await open({ db })
    expect(again.head.height).toBe(3)
    expect(await heights(again, tx('a', 2))).toEqual([3])
    expect(await heights(again, tx('a', 4))).toEqual([])
    // of the block whose body is lost the entry stays until there is another at that height; it names no block
    expect(await heights(again, tx('a', 3))).toEqual([])
    await again.addBlocks(blocks.slice(3).map(({ bytes }) => bytes))
    expect(await heights(again, tx('a', 4))).toEqual([5])
    await again.close()
  })
})
