import { Chain, type Located, toHex } from 'blockwire/chain'
import { buildChain, testRules } from 'blockwire/testing'
import fc from 'fast-check'
import { MemoryLevel } from 'memory-level'
import { describe, expect, it } from 'vitest'
import { makeEntry } from '../../dist/src/chain/entry.js'
import { HashIndex } from '../../dist/src/chain/hash-index.js'
import { decodeHeaderRecord, decodeWork, encodeHeaderRecord, encodeWork } from '../../dist/src/chain/layout.js'
import { cut } from '../../dist/src/chain/slab.js'
import { copyOf, memoryDb, type TestChain } from './model.js'

const rules = testRules({ state: { a: 'genesis' } })

/** A database that writes when it is told to. */
class GatedLevel extends MemoryLevel<Uint8Array, Uint8Array> {
  gate: Promise<void> | undefined
  fail = false
  batches = 0

  constructor() {
    super({ keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' })
  }

  async _batch(...args: unknown[]): Promise<void> {
    this.batches++
    await this.gate
    if (this.fail) throw new Error('disk full')
    // @ts-expect-error the private door of abstract-level
    return super._batch(...args)
  }
}

async function opened(db: GatedLevel): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules, db })
  await chain.open()
  return chain
}

/** Headers and blocks of so many blocks with a state. */
function history(chain: TestChain, count: number) {
  const blocks = buildChain(rules, chain.genesis, count, (i) => ({
    txs: [{ kind: 'set', key: 'a', value: `${i}`, salt: i }]
  }))
  return { blocks: blocks.map(({ bytes }) => bytes), headers: blocks.map(({ headerBytes }) => headerBytes) }
}

describe('a bulk import', () => {
  it('goes on from a batch that is not written yet, state and undo included', async () => {
    const db = new GatedLevel()
    const chain = await opened(db)
    const { blocks, headers } = history(chain, 1_700)
    await chain.addHeaders(headers)
    const before = db.batches
    expect(await chain.addBlocks(blocks)).toEqual({ verdict: { result: 'accept' }, added: 1_700 })
    expect(db.batches - before).toBe(4)
    expect(new TextDecoder().decode((await chain.state.get(new TextEncoder().encode('a')))!)).toBe('1699')
    // undo of the first block of the second batch knows what the last of the first wrote
    const side = buildChain(rules, chain.locate(chain.hashAt(511)!) as Located<never>, 1_300, () => ({
      weight: 2,
      nonce: 5
    }))
    await chain.addBlocks(side.map(({ bytes }) => bytes))
    expect(toHex(chain.head.hash)).toBe(toHex(side.at(-1)!.hash))
    expect(new TextDecoder().decode((await chain.state.get(new TextEncoder().encode('a')))!)).toBe('510')
    await chain.close()
  })

  it('drops what was built on a batch that could not be written', async () => {
    const db = new GatedLevel()
    const chain = await opened(db)
    const { blocks } = history(chain, 1_200)
    const gate = Promise.withResolvers<void>()
    db.gate = gate.promise
    const adding = chain.addBlocks(blocks)
    db.fail = true
    gate.resolve()
    expect(await adding).toMatchObject({ verdict: { result: 'ignore', reason: 'error' }, added: 0, index: 0 })
    expect(chain.head.height).toBe(0)
    db.fail = false
    expect(await chain.addBlocks(blocks)).toEqual({ verdict: { result: 'accept' }, added: 1_200 })
    await chain.close()
  })
})

describe('headers', () => {
  it('that come one by one hold no more memory than they need, however many keys are written between them', async () => {
    const chain: TestChain = new Chain({ rules, db: memoryDb() })
    await chain.open()
    const blocks = buildChain(rules, chain.genesis, 50, (i) => ({
      txs: Array.from({ length: 200 }, (_, n) => ({
        kind: 'set' as const,
        key: `${'k'.repeat(55)}${n}`,
        value: 'v',
        salt: i * 200 + n
      }))
    }))
    for (const { headerBytes, bytes } of blocks) {
      await chain.addHeaders([headerBytes])
      await chain.add(bytes)
    }
    const memory = new Set(blocks.map(({ hash }) => chain.locate(hash)!.hash.buffer))
    expect([...memory].reduce((size, { byteLength }) => size + byteLength, 0)).toBeLessThan(50 * 1_024)
    await chain.close()
  })

  it('go with the blocks that wait behind them, in one batch', async () => {
    const db = new GatedLevel()
    const chain = await opened(db)
    const { blocks, headers } = history(chain, 60)
    const before = db.batches
    const [first, second] = await Promise.all([chain.addHeaders(headers), chain.addBlocks(blocks.slice(0, 30))])
    expect(first).toMatchObject({ verdict: { result: 'accept' }, added: 60 })
    expect(second).toEqual({ verdict: { result: 'accept' }, added: 30 })
    expect(db.batches - before).toBe(1)
    const again = await opened((await copyOf(db)) as GatedLevel)
    expect([again.head.height, again.target.height, again.report.repaired]).toEqual([30, 60, []])
    await again.close()
    await chain.close()
  })

  it('are written though what waited behind them wrote nothing, and when the chain closes', async () => {
    const db = new GatedLevel()
    const chain = await opened(db)
    const { headers } = history(chain, 20)
    await Promise.all([chain.addHeaders(headers), chain.addBlocks([new Uint8Array([1])])])
    const again = await opened((await copyOf(db)) as GatedLevel)
    expect(again.target.height).toBe(20)
    await again.close()
    await chain.close()
  })

  it('wait for another try when the batch that takes them fails', async () => {
    const db = new GatedLevel()
    const chain = await opened(db)
    const { blocks, headers } = history(chain, 20)
    db.fail = true
    const [first, second] = await Promise.all([chain.addHeaders(headers), chain.addBlocks(blocks.slice(0, 5))])
    expect([first.verdict.result, second.verdict.result]).toEqual(['accept', 'ignore'])
    db.fail = false
    await chain.addBlocks(blocks.slice(0, 5))
    const again = await opened((await copyOf(db)) as GatedLevel)
    expect([again.head.height, again.target.height, again.report.repaired]).toEqual([5, 20, []])
    await again.close()
    await chain.close()
  })
})

describe('one new header among many that are known', () => {
  it('holds no more memory than a slab', async () => {
    const chain: TestChain = new Chain({ rules, db: memoryDb() })
    await chain.open()
    const { headers } = history(chain, 2)
    await chain.addHeaders(headers.slice(0, 1))
    const page = new Uint8Array(1 << 20)
    page.set(headers[0]!)
    page.set(headers[1]!, 1_000)
    const known = page.subarray(0, headers[0]!.length)
    const list = Array.from({ length: 5_000 }, () => known)
    expect(await chain.addHeaders([...list, page.subarray(1_000, 1_000 + headers[1]!.length), ...list])).toMatchObject({
      verdict: { result: 'accept' },
      added: 1
    })
    const { hash, header, bytes, height } = chain.target
    expect(height).toBe(2)
    for (const part of [hash, header.parent, header.root, bytes!]) expect(part.buffer.byteLength).toBeLessThan(32_768)
    await chain.close()
  })
})

describe('missingAfter', () => {
  it('goes on where missing stopped, and knows when the way is another', async () => {
    const chain: TestChain = new Chain({ rules, db: memoryDb() })
    await chain.open()
    const { blocks, headers } = history(chain, 50)
    await chain.addHeaders(headers)
    const first = chain.missing(20)
    expect(chain.missingAfter(first.at(-1)!, 100)!.map(({ height }) => height)).toEqual(
      Array.from({ length: 30 }, (_, i) => 21 + i)
    )
    await chain.addBlocks(blocks.slice(0, 10))
    expect(chain.missingAfter(first.at(-1)!, 1)![0]!.height).toBe(21)
    const better = buildChain(rules, chain.genesis, 51, () => ({ weight: 2, nonce: 3 }))
    await chain.addHeaders(better.map(({ headerBytes }) => headerBytes))
    expect(chain.missingAfter(first.at(-1)!, 1)).toBeUndefined()
    await chain.close()
  })
})

describe('the parts of it', () => {
  it('find entries by hash, also those that share the bits they are kept under', () => {
    const hash = fc.tuple(fc.nat(3), fc.nat(3)).map(([head, tail]) => {
      const bytes = new Uint8Array(32).fill(tail, 14, 18)
      bytes[0] = head
      return bytes
    })
    fc.assert(
      fc.property(fc.array(fc.tuple(hash, fc.boolean()), { maxLength: 60 }), (steps) => {
        const index = new HashIndex<unknown>()
        const model = new Map<string, ReturnType<typeof makeEntry>>()
        for (const [bytes, add] of steps) {
          const key = toHex(bytes)
          const here = model.get(key)
          if (add && here == null) {
            const entry = makeEntry({ hash: bytes, height: 1, work: 1n, header: {} }, undefined)
            index.set(entry)
            model.set(key, entry)
          } else if (!add && here != null) {
            index.delete(here)
            model.delete(key)
          }
          expect(index.get(bytes)).toBe(model.get(key))
        }
        for (const [key, entry] of model) expect(index.get(Buffer.from(key, 'hex'))).toBe(entry)
      })
    )
  })

  it('write work of any size, alone and before a header', () => {
    const around = [
      0n,
      1n,
      255n,
      256n,
      2n ** 47n,
      2n ** 48n - 1n,
      2n ** 48n,
      2n ** 53n - 1n,
      2n ** 53n,
      2n ** 256n - 1n
    ]
    fc.assert(
      fc.property(fc.oneof(fc.constantFrom(...around), fc.bigInt({ min: 0n, max: 2n ** 256n - 1n })), (work) => {
        const bytes = encodeWork(work)
        expect(bytes[0]).not.toBe(0)
        expect(decodeWork(bytes)).toBe(work)
        expect(decodeHeaderRecord(encodeHeaderRecord(work, Uint8Array.of(1, 2, 3)))).toEqual({
          work,
          header: Uint8Array.of(1, 2, 3)
        })
      })
    )
  })

  it('cut bytes that overlap with no others', () => {
    const pieces = Array.from({ length: 3_000 }, (_, i) => cut(i % 130).fill(i))
    for (const [i, piece] of pieces.entries()) expect(piece.every((byte) => byte === i % 256)).toBe(true)
    expect(cut(100_000)).toEqual(new Uint8Array(100_000))
  })
})
