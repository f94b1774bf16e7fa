import type { Connection } from '@libp2p/interface'
import { Chain, encodeBlock, txId, verifyMerkleProof } from 'blockwire/chain'
import { buildBlock, buildChain, until } from 'blockwire/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { type SyncRequest, TxProof } from '../../dist/src/pb/sync.js'
import { encodeIndexes } from '../../dist/src/sync/indexes.js'
import { chainOf, type Host, type HostInit, host, join, protocolOf, rules, stopAll, type TestChain } from './hosts.js'

afterEach(stopAll)

type Bytes = Uint8Array<ArrayBuffer>
const none = new Uint8Array()
const nobody = new Uint8Array(32).fill(9)

/** A server and somebody who asks it, whose own sync keeps still: it has the same chain. */
async function pair(init: HostInit): Promise<{ server: Host; asker: Host; connection: Connection }> {
  const server = await host(init)
  const asker = await host({ role: 'seed' })
  return { server, asker, connection: await join(asker, server) }
}

async function ask(
  chain: TestChain,
  connection: Connection,
  request: SyncRequest
): Promise<{ items: Uint8Array[]; more: boolean }> {
  const answer = protocolOf(chain).request(connection, chain.id, request)
  const items: Uint8Array[] = []
  for await (const page of answer) items.push(...page)
  return { items, more: answer.more }
}

function headers(locator: Uint8Array[], limit: number, stop: Uint8Array = none): SyncRequest {
  return { headers: { locator: locator as Bytes[], limit, stop: stop as Bytes } }
}

function blocks(hashes: Uint8Array[]): SyncRequest {
  return { blocks: { hashes: hashes as Bytes[] } }
}

describe('transactions', () => {
  const txs = (i: number) => ({
    txs: [0, 1, 2, 3, 4].map((n) => ({ kind: 'set' as const, key: `k${n}`, value: 'v', salt: 10 * i + n }))
  })
  const request = (block: Uint8Array, indexes: number[]): SyncRequest => ({
    txs: { block: block as Bytes, indexes: encodeIndexes(indexes) }
  })
  const encoded = (i: number, n: number): Uint8Array => rules.tx.encode(txs(i).txs[n]!)

  it('come in the order of the block, of blocks off the head chain too', async () => {
    const chain = await chainOf(6, txs)
    const side = buildBlock(rules, chain.locate(chain.hashAt(3)!)!, { ...txs(50), nonce: 1 })
    await chain.add(side.bytes)
    const { connection } = await pair({ chain })
    const answer = await ask(chain, connection, request(chain.hashAt(3)!, [0, 2, 4]))
    expect(answer).toEqual({ items: [encoded(2, 0), encoded(2, 2), encoded(2, 4)], more: false })
    expect((await ask(chain, connection, request(side.hash, [1]))).items).toEqual([encoded(50, 1)])
  })

  it('end at the first that the block has not', async () => {
    const chain = await chainOf(3, txs)
    const { connection } = await pair({ chain })
    const answer = await ask(chain, connection, request(chain.hashAt(1)!, [3, 4, 5, 6]))
    expect(answer).toEqual({ items: [encoded(0, 3), encoded(0, 4)], more: true })
  })

  it('are not found in a block that is not here, nor after its last', async () => {
    const chain = await chainOf(3, txs)
    const next = buildBlock(rules, chain.head)
    await chain.addHeaders([next.headerBytes])
    const { connection, server } = await pair({ chain })
    for (const missing of [request(nobody, [0]), request(next.hash, [0]), request(chain.hashAt(1)!, [5])]) {
      await expect(ask(chain, connection, missing)).rejects.toMatchObject({ name: 'NotFoundError', fault: 'none' })
    }
    expect(server.peers.charged).toEqual([])
  })

  it.each([
    ['none', new Uint8Array(0)],
    ['too many', new Uint8Array(8_193)],
    ['one that does not end', Uint8Array.of(1, 128)],
    ['one not in its shortest form', Uint8Array.of(128, 0)],
    ['one over 32 bits', Uint8Array.of(255, 255, 255, 255, 127)]
  ])('are refused with indexes that are %s, and the asker is charged', async (_name, indexes) => {
    const chain = await chainOf(1, txs)
    const { connection, server, asker } = await pair({ chain })
    const block = chain.hashAt(1)! as Bytes
    await expect(ask(chain, connection, { txs: { block, indexes: indexes as Bytes } })).rejects.toMatchObject({
      name: 'StreamLostError'
    })
    await until('the fault', () => server.peers.charged.includes(asker.id))
  })

  it('with an ID have a proof, which the header’s root bears out', async () => {
    const chain = await chainOf(3, txs)
    const { connection } = await pair({ chain })
    const at = chain.locate(chain.hashAt(2)!)!
    const id = txId(encoded(1, 3)) as Bytes
    const { items } = await ask(chain, connection, { proof: { block: at.hash as Bytes, tx: id } })
    const proof = TxProof.decode(items[0]!)
    expect(proof).toMatchObject({ block: at.hash, index: 3, count: 5, tx: encoded(1, 3) })
    expect(verifyMerkleProof({ leaf: id, index: 3, size: 5, path: proof.path }, at.header.root)).toBe(true)
  })

  it('have no proof in another block, without an index, or of a body that is damaged', async () => {
    const chain = await chainOf(3, txs)
    const other = buildBlock(rules, chain.genesis, txs(7))
    const { connection, server } = await pair({ chain, disguise: { block: async () => other.bytes } })
    const proof = (block: Uint8Array, tx: Uint8Array): SyncRequest => ({
      proof: { block: block as Bytes, tx: tx as Bytes }
    })
    for (const missing of [
      proof(chain.hashAt(2)!, txId(encoded(2, 0))),
      proof(none, txId(encoded(1, 0))),
      // the body that is found there is not that of the header
      proof(chain.hashAt(2)!, txId(encoded(7, 0)))
    ]) {
      await expect(ask(chain, connection, missing)).rejects.toMatchObject({ name: 'NotFoundError', fault: 'none' })
    }
    expect(server.peers.charged).toEqual([])
  })
})

describe('a light node', () => {
  it('serves headers, and of bodies nothing', async () => {
    const blocks30 = await chainOf(30)
    const chain = new Chain({ rules, bodies: false })
    await chain.open()
    for await (const page of blocks30.headers(1, 30)) await chain.addHeaders(page)
    const { connection, server } = await pair({ chain, role: 'light' })
    expect((await ask(chain, connection, headers([chain.genesis.hash], 100))).items).toHaveLength(30)
    const block = chain.hashAt(3)! as Bytes
    for (const request of [
      blocks([block]),
      { range: { from: 1, to: 2 } },
      { txs: { block, indexes: Uint8Array.of(0) } },
      { proof: { block, tx: block } },
      { proof: { block: none, tx: block } }
    ]) {
      await expect(ask(chain, connection, request)).rejects.toMatchObject({ name: 'NotFoundError', fault: 'none' })
    }
    expect(server.peers.charged).toEqual([])
  })
})

describe('headers', () => {
  it('come after the first hash of the locator that is on the head chain, up to the limit', async () => {
    const chain = await chainOf(30)
    const { connection } = await pair({ chain })
    const all = buildChain(rules, chain.genesis, 30)
    const first = await ask(chain, connection, headers([nobody, all[9]!.hash, chain.genesis.hash], 5))
    expect(first.items).toEqual(all.slice(10, 15).map(({ headerBytes }) => headerBytes))
    expect(first.more).toBe(true)
    const rest = await ask(chain, connection, headers([all[14]!.hash], 2_000))
    expect(rest.items).toHaveLength(15)
    expect(rest.more).toBe(false)
    expect(await ask(chain, connection, headers([all[29]!.hash], 2_000))).toEqual({ items: [], more: false })
  })

  it('end with the stop', async () => {
    const chain = await chainOf(30)
    const { connection } = await pair({ chain })
    const answer = await ask(chain, connection, headers([chain.genesis.hash], 2_000, chain.hashAt(7)!))
    expect(answer.items).toHaveLength(7)
    expect(answer.more).toBe(false)
  })

  it('are those of the branch that ends in the stop', async () => {
    const chain = await chainOf(30)
    const side = buildChain(rules, chain.locate(chain.hashAt(20)!)!, 6, () => ({ nonce: 4 }))
    await chain.addBlocks(side.map(({ bytes }) => bytes))
    const { connection } = await pair({ chain })
    const stop = side.at(-1)!.hash
    const answer = await ask(chain, connection, headers([chain.hashAt(20)!, chain.genesis.hash], 4, stop))
    expect(answer.items).toEqual(side.slice(0, 4).map(({ headerBytes }) => headerBytes))
    expect(answer.more).toBe(true)
    const rest = await ask(chain, connection, headers([side[3]!.hash, chain.genesis.hash], 4, stop))
    expect(rest.items).toEqual(side.slice(4).map(({ headerBytes }) => headerBytes))
    expect(rest.more).toBe(false)
  })

  it('of a branch that leaves the head chain above what the asker has link to what he has', async () => {
    const chain = await chainOf(30)
    const side = buildChain(rules, chain.locate(chain.hashAt(20)!)!, 6, () => ({ nonce: 4 }))
    await chain.addBlocks(side.map(({ bytes }) => bytes))
    const { connection } = await pair({ chain })
    const stop = side.at(-1)!.hash
    const late = await chainOf(0)
    for (let page = 0; page < 3; page++) {
      const { items, more } = await ask(chain, connection, headers(late.locator(), 9, stop))
      expect(items).toHaveLength(page < 2 ? 9 : 8)
      expect(more).toBe(page < 2)
      expect((await late.addHeaders(items)).verdict).toEqual({ result: 'accept' })
    }
    expect(late.has(stop)).toBe('header')
    // who is beyond the fork already gets the branch alone
    const beyond = await ask(chain, connection, headers([chain.hashAt(28)!, chain.genesis.hash], 9, stop))
    expect(beyond.items).toEqual(side.map(({ headerBytes }) => headerBytes))
  })

  it('are not found for a locator of strangers or an unknown stop', async () => {
    const chain = await chainOf(3)
    const { connection, server } = await pair({ chain })
    for (const request of [headers([nobody], 10), headers([], 10), headers([chain.genesis.hash], 10, nobody)]) {
      await expect(ask(chain, connection, request)).rejects.toMatchObject({ name: 'NotFoundError', fault: 'none' })
    }
    expect(server.peers.charged).toEqual([])
  })
})

describe('blocks', () => {
  it('come as they are stored, by range up to the head and by hash', async () => {
    const chain = await chainOf(12, (i) => ({ txs: [{ kind: 'set', key: `k${i}`, value: 'v', salt: i }] }))
    const all = buildChain(rules, chain.genesis, 12, (i) => ({
      txs: [{ kind: 'set', key: `k${i}`, value: 'v', salt: i }]
    }))
    const { connection } = await pair({ chain })
    const range = await ask(chain, connection, { range: { from: 3, to: 8 } })
    expect(range).toEqual({ items: all.slice(2, 8).map(({ bytes }) => bytes), more: false })
    const end = await ask(chain, connection, { range: { from: 11, to: 1_000 } })
    expect(end).toEqual({ items: all.slice(10).map(({ bytes }) => bytes), more: true })
    const some = [all[7]!, all[1]!, all[4]!]
    const byHash = await ask(chain, connection, blocks(some.map(({ hash }) => hash)))
    expect(byHash).toEqual({ items: some.map(({ bytes }) => bytes), more: false })
  })

  it('end at the first that is not here', async () => {
    const chain = await chainOf(40)
    const { connection } = await pair({ chain })
    const hashes = Array.from({ length: 20 }, (_, i) => chain.hashAt(i + 1)!)
    const answer = await ask(chain, connection, blocks([...hashes, nobody, ...hashes]))
    expect(answer.items).toHaveLength(20)
    expect(answer.more).toBe(true)
  })

  it('are not found above the head, below the lowest height, or when the first is unknown', async () => {
    const chain = await chainOf(40)
    // a header whose body is not here
    const next = buildBlock(rules, chain.head)
    await chain.addHeaders([next.headerBytes])
    const { connection, server } = await pair({ chain, lowest: 10 })
    for (const request of [
      { range: { from: 41, to: 50 } },
      { range: { from: 9, to: 20 } },
      blocks([nobody, chain.hashAt(1)!]),
      blocks([next.hash])
    ]) {
      await expect(ask(chain, connection, request)).rejects.toMatchObject({ name: 'NotFoundError', fault: 'none' })
    }
    expect(server.peers.charged).toEqual([])
  })

  it('that are known to be invalid are not served', async () => {
    const chain = await chainOf(4)
    const bad = buildBlock(rules, chain.head, { txs: [{ kind: 'fail', key: 'k', value: '', salt: 0 }] })
    expect(await chain.add(bad.bytes)).toMatchObject({ reason: 'state' })
    const { connection } = await pair({ chain })
    await expect(ask(chain, connection, blocks([bad.hash]))).rejects.toMatchObject({ name: 'NotFoundError' })
  })

  it('are cut at 16 MiB', async () => {
    const fat = (i: number) => ({
      txs: Array.from({ length: 15 }, (_, n) => ({
        kind: 'set' as const,
        key: 'k',
        value: 'x'.repeat(64_000),
        salt: i * 100 + n
      }))
    })
    const chain = await chainOf(20, fat)
    const { connection } = await pair({ chain })
    const { items, more } = await ask(chain, connection, { range: { from: 1, to: 20 } })
    expect(more).toBe(true)
    const size = items.reduce((sum, item) => sum + item.length, 0)
    expect(size).toBeLessThanOrEqual(16 << 20)
    expect(size).toBeGreaterThan(15 << 20)
  })

  it('of another branch are not mixed in when the head changes meanwhile', async () => {
    const chain = await chainOf(100)
    const heavier = buildChain(rules, chain.locate(chain.hashAt(10)!)!, 95, () => ({ nonce: 8 }))
    const { connection } = await pair({
      chain,
      disguise: {
        async *blocks(from: number, to: number) {
          for await (const page of chain.blocks(from, to)) {
            yield page.slice(0, 50)
            await chain.addBlocks(heavier.map(({ bytes }) => bytes))
            yield page.slice(50)
          }
        }
      }
    })
    const { items, more } = await ask(chain, connection, { range: { from: 1, to: 100 } })
    expect(items).toHaveLength(50)
    expect(more).toBe(true)
  })
})

describe('a bad request', () => {
  const many = (count: number): Uint8Array[] => Array.from({ length: count }, () => nobody)
  const cases: [string, SyncRequest, RegExp][] = [
    ['a range that is too long', { range: { from: 1, to: 4_097 } }, /heights 1 to 4097/],
    ['a range backwards', { range: { from: 5, to: 4 } }, /heights 5 to 4/],
    ['a locator that is too long', headers(many(65), 10), /locator of 65 hashes/],
    ['no limit', headers([nobody], 0), /limit of 0/],
    ['too high a limit', headers([nobody], 8_193), /limit of 8193/],
    ['a stop that is no hash', headers([nobody], 1, new Uint8Array(31)), /hash of 31 bytes/],
    ['no hashes', blocks([]), /0 hashes/],
    ['too many hashes', blocks(many(1_025)), /1025 hashes/],
    ['half a hash', blocks([new Uint8Array(16)]), /hash of 16 bytes/],
    ['a request for nothing', {}, /for nothing/]
  ]

  it.each(cases)('is charged: %s', async (_, request, reason) => {
    const chain = await chainOf(2)
    const { server, asker, connection } = await pair({ chain })
    await expect(ask(chain, connection, request)).rejects.toMatchObject({ name: 'StreamLostError', fault: 'quality' })
    await until('the charge', () => server.peers.faults.length > 0)
    expect(server.peers.faults).toEqual([{ peer: asker.id, fault: 'protocol', reason: expect.stringMatching(reason) }])
    // and the connection is as good as before
    expect((await ask(chain, connection, { range: { from: 1, to: 2 } })).items).toHaveLength(2)
  })

  it.each([
    ['garbage', Uint8Array.of(5, 0xff, 0xff, 0xff, 0xff, 0xff), 'protocol'],
    ['too large a request', Uint8Array.of(0xff, 0xff, 0x7f), 'protocol']
  ])('is charged: %s', async (_, bytes, fault) => {
    const chain = await chainOf(2)
    const { server, asker, connection } = await pair({ chain })
    const stream = await connection.newStream(protocolOf(chain).id(chain.id))
    stream.send(bytes)
    await until('the charge', () => server.peers.faults.length > 0)
    expect(server.peers.faults).toMatchObject([{ peer: asker.id, fault }])
    expect((await ask(chain, connection, { range: { from: 1, to: 2 } })).items).toHaveLength(2)
  })
})

describe('requests at once', () => {
  it('are two; a third is told to come back', async () => {
    const chain = await chainOf(5)
    const open = Promise.withResolvers<void>()
    let asked = 0
    const { server, connection } = await pair({
      chain,
      disguise: {
        async *blocks(from: number, to: number) {
          asked++
          await open.promise
          yield* chain.blocks(from, to)
        }
      }
    })
    const range = { range: { from: 1, to: 5 } }
    const served = [ask(chain, connection, range), ask(chain, connection, range)]
    await until('two requests at the server', () => asked === 2)
    await expect(ask(chain, connection, range)).rejects.toMatchObject({
      name: 'BusyError',
      fault: 'none',
      retryMs: expect.any(Number)
    })
    open.resolve()
    for (const { items } of await Promise.all(served)) expect(items).toHaveLength(5)
    expect((await ask(chain, connection, range)).items).toHaveLength(5)
    expect(server.peers.charged).toEqual([])
  })
})

describe('an answer that is wrong', () => {
  it('with headers that link to nothing is charged, and holds up nothing', async () => {
    const honest = await host({ blocks: 10 })
    const stray = buildChain(rules, (await chainOf(5, () => ({ nonce: 1 }))).head, 5)
    const liar = await host({
      blocks: 10,
      claim: { hash: nobody, height: 100, work: 1_000n },
      disguise: {
        async *headers() {
          yield stray.map(({ headerBytes }) => headerBytes)
        },
        locate: (hash: Uint8Array) => ({ hash, height: 0, work: 0n }),
        hashAt: () => nobody
      }
    })
    const late = await host()
    await join(late, liar)
    await until('the charge', () => late.peers.charged.length > 0)
    expect(late.peers.faults).toMatchObject([
      { peer: liar.id, fault: 'protocol', reason: 'headers that link to nothing' }
    ])
    await join(late, honest)
    await until('live', () => late.sync.state === 'live' && late.chain.head.height === 10)
  })

  it('with another block than was asked for by hash is charged', async () => {
    const chain = await chainOf(5)
    const liar = await host({ chain, disguise: { block: async () => chain.block(chain.hashAt(3)!) } })
    const late = await host()
    await join(late, liar)
    await until('the charge', () => late.peers.charged.length > 0)
    expect(late.peers.faults[0]).toMatchObject({ fault: 'protocol', reason: 'a block that was not asked for' })
  })

  it('with bytes that are no block is charged', async () => {
    const chain = await chainOf(5)
    const liar = await host({ chain, disguise: { block: async () => Uint8Array.of(200, 1) } })
    const late = await host()
    await join(late, liar)
    await until('the charge', () => late.peers.charged.length > 0)
    expect(late.peers.faults[0]).toMatchObject({ fault: 'protocol', reason: 'a body without a header' })
  })

  it('with headers that the rules refuse is judged', async () => {
    const chain = await chainOf(5)
    const bad = buildBlock(rules, chain.head, { bad: true })
    const liar = await host({
      chain,
      claim: { hash: bad.hash, height: 6, work: chain.head.work + 1n },
      disguise: {
        async *headers(from: number, to: number) {
          yield* chain.headers(from, to)
          yield [bad.headerBytes]
        }
      }
    })
    const late = await host()
    await join(late, liar)
    await until('the verdict', () => late.peers.verdicts.length > 0)
    expect(late.peers.verdicts).toEqual([{ peer: liar.id, reason: 'header', via: 'headers' }])
    await until('live on what was good', () => late.sync.state === 'live' && late.chain.head.height === 5)
  })
})

it('a block is the same bytes wherever it travels', async () => {
  const chain = await chainOf(1, () => ({ txs: [{ kind: 'set', key: 'a', value: 'b', salt: 7 }] }))
  const { connection } = await pair({ chain })
  const { items } = await ask(chain, connection, { range: { from: 1, to: 1 } })
  const header = rules.header.encode(chain.head.header)
  const tx = rules.tx.encode({ kind: 'set', key: 'a', value: 'b', salt: 7 })
  expect(items).toEqual([encodeBlock(header, [tx])])
})
