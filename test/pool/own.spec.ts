import type { Database } from 'blockwire/chain'
import { describe, expect, it } from 'vitest'
import { bench, database, settled, tx } from './kit.js'

/** A database whose writes of the journal fail while it is told so. */
function failing(db: Database): { journal: Database; fail(on: boolean): void } {
  let broken = false
  const journal = new Proxy(db, {
    get(target, name) {
      if (name === 'batch' && broken) return () => Promise.reject(new Error('no space left'))
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
  return {
    journal,
    fail: (on) => {
      broken = on
    }
  }
}

describe('what was submitted here', () => {
  it('is there again after a kill, in its order, and its handle with it', async () => {
    const db = database()
    const before = await bench({ db, journal: db })
    await before.own(tx('ana/0'), tx('ana/1'), tx('one', 5))
    await before.receive([tx('theirs')])
    const { id } = await before.pool.add(tx('two'))
    // no stop: what was answered is on disk
    const after = await bench({ db, journal: db })
    expect(after.order()).toEqual(['one', 'ana/0', 'ana/1', 'two'])
    const handle = after.pool.handle(id)!
    expect(handle.status()).toEqual({ state: 'pending' })
    const block = await after.mine([tx('two')])
    expect(await handle.included()).toEqual({ height: 1, hash: block.hash })
  })

  it('is not pooled again after a restart when it was mined, but comes back when its block is dropped', async () => {
    const db = database()
    const before = await bench({ db, journal: db })
    const { id } = await before.pool.add(tx('mine'))
    await before.mine([tx('mine')])
    await before.mine([])
    await before.stop()
    const after = await bench({ db, journal: db })
    expect(after.pool.size).toBe(0)
    expect(after.pool.status(id)).toMatchObject({ state: 'included', height: 1, depth: 2 })
    await after.mine([], { parent: after.chain.genesis, weight: 9 })
    await settled(after)
    expect(after.order()).toEqual(['mine'])
    expect(after.pool.handle(id)!.status()).toEqual({ state: 'pending' })
  })

  it('is not mined twice when the process was killed between the block and the journal', async () => {
    const db = database()
    const { journal, fail } = failing(db)
    const before = await bench({ db, journal })
    await before.own(tx('mine'), tx('other'))
    fail(true)
    await before.mine([tx('mine')])
    for (let i = 0; i < 5; i++) await before.mine([])
    // the state of these rules would take it again
    const after = await bench({ db, journal: db })
    expect(after.order()).toEqual(['other'])
  })

  it('comes back after a kill between a reorganisation and the journal', async () => {
    const db = database()
    const { journal, fail } = failing(db)
    const before = await bench({ db, journal })
    await before.own(tx('mine'))
    await before.mine([tx('mine')])
    await settled(before)
    fail(true)
    await before.mine([], { parent: before.chain.genesis, weight: 9 })
    const after = await bench({ db, journal: db })
    expect(after.order()).toEqual(['mine'])
  })

  it('is forgotten on disk, too, once it is buried or replaced', async () => {
    const db = database()
    const before = await bench({ db, journal: db })
    await before.own(tx('mine'), tx('ana/0', 1))
    await before.own(tx('ana/0', 9))
    await before.mine([tx('mine')])
    for (let i = 0; i < 1_000; i++) await before.mine([])
    before.clock.turn(5_000)
    await before.stop()
    const left: Uint8Array[] = []
    for await (const [, value] of db.iterator({ gte: Uint8Array.of(0x6a), lt: Uint8Array.of(0x6b) })) left.push(value)
    expect(left).toHaveLength(1)
    expect((await bench({ db, journal: db })).order()).toEqual(['ana/0'])
  })

  it('is not accepted when it cannot be written', async () => {
    const db = database()
    const { journal, fail } = failing(db)
    const a = await bench({ db, journal })
    fail(true)
    const { verdict, handle } = await a.pool.add(tx('mine'))
    expect(verdict).toMatchObject({ result: 'ignore', reason: 'error', detail: expect.stringMatching(/no space left/) })
    expect([handle, a.pool.size, a.published.length]).toEqual([undefined, 0, 0])
    expect(a.events).toEqual(['add mine', 'remove error'])
    fail(false)
    await a.own(tx('mine'))
    expect((await bench({ db, journal: db })).order()).toEqual(['mine'])
  })

  it('that the rules do not take any more is passed over, and so is a damaged record', async () => {
    const db = database()
    const before = await bench({ db, journal: db })
    await before.own(tx('one'), tx('two'))
    for await (const [key, value] of db.iterator({ gte: Uint8Array.of(0x6a), lt: Uint8Array.of(0x6b) })) {
      await db.put(key, value.subarray(0, -1))
      break
    }
    const { rules } = before.chain
    const stricter = { ...rules, checkTx: () => ({ reject: 'not any more' }) as const }
    expect((await bench({ db, journal: db })).pool.size).toBe(1)
    expect((await bench({ db, journal: db, rules: stricter })).pool.size).toBe(0)
    expect((await bench({ db, journal: db })).pool.size).toBe(0)
  })

  it('is tried again on every new head, when the state has refused it', async () => {
    const a = await bench()
    const { handle } = await a.pool.add(tx('name', 0, 'once'))
    const refused = expect(handle!.included()).rejects.toMatchObject({ name: 'RefusedError', reason: 'state' })
    await a.mine([tx('name')])
    await settled(a)
    await refused
    expect([handle!.status(), a.pool.size]).toEqual([{ state: 'dropped', why: 'state' }, 0])
    await a.mine([tx('name', 0, 'del')])
    await settled(a)
    expect([handle!.status(), a.order()]).toEqual([{ state: 'pending' }, ['name']])
    await a.mine([tx('name', 0, 'once')])
    expect(await handle!.included()).toMatchObject({ height: 3 })
  })

  it('is restored in the order in which it was submitted, also what came in the same millisecond', async () => {
    const db = database()
    const rules = { ...(await bench()).chain.rules, pool: {} }
    const before = await bench({ db, journal: db, rules })
    // each needs the one before it
    for (let i = 0; i < 20; i++) {
      await before.own(tx('name', i, 'once'), tx('name', i, 'del'))
      await before.mine([])
    }
    const order = before.order()
    expect(order).toHaveLength(40)
    const after = await bench({ db, journal: db, rules })
    expect(after.pool.size).toBe(40)
    await after.own(tx('last', 0, 'set'))
    const again = await bench({ db, journal: db, rules })
    expect([...again.pool.entries()].at(-1)!.bytes).toEqual(again.chain.rules.tx.encode(tx('last')))
  })

  it('comes back from a reorganisation deeper than what is given back of others', async () => {
    const a = await bench()
    const { genesis } = a.chain
    await a.own(tx('mine'))
    await a.receive([tx('theirs')])
    await a.mine([tx('mine'), tx('theirs')])
    for (let i = 0; i < 120; i++) await a.mine([])
    await a.mine([], { parent: genesis, weight: 1_000 })
    await settled(a)
    expect(a.order()).toEqual(['mine'])
  })

  it('is told to the first who come, again each minute, and at once when its block was dropped', async () => {
    const a = await bench()
    await a.own(tx('one'), tx('two'))
    await a.receive([tx('theirs')])
    a.clock.turn(10)
    expect(a.published).toEqual([['one', 'two']])
    a.clock.turn(120_000)
    expect(a.published).toHaveLength(1)
    a.peers.push('somebody')
    a.clock.turn(5_010)
    expect(a.published.slice(1)).toEqual([['one', 'two']])
    a.clock.turn(55_000)
    expect(a.published.slice(2)).toEqual([])
    await a.mine([tx('one')])
    a.clock.turn(10_000)
    expect(a.published.slice(2)).toEqual([['two']])
    await a.mine([], { parent: a.chain.genesis, weight: 9 })
    await settled(a)
    a.clock.turn(5_010)
    expect(a.published.slice(3)).toEqual([['one']])
    await a.stop()
    a.clock.turn(300_000)
    expect(a.published).toHaveLength(4)
    expect(a.clock.pending).toBe(0)
  })

  it('is told in pieces, when it is much', async () => {
    const a = await bench()
    await a.own(...Array.from({ length: 50 }, (_, i) => tx(`${i}`, 0, 'set', 'x'.repeat(60_000))))
    a.clock.turn(10)
    a.published.length = 0
    a.peers.push('somebody')
    a.clock.turn(5_010)
    expect(a.published).toHaveLength(17)
    a.clock.turn(10_010)
    expect(a.published.flat()).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`))
  })

  it('that is mined makes room for more, before that it does not', async () => {
    const a = await bench({ txs: 2 })
    await a.own(tx('one'), tx('two'))
    await a.mine([tx('one')])
    await a.own(tx('new'))
    expect(a.order()).toEqual(['two', 'new'])
    expect((await a.pool.add(tx('six'))).verdict).toMatchObject({ reason: 'full' })
  })
})
