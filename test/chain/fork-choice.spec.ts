import { Chain, toHex } from 'blockwire/chain'
import { testRules } from 'blockwire/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { copyOf, Model, memoryDb, type Node, plan, sorted, stateOf, type TestChain, waitingDb } from './model.js'

const STATE = { a: 'genesis', c: 'genesis' }

/** Adds blocks in an order; those whose parents are not here yet wait for the next round. */
async function deliver(chain: TestChain, nodes: Node[]): Promise<void> {
  let waiting = nodes
  while (waiting.length > 0) {
    const next: Node[] = []
    for (const node of waiting) {
      const verdict = await chain.add(node.block.bytes)
      if (verdict.result === 'ignore' && verdict.reason === 'unknown-parent') next.push(node)
    }
    // what stands on nothing but refused blocks stays outside
    if (next.length === waiting.length) return
    waiting = next
  }
}

const shuffled = <V>(list: V[], keys: number[]): V[] =>
  list
    .map((value, i) => ({ value, at: keys[i % keys.length]! + i * 1e-6 }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)

async function expectBest(chain: TestChain, db: ReturnType<typeof memoryDb>, model: Model): Promise<void> {
  const best = model.best()
  expect(toHex(chain.head.hash)).toBe(toHex(best.block.hash))
  expect(chain.head.work).toBe(best.block.located.work)
  expect(sorted(await stateOf(db))).toEqual(sorted(best.state!))
  for (let node: Node | undefined = best; node != null; node = node.parent) {
    expect(toHex(chain.hashAt(node.block.located.height)!)).toBe(toHex(node.block.hash))
  }
}

describe('a random tree of blocks', () => {
  const trees = fc.record({
    plans: fc.array(plan(['set', 'set', 'del', 'once', 'fail', 'bad']), { minLength: 1, maxLength: 24 }),
    order: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 24, maxLength: 24 }),
    slow: fc.boolean(),
    headersFirst: fc.boolean(),
    bulk: fc.boolean()
  })

  it('ends on the heaviest valid tip with its state, in whatever order it comes, and after a restart', async () => {
    await fc.assert(
      fc.asyncProperty(trees, async ({ plans, order, slow, headersFirst, bulk }) => {
        const rules = testRules({ tie: 'lowest-hash', state: STATE, slow })
        // some databases cannot read without waiting
        const db = slow ? waitingDb() : memoryDb()
        const chain: TestChain = new Chain({ rules, db })
        await chain.open()
        const model = new Model(rules, chain.genesis, STATE).grow(plans)
        const nodes = shuffled(model.nodes, order)
        // then bodies come before those of their parents
        if (headersFirst) await chain.addHeaders(model.nodes.map(({ block }) => block.headerBytes))
        if (bulk) await chain.addBlocks(nodes.map(({ block }) => block.bytes))
        await deliver(chain, nodes)
        await expectBest(chain, db, model)

        const again: TestChain = new Chain({ rules, db: await copyOf(db) })
        await again.open()
        expect(again.report.repaired).toEqual([])
        expect(toHex(again.head.hash)).toBe(toHex(chain.head.hash))
        await chain.close()
        await again.close()
      }),
      { numRuns: 150 }
    )
  })

  it('with one heaviest tip ends there by first-seen, too', async () => {
    await fc.assert(
      fc.asyncProperty(trees, async ({ plans, order, slow, headersFirst }) => {
        const rules = testRules({ state: STATE, slow })
        const db = memoryDb()
        const chain: TestChain = new Chain({ rules, db })
        await chain.open()
        const model = new Model(rules, chain.genesis, STATE).grow(plans)
        fc.pre(model.unique)
        if (headersFirst) await chain.addHeaders(model.nodes.map(({ block }) => block.headerBytes))
        await deliver(chain, shuffled(model.nodes, order))
        await expectBest(chain, db, model)
        await chain.close()
      }),
      { numRuns: 80 }
    )
  })

  it('says every step: events alone tell which blocks are on the head chain', async () => {
    await fc.assert(
      fc.asyncProperty(trees, async ({ plans, order, headersFirst }) => {
        const rules = testRules({ tie: 'lowest-hash', state: STATE })
        const chain: TestChain = new Chain({ rules })
        await chain.open()
        const told = [toHex(chain.genesis.hash)]
        chain.addEventListener('reorg', ({ detail }) => {
          expect(told.at(-1)).toBe(toHex(detail.from.hash))
          expect(detail.dropped.map(({ hash }) => toHex(hash))).toEqual(told.slice(detail.common.height + 1))
          told.length = detail.common.height + 1
        })
        chain.addEventListener('block', ({ detail }) => {
          expect(detail.height).toBe(told.length)
          expect(toHex(detail.header.parent)).toBe(told.at(-1))
          told.push(toHex(detail.hash))
        })
        chain.addEventListener('head', ({ detail }) => {
          expect(told.at(-1)).toBe(toHex(detail.hash))
          expect(toHex(chain.head.hash)).toBe(toHex(detail.hash))
        })
        const model = new Model(rules, chain.genesis, STATE).grow(plans)
        if (headersFirst) await chain.addHeaders(model.nodes.map(({ block }) => block.headerBytes))
        await deliver(chain, shuffled(model.nodes, order))
        expect(told.at(-1)).toBe(toHex(chain.head.hash))
        await chain.close()
      }),
      { numRuns: 60 }
    )
  })
})

describe('fork choice', () => {
  const setup = async (options: Parameters<typeof testRules>[0] = {}) => {
    const rules = testRules({ state: STATE, ...options })
    const db = memoryDb()
    const chain: TestChain = new Chain({ rules, db })
    await chain.open()
    return { chain, db, model: new Model(rules, chain.genesis, STATE) }
  }
  const block = (weight = 1, txs: Parameters<Model['add']>[1]['txs'] = []) => ({ weight, txs })
  const add = (chain: TestChain, node: Node) => chain.add(node.block.bytes)

  it('keeps the head at equal work, and with lowest-hash takes the lower one', async () => {
    for (const tie of ['first-seen', 'lowest-hash'] as const) {
      const { chain, model } = await setup({ tie })
      const two = [model.add(model.genesis, block()), model.add(model.genesis, block())]
      for (const node of two) expect(await add(chain, node)).toEqual({ result: 'accept' })
      const expected = tie === 'first-seen' ? two[0]! : model.best()
      expect(toHex(chain.head.hash)).toBe(toHex(expected.block.hash))
      await chain.close()
    }
  })

  it('leaves the old branch only once every body of the new one is here', async () => {
    const { chain, model } = await setup()
    const old = model.add(model.genesis, block(2))
    await add(chain, old)
    const a = model.add(model.genesis, block(2))
    const b = model.add(a, block(2))
    const c = model.add(b, block(2))
    await chain.addHeaders([a, b, c].map((node) => node.block.headerBytes))
    expect(toHex(chain.target.hash)).toBe(toHex(c.block.hash))
    expect(chain.missing(9).map(({ height }) => height)).toEqual([1, 2, 3])
    await add(chain, c)
    await add(chain, a)
    expect(toHex(chain.head.hash)).toBe(toHex(old.block.hash))
    expect(chain.missing(9).map(({ height }) => height)).toEqual([2])
    await add(chain, b)
    expect(toHex(chain.head.hash)).toBe(toHex(c.block.hash))
    expect(chain.missing(9)).toEqual([])
    await chain.close()
  })

  it('stays where it was when a block inside a heavier branch is invalid', async () => {
    const { chain, db, model } = await setup()
    const heads: number[] = []
    const old = model.add(model.add(model.genesis, block(3)), block(3))
    await add(chain, old.parent!)
    await add(chain, old)
    const before = await stateOf(db)
    chain.addEventListener('head', ({ detail }) => heads.push(detail.height))
    const a = model.add(model.genesis, block(2, [{ kind: 'set', key: 'a', value: 'other' }]))
    const bad = model.add(a, block(2, [{ kind: 'fail', key: 'b', value: '' }]))
    const c = model.add(bad, block(9))
    await chain.addHeaders([a, bad, c].map((node) => node.block.headerBytes))
    await add(chain, c)
    await add(chain, a)
    expect(await add(chain, bad)).toMatchObject({ result: 'reject', reason: 'state' })
    expect(toHex(chain.head.hash)).toBe(toHex(old.block.hash))
    expect(sorted(await stateOf(db))).toEqual(sorted(before))
    expect(heads).toEqual([])
    expect(chain.has(bad.block.hash)).toBe('invalid')
    expect(chain.has(c.block.hash)).toBe('invalid')
    expect(toHex(chain.target.hash)).toBe(toHex(old.block.hash))
    expect(await add(chain, model.add(c, block()))).toMatchObject({ result: 'reject', reason: 'known-invalid' })
    await chain.close()
  })

  it('moves to what comes before the bad block where that is heavier', async () => {
    const { chain, model } = await setup()
    const reorgs: number[][] = []
    await add(chain, model.add(model.genesis, block(1)))
    const a = model.add(model.genesis, block(1))
    const b = model.add(a, block(4, [{ kind: 'set', key: 'a', value: 'b' }]))
    const bad = model.add(b, block(4, [{ kind: 'fail', key: 'b', value: '' }]))
    chain.addEventListener('reorg', ({ detail }) => reorgs.push([detail.dropped.length, detail.added.length]))
    await chain.addHeaders([a, b, bad].map((node) => node.block.headerBytes))
    await add(chain, bad)
    await add(chain, b)
    expect(await add(chain, a)).toEqual({ result: 'accept' })
    expect(toHex(chain.head.hash)).toBe(toHex(b.block.hash))
    expect(new TextDecoder().decode(await chain.state.get(new TextEncoder().encode('a')))).toBe('b')
    expect(reorgs).toEqual([[1, 2]])
    await chain.close()
  })

  it('takes no harm from a branch whose bodies nobody has', async () => {
    const { chain, model } = await setup()
    const withheld = model.add(model.add(model.genesis, block(50)), block(50))
    await chain.addHeaders([withheld.parent!, withheld].map((node) => node.block.headerBytes))
    expect(toHex(chain.target.hash)).toBe(toHex(withheld.block.hash))
    const honest = model.add(model.genesis, block())
    await add(chain, honest)
    expect(toHex(chain.head.hash)).toBe(toHex(honest.block.hash))
    chain.park(withheld.parent!.block.hash)
    expect(toHex(chain.target.hash)).toBe(toHex(honest.block.hash))
    expect(chain.missing(9)).toEqual([])
    const next = model.add(honest, block())
    await chain.addHeaders([next.block.headerBytes])
    expect(toHex(chain.target.hash)).toBe(toHex(next.block.hash))
    expect(await add(chain, next)).toEqual({ result: 'accept' })
    expect(chain.head.height).toBe(2)

    chain.unpark(withheld.block.hash)
    expect(toHex(chain.target.hash)).toBe(toHex(withheld.block.hash))
    chain.park(withheld.parent!.block.hash)
    // somebody has them after all
    await add(chain, withheld.parent!)
    expect(toHex(chain.target.hash)).toBe(toHex(withheld.block.hash))
    await add(chain, withheld)
    expect(toHex(chain.head.hash)).toBe(toHex(withheld.block.hash))
    await chain.close()
  })

  it('counts a parked branch again when a body of it comes that makes no head', async () => {
    const { chain, model } = await setup()
    await add(chain, model.add(model.genesis, block(9)))
    const first = model.add(model.genesis, block(1))
    const second = model.add(first, block(50))
    await chain.addHeaders([first, second].map((node) => node.block.headerBytes))
    chain.park(first.block.hash)
    expect(chain.target).toBe(chain.head)
    await add(chain, first)
    expect(toHex(chain.head.hash)).not.toBe(toHex(first.block.hash))
    expect(toHex(chain.target.hash)).toBe(toHex(second.block.hash))
    chain.park(second.block.hash)
    expect(chain.target).toBe(chain.head)
    // somebody builds on it
    await chain.addHeaders([model.add(second, block(1)).block.headerBytes])
    expect(chain.target.height).toBe(3)
    chain.park(second.block.hash)
    chain.unpark(second.block.hash)
    expect(chain.missing(9).map(({ height }) => height)).toEqual([2, 3])
    await chain.close()
  })

  it('never freezes on withheld bodies, whatever is parked and when', async () => {
    const steps = fc.array(fc.record({ withheld: fc.boolean(), park: fc.boolean(), plan: plan(['set']) }), {
      minLength: 2,
      maxLength: 30
    })
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const { chain, model } = await setup({ tie: 'lowest-hash' })
        const given = new Map<Node, boolean>([[model.genesis, true]])
        for (const step of list) {
          const parents = [model.genesis, ...model.nodes]
          const node = model.add(parents.at(step.plan.parent % parents.length)!, step.plan)
          await chain.addHeaders([node.block.headerBytes])
          if (step.park) for (const { hash } of chain.missing(2)) chain.park(hash)
          if (!step.withheld) await add(chain, node)
          given.set(node, !step.withheld && given.get(node.parent!)!)
          // the best of what is here whole is the head, whatever else is promised
          const whole = [model.genesis, ...model.nodes].filter((each) => given.get(each))
          const most = BigInt(Math.max(...whole.map((each) => Number(each.block.located.work))))
          expect(chain.head.work).toBe(most)
          expect(chain.target.work).toBeGreaterThanOrEqual(most)
        }
        await chain.close()
      }),
      { numRuns: 60 }
    )
  })

  it('does not let a bad body silence the true one', async () => {
    const { chain, model } = await setup()
    const good = model.add(model.genesis, block(1, [{ kind: 'set', key: 'a', value: 'true' }]))
    const { encodeBlock } = await import('blockwire/chain')
    const forged = encodeBlock(good.block.headerBytes, [new Uint8Array([1, 2, 3])])
    expect(chain.check(forged).verdict).toMatchObject({ result: 'reject', reason: 'root' })
    expect(await chain.add(forged)).toMatchObject({ result: 'reject', reason: 'root' })
    expect(await chain.addBlocks([forged])).toMatchObject({ verdict: { reason: 'root' }, added: 0, index: 0 })
    await chain.addHeaders([good.block.headerBytes])
    expect(await chain.add(forged)).toMatchObject({ result: 'reject', reason: 'root' })
    expect(chain.has(good.block.hash)).toBe('header')
    expect(await add(chain, good)).toEqual({ result: 'accept' })
    expect(chain.head.height).toBe(1)
    await chain.close()
  })

  it('refuses for ever a block whose own transactions are bad, and says so again after a restart', async () => {
    const { chain, db, model } = await setup()
    const bad = model.add(model.genesis, block(5, [{ kind: 'bad', key: 'a', value: '' }]))
    const failing = model.add(model.genesis, block(5, [{ kind: 'fail', key: 'a', value: '' }]))
    expect(await add(chain, bad)).toMatchObject({ result: 'reject', reason: 'tx' })
    expect(await add(chain, failing)).toMatchObject({ result: 'reject', reason: 'state' })
    expect(await add(chain, bad)).toMatchObject({ result: 'reject', reason: 'known-invalid' })
    expect(toHex(chain.target.hash)).toBe(toHex(chain.genesis.hash))
    await chain.close()
    const again: TestChain = new Chain({ rules: model.rules, db })
    await again.open()
    for (const { block } of [bad, failing]) {
      expect(again.has(block.hash)).toBe('invalid')
      expect(await again.add(block.bytes)).toMatchObject({ result: 'reject', reason: 'known-invalid' })
      expect(await again.addHeaders([block.headerBytes])).toMatchObject({ verdict: { reason: 'known-invalid' } })
    }
    expect(toHex(again.target.hash)).toBe(toHex(again.genesis.hash))
    await again.close()
  })
})
