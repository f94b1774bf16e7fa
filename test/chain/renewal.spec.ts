import { Chain, type Database, type RebuildDetail, type Rules, toHex } from 'blockwire/chain'
import { buildBlock, buildChain, growChain, type TestHeader, type TestTx, testRules } from 'blockwire/testing'
import { MemoryLevel } from 'memory-level'
import { beforeEach, describe, expect, it } from 'vitest'
import { blockKey, heightKey, TABLE } from '../../dist/src/chain/layout.js'
import { contents, copyOf, sorted, stateOf, type TestChain, table } from './model.js'

type TestRules = Rules<TestHeader, TestTx>

const HEIGHT = 30
const utf8 = new TextEncoder()
const STATE = { a: 'genesis' }

/** A database that counts what is written, and fails from its n-th write on. */
class DyingLevel extends MemoryLevel<Uint8Array, Uint8Array> {
  writes = 0
  failFrom = Number.POSITIVE_INFINITY

  constructor() {
    super({ keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' })
  }

  #count(): void {
    if (++this.writes >= this.failFrom) throw new Error('disk full')
  }

  async _put(...args: unknown[]): Promise<void> {
    this.#count()
    // @ts-expect-error the private door of abstract-level
    return super._put(...args)
  }

  async _batch(...args: unknown[]): Promise<void> {
    this.#count()
    // @ts-expect-error the private door of abstract-level
    return super._batch(...args)
  }

  async _clear(...args: unknown[]): Promise<void> {
    this.#count()
    // @ts-expect-error the private door of abstract-level
    return super._clear(...args)
  }
}

interface Change {
  version?: number
  forks?: number[]
  /** What it writes as a value, by height. */
  write?(value: string, height: number): string
  checkHeader?: TestRules['checkHeader']
  checkTx?: TestRules['checkTx']
  work?: TestRules['work']
  /** Height of the block that the state refuses. */
  refuse?: number
  /** Heights of the blocks whose state is run. */
  ran?: number[]
}

/** The test rules as a later program has them. */
function rulesOf({ version = 1, forks, write = (value) => value, refuse, ran, ...more }: Change): TestRules {
  const base = testRules({ state: STATE, stateVersion: version, ...(forks && { forks }) })
  return {
    ...base,
    ...more,
    state: {
      ...base.state!,
      begin(ctx) {
        ran?.push(ctx.height)
        return true
      },
      applyTx: (tx, ctx, db) =>
        ctx.height === refuse
          ? { reject: 'not here' }
          : base.state!.applyTx(tx.kind === 'set' ? { ...tx, value: write(tx.value, ctx.height) } : tx, ctx, db)
    }
  }
}

const OLD = rulesOf({})
const upper = (value: string): string => `v2 ${value}`
const tx = (i: number): TestTx => ({ kind: i % 5 === 4 ? 'del' : 'set', key: 'abc'[i % 3]!, value: `${i}`, salt: i })

let db: Database
let blocks: Uint8Array[]
let hashes: string[]

beforeEach(async () => {
  db = new DyingLevel()
  const chain = await opened(OLD)
  const built = buildChain(OLD, chain.genesis, HEIGHT, (i) => ({ txs: [tx(i), tx(i + 1)] }))
  blocks = built.map(({ bytes }) => bytes)
  hashes = [toHex(chain.genesis.hash), ...built.map(({ hash }) => toHex(hash))]
  expect((await chain.addBlocks(blocks)).verdict).toEqual({ result: 'accept' })
  await chain.close()
})

async function opened(rules: TestRules, options: { maxReorg?: number; stepBytes?: number } = {}, on: Database = db) {
  const chain: TestChain = new Chain({ rules, db: on, ...options })
  await chain.open()
  return chain
}

/** What a new store of these rules would hold, given the blocks up to a height. */
async function fresh(rules: TestRules, height = HEIGHT, options: { maxReorg?: number } = {}): Promise<Database> {
  const made = new DyingLevel()
  const chain = await opened(rules, options, made)
  expect((await chain.addBlocks(blocks.slice(0, height))).verdict).toEqual({ result: 'accept' })
  await chain.close()
  return made
}

const named = (name: string, text: string) => expect.objectContaining({ name, message: expect.stringContaining(text) })

describe('a store of an older state version', () => {
  const rules = rulesOf({ version: 2, write: upper })

  it('has its state made anew, and is as one that these rules wrote', async () => {
    const chain = await opened(rules)
    expect(chain.report).toEqual({
      height: HEIGHT,
      created: false,
      repaired: ['state version 1 there, 2 here: the state was made anew from the stored blocks']
    })
    expect(await contents(db)).toEqual(await contents(await fresh(rules)))
    await chain.close()
    const again = await opened(rules)
    expect(again.report.repaired).toEqual([])
    // and it can be taken back
    const other = buildChain(rules, again.locate(again.hashAt(20)!)!, 11, () => ({ nonce: 1 }))
    for (const { bytes } of other) await again.add(bytes)
    expect(toHex(again.head.hash)).toBe(toHex(other.at(-1)!.hash))
    expect(sorted(await stateOf(db))).toEqual(sorted(await stateOf(await fresh(rules, 20))))
    await again.close()
  })

  it('tells how far it is', async () => {
    const chain: TestChain = new Chain({ rules, db })
    const told: RebuildDetail[] = []
    const others: string[] = []
    chain.addEventListener('rebuild', ({ detail }) => told.push(detail))
    for (const type of ['block', 'head', 'reorg', 'error'] as const)
      chain.addEventListener(type, () => others.push(type))
    await chain.open()
    const why = 'state version 1 there, 2 here'
    expect(told[0]).toEqual({ height: HEIGHT, goal: HEIGHT, why, done: false })
    expect(told.at(-1)).toEqual({ height: HEIGHT, goal: HEIGHT, why, done: true })
    expect(others).toEqual([])
    await chain.close()
  })

  it('keeps its branches', async () => {
    let chain = await opened(OLD)
    const fork = buildChain(OLD, chain.locate(chain.hashAt(25)!)!, 3, () => ({ nonce: 5 }))
    for (const { bytes } of fork) await chain.add(bytes)
    await chain.close()
    chain = await opened(rules)
    expect(chain.has(fork[2]!.hash)).toBe('body')
    expect(toHex(chain.head.hash)).toBe(hashes[HEIGHT])
    await chain.close()
  })

  it('is refused by older rules, and left as it is', async () => {
    await (await opened(rules)).close()
    const before = await contents(db)
    await expect(opened(OLD)).rejects.toEqual(named('DataVersionError', 'state version 2, this program has 1'))
    expect(await contents(db)).toEqual(before)
  })

  it('is refused where a block is missing, and left as it is', async () => {
    await db.del(blockKey(TABLE.body, 7, Buffer.from(hashes[7]!, 'hex')))
    const before = await contents(db)
    await expect(opened(rules)).rejects.toEqual(named('DataVersionError', 'because block 7 is not in it'))
    expect(await contents(db)).toEqual(before)
    await expect(opened(rulesOf({ forks: [5] }))).rejects.toEqual(named('DataVersionError', 'forks none'))
    expect(await contents(db)).toEqual(before)
  })

  it('is cut back where a block is damaged', async () => {
    await db.put(blockKey(TABLE.body, 7, Buffer.from(hashes[7]!, 'hex')), utf8.encode('damaged'))
    const chain = await opened(rules)
    expect(chain.report.repaired).toEqual([
      'state version 1 there, 2 here: the state was made anew from the stored blocks, up to block 6; block 7 has a damaged body'
    ])
    expect(chain.head.height).toBe(6)
    expect(sorted(await stateOf(db))).toEqual(sorted(await stateOf(await fresh(rules, 6))))
    expect((await chain.addBlocks(blocks)).verdict).toEqual({ result: 'accept' })
    expect(toHex(chain.head.hash)).toBe(hashes[HEIGHT])
    await chain.close()
  })

  it('is carried on wherever the process ended', async () => {
    const expected = await contents(await fresh(rules))
    let writes = 0
    for (let failFrom = 1; ; failFrom++) {
      const dying = (await copyOn(db)) as DyingLevel
      dying.failFrom = dying.writes + failFrom
      const ended = await opened(rules, { stepBytes: 500 }, dying).then(
        (chain) => chain.close().then(() => true),
        (err: Error) => {
          expect(err.name).toMatch(/DataUnusableError|^Error$/)
          return false
        }
      )
      writes = dying.writes
      const rest = await copyOf(dying)
      const again = await opened(rules, {}, rest)
      expect(toHex(again.head.hash)).toBe(hashes[HEIGHT])
      await again.close()
      expect(await contents(rest)).toEqual(expected)
      if (ended) break
    }
    expect(writes).toBeGreaterThan(8)
  })

  it('takes still newer rules while it is at it', async () => {
    const newest = rulesOf({ version: 3, write: (value) => `v3 ${value}` })
    for (const failFrom of [2, 3, 4, 6, 9]) {
      const dying = (await copyOn(db)) as DyingLevel
      dying.failFrom = dying.writes + failFrom
      await expect(opened(rules, { stepBytes: 500 }, dying)).rejects.toBeInstanceOf(Error)
      const rest = await copyOf(dying)
      await expect(opened(OLD, {}, rest)).rejects.toEqual(named('DataVersionError', 'state version'))
      const chain = await opened(newest, {}, rest)
      expect(chain.head.height).toBe(HEIGHT)
      await chain.close()
      expect(await contents(rest)).toEqual(await contents(await fresh(newest)))
    }
  })

  it('is left for the next start when a rule throws, and goes on from there', async () => {
    const bad = rulesOf({
      version: 2,
      write: (value, height) => {
        if (height === 20) throw new Error('not thought of')
        return upper(value)
      }
    })
    await expect(opened(bad, { stepBytes: 500 })).rejects.toMatchObject({
      name: 'DataUnusableError',
      message: expect.stringContaining('rules.state.applyTx threw at block 20'),
      cause: expect.objectContaining({ message: 'not thought of' })
    })
    const ran: number[] = []
    const chain = await opened(rulesOf({ version: 2, write: upper, ran }))
    expect(ran[0]).toBeGreaterThan(10)
    await chain.close()
    expect(await contents(db)).toEqual(await contents(await fresh(rules)))
  })

  it('can be closed meanwhile', async () => {
    let chain: TestChain | undefined
    const slow = rulesOf({
      version: 2,
      write: (value, height) => {
        if (height === 10) chain?.close()
        const until = performance.now() + 3
        while (performance.now() < until);
        return upper(value)
      }
    })
    chain = new Chain({ rules: slow, db })
    await expect(chain.open()).rejects.toMatchObject({ name: 'AbortError' })
    chain = undefined
    const again = await opened(rules)
    expect(toHex(again.head.hash)).toBe(hashes[HEIGHT])
    await again.close()
    expect(await contents(db)).toEqual(await contents(await fresh(rules)))
  })
})

describe('a store from before a fork that is at or below its head', () => {
  const at20 = (value: string, height: number): string => (height >= 20 ? upper(value) : value)

  it('has the blocks from there up applied again', async () => {
    const ran: number[] = []
    const rules = rulesOf({ forks: [20], write: at20, ran })
    const chain = await opened(rules)
    expect(chain.report.repaired).toEqual([
      'the fork at 20 is new: the state was made anew from block 20 from the stored blocks'
    ])
    expect(ran).toEqual([20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30])
    await chain.close()
    expect(await contents(db)).toEqual(await contents(await fresh(rules)))
  })

  it('begins at genesis where they cannot be taken back', async () => {
    const options = { maxReorg: 5 }
    await (await opened(OLD, options)).close()
    const ran: number[] = []
    const rules = rulesOf({ forks: [20], write: at20, ran })
    await (await opened(rules, options)).close()
    expect(ran).toHaveLength(HEIGHT)
    expect(await contents(db)).toEqual(await contents(await fresh(rules, HEIGHT, options)))
    for (const missing of [21, 30]) {
      db = await fresh(OLD)
      await db.del(blockKey(TABLE.undo, missing, Buffer.from(hashes[missing]!, 'hex')))
      await (await opened(rules)).close()
      expect(await contents(db)).toEqual(await contents(await fresh(rules)))
    }
  })

  it('is cut where the new rules refuse a block, by header, transaction or state', async () => {
    const refusing: Array<[string, Change]> = [
      ['too late', { checkHeader: (_h, _hash, { parent }) => parent.height < 23 || { reject: 'too late' } }],
      ['transaction 1: no', { checkTx: ({ salt }) => salt < 24 || { reject: 'no' } }],
      ['transaction 0: not here', { refuse: 24 }]
    ]
    for (const [said, change] of refusing) {
      db = await fresh(OLD)
      const rules = rulesOf({ forks: [20], ...change })
      const chain = await opened(rules)
      expect(chain.report.repaired).toEqual([
        `the fork at 20 is new: the state was made anew from block 20 from the stored blocks, up to block 23; block 24 is refused by the rules: ${said}`
      ])
      expect(chain.head.height).toBe(23)
      expect(chain.has(Buffer.from(hashes[24]!, 'hex'))).toBe('invalid')
      expect(await chain.add(blocks[23]!)).toMatchObject({ result: 'reject', reason: 'known-invalid' })
      expect(chain.has(Buffer.from(hashes[25]!, 'hex'))).toBe(undefined)
      expect(sorted(await stateOf(db))).toEqual(sorted(await stateOf(await fresh(OLD, 23))))
      expect((await table(db, 'c')).size).toBe(24)
      const next = buildBlock(rules, chain.head, { nonce: 9 })
      if (said.startsWith('transaction 1')) expect(await chain.add(next.bytes)).toEqual({ result: 'accept' })
      await chain.close()
      const again = await opened(rules)
      expect(again.report.repaired).toEqual([])
      await again.close()

      // rules that were mended, and say so, judge it anew
      const mended = await opened(rulesOf({ forks: [20, 21] }))
      expect((await mended.addBlocks(blocks.slice(23))).verdict).toEqual({ result: 'accept' })
      expect(toHex(mended.head.hash)).toBe(hashes[HEIGHT])
      await mended.close()
    }
  })

  it('judges anew what the old rules refused', async () => {
    let chain = await opened(OLD)
    const branch = buildChain(OLD, chain.locate(chain.hashAt(24)!)!, 9, (i) => ({
      txs: [{ kind: i === 3 ? 'fail' : 'set', key: 'b', value: 'new', salt: i }],
      nonce: 3
    }))
    for (const { bytes } of branch) await chain.add(bytes)
    expect(chain.has(branch[3]!.hash)).toBe('invalid')
    await chain.close()
    const base = rulesOf({ forks: [25] })
    const rules: TestRules = {
      ...base,
      state: {
        ...base.state!,
        applyTx: (each, ctx, state) => (each.kind === 'fail' ? true : base.state!.applyTx(each, ctx, state))
      }
    }
    chain = await opened(rules)
    expect(chain.head.height).toBe(HEIGHT)
    for (const { bytes } of branch) expect((await chain.add(bytes)).result).toBe('accept')
    expect(toHex(chain.head.hash)).toBe(toHex(branch.at(-1)!.hash))
    await chain.close()
  })

  it('forgets branches that only the old rules have checked', async () => {
    let chain = await opened(OLD)
    const fork = buildChain(OLD, chain.locate(chain.hashAt(18)!)!, 5, () => ({ nonce: 5 }))
    for (const { bytes } of fork) await chain.add(bytes)
    await chain.close()
    chain = await opened(rulesOf({ forks: [20], checkHeader: ({ nonce }) => nonce === 0 || { reject: 'nonce' } }))
    expect(fork.map(({ hash }) => chain.has(hash))).toEqual(['body', undefined, undefined, undefined, undefined])
    expect(await chain.add(fork[1]!.bytes)).toMatchObject({ result: 'reject', reason: 'header' })
    await chain.close()
  })

  it('sums the work anew', async () => {
    const work: Change['work'] = ({ time }) => (time > 1_700_000_000_000 + 19_500 ? 7n : 1n)
    const rules = rulesOf({ forks: [20], work })
    const chain = await opened(rules)
    expect(chain.head.work).toBe(1n + 19n + 11n * 7n)
    await chain.close()
    expect(await contents(db)).toEqual(await contents(await fresh(rules)))
  })

  it('is carried on wherever the process ended, be it on the way down or up, or refused', async () => {
    for (const change of [{}, { checkTx: ({ salt }: TestTx) => salt < 23 || { reject: 'no' } }]) {
      const rules = rulesOf({ forks: [20], write: at20, ...change })
      const whole = await copyOf(db)
      await (await opened(rules, {}, whole)).close()
      const expected = await contents(whole)
      for (let failFrom = 1; ; failFrom++) {
        const dying = (await copyOn(db)) as DyingLevel
        dying.failFrom = dying.writes + failFrom
        const ended = await opened(rules, { stepBytes: 300 }, dying).then(
          (chain) => chain.close().then(() => true),
          () => false
        )
        const rest = await copyOf(dying)
        await (await opened(rules, {}, rest)).close()
        expect(await contents(rest)).toEqual(expected)
        if (!ended) continue
        expect(failFrom).toBeGreaterThan(8)
        break
      }
    }
  })

  it('is refused by rules that do not know a fork that was passed', async () => {
    await (await opened(rulesOf({ forks: [20] }))).close()
    await expect(opened(OLD)).rejects.toEqual(named('DataVersionError', 'forks 20, this program has none'))
    await expect(opened(rulesOf({ forks: [10] }))).rejects.toEqual(named('DataVersionError', 'forks 20'))
    // what lies above the head is news, not a contradiction
    await (await opened(rulesOf({ forks: [20, 31] }))).close()
    const chain = await opened(rulesOf({ forks: [20] }))
    expect(chain.report.repaired).toEqual([])
    await growChain(chain, 1)
    await chain.close()
  })
})

describe('the record of a state that is made anew', () => {
  it('damaged, or with a head that cannot be read, leads to genesis and up again', async () => {
    const rules = rulesOf({ version: 2, write: upper })
    for (const damage of ['mrebuild', 'mhead']) {
      const dying = (await copyOn(db)) as DyingLevel
      dying.failFrom = dying.writes + 6
      await expect(opened(rules, { stepBytes: 500 }, dying)).rejects.toBeInstanceOf(Error)
      const rest = await copyOf(dying)
      await rest.put(utf8.encode(damage), utf8.encode('?'))
      const chain = await opened(rules, {}, rest)
      expect(toHex(chain.head.hash)).toBe(hashes[HEIGHT])
      await chain.close()
      expect(await contents(rest)).toEqual(await contents(await fresh(rules)))
    }
  })

  it('ends where the index of heights does', async () => {
    await db.del(heightKey(TABLE.main, 12))
    await db.del(blockKey(TABLE.undo, HEIGHT, Buffer.from(hashes[HEIGHT]!, 'hex')))
    const chain = await opened(OLD)
    expect(toHex(chain.head.hash)).toBe(hashes[HEIGHT])
    expect(sorted(await stateOf(db))).toEqual(sorted(await stateOf(await fresh(OLD))))
    await chain.close()
  })
})

async function copyOn(from: Database): Promise<DyingLevel> {
  const copy = new DyingLevel()
  await copy.open()
  const entries = await from.iterator().all()
  await copy.batch(entries.map(([key, value]) => ({ type: 'put' as const, key: key.slice(), value: value.slice() })))
  return copy
}
