import { Chain, type ChainEvents, type Database, toHex } from 'blockwire/chain'
import { buildBlock, buildChain, growChain, type TestBlock, type TestTx, testRules } from 'blockwire/testing'
import { MemoryLevel } from 'memory-level'
import { beforeEach, describe, expect, it } from 'vitest'
import { copyOf, memoryDb, sorted, stateOf, type TestChain, table, waitingDb } from './model.js'

const rules = testRules({ state: { a: 'genesis' } })
const OPTIONS = { maxReorg: 5 }
const OLD = 60
const FORK = 12
const utf8 = new TextEncoder()
const set = (key: string, i: number): TestTx => ({ kind: 'set', key, value: `${key}${i}`, salt: i })
const bytesOf = (blocks: TestBlock[]): Uint8Array[] => blocks.map(({ bytes }) => bytes)
const headersOf = (blocks: TestBlock[]): Uint8Array[] => blocks.map(({ headerBytes }) => headerBytes)

/** A database whose writes fail from the n-th on. */
class DyingLevel extends MemoryLevel<Uint8Array, Uint8Array> {
  writes = 0
  failFrom = Number.POSITIVE_INFINITY
  clearing: () => Promise<void> = async () => {}

  constructor() {
    super({ keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' })
  }

  #count(): void {
    if (++this.writes >= this.failFrom) throw new Error('disk full')
  }

  async _batch(...args: unknown[]): Promise<void> {
    this.#count()
    // @ts-expect-error the private door of abstract-level
    return super._batch(...args)
  }

  async _clear(...args: unknown[]): Promise<void> {
    this.#count()
    // @ts-expect-error the private door of abstract-level
    await super._clear(...args)
    await this.clearing()
  }
}

let old: TestBlock[]
/** Forks off at FORK, 48 blocks below the head, with more work. */
let other: TestBlock[]

beforeEach(async () => {
  const chain: TestChain = new Chain({ rules })
  old = buildChain(rules, chain.genesis, OLD, (i) => ({ txs: [set('abc'[i % 3]!, i)] }))
  other = buildChain(rules, old[FORK - 1]!.located, 30, (i) => ({
    txs: [set('cde'[i % 3]!, 100 + i)],
    weight: 2,
    nonce: 1
  }))
})

async function opened(db: Database, options: { stepBytes?: number; maxSide?: number } = {}): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules, db, ...OPTIONS, ...options })
  await chain.open()
  return chain
}

/** With the old branch as its head, and live. */
async function grown(db: Database, options: Parameters<typeof opened>[1] = {}): Promise<TestChain> {
  const chain = await opened(db, options)
  await chain.settled()
  expect((await chain.addBlocks(bytesOf(old))).verdict).toEqual({ result: 'accept' })
  return chain
}

function events(chain: TestChain): string[] {
  const told: string[] = []
  chain.addEventListener('split', ({ detail }) =>
    told.push(`split ${detail.height} ${detail.forkHeight} ${detail.depth}`)
  )
  chain.addEventListener('error', ({ detail }) => told.push(detail.name))
  chain.addEventListener('reorg', ({ detail: { from, to, common, dropped, added } }: ChainEvents['reorg']) =>
    told.push(`reorg ${from.height} ${to.height} ${common.height} -${dropped.length} +${added.length}`)
  )
  chain.addEventListener('head', ({ detail }) => told.push(`head ${detail.height}`))
  return told
}

/** The state of a chain that never saw the old branch. */
async function expectOther(chain: TestChain, db: Database, count = other.length): Promise<void> {
  const plainDb = memoryDb()
  const plain = await opened(plainDb)
  await plain.addBlocks(bytesOf([...old.slice(0, FORK), ...other.slice(0, count)]))
  expect(toHex(chain.head.hash)).toBe(toHex(plain.head.hash))
  expect(sorted(await stateOf(db))).toEqual(sorted(await stateOf(plainDb)))
  for (const letter of ['c', 'u']) expect(await table(db, letter)).toEqual(await table(plainDb, letter))
  for (const name of ['split', 'reorg', 'rebuild']) expect(await db.get(utf8.encode(`m${name}`)), name).toBe(undefined)
  await plain.close()
}

const refused = (text: string) =>
  expect.objectContaining({ name: 'ConfigError', option: 'hash', message: expect.stringContaining(text) })

describe('a heavier branch that forks off deeper than maxReorg', () => {
  it('is told, and not followed', async () => {
    const chain = await grown(memoryDb())
    const told = events(chain)
    expect(chain.split).toBe(undefined)
    // 24 blocks of weight 2 are as much as 48 of weight 1
    expect(await chain.addHeaders(headersOf(other.slice(0, 24)))).toMatchObject({
      verdict: { result: 'accept' },
      added: 24
    })
    expect(chain.split).toBe(undefined)
    expect(await chain.addHeaders(headersOf(other))).toMatchObject({
      verdict: { result: 'ignore', reason: 'too-deep' }
    })
    expect(told).toEqual([`split ${FORK + 25} ${FORK} 48`, 'ReorgTooDeepError'])
    expect(chain.split).toEqual({
      hash: other[24]!.hash,
      height: FORK + 25,
      work: other[24]!.located.work,
      forkHeight: FORK,
      depth: 48
    })
    expect(chain.target).toBe(chain.head)
    // the branch grows
    expect(await chain.add(other[25]!.bytes)).toMatchObject({ reason: 'too-deep' })
    expect(chain.split!.height).toBe(FORK + 26)
    expect(told).toHaveLength(2)
    // until ours has more work
    await growChain(chain, 1, { weight: 10 })
    expect(chain.split).toBe(undefined)
    await chain.close()
  })

  it.each([1, 32 * 1_048_576])('is followed once it is accepted, in steps of %i bytes', async (stepBytes) => {
    const db = memoryDb()
    const chain = await grown(db, { stepBytes })
    await chain.addHeaders(headersOf(other))
    const told = events(chain)
    await chain.acceptSplit(chain.split!.hash)
    expect(chain.split).toBe(undefined)
    expect(chain.target.height).toBe(FORK + 25)
    expect(toHex(chain.head.hash)).toBe(toHex(old.at(-1)!.hash))
    // its headers and bodies are like any others now
    expect(await chain.addHeaders(headersOf(other))).toMatchObject({ verdict: { result: 'accept' } })
    expect(chain.target.height).toBe(FORK + 30)
    expect(chain.missing(99).map(({ height }) => height)).toEqual(other.map((_, i) => FORK + 1 + i))
    for (const block of other.slice(0, 24)) expect(await chain.add(block.bytes)).toEqual({ result: 'accept' })
    expect(toHex(chain.head.hash)).toBe(toHex(old.at(-1)!.hash))
    // our own chain goes on meanwhile
    const [next] = await growChain(chain, 1)
    expect(chain.head).toEqual(next)
    expect(told).toEqual([`head ${OLD + 1}`])
    expect((await chain.addBlocks(bytesOf(other))).verdict).toEqual({ result: 'accept' })
    const first = FORK + 25
    expect(told.slice(1)).toEqual(
      [`reorg ${OLD + 1} ${first} ${FORK} -49 +25`, `head ${first}`, `head ${FORK + 30}`].slice(0, told.length - 1)
    )
    await expectOther(chain, db)
    await chain.close()
    const again = await opened(db)
    expect(again.report.repaired).toEqual([])
    await expectOther(again, db)
    // the cap holds as before
    const deeper = buildChain(rules, other[9]!.located, 30, () => ({ weight: 9, nonce: 2 }))
    expect(await again.addHeaders(headersOf(deeper))).toMatchObject({ verdict: { reason: 'too-deep' } })
    await again.close()
  })

  it('is left again where a block of it is invalid', async () => {
    const db = memoryDb()
    other = buildChain(rules, old[FORK - 1]!.located, 30, (i) => ({
      txs: [{ ...set('c', i), kind: i === 20 ? 'fail' : 'set' }],
      weight: 2,
      nonce: 1
    }))
    const chain = await grown(db, { stepBytes: 1 })
    const before = [await stateOf(db), await table(db, 'c')] as const
    await chain.addHeaders(headersOf(other))
    await chain.acceptSplit(chain.split!.hash)
    const told = events(chain)
    for (const { bytes } of other) await chain.add(bytes)
    expect(chain.has(other[20]!.hash)).toBe('invalid')
    expect(toHex(chain.head.hash)).toBe(toHex(old.at(-1)!.hash))
    expect(sorted(await stateOf(db))).toEqual(sorted(before[0]))
    expect(await table(db, 'c')).toEqual(before[1])
    expect(told).toEqual([])
    expect(chain.target).toBe(chain.head)
    await growChain(chain, 1)
    for (const name of ['split', 'reorg', 'rebuild'])
      expect(await db.get(utf8.encode(`m${name}`)), name).toBe(undefined)
    await chain.close()
  })

  it('stays accepted over a restart', async () => {
    const db = memoryDb()
    let chain = await grown(db)
    await chain.addHeaders(headersOf(other))
    await chain.acceptSplit(chain.split!.hash)
    for (const { bytes } of other.slice(0, 10)) await chain.add(bytes)
    await chain.close()
    chain = await opened(db)
    expect(chain.report.repaired).toEqual([])
    expect(chain.target.height).toBe(FORK + 25)
    expect(chain.missing(1).map(({ height }) => height)).toEqual([FORK + 11])
    await chain.addBlocks(bytesOf(other))
    await expectOther(chain, db)
    await chain.close()
  })

  it('is forgotten when the head has more work after all', async () => {
    const db = memoryDb()
    const chain = await grown(db)
    await chain.addHeaders(headersOf(other))
    await chain.acceptSplit(chain.split!.hash)
    await growChain(chain, 1, { weight: 500 })
    expect(await db.get(utf8.encode('msplit'))).toBe(undefined)
    expect(chain.target).toBe(chain.head)
    // what held it in memory is gone with the next block
    await growChain(chain, 1)
    expect(chain.has(other[0]!.hash)).toBe(undefined)
    await chain.close()
  })

  it('cannot be accepted where it is unknown, not deep, too large to hold, or the disk is full', async () => {
    const db = new DyingLevel()
    const chain = await grown(db, { maxSide: 70 })
    await expect(chain.acceptSplit(other[3]!.hash)).rejects.toEqual(refused('no branch with it is known'))
    const near = buildBlock(rules, old.at(-2)!.located, { nonce: 1 })
    await chain.add(near.bytes)
    await expect(chain.acceptSplit(near.hash)).rejects.toEqual(refused('no deeper'))
    await expect(chain.acceptSplit(old.at(-2)!.hash)).rejects.toEqual(refused('no deeper'))
    await chain.addHeaders(headersOf(other))
    await expect(chain.acceptSplit(chain.split!.hash)).rejects.toEqual(refused('maxSide allows 70'))
    await chain.close()
    const again = await opened(db)
    await again.addHeaders(headersOf(other))
    db.failFrom = 0
    await expect(again.acceptSplit(again.split!.hash)).rejects.toEqual(refused('could not be written'))
    expect(again.target).toBe(again.head)
    db.failFrom = Number.POSITIVE_INFINITY
    await again.acceptSplit(again.split!.hash)
    expect(again.target).not.toBe(again.head)
    await again.close()
  })

  it('is carried on wherever the process ended', async () => {
    const source = memoryDb()
    const prepared = await grown(source)
    await prepared.addHeaders(headersOf(other))
    await prepared.acceptSplit(prepared.split!.hash)
    await prepared.addHeaders(headersOf(other))
    for (const { bytes } of other.slice(1)) await prepared.add(bytes)
    await prepared.close()
    for (let failFrom = 1; ; failFrom++) {
      const db = new DyingLevel()
      await db.open()
      for (const [key, value] of await source.iterator().all()) await db.put(key.slice(), value.slice())
      const chain = await opened(db, { stepBytes: 300 })
      db.failFrom = db.writes + failFrom
      await chain.add(other[0]!.bytes)
      const ended = db.writes < db.failFrom
      const rest = await copyOf(db)
      const again = await opened(rest)
      await again.addBlocks(bytesOf(other.slice(0, 1)))
      await expectOther(again, rest)
      await again.close()
      // here it goes on with the next change, when there is room again
      db.failFrom = Number.POSITIVE_INFINITY
      await chain.addBlocks(bytesOf(other.slice(0, 1)))
      await expectOther(chain, db)
      await chain.close()
      if (!ended) continue
      expect(failFrom).toBeGreaterThan(20)
      break
    }
  })

  it('never shows a state that is not that of the head, nor a half emptied one', async () => {
    const db = new DyingLevel()
    const chain = await grown(db, { stepBytes: 300 })
    await chain.addHeaders(headersOf(other))
    await chain.acceptSplit(chain.split!.hash)
    for (const { bytes } of other.slice(1)) await chain.add(bytes)
    const reads: Promise<[number, Uint8Array | undefined]>[] = []
    db.clearing = async () => {
      const value = chain.state.get(utf8.encode('a')) as Promise<Uint8Array | undefined>
      reads.push(Promise.all([chain.head.height, value]))
    }
    await chain.add(other[0]!.bytes)
    expect((await Promise.all(reads)).map(([height, value]) => [height, new TextDecoder().decode(value)])).toEqual([
      [0, 'genesis'],
      [0, 'genesis']
    ])
    await chain.close()
  })
})

describe('before the node was live', () => {
  it.each(['headers', 'blocks'])('a heavier branch is followed however deep it forks off, by %s', async (by) => {
    const db = memoryDb()
    const chain = await opened(db)
    await chain.addBlocks(bytesOf(old))
    const told = events(chain)
    if (by === 'headers') {
      expect(await chain.addHeaders(headersOf(other))).toMatchObject({ verdict: { result: 'accept' }, added: 30 })
      for (const { bytes } of other.toReversed()) expect(await chain.add(bytes)).toEqual({ result: 'accept' })
      expect(told).toEqual([`reorg ${OLD} ${FORK + 30} ${FORK} -48 +30`, `head ${FORK + 30}`])
    } else {
      for (const [i, { bytes }] of other.entries()) {
        const verdict = await chain.add(bytes)
        expect(verdict).toMatchObject(i < 24 ? { reason: 'too-deep' } : { result: 'accept' })
      }
      // those that came while it was not the heavier one are fetched by sync
      expect(chain.missing(99)).toHaveLength(24)
      for (const { bytes } of other) await chain.add(bytes)
    }
    await expectOther(chain, db)
    await chain.close()
  })

  it('and never after, restarts included', async () => {
    const db = memoryDb()
    let chain = await grown(db)
    await chain.close()
    chain = await opened(db)
    await chain.addHeaders(headersOf(other))
    expect(chain.split?.forkHeight).toBe(FORK)
    expect(chain.target).toBe(chain.head)
    await chain.close()
  })

  it('one that forks off at genesis is followed, too', async () => {
    const db = memoryDb()
    const chain = await opened(db, { stepBytes: 500 })
    await chain.addBlocks(bytesOf(old))
    const whole = buildChain(rules, chain.genesis, 80, (i) => ({ nonce: 3, txs: [set('b', i)] }))
    expect(await chain.addHeaders(headersOf(whole))).toMatchObject({ added: 80 })
    expect((await chain.addBlocks(bytesOf(whole))).verdict).toEqual({ result: 'accept' })
    expect(toHex(chain.head.hash)).toBe(toHex(whole.at(-1)!.hash))
    expect(sorted(await stateOf(db))).toEqual([
      ['a', 'genesis'],
      ['b', 'b79']
    ])
    await chain.close()
  })

  it('where the database cannot read at once, what is below memory is not known', async () => {
    const chain = await opened(waitingDb())
    await chain.addBlocks(bytesOf(old))
    expect(await chain.addHeaders(headersOf(other))).toMatchObject({ verdict: { reason: 'unknown-parent' } })
    await chain.close()
  })
})
