import type { PeerId } from '@libp2p/interface'
import { Chain, encodeBlock, splitBlock, txId } from 'blockwire/chain'
import { type Blocks, blocks } from 'blockwire/gossip'
import { HandClock } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { compactOf } from '../../dist/src/gossip/compact.js'
import { buildBlock, type TestBlock, type TestHeader, type TestTx, testRules } from '../../dist/src/testing/rules.js'
import { changed, type Host, host, limits, line, meshed, until } from './hosts.js'

const rules = testRules()
const genesis = new Chain({ rules }).genesis
const tx = (n: number): TestTx => ({ key: `${n}`, value: 'x'.repeat(100), salt: n, kind: 'set' })
const row: TestBlock[] = []
for (let n = 0; n < 2; n++) {
  const txs = Array.from({ length: 60 }, (_, i) => tx(100 * n + i))
  row.push(buildBlock(rules, row.at(-1)?.located ?? genesis, { txs }))
}
const [first, second] = row as [TestBlock, TestBlock]
const txsOf = (block: TestBlock): Uint8Array[] => splitBlock(block.bytes, limits).txs
const compact = (block: TestBlock, nonce = 1, prefilled = 0): Uint8Array =>
  compactOf(block.bytes, block.hash, { limits, prefilled, nonce: new Uint8Array(8).fill(nonce) })!

/** What peers of a host answer. */
interface Answers {
  txs?(from: string, indexes: number[], signal: AbortSignal): Uint8Array[] | Promise<Uint8Array[]>
  block?(from: string): Uint8Array | undefined
  holders?(): PeerId[]
}

class FakeSync {
  readonly asked: string[] = []

  constructor(private readonly answers: Answers = {}) {}

  async fetchBranch(): Promise<boolean> {
    this.#note('branch')
    return false
  }

  holders(): PeerId[] {
    return this.answers.holders?.() ?? []
  }

  async *fetchTxs(_hash: Uint8Array, indexes: number[], from: PeerId, { signal }: { signal: AbortSignal }) {
    this.#note(`${indexes.length} of ${from}`)
    const txs = await this.answers.txs?.(from.toString(), indexes, signal)
    if (txs != null && txs.length > 0) yield txs
  }

  async fetchBlock(_block: object, from: PeerId): Promise<Uint8Array | undefined> {
    this.#note(`block of ${from}`)
    return this.answers.block?.(from.toString())
  }

  #note(what: string): void {
    this.asked.push(what)
    changed()
  }
}

interface RelayHost extends Host {
  chain: Chain<TestHeader, TestTx>
  blocks: Blocks
  pooled: Uint8Array[]
  id: string
}

async function relayHost(init: { sync?: FakeSync; clock?: HandClock } = {}): Promise<RelayHost> {
  const chain = new Chain<TestHeader, TestTx>({ rules })
  for (const event of ['head', 'target'] as const) chain.addEventListener(event, changed)
  const pooled: Uint8Array[] = []
  const made = await host({
    chain,
    services: {
      ...(init.sync == null ? {} : { sync: () => init.sync }),
      pool: () => ({ entries: () => pooled.map((bytes) => ({ id: txId(bytes), bytes })) }),
      blocks: blocks(init.clock == null ? {} : { clock: init.clock }) as never
    }
  })
  return { ...made, chain, blocks: made.libp2p.services.blocks as Blocks, pooled, id: made.libp2p.peerId.toString() }
}

/** Three in a line; the middle one is looked at. Raw bytes go out of a by its own topic. */
async function three(
  b: Parameters<typeof relayHost>[0] = {}
): Promise<[RelayHost, RelayHost, RelayHost, (bytes: Uint8Array) => Promise<unknown>]> {
  const hosts = [await relayHost(), await relayHost(b), await relayHost()] as const
  await line(...hosts)
  await meshed('blocks', ...hosts)
  const topic = hosts[0].gossip.pubsub.getTopics()[0]!
  return [...hosts, (bytes) => hosts[0].gossip.pubsub.publish(topic, bytes)]
}

describe('a block in its compact form', () => {
  it('is put together from the pools, node after node, as the originator sent it', async () => {
    const [a, b, c] = await three()
    const messages: Uint8Array[] = []
    c.gossip.pubsub.addEventListener('gossipsub:message', ({ detail }) => void messages.push(detail.msg.data))
    b.pooled.push(...txsOf(first).slice(1))
    c.pooled.push(...txsOf(first).slice(1))
    await a.chain.add(first.bytes)
    await a.blocks.publish(first.bytes, { prefilled: 1 })
    await until('c to have it', () => c.chain.head.height === 1)
    expect(messages).toHaveLength(1)
    expect(messages[0]!.length).toBeLessThan(first.bytes.length / 4)
    expect(await c.chain.block(first.hash)).toEqual(first.bytes)
    expect(b.judge.results).toEqual(['accept'])
  })

  it('is kept for those who were told of it, before it is in the chain', async () => {
    const [a, b] = await three()
    b.pooled.push(...txsOf(first))
    const late = Promise.withResolvers<void>()
    const add = b.chain.add.bind(b.chain)
    b.chain.add = async (...args) => {
      await late.promise
      return add(...args)
    }
    await a.blocks.publish(first.bytes)
    await until('b to accept it', () => b.judge.results.length === 1)
    expect([b.chain.has(first.hash), b.blocks.recent(first.hash)]).toEqual([undefined, first.bytes])
    expect(a.blocks.recent(first.hash)).toEqual(first.bytes)
    late.resolve()
    await until('b to have it', () => b.chain.head.height === 1)
  })

  it('has what the pool lacks asked for by its place, of who sent it', async () => {
    const sync = new FakeSync({ txs: (_, indexes) => indexes.map((index) => txsOf(first)[index]!) })
    const [a, b, c] = await three({ sync })
    b.pooled.push(...txsOf(first).slice(3))
    c.pooled.push(...txsOf(first))
    await a.blocks.publish(first.bytes)
    await until('c to have it', () => c.chain.head.height === 1)
    expect(sync.asked).toEqual([`3 of ${a.id}`])
  })

  it('has the rest asked of another peer after 2 s of silence, and then whole', async () => {
    const clock = new HandClock()
    const others: PeerId[] = []
    const sync = new FakeSync({
      holders: () => others,
      txs: (from, indexes, signal) =>
        from === others[0]?.toString()
          ? indexes.filter((index) => index === 0).map((index) => txsOf(first)[index]!)
          : new Promise((resolve) => signal.addEventListener('abort', () => resolve([]))),
      block: (from) => (from === others[0]?.toString() ? first.bytes : undefined)
    })
    const [a, b, c] = await three({ sync, clock })
    others.push(c.libp2p.peerId)
    b.pooled.push(...txsOf(first).slice(2))
    await a.blocks.publish(first.bytes)
    await until('a to be asked', () => sync.asked.length === 1)
    clock.turn(1_999)
    expect(sync.asked).toEqual([`2 of ${a.id}`])
    clock.turn(1)
    await until('b to have it', () => b.chain.head.height === 1)
    expect(sync.asked).toEqual([`2 of ${a.id}`, `2 of ${c.id}`, `1 of ${c.id}`, `block of ${a.id}`, `block of ${c.id}`])
    expect([b.judge.results, b.judge.faults]).toEqual([['accept'], []])
  })

  it('whose transactions nobody gives is ignored, and who sent it is trusted less', async () => {
    const [a, b] = await three({ sync: new FakeSync() })
    await a.blocks.publish(first.bytes)
    await until('b to judge it', () => b.judge.results.length === 1)
    expect(b.judge.results).toEqual(['ignore missing'])
    expect(b.judge.faults).toEqual([`${a.id} it did not give what a block that it sent lacks`])
    // the whole block is not taken for the same message
    const wholly = b.gossip.pubsub.getTopics()[0]!
    await a.gossip.pubsub.publish(wholly, first.bytes)
    await until('b to have it', () => b.chain.head.height === 1)
  })

  it('with a collision in the pool is fetched whole, and charged to nobody', async () => {
    const sync = new FakeSync({ block: () => first.bytes })
    const [a, b] = await three({ sync })
    b.pooled.push(...txsOf(first))
    // a transaction that goes for another one: what a collision does, and nobody can make
    const pool = b.libp2p.services.pool as { entries(): Iterable<{ id: Uint8Array; bytes: Uint8Array }> }
    const ids = txsOf(first).map((bytes, i) => ({ id: txId(bytes), bytes: i === 5 ? txsOf(second)[0]! : bytes }))
    pool.entries = () => ids
    await a.blocks.publish(first.bytes)
    await until('b to have it', () => b.chain.head.height === 1)
    expect(sync.asked).toEqual([`block of ${a.id}`])
    expect([b.judge.results, b.judge.faults]).toEqual([['accept'], []])
  })

  it('with short IDs of other transactions is refused, once the whole block has told', async () => {
    const sync = new FakeSync({ block: () => first.bytes })
    const [, b, , publish] = await three({ sync })
    b.pooled.push(...txsOf(first))
    const message = compact(first)
    message[message.length - 1]! ^= 1
    await publish(message)
    await until('b to judge it', () => b.judge.results.length === 1)
    expect([b.judge.results, b.chain.head.height]).toEqual([['reject malformed'], 0])
  })

  it('charges who answers with transactions that are not of the block', async () => {
    const sync = new FakeSync({ txs: () => [txsOf(second)[0]!], block: () => first.bytes })
    const [a, b] = await three({ sync })
    b.pooled.push(...txsOf(first).slice(1))
    await a.blocks.publish(first.bytes)
    await until('b to have it', () => b.chain.head.height === 1)
    expect(b.judge.faults).toEqual([`${a.id} transactions that the block does not hold`])
    expect(b.judge.results).toEqual(['accept'])
  })

  it('whose header is bad is refused before anything is asked', async () => {
    const sync = new FakeSync()
    const [, b, , publish] = await three({ sync })
    const bad = buildBlock(rules, genesis, { txs: Array.from({ length: 60 }, (_, i) => tx(i)), bad: true })
    await publish(compact(bad))
    await publish(Uint8Array.of(0, 1, 2, 3))
    await until('b to judge both', () => b.judge.results.length === 2)
    expect([b.judge.results, sync.asked]).toEqual([['reject header', 'reject malformed'], []])
  })

  it('whose parent is unknown is held, and put together when the parent is there', async () => {
    const [a, b, c] = await three()
    for (const { pooled } of [b, c]) pooled.push(...txsOf(second))
    await a.blocks.publish(second.bytes)
    await until('b to hold it', () => b.blocks.held.blocks === 1)
    await c.chain.add(first.bytes)
    await b.chain.add(first.bytes)
    await until('c to have both', () => c.chain.head.height === 2)
    expect(b.judge.results).toEqual(['accept'])
  })

  it('keeps those waiting that stand on it: its parent is not asked for while it is fetched', async () => {
    const late = Promise.withResolvers<Uint8Array[]>()
    const sync = new FakeSync({ txs: () => late.promise })
    const [a, b, c] = await three({ sync })
    b.pooled.push(...txsOf(second))
    c.pooled.push(...txsOf(first), ...txsOf(second))
    await a.blocks.publish(first.bytes)
    await until('a to be asked', () => sync.asked.length === 1)
    await a.blocks.publish(second.bytes)
    await until('b to hold the second', () => b.blocks.held.blocks === 1)
    expect(sync.asked).toEqual([`60 of ${a.id}`])
    late.resolve(txsOf(first))
    await until('c to have both', () => c.chain.head.height === 2)
  })
})

describe('one block in many forms', () => {
  it('is passed on once: a nonce costs nothing', async () => {
    const [a, b, c, publish] = await three()
    for (const { pooled } of [b, c]) pooled.push(...txsOf(first))
    for (let nonce = 1; nonce < 6; nonce++) await publish(compact(first, nonce))
    await publish(first.bytes)
    await until('b to judge all', () => b.judge.results.length === 6)
    expect(b.judge.results.filter((result) => result === 'accept')).toHaveLength(1)
    expect(new Set(b.judge.results)).toEqual(new Set(['accept', 'ignore known']))
    await until('c to have it', () => c.chain.head.height === 1)
    expect([c.judge.results, a.judge.results]).toEqual([['accept'], []])
  })

  it('is passed on when it came another way, if the message is true', async () => {
    const [, b, c, publish] = await three()
    await b.chain.add(first.bytes)
    c.pooled.push(...txsOf(first))
    const lie = compact(first)
    lie[lie.length - 1]! ^= 1
    const body = encodeBlock(first.headerBytes, txsOf(first).slice(1))
    await publish(lie)
    await publish(body)
    await publish(compact(first, 2))
    await until('c to have it', () => c.chain.head.height === 1)
    expect(b.judge.results).toEqual(['reject malformed', 'reject root', 'accept'])
    expect(c.judge.results).toEqual(['accept'])
  })
})

describe('blocks that are being fetched', () => {
  it('are bounded, and end with the node', async () => {
    const sync = new FakeSync({
      txs: (_from, _indexes, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve([])))
    })
    const [, b, , publish] = await three({ sync })
    for (let nonce = 1; nonce <= 6; nonce++) await publish(compact(first, nonce))
    // other blocks of the same peer
    for (let n = 0; n < 4; n++) {
      const txs = Array.from({ length: 60 }, (_, i) => tx(1_000 + 100 * n + i))
      await publish(compact(buildBlock(rules, genesis, { txs })))
    }
    await until('b to be full', () => b.judge.results.length === 6)
    expect(new Set(b.judge.results)).toEqual(new Set(['ignore full']))
    expect(sync.asked).toHaveLength(4)
    await b.libp2p.stop()
    expect(b.judge.results).toHaveLength(6)
    expect(b.chain.head.height).toBe(0)
  })
})
