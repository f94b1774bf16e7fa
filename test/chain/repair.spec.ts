import { Chain, type Database, encodeBlock, type Located, toHex } from 'blockwire/chain'
import { buildBlock, buildChain, growChain, type TestHeader, testRules } from 'blockwire/testing'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { blockKey, bytesKey, heightKey, TABLE } from '../../dist/src/chain/layout.js'
import { contents, copyOf, memoryDb, sorted, stateOf, type TestChain } from './model.js'

const rules = testRules({ state: { a: 'genesis' } })
const utf8 = new TextEncoder()
const HEIGHT = 90

let db: Database
let located: Located<TestHeader>[]
/** The state after each height. */
let states: Array<Array<[string, string]>>

beforeEach(async () => {
  db = memoryDb()
  const chain = await opened()
  states = [sorted(await stateOf(db))]
  located = [chain.genesis]
  for (let i = 1; i <= HEIGHT; i++) {
    const key = ['a', 'b', 'c'][i % 3]!
    const kind = i % 7 === 0 ? 'del' : 'set'
    located.push(...(await growChain(chain, 1, { txs: [{ kind, key, value: `${i}`, salt: i }] })))
    states.push(sorted(await stateOf(db)))
  }
  await chain.close()
})

async function opened(): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules, db })
  await chain.open()
  return chain
}

const key = (table: number, height: number) => blockKey(table, height, located[height]!.hash)

async function flip(at: Uint8Array, index: number): Promise<void> {
  const value = Uint8Array.from((await db.get(at))!)
  value[index % value.length]! ^= 1 << (index % 8)
  await db.put(at, value)
}

/** The store opens at `height` with the state of then, says so, opens clean the next time, and can go on. */
async function expectCut(height: number, says: RegExp): Promise<void> {
  const chain = await opened()
  expect(chain.report.repaired.join('\n')).toMatch(says)
  expect(chain.report.height).toBe(height)
  expect(toHex(chain.head.hash)).toBe(toHex(located[height]!.hash))
  expect(sorted(await stateOf(db))).toEqual(states[height])
  await chain.close()
  const again = await opened()
  expect(again.report.repaired).toEqual([])
  expect(again.head.height).toBe(height)
  await growChain(again, 3)
  expect(again.head.height).toBe(height + 3)
  await again.close()
}

describe('a damaged store, once opened,', () => {
  it('is as it was where nothing is wrong', async () => {
    const before = await contents(db)
    const chain = await opened()
    expect(chain.report).toEqual({ height: HEIGHT, created: false, repaired: [] })
    await chain.close()
    expect(await contents(db)).toEqual(before)
  })

  it('is cut back where a body is missing', async () => {
    await db.del(key(TABLE.body, HEIGHT))
    await expectCut(HEIGHT - 1, /block 90 has no body/)
  })

  it('is cut back to below the lowest bad body of the last ones', async () => {
    await db.del(key(TABLE.body, 85))
    await flip(key(TABLE.body, 60), 200)
    await expectCut(59, /block 60 has a damaged body[\s\S]*cut back from 90 to block 59/)
  })

  it('is cut back where any byte of a late body is another one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 70, max: HEIGHT }), fc.nat(1_000), async (height, index) => {
        const whole = db
        db = await copyOf(whole)
        await flip(key(TABLE.body, height), index)
        const chain = await opened()
        expect(chain.head.height).toBe(height - 1)
        expect(sorted(await stateOf(db))).toEqual(states[height - 1])
        await chain.close()
        db = whole
      }),
      { numRuns: 40 }
    )
  })

  it('is cut back where a body of another block stands', async () => {
    const other = buildBlock(rules, located[79]!, { nonce: 77 })
    await db.put(key(TABLE.body, 80), other.bytes)
    await expectCut(79, /block 80 has a damaged body/)
  })

  it('is mended where a header record is damaged and its body is not', async () => {
    await flip(key(TABLE.header, 80), 20)
    await db.del(key(TABLE.header, 10))
    await flip(key(TABLE.header, 81), 1)
    await expectCut(HEIGHT, /header record of block 10 .*\n.*header record of block 80 .*\n.*header record of block 81/)
  })

  it('is cut back where a header and its body are gone', async () => {
    await db.batch([
      { type: 'del', key: key(TABLE.header, 40) },
      { type: 'del', key: key(TABLE.body, 40) }
    ])
    await expectCut(39, /block 40 has no body/)
  })

  it('is mended where an index is wrong', async () => {
    await db.put(heightKey(TABLE.main, 70), located[69]!.hash)
    await db.del(heightKey(TABLE.main, HEIGHT))
    await db.del(bytesKey(TABLE.height, located[5]!.hash))
    await expectCut(HEIGHT, /heights was wrong at 90[\s\S]*heights was wrong at 70[\s\S]*hashes was wrong for block 5/)
  })

  it('is mended where genesis is damaged', async () => {
    db = memoryDb()
    const chain = await opened()
    await growChain(chain, 5)
    await chain.close()
    await db.put(blockKey(TABLE.body, 0, chain.genesis.hash), utf8.encode('nothing'))
    const again = await opened()
    expect(again.report.repaired).toEqual(['the body of genesis was damaged'])
    expect(await again.block(chain.genesis.hash)).toEqual(encodeBlock(rules.header.encode(chain.genesis.header), []))
    expect(again.head.height).toBe(5)
  })

  it('takes the head from the index where its record is gone', async () => {
    await db.del(utf8.encode('mhead'))
    await expectCut(HEIGHT, /record of the head was damaged/)
  })

  it('takes back what stands above the head, so that a torn write cannot leave a state of nowhere', async () => {
    const head = new Uint8Array(38)
    head.set(located[88]!.hash)
    head[37] = 88
    // the state is that of block 90, the head says 88
    await db.put(utf8.encode('mhead'), head)
    await expectCut(88, /cut back from 90 to block 88/)
  })

  it('has its state made anew where it cannot be taken back', async () => {
    await db.del(key(TABLE.body, 80))
    await db.del(key(TABLE.undo, 85))
    await expectCut(79, /^the record of what block 85 changed is missing or damaged: the state was made anew[^\n]*$/)
  })

  it('has its state made anew where any byte of a late undo record is another one, and loses no block', async () => {
    for (const index of [0, 3, 5, 7]) {
      const whole = db
      db = await copyOf(whole)
      await flip(key(TABLE.undo, 88), index)
      await expectCut(HEIGHT, /what block 88 changed/)
      db = whole
    }
  })

  it('can take back what it has made anew', async () => {
    await flip(key(TABLE.undo, HEIGHT), 3)
    const chain = await opened()
    const fork = buildChain(rules, located[40]!, HEIGHT, () => ({ nonce: 5 }))
    for (const { bytes } of fork) await chain.add(bytes)
    expect(toHex(chain.head.hash)).toBe(toHex(fork.at(-1)!.hash))
    expect(sorted(await stateOf(db))).toEqual(states[40])
    await chain.close()
  })

  it('is refused where blocks are there and the format is not', async () => {
    await db.del(utf8.encode('mformat'))
    await expect(opened()).rejects.toMatchObject({ name: 'DataUnusableError' })
  })

  it('fetches again what was cut', async () => {
    const blocks: Uint8Array[] = []
    for await (const page of db.values({ gte: heightKey(TABLE.body, 81), lt: heightKey(TABLE.body, HEIGHT + 1) }))
      blocks.push(page)
    await db.del(key(TABLE.body, 81))
    const chain = await opened()
    expect(chain.head.height).toBe(80)
    expect(await chain.addBlocks([(await bodyOf(81))!, ...blocks])).toMatchObject({ verdict: { result: 'accept' } })
    expect(chain.head.height).toBe(HEIGHT)
    expect(sorted(await stateOf(db))).toEqual(states[HEIGHT])
    await chain.close()
  })

  it('loses damaged side branches only', async () => {
    let chain = await opened()
    const fork = buildChain(rules, located[85]!, 3, () => ({ nonce: 5 }))
    for (const { bytes } of fork) await chain.add(bytes)
    await chain.close()
    await db.put(blockKey(TABLE.header, 87, fork[1]!.hash), utf8.encode('?'))
    chain = await opened()
    expect(chain.head.height).toBe(HEIGHT)
    expect(chain.has(fork[0]!.hash)).toBe('body')
    expect(chain.has(fork[1]!.hash)).toBe(undefined)
    expect(chain.has(fork[2]!.hash)).toBe(undefined)
    await chain.close()
  })

  async function bodyOf(height: number): Promise<Uint8Array | undefined> {
    const whole: TestChain = new Chain({ rules })
    await whole.open()
    const kind = height % 7 === 0 ? 'del' : 'set'
    const tx = { kind, key: ['a', 'b', 'c'][height % 3]!, value: `${height}`, salt: height } as const
    const block = buildBlock(rules, located[height - 1]!, { txs: [tx] })
    return toHex(block.hash) === toHex(located[height]!.hash) ? block.bytes : undefined
  }
})
