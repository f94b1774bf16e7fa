import { Chain, type Located, toHex } from 'blockwire/chain'
import {
  buildBlock,
  buildChain,
  growChain,
  HandClock,
  type TestBlock,
  type TestHeader,
  testRules
} from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { memoryDb, type TestChain, table } from './model.js'

const rules = testRules()
const START = 1_700_000_000_000

async function setup(init: Partial<ConstructorParameters<typeof Chain<TestHeader, never>>[0]> = {}, own = rules) {
  const chain: TestChain = new Chain({ ...(init as object), rules: own })
  await chain.open()
  const errors: string[] = []
  chain.addEventListener('error', ({ detail }) => errors.push(detail.name))
  return { chain, errors }
}

const bytesOf = (blocks: TestBlock[]) => blocks.map(({ bytes }) => bytes)
const headersOf = (blocks: TestBlock[]) => blocks.map(({ headerBytes }) => headerBytes)
const set = (key: string, salt = 0) => ({ kind: 'set' as const, key, value: key, salt })

async function all(pages: AsyncIterable<Uint8Array[]>): Promise<string[]> {
  const found: string[] = []
  for await (const page of pages) found.push(...page.map(toHex))
  return found
}

describe('check', () => {
  it('says what a sender could have known', async () => {
    const { chain } = await setup({}, testRules({ limits: { blockBytes: 70_000 } }))
    const parent = (await growChain(chain, 12)).at(-1)!
    const build = (options: Parameters<typeof buildBlock>[2]) => buildBlock(rules, parent, options).bytes
    const verdict = (bytes: Uint8Array) => chain.check(bytes).verdict
    const good = buildBlock(rules, parent, { txs: [set('a')] })
    expect(chain.check(good.bytes)).toEqual({
      verdict: { result: 'accept' },
      hash: good.hash,
      header: good.header,
      height: 13,
      txs: [rules.tx.encode(set('a'))]
    })
    expect(chain.has(good.hash)).toBe(undefined)
    expect(verdict(new Uint8Array(0))).toMatchObject({ result: 'reject', reason: 'malformed' })
    expect(verdict(new Uint8Array(70_001))).toMatchObject({ result: 'reject', reason: 'too-large' })
    expect(verdict(Uint8Array.from([...good.bytes, 5]))).toMatchObject({ reason: 'malformed' })
    expect(verdict(build({ txs: [{ ...set('a'), value: 'x'.repeat(65_000) }] }))).toEqual({ result: 'accept' })
    expect(verdict(build({ bad: true }))).toEqual({ result: 'reject', reason: 'header', detail: 'marked bad' })
    expect(verdict(build({ badRoot: true }))).toMatchObject({ result: 'reject', reason: 'root' })
    expect(verdict(build({ txs: [{ ...set('a'), kind: 'bad' }] }))).toMatchObject({ result: 'reject', reason: 'tx' })
    expect(verdict(build({ weight: 0 }))).toMatchObject({ result: 'reject', reason: 'header' })
    // the state is not its business
    expect(verdict(build({ txs: [{ ...set('a'), kind: 'fail' }] }))).toEqual({ result: 'accept' })
    const orphan = buildBlock(rules, good.located)
    expect(chain.check(orphan.bytes)).toMatchObject({
      verdict: { result: 'ignore', reason: 'unknown-parent' },
      hash: orphan.hash,
      header: orphan.header
    })
    await chain.add(good.bytes)
    expect(verdict(good.bytes)).toMatchObject({ result: 'ignore', reason: 'known' })
    await chain.close()
  })

  it('wants a time later than the median of the last eleven', async () => {
    const { chain } = await setup()
    const blocks = await growChain(chain, 20)
    const median = blocks[20 - 6]!.header.time
    const at = (time: number) => chain.check(buildBlock(rules, chain.head, { time, nonce: 1 }).bytes).verdict
    expect(at(median)).toMatchObject({ result: 'reject', reason: 'time-too-old' })
    expect(at(median + 1)).toEqual({ result: 'accept' })
    await chain.close()
  })

  it('wants a time later than genesis after genesis', async () => {
    const { chain } = await setup()
    const at = (time: number) => chain.check(buildBlock(rules, chain.genesis, { time }).bytes).verdict
    expect(at(START)).toMatchObject({ reason: 'time-too-old' })
    expect(at(START + 1)).toEqual({ result: 'accept' })
    await chain.close()
  })

  it('wants the height that a header says, one encoding, and work that fits 32 bytes', async () => {
    const own = testRules()
    const { encode, decode } = own.header
    own.header = {
      encode: (header) => encode(header),
      // the nonce is the height; two flags mean the same
      decode: (bytes) => {
        const header = decode(bytes)
        return { ...header, height: header.nonce, bad: header.bad === 2 ? 0 : header.bad }
      }
    }
    own.work = ({ weight }) => (weight === 9 ? (1n << 256n) - 1n : 1n)
    const { chain } = await setup({}, own)
    const check = (options: Parameters<typeof buildBlock>[2]) =>
      chain.check(buildBlock(rules, chain.genesis, options).bytes).verdict
    expect(check({ nonce: 1 })).toEqual({ result: 'accept' })
    expect(check({ nonce: 2 })).toMatchObject({ result: 'reject', reason: 'height' })
    expect(check({ nonce: 1, weight: 9 })).toMatchObject({ result: 'reject', reason: 'header' })
    const twice = buildBlock(rules, chain.genesis, { nonce: 1 })
    const flagged = Uint8Array.from(twice.bytes)
    flagged[flagged.length - 1] = 2
    expect(chain.check(flagged).verdict).toMatchObject({ result: 'reject', reason: 'malformed' })
    await chain.close()
  })

  it('knows no way to throw: garbage of every kind gives a verdict', async () => {
    const { chain } = await setup()
    const { bytes: good, hash: goodHash } = buildBlock(rules, chain.genesis, { txs: [set('a')] })
    for (let i = 0; i < good.length; i++) {
      const bent = Uint8Array.from(good)
      bent[i]! ^= 0xff
      for (const bytes of [bent, good.slice(0, i), good.slice(i)]) {
        if (bytes !== bent && bytes.length === good.length) continue
        const { verdict, hash } = chain.check(bytes)
        // a header without proof is as good with another nonce
        if (verdict.result === 'accept') expect(hash).not.toEqual(goodHash)
      }
    }
    await chain.close()
  })
})

describe('rules of the app that throw', () => {
  it('are reported and nobody is blamed', async () => {
    const broken = testRules()
    const { chain, errors } = await setup({}, broken)
    const throwing = buildBlock(rules, chain.genesis, { txs: [{ ...set('a'), kind: 'throw' }] })
    expect(await chain.add(throwing.bytes)).toMatchObject({ result: 'ignore', reason: 'error' })
    broken.checkHeader = () => {
      throw new Error('oops')
    }
    const block = buildBlock(rules, chain.genesis)
    expect(await chain.add(block.bytes)).toMatchObject({ result: 'ignore', reason: 'error' })
    broken.checkHeader = (_header, _hash, ancestors) => (ancestors.back(17) == null ? true : { reject: 'never' })
    expect(chain.check(block.bytes).verdict).toMatchObject({ result: 'ignore', reason: 'error' })
    broken.checkHeader = () => true
    broken.checkTx = () => {
      throw new Error('oops')
    }
    expect(await chain.add(throwing.bytes)).toMatchObject({ result: 'ignore', reason: 'error' })
    expect(errors).toEqual(['RuleError', 'RuleError', 'RuleError', 'RuleError'])
    delete broken.checkTx
    expect(await chain.add(block.bytes)).toEqual({ result: 'accept' })
    expect(chain.has(throwing.hash)).toBe(undefined)
    await chain.close()
  })

  it('on a side branch do not make it invalid, and do not stop the chain', async () => {
    const { chain, errors } = await setup()
    await growChain(chain, 1)
    const [a, b] = buildChain(rules, chain.genesis, 2, (i) => ({
      nonce: 1,
      txs: i === 1 ? [{ ...set('a'), kind: 'throw' }] : []
    }))
    await chain.add(a!.bytes)
    await chain.add(b!.bytes)
    expect(errors).toEqual(['RuleError'])
    expect(chain.has(b!.hash)).toBe('body')
    expect(chain.head.height).toBe(1)
    await growChain(chain, 2)
    expect(chain.head.height).toBe(3)
    await chain.close()
  })
})

describe('ancestors', () => {
  it('reach back as far as lookback says and no further', async () => {
    const own = testRules({ lookback: 3 })
    const seen: Array<number | undefined>[] = []
    own.checkHeader = (_header, _hash, ancestors) => {
      expect(ancestors.back(1)).toBe(ancestors.parent)
      seen.push([1, 2, 3].map((n) => ancestors.back(n)?.height))
      expect(() => ancestors.back(4)).toThrow(RangeError)
      expect(() => ancestors.back(0)).toThrow(RangeError)
      return true
    }
    const { chain, errors } = await setup({}, own)
    await growChain(chain, 4)
    expect(seen.slice(-4)).toEqual([
      [0, undefined, undefined],
      [1, 0, undefined],
      [2, 1, 0],
      [3, 2, 1]
    ])
    expect(errors).toEqual([])
    await chain.close()
  })
})

describe('blocks from the future', () => {
  it('wait until they are due and are added then', async () => {
    const clock = new HandClock(START)
    const { chain } = await setup({ clock })
    const soon = buildBlock(rules, chain.genesis, { time: START + 20_000 })
    const later = buildBlock(rules, soon.located, { time: START + 40_000 })
    expect(chain.check(soon.bytes).verdict).toMatchObject({ result: 'ignore', reason: 'future' })
    expect(await chain.add(soon.bytes)).toMatchObject({ result: 'ignore', reason: 'future' })
    expect(await chain.add(soon.bytes)).toMatchObject({ result: 'ignore', reason: 'future' })
    expect(await chain.addHeaders([soon.headerBytes])).toMatchObject({ verdict: { reason: 'future' }, added: 0 })
    expect(clock.pending).toBe(1)
    clock.turn(4_999)
    expect(chain.has(soon.hash)).toBe(undefined)
    clock.turn(1)
    await chain.waitFor(1)
    expect(toHex(chain.head.hash)).toBe(toHex(soon.hash))
    await chain.add(later.bytes)
    clock.turn(20_000)
    await chain.waitFor(2)
    await chain.close()
    expect(clock.pending).toBe(0)
  })

  it('are not kept when they are bad otherwise, too far ahead, or too many', async () => {
    const clock = new HandClock(START)
    const db = memoryDb()
    const { chain } = await setup({ clock, db })
    const time = START + 20_000
    expect(await chain.add(buildBlock(rules, chain.genesis, { time, bad: true }).bytes)).toMatchObject({
      reason: 'header'
    })
    expect(await chain.add(buildBlock(rules, chain.genesis, { time, badRoot: true }).bytes)).toMatchObject({
      reason: 'root'
    })
    await chain.add(buildBlock(rules, chain.genesis, { time: START + 9_000_000 }).bytes)
    expect(clock.pending).toBe(0)
    // the latest make room for those that are due sooner
    for (let i = 0; i < 100; i++) {
      await chain.add(buildBlock(rules, chain.genesis, { time: START + 100_000 - i * 100, nonce: i }).bytes)
    }
    clock.turn(200_000)
    const last = buildBlock(rules, chain.genesis, { nonce: 1_000 })
    await chain.add(last.bytes)
    expect((await table(db, 'b')).size).toBe(1 + 64 + 1)
    await chain.close()
  })
})

describe('addBlocks', () => {
  it('commits those before the bad one and names it', async () => {
    const { chain } = await setup()
    const heads: number[] = []
    chain.addEventListener('head', ({ detail }) => heads.push(detail.height))
    const blocks = buildChain(rules, chain.genesis, 40, (i) => ({
      txs: [i === 24 ? { ...set('a', i), kind: 'fail' } : set('a', i)]
    }))
    const result = await chain.addBlocks(bytesOf(blocks))
    expect(result).toMatchObject({ verdict: { result: 'reject', reason: 'state' }, added: 24, index: 24 })
    expect(chain.head.height).toBe(24)
    expect(chain.has(blocks[24]!.hash)).toBe('invalid')
    expect(chain.has(blocks[25]!.hash)).toBe(undefined)
    expect(heads).toEqual([24])
    await chain.close()
  })

  it('passes over what is here, follows forks, and stops at a stranger', async () => {
    const { chain } = await setup()
    const trunk = buildChain(rules, chain.genesis, 10)
    const fork = buildChain(rules, trunk[4]!.located, 9, () => ({ nonce: 1 }))
    await chain.addBlocks(bytesOf(trunk.slice(0, 7)))
    expect(await chain.addBlocks(bytesOf([...trunk, ...trunk, ...fork]))).toEqual({
      verdict: { result: 'accept' },
      added: 29
    })
    expect(toHex(chain.head.hash)).toBe(toHex(fork.at(-1)!.hash))
    const strange = buildChain(rules, { ...chain.genesis, hash: new Uint8Array(32).fill(7) }, 2)
    expect(await chain.addBlocks(bytesOf(strange))).toMatchObject({
      verdict: { reason: 'unknown-parent' },
      added: 0,
      index: 0
    })
    expect(await chain.addBlocks([])).toEqual({ verdict: { result: 'accept' }, added: 0 })
    await chain.close()
  })

  it('gives up when told to, keeping what is stored', async () => {
    const { chain } = await setup()
    const abort = new AbortController()
    abort.abort(new Error('enough'))
    const blocks = bytesOf(buildChain(rules, chain.genesis, 10))
    await expect(chain.addBlocks(blocks, { signal: abort.signal })).rejects.toThrow('enough')
    await expect(chain.add(blocks[0]!, { signal: abort.signal })).rejects.toThrow('enough')
    expect(await chain.addBlocks(blocks)).toMatchObject({ added: 10 })
    await chain.close()
  })
})

it('is busy while blocks are added or wait for it', async () => {
  const { chain } = await setup()
  expect(chain.busy).toBe(false)
  const blocks = buildChain(rules, chain.genesis, 3)
  const adding = blocks.map(({ bytes }) => chain.add(bytes))
  expect(chain.busy).toBe(true)
  await adding[0]
  expect(chain.busy).toBe(true)
  await Promise.all(adding)
  expect(chain.busy).toBe(false)
})

describe('addHeaders', () => {
  it('stops at the first bad one, keeps those before, and says how far it came', async () => {
    const { chain } = await setup()
    const targets: number[] = []
    chain.addEventListener('target', ({ detail }) => targets.push(detail.height))
    const blocks = buildChain(rules, chain.genesis, 10, (i) => ({ bad: i === 6 }))
    const result = await chain.addHeaders(headersOf(blocks))
    expect(result).toMatchObject({ verdict: { result: 'reject', reason: 'header' }, added: 6, last: { height: 6 } })
    expect(targets).toEqual([6])
    expect(await chain.addHeaders(headersOf(blocks.slice(0, 4)))).toMatchObject({
      verdict: { result: 'accept' },
      added: 0,
      last: { height: 4 }
    })
    expect(await chain.addHeaders([new Uint8Array(3)])).toMatchObject({
      verdict: { result: 'reject', reason: 'malformed' },
      added: 0
    })
    expect(chain.head.height).toBe(0)
    expect(chain.missing(4).map(({ height }) => height)).toEqual([1, 2, 3, 4])
    expect(chain.branch(blocks[2]!.hash)).toEqual(headersOf(blocks.slice(0, 3)))
    expect(chain.branch(chain.genesis.hash)).toBe(undefined)
    await chain.close()
  })

  it('forgets a very long branch without harm once it forks off too deep', async () => {
    const { chain } = await setup({ maxReorg: 5 })
    await chain.settled()
    const promised = buildChain(rules, chain.genesis, 150_000)
    expect(await chain.addHeaders(headersOf(promised))).toMatchObject({ added: 150_000 })
    expect(chain.missing(2).map(({ height }) => height)).toEqual([1, 2])
    await growChain(chain, 60, { nonce: 1, weight: 9 })
    expect(chain.target).toBe(chain.head)
    expect(chain.has(promised[99_999]!.hash)).toBe(undefined)
    expect(chain.head.height).toBe(60)
    await chain.close()
  })

  it('keeps no more off the head chain than it may, and drops the lightest', async () => {
    const db = memoryDb()
    const { chain } = await setup({ db, maxSide: 50 })
    const heavy = buildChain(rules, chain.genesis, 20, () => ({ weight: 9 }))
    await chain.addHeaders(headersOf(heavy))
    for (let i = 0; i < 20; i++)
      await chain.addHeaders(headersOf(buildChain(rules, chain.genesis, 10, () => ({ nonce: i + 1 }))))
    expect(toHex(chain.target.hash)).toBe(toHex(heavy.at(-1)!.hash))
    // genesis too
    expect((await table(db, 'h')).size).toBeLessThanOrEqual(51)
    expect((await table(db, 'i')).size).toBe((await table(db, 'h')).size)
    const longer = buildChain(rules, heavy.at(-1)!.located, 60, () => ({ weight: 9 }))
    expect(await chain.addHeaders(headersOf(longer))).toMatchObject({ verdict: { result: 'ignore', reason: 'full' } })
    expect(await chain.addBlocks(bytesOf([...heavy, ...longer]))).toMatchObject({
      verdict: { result: 'accept' },
      added: 80
    })
    await chain.close()
  })
})

describe('a branch that forks off too deep', () => {
  it('is not followed, and said once', async () => {
    const { chain, errors } = await setup({ maxReorg: 5 })
    await chain.settled()
    const trunk = buildChain(rules, chain.genesis, 20)
    await chain.addBlocks(bytesOf(trunk))
    const deep = buildChain(rules, trunk[13]!.located, 10, () => ({ nonce: 1 }))
    for (const { bytes } of deep) expect(await chain.add(bytes)).toMatchObject({ result: 'ignore', reason: 'too-deep' })
    expect(await chain.addHeaders(headersOf(deep))).toMatchObject({
      verdict: { result: 'accept' },
      added: 0,
      last: { height: 24 }
    })
    expect(errors).toEqual(['ReorgTooDeepError'])
    expect(toHex(chain.head.hash)).toBe(toHex(trunk.at(-1)!.hash))
    expect(toHex(chain.target.hash)).toBe(toHex(trunk.at(-1)!.hash))
    const another = buildChain(rules, trunk[2]!.located, 30, () => ({ nonce: 2 }))
    expect(await chain.addHeaders(headersOf(another))).toMatchObject({ verdict: { reason: 'too-deep' } })
    expect(errors.length).toBe(2)
    // as deep as may be
    const fine = buildChain(rules, trunk[14]!.located, 6, () => ({ nonce: 3 }))
    await chain.addBlocks(bytesOf(fine))
    expect(toHex(chain.head.hash)).toBe(toHex(fine.at(-1)!.hash))
    await chain.close()
  })

  it('is left alone once it has become too deep while its bodies were missing', async () => {
    const { chain, errors } = await setup({ maxReorg: 5 })
    await chain.settled()
    const promised = buildChain(rules, chain.genesis, 3, () => ({ weight: 1_000 }))
    await chain.addHeaders(headersOf(promised))
    await growChain(chain, 5)
    expect(toHex(chain.target.hash)).toBe(toHex(promised[2]!.hash))
    await growChain(chain, 1)
    expect(errors).toEqual(['ReorgTooDeepError'])
    expect(chain.target).toBe(chain.head)
    expect(await chain.add(promised[0]!.bytes)).toMatchObject({ reason: 'too-deep' })
    await growChain(chain, 40)
    expect(chain.head.height).toBe(46)
    await chain.close()
  })
})

describe('reading', () => {
  it('gives ranges of the head chain past forks, and locators', async () => {
    const { chain } = await setup()
    const trunk = buildChain(rules, chain.genesis, 60, (i) => ({ txs: [set('a', i)] }))
    await chain.addBlocks(bytesOf(trunk))
    for (let nonce = 1; nonce < 4; nonce++)
      await chain.addBlocks(bytesOf(buildChain(rules, trunk[29]!.located, 5, () => ({ nonce }))))
    await chain.addHeaders(headersOf(buildChain(rules, trunk[39]!.located, 10, () => ({ nonce: 9 }))))
    expect(await all(chain.blocks(1, 60))).toEqual(bytesOf(trunk).map(toHex))
    expect(await all(chain.headers(1, 60))).toEqual(headersOf(trunk).map(toHex))
    expect(await all(chain.blocks(31, 33))).toEqual(bytesOf(trunk.slice(30, 33)).map(toHex))
    expect((await all(chain.blocks(50, 1_000))).length).toBe(11)
    expect(await all(chain.blocks(61, 70))).toEqual([])
    const heights = chain.locator().map((hash) => chain.locate(hash)!.height)
    expect(heights).toEqual([60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 49, 45, 37, 21, 0])
    const ahead = buildChain(rules, trunk[39]!.located, 40, () => ({ nonce: 5 }))
    await chain.addHeaders(headersOf(ahead))
    const steps = chain.locator().map((hash) => chain.locate(hash)!)
    expect(steps.map(({ height }) => height)).toEqual([80, 79, 78, 77, 76, 75, 74, 73, 72, 71, 69, 65, 57, 41, 9, 0])
    expect(toHex(steps[13]!.hash)).toBe(toHex(ahead[0]!.hash))
    expect(toHex(steps[14]!.hash)).toBe(toHex(trunk[8]!.hash))
    const side = trunk[29]!.located
    expect(
      chain
        .locator(side)
        .map((hash) => chain.locate(hash)!.height)
        .slice(0, 3)
    ).toEqual([30, 29, 28])
    await chain.close()
  })

  it('waits for a height', async () => {
    const { chain } = await setup()
    const waiting: Promise<Located<TestHeader>> = chain.waitFor(3)
    const abort = new AbortController()
    const gaveUp = chain.waitFor(9, { signal: abort.signal })
    abort.abort(new Error('too long'))
    await expect(gaveUp).rejects.toThrow('too long')
    await growChain(chain, 5)
    expect((await waiting).height).toBe(5)
    expect((await chain.waitFor(1)).height).toBe(5)
    await expect(chain.waitFor(1, { signal: abort.signal })).rejects.toThrow('too long')
    await chain.close()
  })
})

describe('a chain', () => {
  it('can be opened and closed again and again, and does nothing while closed', async () => {
    const chain: TestChain = new Chain({ rules })
    const block = buildBlock(rules, chain.genesis)
    expect(await chain.add(block.bytes)).toMatchObject({ result: 'ignore', reason: 'error' })
    await chain.close()
    await Promise.all([chain.open(), chain.open()])
    expect(await chain.add(block.bytes)).toEqual({ result: 'accept' })
    await Promise.all([chain.close(), chain.close()])
    expect(await chain.add(block.bytes)).toMatchObject({ result: 'ignore', reason: 'error' })
    expect(chain.check(block.bytes).verdict).toMatchObject({ reason: 'known' })
    await chain.open()
    expect(chain.head.height).toBe(1)
    await chain.close()
  })

  it('takes calls in their order', async () => {
    const { chain } = await setup()
    const blocks = buildChain(rules, chain.genesis, 20)
    const verdicts = await Promise.all(bytesOf(blocks).map((bytes) => chain.add(bytes)))
    expect(new Set(verdicts.map(({ result }) => result))).toEqual(new Set(['accept']))
    expect(chain.head.height).toBe(20)
    await chain.close()
  })

  it('of any rules is a Chain of some', () => {
    const some: Chain = new Chain({ rules })
    expect(some.network).toBe('test')
  })
})
