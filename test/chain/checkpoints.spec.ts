import { Chain, toHex } from 'blockwire/chain'
import { buildBlock, buildChain, growChain, type TestBlock, type TestRulesOptions, testRules } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { memoryDb, type TestChain } from './model.js'

const plain = testRules()
const genesis = new Chain({ rules: plain }).genesis
/** The real chain, and one that leaves it behind block 3. */
const main = buildChain(plain, genesis, 20)
const fork = buildChain(plain, main[2]!.located, 30, () => ({ nonce: 1 }))
const other = buildChain(plain, main[9]!.located, 30, () => ({ nonce: 2 }))

const at = (height: number): Record<number, string> => ({ [height]: toHex(main[height - 1]!.hash) })
const headers = (blocks: TestBlock[]): Uint8Array[] => blocks.map(({ headerBytes }) => headerBytes)
const bodies = (blocks: TestBlock[]): Uint8Array[] => blocks.map(({ bytes }) => bytes)

async function open(options: TestRulesOptions, db = memoryDb()): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules: testRules(options), db })
  await chain.open()
  return chain
}

describe('checkpoints', () => {
  it('and minimumWork do not change the genesis hash', async () => {
    const chain = await open({ checkpoints: at(8), minimumWork: 50n })
    expect(toHex(chain.genesis.hash)).toBe(toHex(genesis.hash))
    expect(chain.minimum).toEqual({ work: 50n, height: 8 })
  })

  it('that cannot be are refused by name', () => {
    const hash = toHex(main[0]!.hash)
    const fails = (checkpoints: unknown, option: string, message: RegExp): void => {
      const make = (): unknown => new Chain({ rules: { ...plain, checkpoints: checkpoints as never } })
      expect(make).toThrow(expect.objectContaining({ name: 'ConfigError', option }))
      expect(make).toThrow(message)
    }
    fails({ 0: hash }, 'checkpoints[0]', /genesis is/)
    fails({ 5: hash.slice(1) }, 'checkpoints[5]', /64 hex digits/)
    fails({ 5: 7 }, 'checkpoints[5]', /64 hex digits/)
    fails({ [-1]: hash }, 'checkpoints["-1"]', /not a height/)
    fails({ 1.5: hash }, 'checkpoints["1.5"]', /not a height/)
    fails({ x: hash }, 'checkpoints["x"]', /not a height/)
    fails('5', 'checkpoints', /object/)
    fails(Object.fromEntries(Array.from({ length: 1_025 }, (_, i) => [i + 1, hash])), 'checkpoints', /over 1024/)
    for (const minimumWork of [-1n, 1n << 256n, 5]) {
      expect(() => new Chain({ rules: { ...plain, minimumWork: minimumWork as never } })).toThrow(
        expect.objectContaining({ name: 'ConfigError', option: 'minimumWork' })
      )
    }
    expect(() => new Chain({ rules: testRules({ checkpoints: { 0: toHex(genesis.hash), ...at(9) } }) })).not.toThrow()
  })

  it('refuse another block at their height, by header and by body', async () => {
    const chain = await open({ checkpoints: at(8) })
    const { verdict, added } = await chain.addHeaders(headers([...main.slice(0, 3), ...fork]))
    expect(verdict).toMatchObject({ result: 'reject', reason: 'checkpoint' })
    expect(added).toBe(7)
    expect(await chain.add(fork[4]!.bytes)).toMatchObject({ result: 'reject', reason: 'checkpoint' })
    expect((await chain.addBlocks(bodies(main))).verdict).toEqual({ result: 'accept' })
    expect(chain.head.height).toBe(20)
  })

  it('that the head has passed refuse forks from below, and none from above', async () => {
    const chain = await open({ checkpoints: { ...at(8), ...at(15) } })
    await chain.addBlocks(bodies(main.slice(0, 7)))
    // nothing is passed yet
    expect((await chain.addHeaders(headers(fork.slice(0, 2)))).verdict).toEqual({ result: 'accept' })
    await chain.addBlocks(bodies(main.slice(7, 12)))
    expect(await chain.add(fork[2]!.bytes)).toMatchObject({ result: 'reject', reason: 'checkpoint' })
    expect((await chain.addHeaders(headers(fork.slice(2, 3)))).verdict).toMatchObject({ reason: 'checkpoint' })
    expect(await chain.add(other[0]!.bytes)).toEqual({ result: 'accept' })
    // what is known stays known
    expect((await chain.addHeaders(headers(main.slice(0, 12)))).verdict).toEqual({ result: 'accept' })
    expect(chain.check(main[3]!.bytes).verdict).toMatchObject({ result: 'ignore', reason: 'known' })
  })

  it('that the head has passed are not left, however much work a branch from before has', async () => {
    const heavy = buildChain(plain, main[2]!.located, 4, () => ({ nonce: 9, weight: 60_000 }))
    const chain = await open({ checkpoints: at(8) })
    await chain.addBlocks(bodies(main.slice(0, 3)))
    await chain.addHeaders(headers(heavy))
    expect(chain.target.height).toBe(7)
    await chain.addBlocks(bodies(main.slice(3, 10)))
    expect(chain.head.height).toBe(10)
    await chain.addBlocks(bodies(heavy))
    expect(chain.head.hash).toEqual(main[9]!.hash)
    expect(chain.target.hash).toEqual(main[9]!.hash)
  })

  it('that came later refuse a store whose head chain is another, and change nothing', async () => {
    const db = memoryDb()
    const before = await open({}, db)
    await before.addBlocks(bodies([...main.slice(0, 3), ...fork]))
    await before.close()
    await expect(open({ checkpoints: at(8) }, db)).rejects.toMatchObject({
      name: 'DataForeignError',
      message: expect.stringMatching(/block 8 [0-9a-f]{64} there, checkpoint [0-9a-f]{64} here/)
    })
    const again = await open({}, db)
    expect(again.head.height).toBe(33)
    await again.close()
    expect((await open({ checkpoints: at(2) }, db)).head.height).toBe(33)
  })

  it('that came later take stored headers and blocks of other branches away', async () => {
    const db = memoryDb()
    const before = await open({}, db)
    await before.addBlocks(bodies(main.slice(0, 5)))
    await before.addHeaders(headers(fork))
    await before.addHeaders(headers(main.slice(5, 12)))
    expect(before.target.height).toBe(33)
    await before.close()
    const chain = await open({ checkpoints: at(8) }, db)
    expect(chain.head.height).toBe(5)
    expect(chain.target.hash).toEqual(main[11]!.hash)
    expect(chain.has(fork[4]!.hash)).toBeUndefined()
    expect(chain.has(fork.at(-1)!.hash)).toBeUndefined()
  })
})

describe('the threshold', () => {
  it('is nothing at first, then 144 blocks less than the head', async () => {
    const chain = await open({})
    expect(chain.threshold).toEqual({ work: 0n, height: 0 })
    await growChain(chain, 143)
    expect(chain.threshold).toEqual({ work: 0n, height: 0 })
    await growChain(chain, 50, { weight: 2 })
    expect(chain.threshold.work).toBe(0n)
    await growChain(chain, 100, { weight: 1 })
    expect(chain.threshold.work).toBe(chain.head.work - 144n)
  })

  it('is the minimum until the head has it', async () => {
    const chain = await open({ minimumWork: 500n, checkpoints: at(8) })
    expect(chain.threshold).toEqual({ work: 500n, height: 8 })
    await chain.addBlocks(bodies(main))
    expect(chain.threshold).toEqual({ work: 500n, height: 0 })
    await growChain(chain, 700)
    expect(chain.threshold).toEqual({ work: chain.head.work - 144n, height: 0 })
    expect(chain.minimum).toEqual({ work: 500n, height: 8 })
  })

  it('lets check ignore a block of a chain below it, future ones too, but none that is known or bad', async () => {
    const chain = await open({ minimumWork: 500n })
    expect(chain.check(main[0]!.bytes).verdict).toMatchObject({ result: 'ignore', reason: 'low-work' })
    const later = buildBlock(plain, genesis, { time: Date.now() + 3_600_000 })
    expect(chain.check(later.bytes).verdict).toMatchObject({ result: 'ignore', reason: 'low-work' })
    expect(chain.check(buildBlock(plain, genesis, { bad: true }).bytes).verdict).toMatchObject({ reason: 'header' })
    expect(chain.check(buildBlock(plain, genesis, { weight: 500 }).bytes).verdict).toEqual({ result: 'accept' })
    await chain.add(main[0]!.bytes)
    expect(chain.check(main[0]!.bytes).verdict).toMatchObject({ reason: 'known' })
  })
})

describe('a walk over headers', () => {
  it('says of each what addHeaders would, and keeps nothing', async () => {
    const chain = await open({ checkpoints: at(12) })
    await chain.addBlocks(bodies(main.slice(0, 5)))
    const walk = chain.walk(main[5]!.headerBytes)!
    expect(walk.last.height).toBe(5)
    for (const { headerBytes, located } of main.slice(5)) {
      expect(walk.add(headerBytes)).toEqual({ result: 'accept' })
      expect(walk.last).toMatchObject({ hash: located.hash, height: located.height, work: located.work })
    }
    expect(chain.has(main[5]!.hash)).toBeUndefined()
    expect(walk.add(main[5]!.headerBytes)).toMatchObject({ result: 'ignore', reason: 'unknown-parent' })
    const bad = buildBlock(plain, walk.last, { bad: true })
    expect(walk.add(bad.headerBytes)).toMatchObject({ result: 'reject', reason: 'header' })
    const old = buildBlock(plain, walk.last, { time: main[14]!.header.time })
    expect(walk.add(old.headerBytes)).toMatchObject({ result: 'reject', reason: 'time-too-old' })
    const soon = buildBlock(plain, walk.last, { time: Date.now() + 3_600_000 })
    expect(walk.add(soon.headerBytes)).toMatchObject({ result: 'ignore', reason: 'future' })
    expect(walk.add(new Uint8Array(5))).toMatchObject({ result: 'reject', reason: 'malformed' })
    expect(walk.last.height).toBe(20)
    const aside = chain.walk(fork[0]!.headerBytes)!
    const said = fork.map(({ headerBytes }) => aside.add(headerBytes).result)
    expect(said.indexOf('reject')).toBe(8)
    expect(chain.walk(main[9]!.headerBytes)).toBeUndefined()
    expect(chain.walk(new Uint8Array(3))).toBeUndefined()
  })

  it('refuses what forks off below a passed checkpoint', async () => {
    const chain = await open({ checkpoints: at(8) })
    await chain.addBlocks(bodies(main.slice(0, 12)))
    const aside = chain.walk(fork[0]!.headerBytes)!
    expect(aside.add(fork[0]!.headerBytes)).toMatchObject({ result: 'reject', reason: 'checkpoint' })
    const same = chain.walk(main[3]!.headerBytes)!
    for (const { headerBytes } of main.slice(3)) expect(same.add(headerBytes)).toEqual({ result: 'accept' })
  })

  it('looks back as far as the rules may, across its beginning and over what it let go', async () => {
    const seen: number[] = []
    const rules = {
      ...testRules({ lookback: 40 }),
      checkHeader: (_header: unknown, _hash: unknown, ancestors: { last(n: number): { height: number }[] }) => {
        const last = ancestors.last(40)
        seen.push(last.length)
        return last.every(({ height }, i) => height === last[0]!.height - i) || { reject: 'not in order' }
      }
    }
    const chain: TestChain = new Chain({ rules: rules as never })
    await chain.open()
    const blocks = buildChain(plain, genesis, 200)
    await chain.addBlocks(bodies(blocks.slice(0, 10)))
    seen.length = 0
    const walk = chain.walk(blocks[10]!.headerBytes)!
    for (const { headerBytes } of blocks.slice(10)) expect(walk.add(headerBytes)).toEqual({ result: 'accept' })
    expect(seen[0]).toBe(11)
    expect(seen.slice(29).every((n) => n === 40)).toBe(true)
  })
})
