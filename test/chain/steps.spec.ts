import { Chain, type Database, toHex } from 'blockwire/chain'
import { buildChain, growChain, type TestBlock, testRules } from 'blockwire/testing'
import fc from 'fast-check'
import { MemoryLevel } from 'memory-level'
import { describe, expect, it } from 'vitest'
import { copyOf, Model, memoryDb, type Node, plan, sorted, stateOf, type TestChain, table } from './model.js'

const STATE = { a: 'genesis', c: 'genesis' }
const rules = testRules({ tie: 'lowest-hash', state: STATE })
const utf8 = new TextEncoder()

/** A database that can be told to fail from its n-th write on, or at it alone, and that lets a test look after each write. */
class WatchedLevel extends MemoryLevel<Uint8Array, Uint8Array> {
  writes = 0
  failFrom = Number.POSITIVE_INFINITY
  failTo = Number.POSITIVE_INFINITY
  written: () => Promise<void> = async () => {}
  read: () => void = () => {}

  constructor() {
    super({ keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' })
  }

  async _batch(...args: unknown[]): Promise<void> {
    const write = ++this.writes
    if (write >= this.failFrom && write <= this.failTo) throw new Error('disk full')
    // @ts-expect-error the private door of abstract-level
    await super._batch(...args)
    await this.written()
  }

  async _get(...args: unknown[]): Promise<unknown> {
    this.read()
    // @ts-expect-error the private door of abstract-level
    return super._get(...args)
  }
}

async function opened(db: Database, stepBytes?: number, listen: (chain: TestChain) => void = () => {}) {
  const chain: TestChain = new Chain({ rules, db, ...(stepBytes == null ? {} : { stepBytes }) })
  listen(chain)
  await chain.open()
  return chain
}

/** What a chain tells of its head chain, in order. */
function told(chain: TestChain): string[] {
  const events: string[] = []
  const hex = ({ hash }: { hash: Uint8Array }) => toHex(hash).slice(0, 12)
  chain.addEventListener('block', ({ detail }) => events.push(`block ${detail.height} ${hex(detail)} ${detail.txs}`))
  chain.addEventListener('head', ({ detail }) => events.push(`head ${hex(detail)}`))
  chain.addEventListener('reorg', ({ detail: { from, to, common, dropped, added } }) => {
    events.push(`reorg ${[from, to, common].map(hex)} -${dropped.map(hex)} +${added.map(hex)}`)
  })
  return events
}

const shuffled = (nodes: Node[], keys: number[]): Node[] =>
  nodes
    .map((node, i) => ({ node, at: keys[i % keys.length]! + i * 1e-6 }))
    .sort((a, b) => a.at - b.at)
    .map(({ node }) => node)

/** The state in the store is that of the head in the store. */
async function expectConsistent(db: Database, model: Model): Promise<void> {
  const record = await db.get(utf8.encode('mhead'))
  if (record == null) return
  const head = toHex(Uint8Array.from(record.subarray(0, 32)))
  const node = [model.genesis, ...model.nodes].find(({ block }) => toHex(block.hash) === head)!
  expect(sorted(await stateOf(db))).toEqual(sorted(node.state!))
  let at: Node | undefined = node
  const index = await table(db, 'c')
  expect(index.size).toBe(node.block.located.height + 1)
  for (; at != null; at = at.parent)
    expect(index.get(at.block.located.height.toString(16).padStart(12, '0'))).toBe(toHex(at.block.hash))
}

async function expectBest(chain: TestChain, db: Database, model: Model): Promise<void> {
  const best = model.best()
  expect(toHex(chain.head.hash)).toBe(toHex(best.block.hash))
  expect(sorted(await stateOf(db))).toEqual(sorted(best.state!))
  expect(await table(db, 'm').then((records) => records.has(toHex(utf8.encode('reorg'))))).toBe(false)
  // undo of the head chain, and of nothing else
  const undo = [...(await table(db, 'u')).keys()].map((key) => key.slice(12))
  const main: string[] = []
  for (let node = best; node.parent != null; node = node.parent) main.unshift(toHex(node.block.hash))
  expect(undo).toEqual(main)
}

describe('a reorganisation in steps', () => {
  const trees = fc.record({
    plans: fc.array(plan(['set', 'set', 'del', 'once', 'fail', 'throw']), { minLength: 4, maxLength: 24 }),
    order: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 24, maxLength: 24 }),
    stepBytes: fc.constantFrom(1, 1, 200, 500)
  })
  const model = (plans: Parameters<Model['grow']>[0], chain: TestChain): Model =>
    // what throws is refused by nobody: it is no part of these trees
    new Model(rules, chain.genesis, STATE).grow(
      plans.map((each) => ({ ...each, txs: each.txs.filter(({ kind }) => kind !== 'throw') }))
    )

  it('ends where one batch would have ended, says the same, and is consistent at every write', async () => {
    await fc.assert(
      fc.asyncProperty(trees, async ({ plans, order, stepBytes }) => {
        const db = new WatchedLevel()
        const chain = await opened(db, stepBytes)
        const plainDb = memoryDb()
        const plain = await opened(plainDb)
        const tree = model(plans, chain)
        db.written = () => expectConsistent(db, tree)
        const [events, expected] = [told(chain), told(plain)]
        for (const each of [chain, plain]) {
          await each.addHeaders(tree.nodes.map(({ block }) => block.headerBytes))
          for (const { block } of shuffled(tree.nodes, order)) await each.add(block.bytes)
        }
        expect(events).toEqual(expected)
        await expectBest(chain, db, tree)
        for (const letter of ['s', 'c', 'u', 'm']) expect(await table(db, letter)).toEqual(await table(plainDb, letter))
        await chain.close()
        await plain.close()
      }),
      { numRuns: 250 }
    )
  })

  it('is carried on at the next start, wherever the process ended', async () => {
    await fc.assert(
      fc.asyncProperty(trees, fc.boolean(), async ({ plans, order, stepBytes }, resumeInSteps) => {
        for (let failFrom = 2, ended = false; !ended; failFrom++) {
          const db = new WatchedLevel()
          const chain = await opened(db, stepBytes)
          const tree = model(plans, chain)
          db.failFrom = failFrom
          await chain.addHeaders(tree.nodes.map(({ block }) => block.headerBytes))
          const heads: string[] = [toHex(chain.genesis.hash)]
          chain.addEventListener('head', ({ detail }) => heads.push(toHex(detail.hash)))
          for (const { block } of shuffled(tree.nodes, order)) await chain.add(block.bytes)
          ended = db.writes < failFrom
          await expectConsistent(db, tree)

          const copy = await copyOf(db)
          const reorgs: string[] = []
          const again = await opened(copy, resumeInSteps ? stepBytes : undefined, (each) => {
            each.addEventListener('reorg', ({ detail }) => reorgs.push(toHex(detail.from.hash)))
          })
          expect(again.report.repaired).toEqual([])
          // the head that was told last is where the way began, if it is told at all
          for (const from of reorgs) expect(from).toBe(heads.at(-1))
          const told = [tree.genesis, ...tree.nodes].find(({ block }) => toHex(block.hash) === heads.at(-1))!
          expect(again.head.work).toBeGreaterThanOrEqual(told.block.located.work)
          await expectConsistent(copy, tree)
          await again.addHeaders(tree.nodes.map(({ block }) => block.headerBytes))
          for (let round = 0; round < 2; round++) for (const { block } of tree.nodes) await again.add(block.bytes)
          await expectBest(again, copy, tree)
          await chain.close()
          await again.close()
        }
      }),
      { numRuns: 25 }
    )
  })

  it('goes on with the next change when a write failed once', async () => {
    await fc.assert(
      fc.asyncProperty(trees, async ({ plans, order, stepBytes }) => {
        for (let failAt = 2, ended = false; !ended; failAt++) {
          const db = new WatchedLevel()
          const chain = await opened(db, stepBytes)
          const tree = model(plans, chain)
          const events = told(chain)
          db.failFrom = db.failTo = failAt
          await chain.addHeaders(tree.nodes.map(({ block }) => block.headerBytes))
          await chain.addHeaders(tree.nodes.map(({ block }) => block.headerBytes))
          for (const { block } of shuffled(tree.nodes, order)) await chain.add(block.bytes)
          for (let round = 0; round < 2; round++) for (const { block } of tree.nodes) await chain.add(block.bytes)
          ended = db.writes < failAt
          await expectBest(chain, db, tree)
          const heads = events.filter((event) => event.startsWith('head'))
          expect(new Set(heads).size).toBe(heads.length)
          await chain.close()
        }
      }),
      { numRuns: 25 }
    )
  })

  it('goes back in steps when a late block of the heavier branch is bad', async () => {
    const db = new WatchedLevel()
    const chain = await opened(db, 1)
    const tx = (i: number) => ({ txs: [{ kind: 'set' as const, key: 'a', value: `${i}`, salt: i }] })
    await chain.addBlocks(buildChain(rules, chain.genesis, 20, (i) => ({ ...tx(i), weight: 3 })).map(bytesOf))
    const before = await stateOf(db)
    const { head } = chain
    const events = told(chain)
    const other = buildChain(rules, chain.genesis, 30, (i) => ({
      txs: [{ kind: i === 25 ? 'fail' : 'set', key: 'b', value: `${i}`, salt: i }],
      weight: i < 26 ? 2 : 9
    }))
    await chain.addHeaders(other.map(({ headerBytes }) => headerBytes))
    const writes = db.writes
    for (const block of other.toReversed()) await chain.add(block.bytes)
    // 20 down, 25 up, 25 down, 20 up
    expect(db.writes - writes).toBeGreaterThan(80)
    expect(toHex(chain.head.hash)).toBe(toHex(head.hash))
    expect(sorted(await stateOf(db))).toEqual(sorted(before))
    expect(events).toEqual([])
    expect(chain.has(other[25]!.hash)).toBe('invalid')
    expect(toHex(chain.target.hash)).toBe(toHex(head.hash))
    await growChain(chain, 1)
    expect(events).toHaveLength(2)
    await chain.close()
  })

  it('keeps what the way back needs, also when the new branch is longer than maxReorg', async () => {
    const db = memoryDb()
    const chain: TestChain = new Chain({ rules, db, maxReorg: 10, stepBytes: 1 })
    await chain.open()
    const old = buildChain(rules, chain.genesis, 8, (i) => ({ txs: [set('a', i)], weight: 100 }))
    await chain.addBlocks(old.map(bytesOf))
    const other = buildChain(rules, chain.genesis, 60, (i) => ({
      txs: [{ ...set('b', i), kind: i === 50 ? 'fail' : 'set' }],
      weight: i < 51 ? 10 : 100
    }))
    await chain.addHeaders(other.map(({ headerBytes }) => headerBytes))
    for (const block of other.toReversed()) await chain.add(block.bytes)
    expect(toHex(chain.head.hash)).toBe(toHex(old[7]!.hash))
    expect(new TextDecoder().decode(await chain.state.get(utf8.encode('a')))).toBe('7')
    const longer = buildChain(rules, other[49]!.located, 20, (i) => ({ txs: [set('c', i)], weight: 100, nonce: 1 }))
    const reorgs: number[][] = []
    chain.addEventListener('reorg', ({ detail }) => reorgs.push([detail.dropped.length, detail.added.length]))
    await chain.addHeaders(longer.map(({ headerBytes }) => headerBytes))
    for (const block of longer.toReversed()) await chain.add(block.bytes)
    expect(toHex(chain.head.hash)).toBe(toHex(longer[19]!.hash))
    expect(reorgs).toEqual([[8, 70]])
    expect((await table(db, 'u')).size).toBe(10)
    await chain.close()
    const again: TestChain = new Chain({ rules, db, maxReorg: 10 })
    await again.open()
    expect(again.report.repaired).toEqual([])
    expect(toHex(again.head.hash)).toBe(toHex(longer[19]!.hash))
    await again.close()
  })

  it('has head and state of one block in between, and tells of neither', async () => {
    const db = new WatchedLevel()
    const chain = await opened(db, 1)
    await chain.addBlocks(buildChain(rules, chain.genesis, 6, (i) => ({ txs: [set('a', i)] })).map(bytesOf))
    const other = buildChain(rules, chain.genesis, 9, (i) => ({ txs: [set('a', 100 + i)], nonce: 1 }))
    for (const block of other.slice(0, 5)) await chain.add(block.bytes)
    const values = new Map([
      ...Array.from({ length: 6 }, (_, i) => [toHex(chain.hashAt(i + 1)!), `${i}`] as const),
      ...other.map(({ hash }, i) => [toHex(hash), `${100 + i}`] as const),
      [toHex(chain.genesis.hash), 'genesis'] as const
    ])
    const seen = new Set<string>()
    // bodies are read between the writes
    db.read = () => {
      seen.add(toHex(chain.head.hash))
      const value = chain.state.get(utf8.encode('a')) as Uint8Array
      expect(new TextDecoder().decode(value)).toBe(values.get(toHex(chain.head.hash)))
    }
    const events = told(chain)
    await chain.addHeaders(other.map(({ headerBytes }) => headerBytes))
    for (const block of other.slice(6).toReversed()) await chain.add(block.bytes)
    expect(events).toEqual([])
    await chain.add(other[5]!.bytes)
    expect(events.map((event) => event.split(' ')[0])).toEqual(['reorg', ...Array(9).fill('block'), 'head'])
    expect(toHex(chain.head.hash)).toBe(toHex(other[8]!.hash))
    expect(seen.size).toBeGreaterThan(9)
    await chain.close()
  })

  it('is refused a limit that is none', () => {
    expect(() => new Chain({ rules, stepBytes: 0 })).toThrow(expect.objectContaining({ option: 'stepBytes' }))
  })
})

const bytesOf = ({ bytes }: TestBlock): Uint8Array => bytes
const set = (key: string, i: number) => ({ kind: 'set' as const, key, value: `${i}`, salt: i })
