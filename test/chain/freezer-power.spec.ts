import { Chain, type ChainInit, type Database, type FileName, toHex } from 'blockwire/chain'
import type { TestHeader, TestTx } from 'blockwire/testing'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { MemoryFiles } from './files.js'
import { copyOf, Model, memoryDb, plan, sorted, stateOf, type TestChain, testRules } from './model.js'

const rules = testRules({ tie: 'lowest-hash', state: { a: 'genesis' } })

/**
 * A database and files of which at any moment can be said what a power cut might leave: of the database what was synced and any number of
 * the batches after it, of the files any pages of what was not synced.
 */
class Power {
  readonly db = memoryDb()
  readonly files = new MemoryFiles()
  readonly remains: Array<{ db: Database; files: MemoryFiles; own: Uint8Array | undefined }> = []
  /** The last block that was said to be on disk. */
  own: Uint8Array | undefined
  readonly #random: (below: number) => number
  #versions: Database[] = []
  #synced = new MemoryFiles()

  constructor(random: (below: number) => number) {
    this.#random = random
    const { db, files } = this
    const batch = db.batch.bind(db) as (...args: unknown[]) => unknown
    ;(db as unknown as { batch: unknown }).batch = (...args: unknown[]) => {
      if (args.length > 0) return batch(...args)
      const chained = batch() as { write(options?: { sync?: boolean }): Promise<void> }
      const write = chained.write.bind(chained)
      chained.write = async (options) => {
        await write(options)
        if (options?.sync) this.#versions = []
        this.#versions.push(await copyOf(db))
        await this.cut()
      }
      return chained
    }
    files.written = () => this.cut()
    files.sync = async () => {
      this.#synced = files.copy()
    }
  }

  async cut(): Promise<void> {
    if (this.#versions.length === 0 || this.#random(4) > 0) return
    const db = await copyOf(this.#versions[this.#random(this.#versions.length)]!)
    this.remains.push({ db, files: this.#torn(), own: this.own })
  }

  #torn(): MemoryFiles {
    const torn = this.files.copy()
    const how = this.#random(4)
    for (const file of ['headers', 'blocks', 'index'] as FileName[]) {
      const [old, now] = [this.#synced.bytes[file], torn.bytes[file]]
      if (how === 0) continue
      const length =
        how === 1 ? old.length : how === 2 ? now.length : old.length + this.#random(now.length - old.length)
      const page = [16, 64, 200][this.#random(3)]!
      const bytes = now.slice(0, Math.max(length, Math.min(old.length, now.length)))
      for (let at = 0; at < bytes.length; at += page) {
        if (this.#random(3) > 0) continue
        for (let i = at; i < Math.min(at + page, bytes.length); i++) bytes[i] = old[i] ?? 0
      }
      torn.bytes[file] = bytes
    }
    return torn
  }
}

async function all(pages: AsyncIterable<Uint8Array[]>): Promise<string[]> {
  const found: string[] = []
  for await (const page of pages) found.push(...page.map(toHex))
  return found
}

/** Head, state, index, headers and blocks are those of one branch. */
async function expectSound(chain: TestChain, db: Database, model: Model): Promise<void> {
  const head = [model.genesis, ...model.nodes].find(({ block }) => toHex(block.hash) === toHex(chain.head.hash))!
  expect(sorted(await stateOf(db))).toEqual(sorted(head.state!))
  const main = []
  for (let node = head; node.parent != null; node = node.parent) main.unshift(node.block)
  const { height } = chain.head
  expect(await all(chain.blocks(1, height))).toEqual(main.map(({ bytes }) => toHex(bytes)))
  expect(await all(chain.headers(1, height))).toEqual(main.map(({ headerBytes }) => toHex(headerBytes)))
  expect(main.map((_, i) => toHex(chain.hashAt(i + 1)!))).toEqual(main.map(({ hash }) => toHex(hash)))
}

it('a power cut at any moment leaves a chain that opens, with a state of its own, and all that was said to be on disk', async () => {
  let repaired = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(plan(['set', 'set', 'del', 'once']), { minLength: 15, maxLength: 50 }),
      fc.record({ bulk: fc.integer({ min: 1, max: 6 }), hot: fc.integer({ min: 1, max: 12 }) }),
      fc.array(fc.constantFrom('one', 'many', 'headers', 'open'), { minLength: 20, maxLength: 20 }),
      fc.constantFrom(1, 400, 1_000_000),
      fc.constantFrom(4, 30, 1_000),
      fc.infiniteStream(fc.nat(1_000_000)),
      async (plans, freeze, steps, stepBytes, maxReorg, numbers) => {
        const power = new Power((below) => numbers.next().value % Math.max(1, below))
        const open = async (init: Partial<ChainInit<TestHeader, TestTx>>): Promise<TestChain> => {
          const chain: TestChain = new Chain({ rules, freeze, stepBytes, maxReorg, ...init })
          await chain.open()
          return chain
        }
        let chain = await open(power)
        const model = new Model(rules, chain.genesis, { a: 'genesis' }).grow(plans)
        for (let i = 0; i < model.nodes.length; ) {
          const step = steps[i % steps.length]!
          const some = model.nodes.slice(i, i + (step === 'one' ? 1 : 7)).map(({ block }) => block)
          i += some.length
          if (step === 'headers') await chain.addHeaders(some.map(({ headerBytes }) => headerBytes))
          if (step === 'one') {
            const { bytes, hash } = some[0]!
            const own = i % 3 === 0
            const { result } = await chain.add(bytes, { own })
            // one that proves invalid later, with a better branch, need not be kept
            if (own && result === 'accept' && model.nodes[i - 1]!.state != null) power.own = hash
          } else await chain.addBlocks(some.map(({ bytes }) => bytes))
          if (step === 'open') {
            await chain.close()
            chain = await open(power)
          }
          await power.cut()
        }
        await chain.close()
        for (const { db, files, own } of power.remains) {
          const again = await open({ db, files })
          if (again.report.repaired.length > 0) repaired++
          await expectSound(again, db, model)
          if (maxReorg === 1_000) {
            if (own != null) expect(await again.block(own)).toBeDefined()
            for (let round = 0; round < 2; round++) for (const { block } of model.nodes) await again.add(block.bytes)
            expect(toHex(again.head.hash)).toBe(toHex(model.best().block.hash))
            await expectSound(again, db, model)
          }
          await again.close()
          const third = await open({ db, files })
          expect(third.report.repaired).toEqual([])
          await third.close()
        }
      }
    ),
    { numRuns: 25 }
  )
  expect(repaired).toBeGreaterThan(0)
}, 60_000)
