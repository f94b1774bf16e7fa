import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Chain, type Database, toHex } from 'blockwire/chain'
import { buildBlock, buildChain, growChain, testRules } from 'blockwire/testing'
import { ClassicLevel } from 'classic-level'
import fc from 'fast-check'
import { MemoryLevel } from 'memory-level'
import { describe, expect, it } from 'vitest'
import { contents, copyOf, Model, memoryDb, plan, sorted, stateOf, type TestChain, table } from './model.js'

/** A database whose n-th write fails, as on a full disk. */
class FailingLevel extends MemoryLevel<Uint8Array, Uint8Array> {
  writes = 0
  failAt = Number.POSITIVE_INFINITY

  constructor() {
    super({ keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' })
  }

  async _batch(...args: unknown[]): Promise<void> {
    if (++this.writes === this.failAt) throw new Error('disk full')
    // @ts-expect-error the private door of abstract-level
    return super._batch(...args)
  }
}

const rules = testRules({ tie: 'lowest-hash', state: { a: 'genesis' } })
const utf8 = new TextEncoder()

async function opened(db: Database, options: { maxReorg?: number } = {}): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules, db, ...options })
  await chain.open()
  await chain.settled()
  return chain
}

describe('a write that fails', () => {
  const cases = fc.record({
    plans: fc.array(plan(['set', 'set', 'del', 'once', 'fail']), { minLength: 2, maxLength: 12 }),
    bulk: fc.boolean(),
    headersFirst: fc.boolean()
  })

  it('leaves head and state where they were, in memory and in the store, wherever it comes', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ plans, bulk, headersFirst }) => {
        for (let failAt = 2; ; failAt++) {
          const db = new FailingLevel()
          const chain = await opened(db)
          db.failAt = failAt
          const model = new Model(rules, chain.genesis, { a: 'genesis' }).grow(plans)
          const errors: string[] = []
          chain.addEventListener('error', ({ detail }) => errors.push(detail.name))
          const sound = async (): Promise<void> => {
            const known = [model.genesis, ...model.nodes].find(
              ({ block }) => toHex(block.hash) === toHex(chain.head.hash)
            )!
            expect(sorted(await stateOf(db))).toEqual(sorted(known.state!))
            const again = await opened(await copyOf(db))
            expect(again.report.repaired).toEqual([])
            // a reopened store may move on to a branch that was complete, never back
            expect(again.head.work).toBeGreaterThanOrEqual(chain.head.work)
            await again.close()
          }
          let head = chain.head
          const failed = async (): Promise<void> => {
            if (errors.length === 0) return
            expect(errors).toEqual(['StoreWriteError'])
            await sound()
            errors.length = 0
          }
          if (headersFirst) {
            await chain.addHeaders(model.nodes.map(({ block }) => block.headerBytes))
            await failed()
          }
          for (const node of headersFirst ? model.nodes.toReversed() : model.nodes) {
            head = chain.head
            const verdict = bulk
              ? (await chain.addBlocks([node.block.bytes])).verdict
              : await chain.add(node.block.bytes)
            if (errors.length > 0) {
              if (node.state != null) expect(verdict).toMatchObject({ result: 'ignore', reason: 'error' })
              expect(chain.head.work).toBeGreaterThanOrEqual(head.work)
            }
            await failed()
          }
          // the disk has room again: what was lost is offered anew and all is well
          for (let round = 0; round < 2; round++) for (const { block } of model.nodes) await chain.add(block.bytes)
          const best = model.best()
          expect(toHex(chain.head.hash)).toBe(toHex(best.block.hash))
          expect(sorted(await stateOf(db))).toEqual(sorted(best.state!))
          await chain.close()
          if (db.writes < failAt) break
        }
      }),
      { numRuns: 25 }
    )
  })

  it('is made up for at the next start: the better branch was stored, only the move to it was not', async () => {
    const db = new FailingLevel()
    const chain = await opened(db)
    await growChain(chain, 2)
    const better = buildChain(rules, chain.genesis, 3, () => ({
      nonce: 1,
      txs: [{ kind: 'set', key: 'a', value: 'b', salt: 1 }]
    }))
    await chain.addBlocks(better.slice(0, 2).map(({ bytes }) => bytes))
    const head = chain.head
    db.failAt = db.writes + 2
    expect(await chain.add(better[2]!.bytes)).toMatchObject({ result: 'ignore', reason: 'error' })
    expect(chain.head).toBe(head)
    const again = await opened(await copyOf(db))
    expect(toHex(again.head.hash)).toBe(toHex(better[2]!.hash))
    // here it is tried again with whatever comes next
    await chain.addHeaders([])
    expect(toHex(chain.head.hash)).toBe(toHex(better[2]!.hash))
    await chain.close()
    await again.close()
  })

  it('keeps what a bulk import had committed, and says which block is not stored', async () => {
    const db = new FailingLevel()
    const chain = await opened(db)
    const value = 'v'.repeat(60_000)
    const blocks = buildChain(rules, chain.genesis, 300, (i) => ({ txs: [{ kind: 'set', key: 'a', value, salt: i }] }))
    db.failAt = db.writes + 2
    const result = await chain.addBlocks(blocks.map(({ bytes }) => bytes))
    expect(result).toMatchObject({
      verdict: { result: 'ignore', reason: 'error' },
      added: chain.head.height,
      index: chain.head.height
    })
    expect(chain.head.height).toBeGreaterThan(20)
    expect(chain.head.height).toBeLessThan(250)
    const again = await opened(await copyOf(db))
    expect(again.head.height).toBe(chain.head.height)
    const rest = await chain.addBlocks(blocks.map(({ bytes }) => bytes))
    expect(rest).toEqual({ verdict: { result: 'accept' }, added: 300 })
    expect(chain.head.height).toBe(300)
    await chain.close()
    await again.close()
  })
})

describe('the store', () => {
  it('reads again what it wrote, on disk', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'blockwire-'))
    try {
      const open = () => new ClassicLevel<Uint8Array, Uint8Array>(dir, { keyEncoding: 'view', valueEncoding: 'view' })
      let db = open()
      const first = await opened(db)
      expect(first.report).toEqual({ height: 0, created: true, repaired: [] })
      await growChain(first, 100, { txs: [{ kind: 'set', key: 'x', value: 'disk', salt: 1 }] })
      const fork = buildChain(rules, first.locate(first.hashAt(97)!)!, 2, () => ({ nonce: 9 }))
      for (const { bytes } of fork) await first.add(bytes)
      const { head } = first
      await first.close()
      await db.close()

      db = open()
      const second = await opened(db)
      expect(second.report).toEqual({ height: 100, created: false, repaired: [] })
      expect(second.head).toEqual(head)
      expect(second.has(fork[1]!.hash)).toBe('body')
      expect(new TextDecoder().decode(await second.state.get(utf8.encode('x')))).toBe('disk')
      const heavier = buildBlock(rules, fork[1]!.located, { weight: 5 })
      expect(await second.add(heavier.bytes, { own: true })).toEqual({ result: 'accept' })
      expect(toHex(second.head.hash)).toBe(toHex(heavier.hash))
      let blocks = 0
      for await (const page of second.blocks(0, 1_000)) blocks += page.length
      expect(blocks).toBe(101)
      await second.close()
      await db.close()
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })

  it('holds the same after a reorganisation as if the other branch had never been, but for the branch itself', async () => {
    const straight = memoryDb()
    const crooked = memoryDb()
    const [a, b] = [await opened(straight), await opened(crooked)]
    const tx = (key: string, i: number) => ({ txs: [{ kind: 'set' as const, key, value: `${key}${i}`, salt: i }] })
    const good = buildChain(rules, a.genesis, 8, (i) => tx(i % 2 ? 'a' : 'b', i))
    const lost = buildChain(rules, a.genesis, 6, (i) => tx(i % 2 ? 'a' : 'c', i))
    await a.addBlocks(good.map(({ bytes }) => bytes))
    await b.addBlocks(lost.map(({ bytes }) => bytes))
    await b.addBlocks(good.map(({ bytes }) => bytes))
    expect(toHex(b.head.hash)).toBe(toHex(a.head.hash))
    for (const letter of ['s', 'c', 'u', 'm'])
      expect(await table(crooked, letter)).toEqual(await table(straight, letter))
    await a.close()
    await b.close()
  })

  it('keeps undo for maxReorg blocks only, also when that is changed', async () => {
    const db = memoryDb()
    let chain = await opened(db, { maxReorg: 20 })
    await growChain(chain, 50)
    expect((await table(db, 'u')).size).toBe(20)
    await chain.close()
    chain = await opened(db, { maxReorg: 5 })
    expect(chain.report.repaired).toEqual([])
    expect((await table(db, 'u')).size).toBe(5)
    await chain.close()
    chain = await opened(db, { maxReorg: 100 })
    expect(chain.report.repaired).toEqual([])
    await growChain(chain, 3)
    expect((await table(db, 'u')).size).toBe(8)
    // what lies below cannot be taken back, whatever maxReorg says now
    const errors: string[] = []
    chain.addEventListener('error', ({ detail }) => errors.push(detail.name))
    const deep = buildBlock(rules, chain.locate(chain.hashAt(44)!)!, { weight: 1_000, nonce: 1 })
    expect(await chain.add(deep.bytes)).toMatchObject({ result: 'ignore', reason: 'too-deep' })
    expect(errors).toEqual(['ReorgTooDeepError'])
    const high = buildBlock(rules, chain.locate(chain.hashAt(45)!)!, { weight: 1_000, nonce: 1 })
    expect(await chain.add(high.bytes)).toEqual({ result: 'accept' })
    expect(chain.head.height).toBe(46)
    await chain.close()
  })

  it('is refused where it is another chain, a newer format or a newer state version', async () => {
    const db = memoryDb()
    const chain = await opened(db)
    await growChain(chain, 10)
    await chain.close()
    const before = await contents(db)
    const base = { tie: 'lowest-hash', state: { a: 'genesis' } } as const
    const open = async (options: Parameters<typeof testRules>[0]) => new Chain({ rules: testRules(options), db }).open()
    const named = (name: string, text: string) =>
      expect.objectContaining({ name, message: expect.stringContaining(text) })
    await expect(open({ ...base, network: 'other' })).rejects.toEqual(
      named('DataForeignError', 'network test there, other here')
    )
    await expect(open({ ...base, params: { reward: 5 } })).rejects.toEqual(named('DataForeignError', 'genesis'))
    await expect(open({ ...base, state: { a: 'more' } })).rejects.toEqual(named('DataForeignError', 'genesis'))
    await expect(open({ ...base, stateVersion: 0 })).rejects.toEqual(
      named('DataVersionError', 'state version 1, this program has 0')
    )
    expect(await contents(db)).toEqual(before)
    // a fork that is still to come is news, not a contradiction
    await open({ ...base, forks: [11] })
    await open(base)
    await db.put(utf8.encode('mformat'), utf8.encode('3'))
    await expect(open(base)).rejects.toEqual(named('DataVersionError', 'format 3, this program has 1'))
  })

  it('keeps little in memory of what lies far below head, and still knows it', async () => {
    const chain: TestChain = new Chain({ rules, maxReorg: 10 })
    await chain.open()
    const grown = await growChain(chain, 200)
    const deep = grown[20]!
    expect(chain.locate(deep.hash)).toEqual(deep)
    expect(chain.has(deep.hash)).toBe('valid')
    expect(toHex(chain.hashAt(21)!)).toBe(toHex(deep.hash))
    expect(await chain.add((await chain.block(deep.hash))!)).toMatchObject({ result: 'ignore', reason: 'known' })
    const header = rules.header.encode(deep.header)
    expect(await chain.addHeaders([header])).toMatchObject({
      verdict: { result: 'accept' },
      added: 0,
      last: { height: 21 }
    })
    await chain.close()
  })
})
