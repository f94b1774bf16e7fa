import { txId } from 'blockwire/chain'
import { HandClock } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../dist/src/hex.js'
import type { PoolRequest } from '../../dist/src/pb/catch-up.js'
import { CatchUpServer } from '../../dist/src/pool/catch-up-server.js'
import { decodeShorts, encodeShorts, SipHash } from '../../dist/src/siphash.js'
import { PEERS } from './kit.js'

const salt = new Uint8Array(16).fill(3)
const sip = new SipHash(salt)
const tx = (n: number): Uint8Array<ArrayBuffer> => Uint8Array.of(n, n >> 8, 7)
const shortOf = (bytes: Uint8Array): number => sip.short(txId(bytes))
const wanted = (...shorts: number[]) => encodeShorts(shorts) as Uint8Array<ArrayBuffer>

function setup(count: number, bytes = 1_000) {
  const txs = new Map(Array.from({ length: count }, (_, n) => tx(n)).map((each) => [toHex(txId(each)), each]))
  const clock = new HandClock()
  const spent: number[] = []
  const state = { live: true, bytes }
  const server = new CatchUpServer({
    pool: {
      ids: () => [...txs.values()].map(txId),
      get: (id) => txs.get(toHex(id)),
      get size() {
        return txs.size
      },
      get bytes() {
        return state.bytes
      }
    },
    clock,
    live: () => state.live
  })
  const ask = async (request: PoolRequest, peer = 0): Promise<Uint8Array[]> => {
    const items: Uint8Array[] = []
    const context = { peer: PEERS[peer]!, spend: async (cost: number) => void spent.push(cost) }
    for await (const page of server.answer(request, context)) items.push(...page)
    return items
  }
  return { server, ask, txs, clock, spent, state }
}

describe('a server of pending transactions', () => {
  it('gives all short IDs in pages, by the salt of who asks', async () => {
    const { ask, txs, spent } = setup(2_500)
    const pages = await ask({ ids: { salt } })
    expect(pages.map(({ length }) => length / 6)).toEqual([1_024, 1_024, 452])
    expect(pages.flatMap(decodeShorts).sort()).toEqual([...txs.values()].map(shortOf).sort())
    // to find them costs, and who asks pays
    expect(spent).toEqual([32 * 2_500])
  })

  it('gives 65,536 of them at most, and none of an empty pool', async () => {
    const { ask } = setup(66_000)
    expect((await ask({ ids: { salt } })).flatMap(decodeShorts)).toHaveLength(65_536)
    expect(await setup(0).ask({ ids: { salt } })).toEqual([])
  })

  it('gives transactions in the order asked, and leaves out what is not here any more', async () => {
    const { ask, txs } = setup(10)
    await ask({ ids: { salt } })
    txs.delete(toHex(txId(tx(4))))
    const ids = wanted(shortOf(tx(7)), 12_345, shortOf(tx(4)), shortOf(tx(2)))
    expect(await ask({ txs: { salt, ids } })).toEqual([tx(7), tx(2)])
  })

  it('serves two at once, each by its own salt', async () => {
    const { ask } = setup(10)
    const other = new Uint8Array(16).fill(4)
    await ask({ ids: { salt } })
    await ask({ ids: { salt: other } }, 1)
    expect(await ask({ txs: { salt, ids: wanted(shortOf(tx(7))) } })).toEqual([tx(7)])
    const theirs = wanted(new SipHash(other).short(txId(tx(7))))
    expect(await ask({ txs: { salt: other, ids: theirs } }, 1)).toEqual([tx(7)])
  })

  it('has one session with a peer in a minute, and none before it is live', async () => {
    const { ask, clock, state } = setup(1)
    state.live = false
    await expect(ask({ ids: { salt } })).rejects.toMatchObject({ name: 'BusyError', retryMs: 60_000 })
    state.live = true
    await ask({ ids: { salt } })
    clock.turn(54_999)
    await expect(ask({ ids: { salt } })).rejects.toMatchObject({ name: 'BusyError', retryMs: 5_001 })
    await ask({ ids: { salt } }, 1)
    clock.turn(1)
    await ask({ ids: { salt } })
  })

  it('gives nothing without a session, under another salt, or 2 minutes later', async () => {
    const { ask, clock } = setup(1)
    const ids = wanted(shortOf(tx(0)))
    await expect(ask({ txs: { salt, ids } })).rejects.toMatchObject({ name: 'NotFoundError' })
    await ask({ ids: { salt } })
    await expect(ask({ txs: { salt, ids } }, 1)).rejects.toMatchObject({ name: 'NotFoundError' })
    const other = new Uint8Array(16)
    await expect(ask({ txs: { salt: other, ids } })).rejects.toMatchObject({ name: 'NotFoundError' })
    clock.turn(120_000)
    expect(await ask({ txs: { salt, ids } })).toEqual([tx(0)])
    clock.turn(1)
    await expect(ask({ txs: { salt, ids } })).rejects.toMatchObject({ name: 'NotFoundError' })
  })

  it('sends a session no more than the pool was, and 1 MiB', async () => {
    const { ask, txs, state } = setup(1)
    const large = new Uint8Array(600_000)
    txs.set(toHex(txId(large)), large)
    state.bytes = 10
    await ask({ ids: { salt } })
    const ids = wanted(shortOf(large))
    expect(await ask({ txs: { salt, ids } })).toHaveLength(1)
    expect(await ask({ txs: { salt, ids } })).toHaveLength(1)
    await expect(ask({ txs: { salt, ids } })).rejects.toMatchObject({ name: 'BusyError' })
  })

  it.each<[string, PoolRequest]>([
    ['nothing', {}],
    ['a short salt', { ids: { salt: new Uint8Array(15) } }],
    ['a short salt of transactions', { txs: { salt: new Uint8Array(15), ids: wanted(1) } }],
    ['no transactions', { txs: { salt, ids: wanted() } }],
    ['half an ID', { txs: { salt, ids: new Uint8Array(9) } }],
    ['too many', { txs: { salt, ids: new Uint8Array(6 * 1_025) } }]
  ])('refuses a request for %s', async (_, request) => {
    const { ask } = setup(1)
    await expect(async () => ask(request)).rejects.toMatchObject({ name: 'MalformedError' })
  })

  it('remembers 256 sessions at most', async () => {
    const { server } = setup(1)
    const ask = async (n: number): Promise<void> => {
      const peer = { toString: () => `peer ${n}` } as never
      for await (const _ of server.answer({ ids: { salt } }, { peer, spend: async () => {} }));
    }
    for (let n = 0; n < 257; n++) await ask(n)
    await expect(ask(1)).rejects.toMatchObject({ name: 'BusyError' })
    await ask(0)
  })
})
