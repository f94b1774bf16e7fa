import { Chain, type Database, type Located, toHex } from 'blockwire/chain'
import { buildBlock, buildChain, type TestHeader, testRules } from 'blockwire/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blockKey, metaKey, TABLE } from '../../dist/src/chain/layout.js'
import { contents, Model, memoryDb, plan, type TestChain } from './model.js'

const rules = testRules({ network: 'light', state: { a: 'genesis' }, tie: 'lowest-hash' })

async function open(init: { db?: Database; maxReorg?: number; bodies?: boolean } = {}): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules, bodies: false, ...init })
  await chain.open()
  return chain
}

/** What a chain says, in order. */
function listen(chain: TestChain): string[] {
  const told: string[] = []
  const name = ({ hash }: Located<TestHeader>): string => toHex(hash).slice(0, 6)
  chain.addEventListener('target', ({ detail }) => told.push(`target ${name(detail)}`))
  chain.addEventListener('block', () => told.push('block'))
  chain.addEventListener('head', ({ detail }) => told.push(`head ${name(detail)}`))
  chain.addEventListener('reorg', ({ detail: { dropped, added, common } }) => {
    told.push(`reorg ${dropped.length} ${added.length} ${common.height}`)
  })
  return told
}

describe('a chain of headers alone', () => {
  it('follows the header with the most work, and has no bodies', async () => {
    const chain = await open()
    const told = listen(chain)
    const blocks = buildChain(rules, chain.head, 30)
    expect(await chain.addHeaders(blocks.map(({ headerBytes }) => headerBytes))).toMatchObject({
      verdict: { result: 'accept' },
      added: 30
    })
    const tip = blocks[29]!
    expect(chain.head).toEqual(tip.located)
    expect(chain.target).toBe(chain.head)
    expect(chain.has(tip.hash)).toBe('valid')
    expect(chain.hashAt(17)).toEqual(blocks[16]!.hash)
    expect(chain.missing(10)).toEqual([])
    expect(await chain.block(tip.hash)).toBeUndefined()
    expect(await chain.block(chain.genesis.hash)).toBeUndefined()
    for await (const page of chain.blocks(0, 30)) expect(page).toEqual([])
    const headers: Uint8Array[] = []
    for await (const page of chain.headers(1, 30)) headers.push(...page)
    expect(headers).toEqual(blocks.map(({ headerBytes }) => headerBytes))
    const name = toHex(tip.hash).slice(0, 6)
    expect(told).toEqual([`target ${name}`, `head ${name}`])
  })

  it('checks headers as a full one does, and says why it stops', async () => {
    const chain = await open()
    const [a, b] = buildChain(rules, chain.head, 2, (i) => ({ bad: i === 1 }))
    expect(await chain.addHeaders([a!.headerBytes, b!.headerBytes])).toMatchObject({
      verdict: { result: 'reject', reason: 'header' },
      added: 1
    })
    expect(chain.head.hash).toEqual(a!.hash)
    const future = buildBlock(rules, chain.head, { time: Date.now() + 60_000 })
    expect((await chain.addHeaders([future.headerBytes])).verdict).toMatchObject({ reason: 'future' })
    expect(chain.head.hash).toEqual(a!.hash)
  })

  it('tells a reorganisation before the head, and none of its blocks', async () => {
    const chain = await open()
    const old = buildChain(rules, chain.head, 5)
    await chain.addHeaders(old.map(({ headerBytes }) => headerBytes))
    const told = listen(chain)
    const next = buildChain(rules, old[1]!.located, 2, () => ({ weight: 3, nonce: 1 }))
    await chain.addHeaders(next.map(({ headerBytes }) => headerBytes))
    const name = toHex(next[1]!.hash).slice(0, 6)
    expect(told).toEqual([`target ${name}`, 'reorg 3 2 2', `head ${name}`])
    expect(chain.head.height).toBe(4)
    expect(chain.hashAt(5)).toBeUndefined()
    expect(chain.has(old[4]!.hash)).toBe('header')
    // and back
    const again = buildChain(rules, old[4]!.located, 1, () => ({ weight: 9 }))
    await chain.addHeaders([again[0]!.headerBytes])
    expect(told.slice(3, 5)).toEqual([`target ${toHex(again[0]!.hash).slice(0, 6)}`, 'reorg 2 4 2'])
    expect(chain.hashAt(5)).toEqual(old[4]!.hash)
  })

  it('does not follow a branch that forks off too deep once it was live, and says so, unless that is accepted', async () => {
    const db = memoryDb()
    const chain = await open({ maxReorg: 5, db })
    await chain.settled()
    const errors: string[] = []
    chain.addEventListener('error', ({ detail }) => errors.push(detail.name))
    await chain.addHeaders(buildChain(rules, chain.head, 20).map(({ headerBytes }) => headerBytes))
    const { head } = chain
    const deep = buildChain(rules, chain.genesis, 3, () => ({ weight: 100, nonce: 1 }))
    expect((await chain.addHeaders(deep.map(({ headerBytes }) => headerBytes))).verdict).toMatchObject({
      reason: 'too-deep'
    })
    expect(chain.head).toBe(head)
    expect(errors).toEqual(['ReorgTooDeepError'])
    const { hash } = chain.split!
    await chain.acceptSplit(hash)
    expect(chain.head.hash).toEqual(hash)
    expect(chain.hashAt(20)).toBeUndefined()
    expect(chain.split).toBeUndefined()
    await chain.close()
    expect(await db.get(metaKey('split'))).toBeUndefined()
    const again = await open({ maxReorg: 5, db })
    expect(again.head.hash).toEqual(hash)
    expect(again.report.repaired).toEqual([])
  })

  it('follows the most work however deep it forks off while it was never live', async () => {
    const db = memoryDb()
    const chain = await open({ maxReorg: 5, db })
    const told = listen(chain)
    // deeper than what is in memory
    await chain.addHeaders(buildChain(rules, chain.head, 60).map(({ headerBytes }) => headerBytes))
    const deep = buildChain(rules, chain.genesis, 8, () => ({ weight: 20, nonce: 1 }))
    expect(await chain.addHeaders(deep.map(({ headerBytes }) => headerBytes))).toMatchObject({
      verdict: { result: 'accept' },
      added: 8
    })
    expect(chain.head.hash).toEqual(deep[7]!.hash)
    expect(told.filter((line) => line.startsWith('reorg'))).toEqual(['reorg 60 8 0'])
    await chain.close()
    expect(await db.get(metaKey('split'))).toBeUndefined()
    expect((await open({ maxReorg: 5, db })).head.hash).toEqual(deep[7]!.hash)
  })

  it('refuses by name what needs bodies or a state', async () => {
    const chain = await open()
    const [block] = buildChain(rules, chain.head, 1)
    const refused = { name: 'HeadersOnlyError', code: 'BW_HEADERS_ONLY' }
    await expect(chain.add(block!.bytes)).rejects.toMatchObject(refused)
    await expect(chain.addBlocks([block!.bytes])).rejects.toMatchObject(refused)
    await expect(chain.scratch()).rejects.toMatchObject(refused)
    await expect(chain.propose({ seal: () => undefined })).rejects.toMatchObject({ ...refused, what: 'chain.propose' })
    expect(() => chain.state.get(new Uint8Array(1))).toThrow(expect.objectContaining(refused))
    // what needs neither works
    expect(chain.check(block!.bytes).verdict).toEqual({ result: 'accept' })
    expect(() => new Chain({ rules, bodies: false, txIndex: true })).toThrow(
      expect.objectContaining({ name: 'ConfigError', option: 'txIndex' })
    )
  })

  it('opens where it stopped, and keeps no more than headers', async () => {
    const db = memoryDb()
    const chain = await open({ db })
    const blocks = buildChain(rules, chain.head, 40)
    const side = buildChain(rules, blocks[30]!.located, 3, () => ({ nonce: 1 }))
    await chain.addHeaders([...blocks, ...side].map(({ headerBytes }) => headerBytes))
    const { head } = chain
    await chain.close()
    const tables = new Set(
      (await contents(db)).map((line) => String.fromCharCode(Number.parseInt(line.slice(0, 2), 16)))
    )
    expect([...tables].sort()).toEqual(['c', 'h', 'i', 'm'])
    const text = async (name: string): Promise<string> => new TextDecoder().decode(await db.get(metaKey(name)))
    expect([await text('format'), await text('state')]).toEqual(['1-headers', '-'])
    const again = await open({ db })
    expect(again.report).toEqual({ height: 40, created: false, repaired: [] })
    expect(again.head).toEqual(head)
    expect(again.has(side[2]!.hash)).toBe('header')
  })

  it('is cut back to below a damaged header, and goes on', async () => {
    const db = memoryDb()
    const chain = await open({ db })
    const blocks = buildChain(rules, chain.head, 20)
    await chain.addHeaders(blocks.map(({ headerBytes }) => headerBytes))
    await chain.close()
    await db.put(blockKey(TABLE.header, 15, blocks[14]!.hash), Uint8Array.of(1, 2))
    const again = await open({ db })
    expect(again.report.repaired.join('\n')).toMatch(/block 15 has a damaged header\ncut back from 20 to block 14/)
    expect(again.head.hash).toEqual(blocks[13]!.hash)
    await again.addHeaders(blocks.map(({ headerBytes }) => headerBytes))
    expect(again.head.height).toBe(20)
    await again.close()
    // genesis is known by the rules
    await db.del(blockKey(TABLE.header, 0, again.genesis.hash))
    const third = await open({ db })
    expect(third.report.repaired).toEqual(['the header record of block 0 was damaged'])
    expect(third.head.height).toBe(20)
  })

  it('goes to the better branch at the start when the head’s own was damaged', async () => {
    const db = memoryDb()
    const chain = await open({ db })
    const old = buildChain(rules, chain.head, 10)
    const side = buildChain(rules, old[4]!.located, 3, () => ({ nonce: 1 }))
    await chain.addHeaders([...old, ...side].map(({ headerBytes }) => headerBytes))
    await chain.close()
    await db.put(blockKey(TABLE.header, 7, old[6]!.hash), Uint8Array.of(1, 2))
    const again = await open({ db })
    expect(again.head.hash).toEqual(side[2]!.hash)
    expect(again.hashAt(8)).toEqual(side[2]!.hash)
    await again.close()
    expect((await open({ db })).report.repaired).toEqual([])
  })

  it('stands where it stood when the headers cannot be written', async () => {
    const db = memoryDb()
    const chain = await open({ db })
    const told = listen(chain)
    const [block] = buildChain(rules, chain.head, 1)
    const { batch } = db
    db.batch = (() => {
      const chained = batch.call(db)
      chained.write = () => Promise.reject(new Error('no room'))
      return chained
    }) as never
    chain.addEventListener('error', () => {})
    expect((await chain.addHeaders([block!.headerBytes])).verdict).toMatchObject({ reason: 'error' })
    expect(chain.head.height).toBe(0)
    expect(chain.target).toBe(chain.head)
    db.batch = batch
    await chain.addHeaders([block!.headerBytes])
    expect(chain.head.height).toBe(1)
    expect(told.filter((line) => line.startsWith('head'))).toHaveLength(1)
  })

  it('is no store for a chain of blocks, nor the other way round, and says so', async () => {
    const headers = memoryDb()
    await (await open({ db: headers })).close()
    await expect(open({ db: headers, bodies: true })).rejects.toMatchObject({
      name: 'DataRoleError',
      code: 'BW_DATA_ROLE',
      fix: expect.stringContaining("role 'light'")
    })
    // and the refusal changes nothing
    await (await open({ db: headers })).close()
    const blocks = memoryDb()
    await (await open({ db: blocks, bodies: true })).close()
    await expect(open({ db: blocks })).rejects.toMatchObject({
      name: 'DataRoleError',
      fix: expect.stringContaining("role 'full'")
    })
    await blocks.put(metaKey('format'), new TextEncoder().encode('3'))
    await expect(open({ db: blocks })).rejects.toMatchObject({ name: 'DataVersionError' })
  })

  it('stands on the head that most work gives, whatever the order, after every restart too', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(plan(['set']), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 7 }),
        async (plans, page) => {
          const db = memoryDb()
          let chain = await open({ db })
          const model = new Model(rules, chain.genesis).grow(plans)
          for (let i = 0; i < model.nodes.length; i += page) {
            await chain.addHeaders(model.nodes.slice(i, i + page).map(({ block }) => block.headerBytes))
            await chain.close()
            chain = await open({ db })
            expect(chain.report.repaired).toEqual([])
          }
          const best = model.best().block.located
          expect(toHex(chain.head.hash)).toBe(toHex(best.hash))
          for (let at = model.best(); at.parent != null; at = at.parent) {
            expect(chain.hashAt(at.block.located.height)).toEqual(at.block.hash)
          }
          await chain.close()
        }
      ),
      { numRuns: 40 }
    )
  })
})
