import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Chain, type ChainInit, type FileName, toHex } from 'blockwire/chain'
import { buildChain, growChain, type TestHeader, type TestTx } from 'blockwire/testing'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openFreezerFiles } from '../../dist/src/freezer-files.js'
import { crashed, MemoryFiles } from './files.js'
import { Model, memoryDb, plan, sorted, stateOf, type TestChain, table, testRules } from './model.js'

const rules = testRules({ tie: 'lowest-hash', state: { a: 'genesis' } })
const { state: _, ...stateless } = testRules({ tie: 'lowest-hash' })
const EAGER = { bulk: 2, hot: 3 }

type Init = Partial<ChainInit<TestHeader, TestTx>>

async function opened(init: Init): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules, freeze: EAGER, ...init })
  await chain.open()
  return chain
}

const bytesOf = (blocks: Array<{ bytes: Uint8Array }>): Uint8Array[] => blocks.map(({ bytes }) => bytes)

async function all(pages: AsyncIterable<Uint8Array[]>): Promise<string[]> {
  const found: string[] = []
  for await (const page of pages) found.push(...page.map(toHex))
  return found
}

/** All that can be asked of a chain about these blocks. */
async function answers(chain: TestChain, hashes: Uint8Array[]): Promise<unknown> {
  const { height } = chain.head
  return {
    head: toHex(chain.head.hash),
    work: chain.head.work,
    blocks: await all(chain.blocks(0, height)),
    some: await all(chain.blocks(height >> 2, height >> 1)),
    headers: await all(chain.headers(0, height)),
    main: Array.from({ length: height + 2 }, (_, i) => chain.hashAt(i)).map((hash) => hash && toHex(hash)),
    locator: chain.locator(chain.head).map(toHex),
    status: hashes.map((hash) => chain.has(hash)),
    located: hashes.map((hash) => chain.locate(hash)?.height),
    bodies: (await Promise.all(hashes.map((hash) => chain.block(hash)))).map((bytes) => bytes && toHex(bytes))
  }
}

describe('old blocks in files', () => {
  it('change nothing of what a chain answers, whatever comes and however often it is opened', async () => {
    let used = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(plan(['set', 'set', 'set', 'set', 'del', 'fail']), { minLength: 8, maxLength: 30 }),
        fc.record({ bulk: fc.integer({ min: 1, max: 6 }), hot: fc.integer({ min: 1, max: 8 }) }),
        fc.array(fc.constantFrom('one', 'many', 'headers', 'open'), { minLength: 30, maxLength: 30 }),
        async (plans, freeze, steps) => {
          const [plainDb, db, files] = [memoryDb(), memoryDb(), new MemoryFiles()]
          const options = { maxReorg: 6 }
          let plain = await opened({ db: plainDb, ...options })
          let chain = await opened({ db, files, freeze, ...options })
          const model = new Model(rules, plain.genesis, { a: 'genesis' }).grow(plans)
          const hashes = model.nodes.map(({ block }) => block.hash)
          for (let i = 0; i < model.nodes.length; ) {
            const step = steps[i % steps.length]!
            const some = model.nodes.slice(i, i + (step === 'one' ? 1 : 7)).map(({ block }) => block)
            i += some.length
            for (const each of [plain, chain]) {
              if (step === 'headers') await each.addHeaders(some.map(({ headerBytes }) => headerBytes))
              if (step === 'one') for (const { bytes } of some) await each.add(bytes)
              else await each.addBlocks(bytesOf(some))
            }
            if (step === 'open') {
              await plain.close()
              await chain.close()
              plain = await opened({ db: plainDb, ...options })
              chain = await opened({ db, files, freeze, ...options })
              expect(chain.report.repaired).toEqual([])
            }
            expect(await answers(chain, hashes)).toEqual(await answers(plain, hashes))
            expect(sorted(await stateOf(db))).toEqual(sorted(await stateOf(plainDb)))
          }
          if (files.bytes.blocks.length > 0) used++
          await plain.close()
          await chain.close()
        }
      ),
      { numRuns: 40 }
    )
    expect(used).toBeGreaterThan(5)
  })

  it('leave the head chain’s tables all but empty, whether blocks come together or one by one', async () => {
    for (const one of [false, true]) {
      const [db, files] = [memoryDb(), new MemoryFiles()]
      const chain = await opened({ db, files, rules: stateless })
      const blocks = buildChain(stateless, chain.genesis, 100)
      if (one) for (const { bytes } of blocks) await chain.add(bytes)
      else await chain.addBlocks(bytesOf(blocks))
      // genesis, and those that came last
      for (const letter of ['h', 'b', 'c']) expect((await table(db, letter)).size).toBeLessThanOrEqual(1 + EAGER.hot)
      expect((await table(db, 'i')).size).toBe(101)
      expect(await all(chain.blocks(1, 100))).toEqual(bytesOf(blocks).map(toHex))
      await chain.close()
    }
  })

  it('take up what came before there were files, a batch at a time', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    let chain = await opened({ db })
    const blocks = buildChain(rules, chain.genesis, 1_500)
    await chain.addBlocks(bytesOf(blocks.slice(0, 1_400)))
    await chain.close()
    chain = await opened({ db, files })
    for (const { bytes } of blocks.slice(1_400)) await chain.add(bytes)
    expect((await table(db, 'b')).size).toBeLessThan(10)
    expect(await all(chain.blocks(1, 1_500))).toEqual(bytesOf(blocks).map(toHex))
    await chain.close()
    await expect(opened({ db })).rejects.toMatchObject({
      name: 'DataUnusableError',
      fix: expect.stringContaining('files')
    })
  })

  it('hold headers alone where that is all that is kept', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    const init: Init = { db, files, rules: stateless, bodies: false }
    let chain = await opened(init)
    const blocks = buildChain(stateless, chain.genesis, 300)
    const headers = blocks.map(({ headerBytes }) => headerBytes)
    await chain.addHeaders(headers.slice(0, 200))
    await chain.addHeaders(headers.slice(200))
    expect(files.bytes.blocks.length).toBe(0)
    expect((await table(db, 'h')).size).toBe(1)
    const better = buildChain(stateless, blocks[249]!.located, 60, () => ({ nonce: 7 }))
    await chain.addHeaders(better.map(({ headerBytes }) => headerBytes))
    expect(toHex(chain.head.hash)).toBe(toHex(better.at(-1)!.hash))
    const expected = [...headers.slice(0, 250), ...better.map(({ headerBytes }) => headerBytes)].map(toHex)
    expect(await all(chain.headers(1, 310))).toEqual(expected)
    await chain.close()
    chain = await opened(init)
    expect(chain.report.repaired).toEqual([])
    expect(await all(chain.headers(1, 310))).toEqual(expected)
    expect(chain.has(blocks[299]!.hash)).toBe('header')
    expect(await all(chain.blocks(1, 310))).toEqual([])
    await chain.close()
  })

  it('end an answer where the head chain is taken back while it is read', async () => {
    const chain = await opened({ db: memoryDb(), files: new MemoryFiles(), rules: stateless })
    const blocks = buildChain(stateless, chain.genesis, 1_200)
    await chain.addBlocks(bytesOf(blocks))
    const pages = chain.blocks(1, 1_200)[Symbol.asyncIterator]()
    const first = await pages.next()
    const better = buildChain(stateless, blocks[1_100]!.located, 200, () => ({ nonce: 7 }))
    await chain.addBlocks(bytesOf(better))
    expect(toHex(chain.head.hash)).toBe(toHex(better.at(-1)!.hash))
    expect(first.value).toHaveLength(1_000)
    expect(await pages.next()).toEqual({ done: true, value: undefined })
    await chain.close()
  })
})

describe('a crash', () => {
  it('at any moment of writing leaves the chain before or after the change', async () => {
    const plans = fc.array(plan(['set', 'del', 'once']), { minLength: 4, maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(plans, async (list) => {
        const [db, files] = [memoryDb(), new MemoryFiles()]
        const chain = await opened({ db, files })
        const model = new Model(rules, chain.genesis, { a: 'genesis' }).grow(list)
        const states = new Map([model.genesis, ...model.nodes].map((node) => [toHex(node.block.hash), node.state!]))
        const remains: Array<Awaited<ReturnType<typeof crashed>>> = []
        files.written = async () => void remains.push(await crashed(db, files))
        for (let i = 0; i < model.nodes.length; i += 5) {
          const some = model.nodes.slice(i, i + 5).map(({ block }) => block.bytes)
          await chain.addBlocks(some)
          remains.push(await crashed(db, files))
        }
        for (const each of remains) {
          const again = await opened(each)
          expect(again.report.repaired).toEqual([])
          expect(sorted(await stateOf(each.db))).toEqual(sorted(states.get(toHex(again.head.hash))!))
          expect(await all(again.blocks(1, again.head.height))).toHaveLength(again.head.height)
          await again.addBlocks(model.nodes.map(({ block }) => block.bytes))
          for (const { block } of model.nodes) await again.add(block.bytes)
          expect(toHex(again.head.hash)).toBe(toHex(model.best().block.hash))
          await again.close()
        }
        await chain.close()
      }),
      { numRuns: 15 }
    )
  })

  it('of the disk’s making, a write that fails, changes nothing, and goes well the next time', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    const chain = await opened({ db, files })
    const errors: string[] = []
    chain.addEventListener('error', ({ detail }) => errors.push(detail.name))
    const blocks = buildChain(rules, chain.genesis, 20, (i) => ({
      txs: [{ kind: 'set', key: 'a', value: String(i), salt: i }]
    }))
    await chain.addBlocks(bytesOf(blocks.slice(0, 8)))
    files.failing = true
    expect(await chain.addBlocks(bytesOf(blocks))).toMatchObject({ added: 8, verdict: { result: 'ignore' } })
    expect([chain.head.height, ...errors]).toEqual([8, 'StoreWriteError'])
    files.failing = false
    expect(await chain.addBlocks(bytesOf(blocks))).toMatchObject({ added: 20, verdict: { result: 'accept' } })
    expect((await stateOf(db)).get('a')).toBe('19')
    await chain.close()
  })

  it('of the power is made good: what was not synced is looked through', async () => {
    for (const withState of [true, false]) {
      const [db, files] = [memoryDb(), new MemoryFiles()]
      const init = { db, files, rules: withState ? rules : stateless }
      let chain = await opened(init)
      const blocks = buildChain(init.rules, chain.genesis, 300, (i) => ({
        txs: [{ kind: 'set', key: 'a', value: String(i), salt: i }]
      }))
      await chain.addBlocks(bytesOf(blocks.slice(0, 100)), { own: true })
      await chain.addBlocks(bytesOf(blocks.slice(100)))
      const torn = await crashed(db, files)
      // a page that never reached the disk, deeper than what every start looks at
      const from = bytesOf(blocks.slice(0, 149)).reduce((size, { length }) => size + length, 0)
      torn.files.bytes.blocks.fill(0, from, from + 100)
      chain = await opened({ ...init, ...torn })
      expect(chain.head.height).toBe(149)
      expect(chain.report.repaired.join('\n')).toMatch(/block 150 .*damaged body[\s\S]*cut back from 300 to block 149/)
      await chain.addBlocks(bytesOf(blocks))
      expect(chain.head.height).toBe(300)
      if (withState) expect((await stateOf(torn.db)).get('a')).toBe('299')
      await chain.close()
      chain = await opened({ ...init, ...torn })
      expect(chain.report.repaired).toEqual([])
      expect(await all(chain.blocks(1, 300))).toEqual(bytesOf(blocks).map(toHex))
      await chain.close()
    }
  })
})

describe('damaged files', () => {
  const COUNT = 120
  const cases: Array<[string, FileName, (bytes: Uint8Array) => Uint8Array, number]> = [
    ['an index that ends early', 'index', (bytes) => bytes.subarray(0, 44 * 50 + 7), 50],
    ['headers that end early', 'headers', (bytes) => bytes.subarray(0, bytes.length >> 1), COUNT / 2],
    ['blocks that end early', 'blocks', (bytes) => bytes.subarray(0, 0), 0]
  ]

  for (const [what, file, damage, left] of cases) {
    it(`${what}: the chain goes on from what is there`, async () => {
      for (const withState of [true, false]) {
        const [db, files] = [memoryDb(), new MemoryFiles()]
        const init = { db, files, rules: withState ? rules : stateless }
        let chain = await opened(init)
        const blocks = buildChain(init.rules, chain.genesis, COUNT, (i) => ({
          txs: [{ kind: 'set', key: `k${i % 10}`, value: String(i % 10), salt: i % 10 }]
        }))
        await chain.addBlocks(bytesOf(blocks))
        await growChain(chain, 2, { nonce: 5 })
        await chain.close()
        files.bytes[file] = damage(files.bytes[file]).slice()
        chain = await opened(init)
        expect(chain.report.repaired.join('\n')).toMatch(/files lack/)
        expect(Math.abs(chain.head.height - left)).toBeLessThanOrEqual(2)
        const model = new Map([['a', 'genesis']])
        for (let i = 0; i < chain.head.height; i++) model.set(`k${i % 10}`, String(i % 10))
        if (withState) expect(sorted(await stateOf(db))).toEqual(sorted(model))
        expect(await chain.addBlocks(bytesOf(blocks))).toMatchObject({ verdict: { result: 'accept' } })
        expect(chain.head.height).toBe(COUNT)
        await chain.close()
        chain = await opened(init)
        expect(chain.report.repaired).toEqual([])
        expect(await all(chain.blocks(1, COUNT))).toEqual(bytesOf(blocks).map(toHex))
        await chain.close()
      }
    })
  }

  it('are mended where a header record is damaged and the block is not, and cut where it is', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    const init = { db, files }
    let chain = await opened(init)
    const blocks = buildChain(rules, chain.genesis, COUNT)
    await chain.addBlocks(bytesOf(blocks))
    await chain.close()
    const records = files.bytes.headers.length / COUNT
    files.bytes.headers[Math.floor(records * 80.5)]! ^= 1
    chain = await opened(init)
    expect(chain.report.repaired).toEqual(['the header record of block 81 was damaged'])
    expect(chain.head.height).toBe(COUNT)
    await chain.close()
    chain = await opened(init)
    expect(chain.report.repaired).toEqual([])
    expect(await all(chain.blocks(1, COUNT))).toEqual(bytesOf(blocks).map(toHex))
    await chain.close()
    // what was mended lies in the database now
    files.bytes.index[44 * 70 + 3]! ^= 1
    chain = await opened(init)
    expect(chain.head.height).toBe(70)
    expect(await chain.addBlocks(bytesOf(blocks))).toMatchObject({ verdict: { result: 'accept' } })
    expect(await all(chain.blocks(1, COUNT))).toEqual(bytesOf(blocks).map(toHex))
    await chain.close()
  })

  it('with a database of their own that is gone are begun anew', async () => {
    const files = new MemoryFiles()
    let chain = await opened({ db: memoryDb(), files })
    await chain.addBlocks(bytesOf(buildChain(rules, chain.genesis, 50)))
    await chain.close()
    const db = memoryDb()
    chain = await opened({ db, files })
    expect([chain.head.height, chain.report.created]).toEqual([0, true])
    const others = buildChain(rules, chain.genesis, 10, () => ({ nonce: 3 }))
    await chain.addBlocks(bytesOf(others))
    expect(await all(chain.blocks(1, 10))).toEqual(bytesOf(others).map(toHex))
    await chain.close()
  })
})

describe('a state that is made anew', () => {
  const write = (i: number) => ({ txs: [{ kind: 'set' as const, key: `k${i}`, value: String(i), salt: i }] })

  for (const [what, newer] of [
    ['for another version', testRules({ tie: 'lowest-hash', state: { a: 'genesis' }, stateVersion: 2 })],
    ['for a fork', testRules({ tie: 'lowest-hash', state: { a: 'genesis' }, forks: [40] })]
  ] as const) {
    it(`${what} comes from the files`, async () => {
      const [db, files] = [memoryDb(), new MemoryFiles()]
      let chain = await opened({ db, files })
      const blocks = buildChain(rules, chain.genesis, 100, write)
      await chain.addBlocks(bytesOf(blocks))
      const before = sorted(await stateOf(db))
      await chain.close()
      chain = await opened({ db, files, rules: newer })
      expect(chain.report.repaired).toHaveLength(1)
      expect(chain.head.height).toBe(100)
      expect(sorted(await stateOf(db))).toEqual(before)
      for (const letter of ['h', 'b', 'c']) expect((await table(db, letter)).size).toBe(1)
      const more = buildChain(newer, blocks.at(-1)!.located, 10)
      await chain.addBlocks(bytesOf(more))
      expect(await all(chain.blocks(1, 110))).toEqual([...bytesOf(blocks), ...bytesOf(more)].map(toHex))
      await chain.close()
    })
  }
})

describe('files on disk', () => {
  it('read what was written, in one go or in thousands of parts, also by the next who opens them', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'blockwire-files-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    const first = await openFreezerFiles(dir)
    const parts = Array.from({ length: 3_000 }, (_, i) => new Uint8Array((i % 7) + 1).fill(i))
    await first.files.write('blocks', 5, parts)
    await first.files.write('blocks', 0, [Uint8Array.of(1, 2, 3, 4, 5)])
    await first.files.sync()
    await first.close()
    await first.close()
    await expect(first.files.size('blocks')).rejects.toThrow('closed')
    const second = await openFreezerFiles(dir)
    const bytes = Uint8Array.from([1, 2, 3, 4, 5, ...parts.flatMap((part) => [...part])])
    expect(await second.files.size('blocks')).toBe(bytes.length)
    expect(await second.files.size('index')).toBe(0)
    expect(await second.files.read('blocks', 0, bytes.length + 10)).toEqual(bytes)
    expect(second.files.readSync('blocks', 4, 6)).toEqual(bytes.subarray(4, 10))
    await second.close()
  })
})
