import { encodeBlock, splitBlock } from 'blockwire/chain'
import { buildBlock, type TestBlock } from 'blockwire/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { chainOf, copyOf, disguised, type Host, host, join, rules, stopAll } from './hosts.js'

afterEach(stopAll)

const signal = (): AbortSignal => AbortSignal.timeout(15_000)
const limits = { blockBytes: 1 << 20, txBytes: 65_536, headerBytes: 1_024, futureMs: 15_000 }

/** A block of twenty on the head of a host, as it would come over gossip. */
async function pair(serve: (block: TestBlock) => Record<string, unknown>): Promise<{
  asker: Host
  server: Host
  block: TestBlock
  txs: Uint8Array[]
}> {
  const chain = await chainOf(3)
  const block = buildBlock(rules, chain.head, {
    txs: Array.from({ length: 20 }, (_, n) => ({ kind: 'set', key: `${n}`, value: 'x', salt: n }))
  })
  await chain.add(block.bytes)
  const [asker, server] = [
    await host({ chain: await chainOf(3), gate: new Promise(() => {}) }),
    await host({ chain, disguise: serve(block) })
  ]
  await join(asker, server)
  return { asker, server, block, txs: splitBlock(block.bytes, limits).txs }
}

async function fetched(asker: Host, block: TestBlock, indexes: number[], from: Host): Promise<Uint8Array[]> {
  const all: Uint8Array[] = []
  for await (const txs of asker.sync.fetchTxs(block.hash, indexes, from.node.peerId, { signal: signal() })) {
    all.push(...txs.map((tx) => tx.slice()))
  }
  return all
}

describe('what of one block is missing', () => {
  it('is given by place, as far as the other has it', async () => {
    const { asker, server, block, txs } = await pair(() => ({}))
    expect(await fetched(asker, block, [0, 7, 19], server)).toEqual([txs[0], txs[7], txs[19]])
    expect(await fetched(asker, block, [7, 20], server)).toEqual([txs[7]])
    expect(await fetched(asker, block, [20], server)).toEqual([])
    expect(await fetched(asker, { ...block, hash: new Uint8Array(32) }, [0], server)).toEqual([])
    expect(asker.peers.faults).toEqual([])
  })

  it('is given whole, and what is not the block is charged', async () => {
    const { asker, server, block, txs } = await pair(() => ({}))
    const wanted = { hash: block.hash, root: block.header.root }
    const from = server.node.peerId
    expect(await asker.sync.fetchBlock(wanted, from, { signal: signal() })).toEqual(block.bytes)
    expect(asker.peers.charged).toEqual([])
    const other = encodeBlock(block.headerBytes, txs.slice(1))
    const liar = await pair(({ bytes }) => ({ block: async () => (bytes.length > 0 ? other : undefined) }))
    expect(await liar.asker.sync.fetchBlock(wanted, liar.server.node.peerId, { signal: signal() })).toBeUndefined()
    expect(liar.asker.peers.verdicts).toEqual([{ peer: liar.server.id, reason: 'root', via: 'sync' }])
  })

  it('is not waited for when the peer is gone or nobody wants it any more', async () => {
    const { asker, server, block } = await pair(() => ({}))
    await expect(
      asker.sync.fetchBlock({ hash: block.hash, root: block.header.root }, asker.node.peerId, { signal: signal() })
    ).resolves.toBeUndefined()
    const over = AbortSignal.abort()
    for await (const txs of asker.sync.fetchTxs(block.hash, [0], server.node.peerId, { signal: over })) {
      expect.unreachable(`${txs.length} transactions`)
    }
    expect(asker.peers.faults).toEqual([])
  })

  it('is looked for first at those who say that it is their head', async () => {
    const long = await chainOf(4)
    const [asker, one, other] = [
      await host({ chain: await copyOf(long) }),
      await host({ chain: await copyOf(long) }),
      await host({ chain: disguised(await copyOf(long), {}) })
    ]
    const next = buildBlock(rules, long.head)
    await other.chain.add(next.bytes)
    await join(asker, one)
    await join(asker, other)
    const holders = asker.sync.holders(next.hash).map(String)
    expect(holders).toEqual([other.id, one.id])
    expect(asker.sync.holders(long.head.hash).map(String)[0]).toBe(one.id)
  })
})
