import { mkdtemp, open, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Chain, type ChainInit, type Database, type FileName, toHex } from 'blockwire/chain'
import { buildChain, type TestHeader, type TestTx } from 'blockwire/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openFreezerFiles } from '../../dist/src/freezer-files.js'
import { crashed, MemoryFiles } from './files.js'
import { copyOf, memoryDb, sorted, stateOf, type TestChain, table, testRules } from './model.js'

const rules = testRules({ tie: 'lowest-hash', state: { a: 'genesis' } })
const { state: _, ...stateless } = testRules({ tie: 'lowest-hash' })
const utf8 = new TextEncoder()
const EAGER = { bulk: 2, hot: 3 }

type Init = Partial<ChainInit<TestHeader, TestTx>>

async function opened(init: Init): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules, freeze: EAGER, ...init })
  await chain.open()
  return chain
}

const bytesOf = (blocks: Array<{ bytes: Uint8Array }>): Uint8Array[] => blocks.map(({ bytes }) => bytes)
const write = (i: number) => ({ txs: [{ kind: 'set' as const, key: `k${i % 10}`, value: String(i), salt: i }] })

async function all(pages: AsyncIterable<Uint8Array[]>): Promise<string[]> {
  const found: string[] = []
  for await (const page of pages) found.push(...page.map(toHex))
  return found
}

/** Has what comes after a batch was written, and before whoever wrote it hears of it. */
function afterWrites(db: Database, after: (sync: boolean) => Promise<void>): void {
  const batch = db.batch.bind(db) as () => ReturnType<Database['batch']>
  ;(db as unknown as { batch: unknown }).batch = (...args: unknown[]) => {
    if (args.length > 0) return (batch as (...args: unknown[]) => unknown)(...args)
    const chained = batch() as unknown as { write(options?: { sync?: boolean }): Promise<void> }
    const own = chained.write.bind(chained)
    chained.write = async (options) => {
      await own(options)
      await after(options?.sync === true)
    }
    return chained
  }
}

describe('a state made anew twice', () => {
  it('comes from the files the second time too', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    let chain = await opened({ db, files })
    const blocks = buildChain(rules, chain.genesis, 100, write)
    await chain.addBlocks(bytesOf(blocks))
    const before = sorted(await stateOf(db))
    await chain.close()
    chain = await opened({ db, files, rules: testRules({ tie: 'lowest-hash', state: { a: 'genesis' }, forks: [40] }) })
    expect(chain.head.height).toBe(100)
    expect([(await table(db, 'c')).size, (await table(db, 'h')).size]).toEqual([1, 1])
    await chain.close()
    const newest = testRules({ tie: 'lowest-hash', state: { a: 'genesis' }, forks: [40], stateVersion: 2 })
    chain = await opened({ db, files, rules: newest })
    expect(chain.report.repaired).toHaveLength(1)
    expect(chain.head.height).toBe(100)
    expect(sorted(await stateOf(db))).toEqual(before)
    expect(await all(chain.blocks(1, 100))).toEqual(bytesOf(blocks).map(toHex))
    await chain.close()
  })

  it('of a store that had no files before leaves nothing twice', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    let chain = await opened({ db })
    await chain.addBlocks(bytesOf(buildChain(rules, chain.genesis, 100, write)))
    await chain.close()
    for (const stateVersion of [2, 3]) {
      const newer = testRules({ tie: 'lowest-hash', state: { a: 'genesis' }, stateVersion })
      chain = await opened({ db, files, rules: newer })
      expect([chain.head.height, chain.report.repaired.length]).toEqual([100, 1])
      expect(
        files.bytes.blocks.length > 0 ? [(await table(db, 'c')).size, (await table(db, 'h')).size] : [1, 1]
      ).toEqual([1, 1])
      await chain.close()
    }
  })
})

describe('a state made anew with files', () => {
  for (const before of ['in files', 'in both', 'in the database'])
    for (const [what, other] of [
      ['a version', { stateVersion: 2 }],
      ['a fork', { forks: [40] }],
      ['both', { stateVersion: 2, forks: [40] }]
    ] as Array<[string, Parameters<typeof testRules>[0]]>)
      for (const maxReorg of [10, 1_000])
        it(`is carried on wherever the process ended: ${before}, for ${what}, undo of ${maxReorg}`, async () => {
          const [db, files] = [memoryDb(), new MemoryFiles()]
          const base: Init = { freeze: { bulk: 4, hot: 20 }, maxReorg, stepBytes: 600 }
          const tables: Init = before === 'in files' ? { ...base, db, files } : { ...base, db }
          let chain = await opened(tables)
          const blocks = buildChain(rules, chain.genesis, 110, write)
          await chain.addBlocks(bytesOf(blocks.slice(0, 60)))
          if (before === 'in both') {
            await chain.close()
            chain = await opened({ ...base, db, files })
          }
          for (const { bytes } of blocks.slice(60)) await chain.add(bytes)
          await chain.close()
          const state = sorted(await stateOf(db))
          const remains: Array<{ db: Database; files: MemoryFiles }> = []
          const remember = async (): Promise<void> => void remains.push(await crashed(db, files))
          afterWrites(db, remember)
          files.written = remember
          const newer = { ...base, rules: testRules({ tie: 'lowest-hash', state: { a: 'genesis' }, ...other }) }
          await (await opened({ ...newer, db, files })).close()
          const every = Math.ceil(remains.length / 10)
          for (const each of remains.filter((_, i) => i % every === 0 || i > remains.length - 4)) {
            const again = await opened({ ...newer, ...each })
            for (const said of again.report.repaired) expect(said).toMatch(/from the stored blocks$/)
            expect(sorted(await stateOf(each.db))).toEqual(state)
            expect(await all(again.blocks(1, 200))).toEqual(bytesOf(blocks).map(toHex))
            const top = Number.parseInt(
              (await table(each.db, 'm')).get(toHex(utf8.encode('frozen')))?.slice(0, 12) ?? '0',
              16
            )
            for (const letter of ['h', 'b', 'c'])
              for (const key of (await table(each.db, letter)).keys()) {
                const height = Number.parseInt(key.slice(0, 12), 16)
                expect(height === 0 || height > top).toBe(true)
              }
            await again.close()
          }
        })
})

describe('power that fails', () => {
  for (const [what, file, from, to] of [
    ['a page of the index', 'index', 44 * 150, 44 * 243],
    ['a page of headers', 'headers', 5_000, 9_096]
  ] as Array<[string, FileName, number, number]>)
    for (const kind of ['state', 'stateless', 'headers'])
      it(`and leaves zeros in ${what}: ${kind}`, async () => {
        const [db, files] = [memoryDb(), new MemoryFiles()]
        const init: Init = { db, files, rules: kind === 'state' ? rules : stateless, bodies: kind !== 'headers' }
        let chain = await opened(init)
        const blocks = buildChain(init.rules!, chain.genesis, 400, write)
        const headers = blocks.map(({ headerBytes }) => headerBytes)
        if (kind === 'headers') await chain.addHeaders(headers)
        else await chain.addBlocks(bytesOf(blocks))
        const torn = await crashed(db, files)
        torn.files.bytes[file].fill(0, from, to)
        chain = await opened({ ...init, ...torn })
        if (file === 'index') expect(chain.head.height).toBe(150)
        if (kind === 'headers') await chain.addHeaders(headers)
        else await chain.addBlocks(bytesOf(blocks))
        expect(chain.head.height).toBe(400)
        if (kind === 'state') expect(sorted(await stateOf(torn.db))).toEqual(sorted(await stateOf(db)))
        await chain.close()
        chain = await opened({ ...init, ...torn })
        expect(chain.report.repaired).toEqual([])
        expect(await all(chain.headers(1, 400))).toEqual(headers.map(toHex))
        await chain.close()
      })

  it('and leaves an index that names what no memory holds', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'blockwire-files-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    const db = memoryDb()
    const first = await openFreezerFiles(dir)
    let chain = await opened({ db, files: first.files, rules: stateless })
    const blocks = buildChain(stateless, chain.genesis, 200)
    await chain.addBlocks(bytesOf(blocks))
    const torn = await copyOf(db)
    await chain.close()
    await first.close()
    const index = await open(join(dir, 'index.dat'), 'r+')
    await index.write(new Uint8Array(12).fill(0x7f), 0, 12, 44 * 100 + 32)
    await index.close()
    const second = await openFreezerFiles(dir)
    chain = await opened({ db: torn, files: second.files, rules: stateless })
    expect(chain.head.height).toBe(100)
    await chain.addBlocks(bytesOf(blocks))
    expect(await all(chain.blocks(1, 200))).toEqual(bytesOf(blocks).map(toHex))
    await chain.close()
    await second.close()
    expect((await stat(join(dir, 'blocks.dat'))).size).toBeLessThan(1_000_000)
  })

  it('and loses what the database wrote last, at any moment of a change that takes blocks out of the files', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    const init: Init = { db, files, freeze: { bulk: 2, hot: 100 } }
    let chain = await opened(init)
    const blocks = buildChain(rules, chain.genesis, 200, write)
    await chain.addBlocks(bytesOf(blocks.slice(0, 100)), { own: true })
    for (const { bytes } of blocks.slice(100)) await chain.add(bytes, { own: true })
    let durable = await copyOf(db)
    // the files were written by the system, the log of the database was not
    const remains: Array<{ db: Database; files: MemoryFiles }> = []
    const remember = async (): Promise<void> => void remains.push({ db: await copyOf(durable), files: files.copy() })
    afterWrites(db, async (sync) => {
      if (sync) durable = await copyOf(db)
    })
    files.written = remember
    // from below what is in the files, and long enough to go there
    const others = buildChain(rules, blocks[89]!.located, 230, (i) => ({ ...write(i + 5_000), nonce: 9 }))
    await chain.addBlocks(bytesOf(others))
    expect(toHex(chain.head.hash)).toBe(toHex(others.at(-1)!.hash))
    await chain.close()
    expect(remains.length).toBeGreaterThan(0)
    const states = new Map<string, Map<string, string>>()
    for (const branch of [blocks, [...blocks.slice(0, 90), ...others]]) {
      const state = new Map([['a', 'genesis']])
      for (const [i, { hash }] of branch.entries()) {
        const n = branch !== blocks && i >= 90 ? i - 90 + 5_000 : i
        state.set(`k${n % 10}`, String(n))
        states.set(toHex(hash), new Map(state))
      }
    }
    for (const each of remains) {
      chain = await opened({ ...init, ...each })
      expect(sorted(await stateOf(each.db))).toEqual(sorted(states.get(toHex(chain.head.hash))!))
      await chain.addBlocks(bytesOf(others))
      expect(toHex(chain.head.hash)).toBe(toHex(others.at(-1)!.hash))
      expect(sorted(await stateOf(each.db))).toEqual(sorted(states.get(toHex(chain.head.hash))!))
      await chain.close()
    }
  })

  it('and leaves less than can be taken back, which the next start knows', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    const init: Init = { db, files, maxReorg: 4 }
    let chain = await opened(init)
    await chain.addBlocks(bytesOf(buildChain(rules, chain.genesis, 5, write)))
    const torn = await crashed(db, files)
    torn.files.bytes.blocks.fill(0, torn.files.bytes.blocks.length >> 1)
    for (const repairs of [true, false]) {
      chain = await opened({ ...init, ...torn })
      expect([chain.head.height, chain.report.repaired.length > 0]).toEqual([2, repairs])
      await chain.close()
    }
  })

  it('and takes nothing that was on disk before it went into the files', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    let durable = files.copy()
    files.sync = async () => {
      durable = files.copy()
    }
    let chain = await opened({ db, files, freeze: { bulk: 1_000, hot: 10 } })
    const blocks = buildChain(rules, chain.genesis, 60, write)
    for (const { bytes } of blocks.slice(0, 10)) await chain.add(bytes, { own: true })
    for (const { bytes } of blocks.slice(10)) {
      await chain.add(bytes)
      // the log of the database was written by the system, the files were not
      const torn = { db: await copyOf(db), files: durable.copy() }
      const again = await opened(torn)
      expect([again.head.height, ...again.report.repaired]).toEqual([chain.head.height])
      await again.close()
    }
    expect(files.bytes.blocks.length).toBeGreaterThan(0)
    await chain.close()
    chain = await opened({ db, files: durable })
    expect(chain.head.height).toBe(60)
    await chain.close()
  })
})

describe('files of another chain', () => {
  it('are refused', async () => {
    const both = [1, 2].map((n) => {
      const { state: _, ...other } = testRules({ tie: 'lowest-hash', genesisTime: n * 1_000_000 })
      return { db: memoryDb(), files: new MemoryFiles(), rules: other }
    })
    for (const init of both) {
      const chain = await opened(init)
      await chain.addBlocks(bytesOf(buildChain(init.rules, chain.genesis, 100)))
      await chain.close()
    }
    await expect(opened({ ...both[0]!, files: both[1]!.files })).rejects.toMatchObject({ name: 'DataForeignError' })
    await (await opened(both[0]!)).close()
  })
})

describe('files that end early', () => {
  for (const withState of [true, false])
    it(`are mended once, ${withState ? 'with' : 'without'} state`, async () => {
      const [db, files] = [memoryDb(), new MemoryFiles()]
      const init: Init = { db, files, rules: withState ? rules : stateless, freeze: {} }
      let chain = await opened(init)
      const blocks = buildChain(init.rules!, chain.genesis, 300, write)
      await chain.addBlocks(bytesOf(blocks))
      await chain.close()
      files.bytes.index = files.bytes.index.slice(0, 44 * 200)
      chain = await opened(init)
      expect([chain.head.height, chain.report.repaired.length]).toEqual([200, withState ? 2 : 1])
      await chain.add(blocks[200]!.bytes)
      await chain.add(blocks[201]!.bytes)
      await chain.close()
      chain = await opened(init)
      expect([chain.head.height, ...chain.report.repaired]).toEqual([202])
      await chain.close()
    })
})

describe('large blocks', () => {
  it('that come together go straight into the files, few though they are', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    const chain = await opened({ db, files, rules: stateless, freeze: {} })
    const blocks = buildChain(stateless, chain.genesis, 64, (i) => ({
      txs: [0, 1].map((n) => ({ kind: 'set' as const, key: 'a', value: 'x'.repeat(50_000), salt: i * 2 + n }))
    }))
    await chain.addBlocks(bytesOf(blocks.slice(0, 52)))
    await chain.addBlocks(bytesOf(blocks.slice(52)))
    expect((await table(db, 'b')).size).toBe(1)
    expect(files.bytes.blocks.length).toBe(bytesOf(blocks).reduce((size, { length }) => size + length, 0))
    await chain.close()
  })
})

describe('readers while blocks move into the files', () => {
  it('find every block at every moment', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    const chain = await opened({ db, files, rules: stateless, freeze: { bulk: 1_000, hot: 20 } })
    const blocks = buildChain(stateless, chain.genesis, 60)
    let readings = 0
    const reading = async (): Promise<void> => {
      readings++
      const { height } = chain.head
      expect(await all(chain.blocks(1, height))).toEqual(bytesOf(blocks.slice(0, height)).map(toHex))
      expect(await all(chain.headers(0, height))).toHaveLength(height + 1)
      for (const { hash, bytes } of blocks.slice(0, height)) expect(await chain.block(hash)).toEqual(bytes)
    }
    const failures: unknown[] = []
    afterWrites(db, () => reading().catch((err) => void failures.push(err)))
    for (const { bytes } of blocks) await chain.add(bytes)
    expect(failures).toEqual([])
    expect(readings).toBeGreaterThan(60)
    expect(files.bytes.blocks.length).toBeGreaterThan(0)
    await chain.close()
  })

  it('that read deep below what is in memory, too', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    const init: Init = { db, files, rules: stateless, maxReorg: 5, freeze: { bulk: 1_000, hot: 50 } }
    const chain = await opened(init)
    const blocks = buildChain(stateless, chain.genesis, 120)
    const failures: number[] = []
    afterWrites(db, async () => {
      const { height } = chain.head
      for (const { hash, located } of blocks.slice(0, height)) {
        if (toHex(chain.hashAt(located.height) ?? new Uint8Array()) !== toHex(hash)) failures.push(located.height)
        if (chain.locate(hash)?.height !== located.height) failures.push(located.height)
      }
    })
    for (const { bytes } of blocks) await chain.add(bytes)
    expect(failures).toEqual([])
    await chain.close()
  })

  it('are given one chain, whatever happens between two pages', async () => {
    const freeze = { bulk: 2, hot: 500 }
    const chain = await opened({ db: memoryDb(), files: new MemoryFiles(), rules: stateless, freeze })
    const blocks = buildChain(stateless, chain.genesis, 1_200)
    await chain.addBlocks(bytesOf(blocks.slice(0, 1_000)))
    for (const { bytes } of blocks.slice(1_000, 1_002)) await chain.add(bytes)
    const pages = chain.blocks(1, 1_002)[Symbol.asyncIterator]()
    expect((await pages.next()).value).toHaveLength(1_000)
    const better = buildChain(stateless, blocks[899]!.located, 200, () => ({ nonce: 7 }))
    await chain.addBlocks(bytesOf(better))
    expect(chain.head.height).toBe(1_100)
    const next = await pages.next()
    const links = bytesOf(blocks.slice(1_000, 1_002)).map(toHex)
    expect(next.done ? [] : next.value.map(toHex)).toEqual(next.done ? [] : links)
    await chain.close()
  })
})

describe('writes', () => {
  it('that fail are over before the next ones begin', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    const chain = await opened({ db, files, rules: stateless })
    const own = files.write.bind(files)
    let late: Promise<void> = Promise.resolve()
    let failed = false
    const release = Promise.withResolvers<void>()
    files.write = async (file, at, parts) => {
      if (failed) return own(file, at, parts)
      if (file === 'index') throw new Error('disk full')
      if (file !== 'blocks') return own(file, at, parts)
      failed = true
      late = release.promise.then(() => own(file, at, parts))
      return late
    }
    const blocks = buildChain(stateless, chain.genesis, 20)
    const others = buildChain(stateless, chain.genesis, 20, () => ({ nonce: 3 }))
    const first = chain.addBlocks(bytesOf(blocks))
    const second = chain.addBlocks(bytesOf(others))
    setTimeout(release.resolve, 50)
    expect((await first).verdict.result).toBe('ignore')
    expect((await second).verdict.result).toBe('accept')
    await late
    expect(await all(chain.blocks(1, 20))).toEqual(bytesOf(others).map(toHex))
    await chain.close()
  })
})

describe('headers alone', () => {
  it('leave no index of heights of a branch that was left', async () => {
    const [db, files] = [memoryDb(), new MemoryFiles()]
    const chain = await opened({ db, files, rules: stateless, bodies: false })
    const blocks = buildChain(stateless, chain.genesis, 300)
    await chain.addHeaders(blocks.map(({ headerBytes }) => headerBytes))
    const better = buildChain(stateless, blocks[249]!.located, 60, () => ({ nonce: 7 }))
    await chain.addHeaders(better.map(({ headerBytes }) => headerBytes))
    expect((await table(db, 'c')).size).toBe(1)
    await chain.close()
  })
})

describe('a chain that is closed', () => {
  it('answers as one without files', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'blockwire-files-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    for (const withFiles of [false, true]) {
      const db = memoryDb()
      const first = await openFreezerFiles(dir)
      const chain = await opened({ db, files: withFiles ? first.files : undefined, rules: stateless, maxReorg: 5 })
      await chain.addBlocks(bytesOf(buildChain(stateless, chain.genesis, 100)))
      await chain.close()
      await db.close()
      await first.close()
      expect(chain.hashAt(10)).toBe(undefined)
    }
  })
})
