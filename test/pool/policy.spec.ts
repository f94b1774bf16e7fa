import { describe, expect, it } from 'vitest'
import { bench, hooks, PEERS, settled, tx } from './kit.js'

describe('a pool whose rules know fees, senders and conflicts', () => {
  it('hands out what pays most per byte first, each sender in sequence', async () => {
    const a = await bench()
    await a.own(tx('low', 1), tx('ana/0', 2), tx('ana/1', 9), tx('high', 5), tx('also', 5))
    expect(a.order()).toEqual(['high', 'also', 'ana/0', 'ana/1', 'low'])
    expect([...a.pool.entries()].map(({ bytes }) => bytes.length)).toHaveLength(5)
    expect([...a.pool.ids()].every((id) => a.pool.has(id))).toBe(true)
  })

  it('leaves out of a block what comes after one that does not fit', async () => {
    const a = await bench()
    await a.own(tx('ana/0', 9, 'set', 'long'.repeat(30)), tx('ana/1', 9), tx('bob/0', 1))
    expect(a.order(60)).toEqual(['bob/0'])
  })

  it('replaces for a tenth more, in place, and says why not', async () => {
    const a = await bench()
    expect(await a.receive([tx('ana/0', 100), tx('ana/1', 100)])).toEqual({ result: 'accept' })
    expect(await a.receive([tx('ana/0', 109, 'set', 'y')])).toMatchObject({ result: 'ignore', reason: 'conflict' })
    expect(await a.receive([tx('ana/0', 110, 'set', 'y')])).toEqual({ result: 'accept' })
    expect(a.events).toEqual(['add ana/0', 'add ana/1', 'add ana/0', 'remove replaced'])
    expect(a.order()).toEqual(['ana/0', 'ana/1'])
    expect(a.pool.size).toBe(2)
  })

  it('replaces by conflict though the state refuses both together', async () => {
    const a = await bench()
    await a.receive([tx('before'), tx('name', 100, 'once'), tx('after')])
    expect(await a.receive([tx('name', 200, 'once', 'y')])).toEqual({ result: 'accept' })
    expect([...a.pool.entries()].map(({ bytes }) => a.chain.rules.tx.decode(bytes).key)).toEqual([
      'before',
      'name',
      'after'
    ])
    // what its state holds is the new one's: a third is tried on that
    expect(await a.receive([tx('name', 205, 'once', 'z')])).toMatchObject({ reason: 'conflict' })
    await a.mine([tx('name', 200, 'once', 'y')])
    expect(a.pool.size).toBe(2)
  })

  it('keeps what is there when the replacement does not pass', async () => {
    const a = await bench()
    await a.receive([tx('ana/0', 1)])
    expect(await a.receive([tx('ana/0', 100, 'fail')])).toMatchObject({ result: 'ignore', reason: 'state' })
    expect(await a.receive([tx('ana/0', 100, 'throw')])).toMatchObject({ result: 'ignore', reason: 'state' })
    expect(a.order()).toEqual(['ana/0'])
    expect(a.events).toEqual(['add ana/0'])
  })

  it('lets nobody but us replace what was submitted here', async () => {
    const a = await bench()
    await a.own(tx('ana/0', 1))
    expect(await a.receive([tx('ana/0', 100)])).toMatchObject({ result: 'ignore', reason: 'conflict' })
    const { handle } = await a.pool.add(tx('ana/0', 1))
    await a.own(tx('ana/0', 100))
    expect(handle!.status()).toEqual({ state: 'dropped', why: 'replaced' })
    await a.mine([tx('ana/0', 100)])
    await settled(a)
    expect(a.pool.size).toBe(0)
  })

  it('makes what peers brought our own when it is submitted here, too', async () => {
    const a = await bench({ txs: 2 })
    await a.receive([tx('one')])
    const { verdict, handle } = await a.pool.add(tx('one'))
    expect(verdict).toEqual({ result: 'ignore', reason: 'known' })
    await a.receive([tx('two', 5)])
    await a.receive([tx('three', 9)])
    expect(a.order().sort()).toEqual(['one', 'three'])
    expect(handle!.status()).toEqual({ state: 'pending' })
  })

  it('survives hooks that throw or answer nonsense', async () => {
    for (const broken of [
      { ...hooks, fee: () => -1n },
      { ...hooks, fee: () => 1 as never },
      { ...hooks, order: () => ({ sender: new Uint8Array(257), sequence: 0n }) },
      {
        ...hooks,
        conflicts: (): Uint8Array[] => {
          throw new Error('boom')
        }
      },
      { ...hooks, conflicts: () => Array.from({ length: 257 }, () => new Uint8Array(1)) },
      { ...hooks, conflicts: () => [new Uint8Array(2_000)] }
    ]) {
      const good = await bench()
      const a = await bench({ rules: { ...good.chain.rules, pool: broken } })
      expect((await a.pool.add(tx('one'))).verdict).toMatchObject({ result: 'ignore', reason: 'rule' })
      expect(a.pool.size).toBe(0)
    }
  })
})

describe('a full pool', () => {
  it('drops what pays least for what pays more, the latest first', async () => {
    const a = await bench({ txs: 3 })
    await a.receive([tx('old', 1), tx('new', 1), tx('good', 5)])
    expect(await a.receive([tx('same', 1)])).toMatchObject({ result: 'ignore', reason: 'full' })
    expect(await a.receive([tx('better', 2)])).toEqual({ result: 'accept' })
    expect(a.order()).toEqual(['good', 'better', 'old'])
    expect(a.events.slice(3)).toEqual(['add better', 'remove full'])
  })

  it("drops a sender's last ones first, whatever they pay", async () => {
    const a = await bench({ txs: 3 })
    await a.receive([tx('ana/0', 1), tx('ana/1', 50), tx('bob/0', 3)])
    await a.receive([tx('new', 2)])
    expect(a.order()).toEqual(['bob/0', 'new', 'ana/0'])
  })

  it('refuses rather than lose what was submitted here', async () => {
    const a = await bench({ txs: 3 })
    await a.own(tx('one', 1), tx('two', 1), tx('three', 1))
    const { verdict, handle } = await a.pool.add(tx('four', 100))
    expect(verdict).toMatchObject({ result: 'ignore', reason: 'full' })
    expect(handle).toBeUndefined()
    expect(await a.receive([tx('five', 1_000)])).toMatchObject({ result: 'ignore', reason: 'full' })
    expect(a.order()).toEqual(['one', 'two', 'three'])
  })

  it('takes ours before what others sent for as much', async () => {
    const a = await bench({ txs: 2 })
    await a.receive([tx('one', 1), tx('two', 1)])
    await a.own(tx('our', 1))
    expect(a.order()).toEqual(['one', 'our'])
    expect((await a.pool.add(tx('cheap', 0))).verdict).toMatchObject({ reason: 'full' })
  })

  it('is not filled by one peer or one sender', async () => {
    const a = await bench({ txsPerPeer: 2, txsPerSender: 2 })
    await a.receive([tx('one'), tx('two'), tx('three')], 0)
    await a.receive([tx('ana/0'), tx('ana/1'), tx('ana/2')], 1)
    expect(a.order()).toEqual(['one', 'two', 'ana/0', 'ana/1'])
    expect(await a.receive([tx('four', 1)], 0)).toMatchObject({ result: 'ignore', reason: 'full' })
    // of our own any number
    await a.own(tx('ana/2'), tx('ana/3'))
  })

  it('counts what a peer hands over by another protocol to its share, and keeps it no better', async () => {
    const a = await bench({ txs: 2, txsPerPeer: 1 })
    const [one, two] = await a.pool.add([tx('one', 1), tx('two', 1)], { source: PEERS[0]! })
    expect([one!.verdict.result, two!.verdict]).toMatchObject(['accept', { reason: 'full' }])
    expect(one!.handle).toBeUndefined()
    expect(a.pool.status(one!.id)).toEqual({ state: 'pending' })
    expect(a.pool.status(two!.id)).toBeUndefined()
    await a.own(tx('our', 1), tx('too', 1))
    expect(a.order()).toEqual(['our', 'too'])
  })

  it('tries our own on the state without what it has evicted', async () => {
    const a = await bench({ txs: 1 })
    await a.receive([tx('name', 1, 'once')])
    await a.own(tx('other', 2))
    expect(a.order()).toEqual(['other'])
    await a.mine([tx('other', 2)])
    await settled(a)
    await a.own(tx('name', 0, 'once'))
  })

  it('stays within its limits when a reorganisation gives back more than there is room for', async () => {
    const a = await bench({ txs: 4 })
    const { genesis } = a.chain
    await a.mine([tx('back 1', 1), tx('back 2', 2), tx('back 3', 3)])
    await a.own(tx('mine', 0))
    await a.receive([tx('pooled 1', 9), tx('pooled 2', 8), tx('pooled 3', 0)])
    await a.mine([], { parent: genesis, weight: 5 })
    await settled(a)
    expect(a.order()).toEqual(['pooled 1', 'pooled 2', 'back 3', 'mine'])
  })

  it('checks its options', async () => {
    await expect(bench({ txs: 0 })).rejects.toMatchObject({ name: 'ConfigError', option: 'pool.txs' })
    await expect(bench({ feeBump: -1 })).rejects.toMatchObject({ name: 'ConfigError', option: 'pool.feeBump' })
    await expect(bench({ lifetimeMs: 1.5 })).rejects.toMatchObject({ option: 'pool.lifetimeMs' })
  })
})

describe('time', () => {
  it('is up for what others sent, not for our own', async () => {
    const a = await bench({ lifetimeMs: 60_000 })
    await a.receive([tx('theirs')])
    await a.own(tx('mine'))
    a.clock.turn(30_000)
    await a.receive([tx('later')])
    a.clock.turn(30_000)
    await settled(a)
    expect(a.order()).toEqual(['mine', 'later'])
    expect(a.events.at(-1)).toBe('remove expired')
    a.clock.turn(30_000)
    await settled(a)
    expect(a.order()).toEqual(['mine'])
  })

  it('is up for our own once the state has refused it for so long', async () => {
    const a = await bench({ lifetimeMs: 60_000 })
    const { handle } = await a.pool.add(tx('name', 0, 'once'))
    await a.mine([tx('name', 1, 'once')])
    await settled(a)
    expect(handle!.status()).toEqual({ state: 'dropped', why: 'state' })
    a.clock.turn(65_000)
    await settled(a)
    expect(handle!.status()).toEqual({ state: 'dropped', why: 'expired' })
    // and it does not come back
    await a.mine([], { parent: a.chain.genesis, weight: 9 })
    await settled(a)
    expect(a.order()).toEqual(['name'])
    expect(a.pool.status(a.pool.ids()[Symbol.iterator]().next().value!)).toEqual({ state: 'pending' })
  })
})
