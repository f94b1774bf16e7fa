import type { Registrar } from '@libp2p/interface-internal'
import { Chain, encodeBlock, merkleProof, splitBlock, toHex, txId } from 'blockwire/chain'
import type { SyncWarning } from 'blockwire/sync'
import { buildBlock, buildChain, HandClock, type TestTx, until } from 'blockwire/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { TxProof } from '../../dist/src/pb/sync.js'
import {
  chainOf,
  extend,
  type Host,
  type HostInit,
  host,
  join,
  liveAt,
  protocolOf,
  rules,
  stopAll,
  type TestChain
} from './hosts.js'

afterEach(stopAll)

const tx = (i: number): TestTx => ({ kind: 'set', key: `k${i}`, value: 'v', salt: i })
const idOf = (value: TestTx): Uint8Array => txId(rules.tx.encode(value))
/** Block i holds the transactions 10 i to 10 i + 4. */
const txs = (i: number): { txs: TestTx[] } => ({ txs: [0, 1, 2, 3, 4].map((n) => tx(10 * i + n)) })

async function headersOnly(): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules, bodies: false })
  await chain.open()
  return chain
}

async function lightHost(init: HostInit = {}): Promise<Host> {
  return host({ role: 'light', chain: await headersOnly(), ...init })
}

async function indexed(count: number): Promise<TestChain> {
  const chain: TestChain = new Chain({ rules, txIndex: true })
  await chain.open()
  await extend(chain, count, txs)
  return chain
}

/** Writes down what a host is asked for, by whom is not told. */
function watched(chain: TestChain): { asked: string[]; disguise: Record<string, unknown> } {
  const asked: string[] = []
  return {
    asked,
    disguise: {
      block: (hash: Uint8Array) => {
        asked.push('block')
        return chain.block(hash)
      },
      blocks: (from: number, to: number) => {
        asked.push('blocks')
        return chain.blocks(from, to)
      }
    }
  }
}

describe('a light node', () => {
  it('downloads headers alone, is live with them, and follows announced heads', async () => {
    const chain = await chainOf(2_500)
    const { asked, disguise } = watched(chain)
    const full = await host({ chain, disguise })
    const light = await lightHost()
    await join(light, full)
    await liveAt(light, 2_500)
    expect(light.states.map(({ state }) => state)).not.toContain('bodies')
    await extend(chain, 3)
    await liveAt(light, 2_503)
    expect(light.chain.head.hash).toEqual(chain.head.hash)
    expect(asked).toEqual([])
    expect(full.sync.explain().sources).toMatchObject([{ peer: light.id, standing: 'none', requests: 0 }])
    expect(light.sync.explain().light?.trust).toMatch(/whether the state of its blocks is valid it does not know/)
    expect(full.sync.explain().light).toBeUndefined()
  })

  it('sees a reorganisation', async () => {
    const chain = await chainOf(10)
    const full = await host({ chain })
    const light = await lightHost()
    const seen: { dropped: number; added: number; common: number }[] = []
    light.chain.addEventListener('reorg', ({ detail }) => {
      seen.push({ dropped: detail.dropped.length, added: detail.added.length, common: detail.common.height })
    })
    await join(light, full)
    await liveAt(light, 10)
    const branch = buildChain(rules, chain.locate(chain.hashAt(6)!)!, 6, () => ({ nonce: 1 }))
    await chain.addBlocks(branch.map(({ bytes }) => bytes))
    await liveAt(light, 12)
    // its headers come with one announcement or with two
    expect(seen).toMatchObject([{ dropped: 4, common: 6 }])
  })

  it('serves headers to another light node, and no bodies; full nodes ask it for nothing', async () => {
    const full = await host({ blocks: 50 })
    const middle = await lightHost()
    await join(middle, full)
    await liveAt(middle, 50)
    const behind = await lightHost()
    await join(behind, middle)
    await liveAt(behind, 50)
    const late = await host({ blocks: 0 })
    await join(late, middle)
    expect(late.sync.progress).toMatchObject({ state: 'no-peers', peers: 0 })
    expect(behind.sync.progress).toMatchObject({ state: 'live', peers: 1 })
    await expect(behind.sync.light.get({ tx: idOf(tx(1)), height: 5 })).rejects.toMatchObject({
      name: 'ProofUnavailableError',
      message: expect.stringContaining('no full peer is connected')
    })
    expect(middle.peers.charged).toEqual([])
  })

  it('that says it is full is passed over for bodies, and not charged', async () => {
    const chain = await chainOf(30)
    const liar = await lightHost({ role: 'light' })
    const honest = await host({ chain })
    await join(liar, honest)
    await liveAt(liar, 30)
    // the same chain of headers, behind the role `full`
    const disguise = { bodies: true }
    const pretender = await host({ chain: liar.chain, role: 'full', disguise })
    const late = await host({ blocks: 0 })
    await join(late, pretender)
    await until('a try', () => late.sync.explain().sources.some(({ lacksFrom }) => lacksFrom === 1))
    await join(late, honest)
    await liveAt(late, 30)
    expect(late.peers.charged).toEqual([])
  })

  it('needs a chain of headers, and a full one a chain of blocks', async () => {
    await expect(host({ role: 'light' })).rejects.toMatchObject({ name: 'ConfigError', option: 'role' })
    const chain = await headersOnly()
    await expect(host({ chain })).rejects.toMatchObject({ name: 'ConfigError', option: 'role' })
  })
})

describe('a chain whose state is bad', () => {
  it('is followed by headers, and after a minute the node warns that full peers do not', async () => {
    const good = await chainOf(10)
    const bad = await headersOnly()
    for await (const page of good.headers(1, 10)) await bad.addHeaders(page)
    const more = buildChain(rules, bad.head, 5, () => ({ txs: [{ kind: 'fail', key: 'k', value: '', salt: 0 }] }))
    await bad.addHeaders(more.map(({ headerBytes }) => headerBytes))

    const clock = new HandClock(Date.now())
    const light = await lightHost({ sync: { clock } })
    const warnings: SyncWarning[] = []
    light.sync.addEventListener('warning', ({ detail }) => warnings.push(detail))
    const honest = await host({ chain: good })
    await join(light, honest)
    await join(light, await host({ chain: bad, role: 'full', disguise: { bodies: true } }))
    await liveAt(light, 15)
    clock.turn(59_000)
    expect(warnings).toEqual([])
    clock.turn(3_000)
    expect(warnings).toMatchObject([
      {
        message: '1 of 2 full peers do not follow our head, which has the most header work: it may be invalid',
        contradictedBy: [{ peer: honest.id, height: 10, why: 'stays below our head' }]
      }
    ])
    expect(light.sync.explain().light?.contradictedBy).toMatchObject([{ peer: honest.id }])
    clock.turn(60_000)
    expect(warnings).toHaveLength(1)
    // the full peer’s own chain wins in the end
    await extend(good, 10, () => ({ nonce: 1 }))
    await until('the honest head', () => light.chain.head.height === 20)
    clock.turn(1_000)
    expect(light.sync.explain().light?.contradictedBy).toEqual([])
  })
})

describe('two peers that hold back the newest blocks, and one that does not', () => {
  it('are told apart by work; that two of three stay behind is worth a warning', async () => {
    const good = await chainOf(20)
    const held = await chainOf(15)
    const clock = new HandClock(Date.now())
    const light = await lightHost({ sync: { clock } })
    const warnings: SyncWarning[] = []
    light.sync.addEventListener('warning', ({ detail }) => warnings.push(detail))
    for (const chain of [held, held, good]) await join(light, await host({ chain }))
    await liveAt(light, 20)
    expect(light.chain.head.hash).toEqual(good.head.hash)
    clock.turn(63_000)
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringMatching(/^2 of 3 full peers do not follow/)])
    expect(light.peers.charged).toEqual([])
  })
})

describe('light.get', () => {
  it('gives a transaction with its place, proven by the header that is here', async () => {
    const chain = await chainOf(20, txs)
    const light = await lightHost()
    await join(light, await host({ chain }))
    await liveAt(light, 20)
    const found = await light.sync.light.get({ tx: idOf(tx(73)), height: 8 })
    expect(found).toMatchObject({
      tx: tx(73),
      bytes: rules.tx.encode(tx(73)),
      id: idOf(tx(73)),
      index: 3,
      count: 5,
      depth: 13
    })
    expect(found.block).toEqual(light.chain.locate(chain.hashAt(8)!))
    expect(found.from?.toString()).toBeDefined()
    const byHash = await light.sync.light.get({ tx: idOf(tx(70)), block: chain.hashAt(8)! })
    expect(byHash).toMatchObject({ index: 0, block: { height: 8 } })
  })

  it('by the ID alone asks those who keep an index, and nobody else', async () => {
    const plain = await host({ chain: await chainOf(20, txs) })
    const light = await lightHost()
    await join(light, plain)
    await liveAt(light, 20)
    await expect(light.sync.light.get({ tx: idOf(tx(73)) })).rejects.toMatchObject({
      name: 'ProofUnavailableError',
      message: expect.stringContaining('none of 1 full peers keeps an index')
    })
    const rich = await host({ chain: await indexed(20) })
    await join(light, rich)
    const status = light.node.services.status.peers
    expect([status.get(plain.id)?.txIndex, status.get(rich.id)?.txIndex]).toEqual([false, true])
    const found = await light.sync.light.get({ tx: idOf(tx(73)) })
    expect(found).toMatchObject({ index: 3, block: { height: 8 }, from: rich.node.peerId })
    await expect(light.sync.light.get({ tx: idOf(tx(999)) })).rejects.toMatchObject({
      message: expect.stringContaining('of 1 peers asked: 1 has it not')
    })
  })

  it('is answered by a full node from its own store', async () => {
    const full = await host({ chain: await chainOf(5, txs) })
    const found = await full.sync.light.get({ tx: idOf(tx(11)), height: 2 })
    expect(found).toMatchObject({ tx: tx(11), index: 1, depth: 4 })
    expect(found.from).toBeUndefined()
    await expect(full.sync.light.get({ tx: idOf(tx(11)), height: 3 })).rejects.toMatchObject({
      message: expect.stringContaining('block 3 does not hold it')
    })
    const rich = await host({ chain: await indexed(5) })
    expect(await rich.sync.light.get({ tx: idOf(tx(11)) })).toMatchObject({ block: { height: 2 } })
  })

  it('is asked of others by a full node that keeps no index itself', async () => {
    const full = await host({ chain: await chainOf(5, txs) })
    const rich = await host({ chain: await indexed(5) })
    await join(full, rich)
    expect(await full.sync.light.get({ tx: idOf(tx(11)) })).toMatchObject({
      block: { height: 2 },
      from: rich.node.peerId
    })
  })

  it('waits for a peer that is busy', async () => {
    const chain = await chainOf(5, txs)
    const gate = Promise.withResolvers<void>()
    const disguise = {
      block: async (hash: Uint8Array) => {
        await gate.promise
        return chain.block(hash)
      }
    }
    const server = await host({ chain, disguise })
    const light = await lightHost()
    const connection = await join(light, server)
    await liveAt(light, 5)
    // both of our places there are taken, by requests that our own planner knows nothing of
    const block = chain.hashAt(1)! as Uint8Array<ArrayBuffer>
    const held = [0, 1].map(async () => {
      const answer = protocolOf(chain).request(connection, chain.id, { blocks: { hashes: [block] } })
      for await (const _page of answer);
    })
    await until(
      'two that are served',
      () => connection.streams.filter(({ protocol }) => protocol.endsWith('/sync/1')).length === 2
    )
    const found = light.sync.light.get({ tx: idOf(tx(11)), height: 2 })
    await until('a refusal', () => light.sync.explain().sources[0]!.requests === 0)
    gate.resolve()
    expect(await found).toMatchObject({ tx: tx(11) })
    await Promise.all(held)
  })

  it('says that the only peer left before it answered', async () => {
    const chain = await chainOf(5, txs)
    const never = new Promise<never>(() => {})
    const server = await host({ chain, disguise: { block: () => never } })
    const light = await lightHost()
    await join(light, server)
    await liveAt(light, 5)
    const told = expect(light.sync.light.get({ tx: idOf(tx(12)), height: 2 })).rejects.toMatchObject({
      name: 'ProofUnavailableError',
      message: expect.stringMatching(/1 (failed \(\w+Error\)|gone)/)
    })
    await until('the request', () => light.sync.explain().sources[0]!.requests === 1)
    await server.node.stop()
    await told
  })

  it('shares the two places that a peer has with the download', async () => {
    const chain = await chainOf(5, txs)
    const light = await lightHost()
    await join(light, await host({ chain }))
    await liveAt(light, 5)
    const ids = [0, 1, 2, 3, 4].flatMap((block) =>
      [0, 1, 2, 3, 4].map((n) => ({ height: block + 1, tx: tx(10 * block + n) }))
    )
    const found = await Promise.all(
      ids.map(({ height, tx: value }) => light.sync.light.get({ tx: idOf(value), height }))
    )
    expect(found.map(({ tx: value }) => value)).toEqual(ids.map(({ tx: value }) => value))
    expect(light.peers.faults).toEqual([])
  })

  it('says what is wrong with a query', async () => {
    const light = await lightHost()
    const id = idOf(tx(1))
    const wrong: [object, string, string][] = [
      [{ tx: new Uint8Array(31), height: 1 }, 'ConfigError', 'tx: 31 bytes'],
      [{ tx: id, block: 'x' }, 'ConfigError', 'block: string'],
      [{ tx: id, block: id, height: 1 }, 'ConfigError', 'height'],
      [{ tx: id, height: -1 }, 'ConfigError', 'height: -1'],
      [{ tx: id, height: 7 }, 'ProofUnavailableError', 'at height 0, has no block 7'],
      [{ tx: id, block: id }, 'ProofUnavailableError', 'has not block'],
      [{ tx: id }, 'ProofUnavailableError', 'no full peer']
    ]
    for (const [query, name, message] of wrong) {
      await expect(light.sync.light.get(query as never)).rejects.toMatchObject({
        name,
        message: expect.stringContaining(message)
      })
    }
  })

  it('ends with its signal, and with the node', async () => {
    const chain = await chainOf(5, txs)
    const never = new Promise<never>(() => {})
    const mute = await host({ chain, disguise: { block: () => never } })
    const light = await lightHost()
    await join(light, mute)
    await liveAt(light, 5)
    const abort = new AbortController()
    const first = light.sync.light.get({ tx: idOf(tx(1)), height: 1 }, { signal: abort.signal })
    await until('the request', () => light.sync.explain().sources[0]!.requests === 1)
    abort.abort(new Error('enough'))
    await expect(first).rejects.toThrow('enough')
    const second = light.sync.light.get({ tx: idOf(tx(1)), height: 1 })
    await until('the request', () => light.sync.explain().sources[0]!.requests === 1)
    const stopped = expect(second).rejects.toThrow('sync stops')
    await light.node.stop()
    await stopped
    await expect(light.sync.light.get({ tx: idOf(tx(1)), height: 1 })).rejects.toMatchObject({
      name: 'ProofUnavailableError'
    })
  })
})

describe('a forged proof', () => {
  /** A server that answers with these bytes for a block: the protocol's own server would not. */
  async function liar(
    chain: TestChain,
    forged: (proof: TxProof, block: Uint8Array) => Partial<TxProof>
  ): Promise<Host> {
    const made = await host({ chain })
    const { registrar } = (made.node as unknown as { components: { registrar: Registrar } }).components
    const id = `/blockwire/${chain.id}/sync/1`
    await registrar.unhandle(id)
    await protocolOf(chain).serve(
      registrar,
      chain.id,
      async function* (request) {
        if (request.headers != null) {
          for await (const page of chain.headers(1, chain.head.height)) yield page
          return
        }
        const { block, tx: wanted } = request.proof!
        const body = (await chain.block(block.length > 0 ? block : chain.head.hash))!
        const raw = splitBlock(body, chain.limits).txs
        const leaves = raw.map(txId)
        const index = Math.max(
          0,
          leaves.findIndex((leaf) => toHex(leaf) === toHex(wanted))
        )
        const proof = {
          block,
          index,
          count: leaves.length,
          path: merkleProof(leaves, index) as Uint8Array<ArrayBuffer>[],
          tx: raw[index] as Uint8Array<ArrayBuffer>
        }
        yield TxProof.encode({ ...proof, ...forged(proof, body) })
      },
      { onFault: () => {} }
    )
    return made
  }

  const forgeries: [string, (proof: TxProof) => Partial<TxProof>][] = [
    ['of another transaction', () => ({ tx: rules.tx.encode(tx(12)) as Uint8Array<ArrayBuffer> })],
    ['with a spoilt path', ({ path }) => ({ path: path.map((hash) => Uint8Array.from(hash, (byte) => byte ^ 1)) })],
    ['with a path cut short', ({ path }) => ({ path: path.slice(1) })],
    ['with the index of another', ({ index }) => ({ index: index + 1 })],
    ['with another number of transactions', () => ({ count: 2 })],
    ['of another block', () => ({ block: new Uint8Array(32).fill(7) })]
  ]

  it.each(forgeries)('%s is refused, costs its sender, and another peer is asked', async (_name, forged) => {
    const chain = await chainOf(3, txs)
    const light = await lightHost()
    const bad = await liar(chain, forged)
    await join(light, bad)
    await liveAt(light, 3)
    const query = { tx: idOf(tx(11)), height: 2 }
    await expect(light.sync.light.get(query)).rejects.toMatchObject({
      name: 'ProofUnavailableError',
      message: expect.stringContaining('1 lied')
    })
    expect(light.peers.faults).toMatchObject([{ peer: bad.id, fault: 'provable', reason: /forged proof/ }])
    const good = await host({ chain })
    await join(light, good)
    expect(await light.sync.light.get(query)).toMatchObject({ tx: tx(11), from: good.node.peerId })
  })

  it('of a transaction that is in no block is refused, whatever the liar makes up', async () => {
    const chain = await chainOf(3, txs)
    const light = await lightHost()
    const made = rules.tx.encode(tx(500)) as Uint8Array<ArrayBuffer>
    const bad = await liar(chain, () => ({ tx: made }))
    await join(light, bad)
    await liveAt(light, 3)
    await expect(light.sync.light.get({ tx: idOf(tx(500)), height: 2 })).rejects.toMatchObject({
      message: expect.stringContaining('1 lied')
    })
    expect(light.peers.charged).toEqual([bad.id])
  })

  it('that is no proof at all is against the protocol', async () => {
    const chain = await chainOf(3, txs)
    const light = await lightHost()
    const path = Array.from({ length: 40 }, () => new Uint8Array(32))
    await join(light, await liar(chain, () => ({ path })))
    await liveAt(light, 3)
    await expect(light.sync.light.get({ tx: idOf(tx(11)), height: 2 })).rejects.toMatchObject({
      message: expect.stringContaining('1 failed (MalformedError)')
    })
    expect(light.peers.faults).toMatchObject([{ fault: 'protocol' }])
  })
})

describe('a proven transaction that our rules refuse', () => {
  it('shows that the block is not valid, and is not given out', async () => {
    // nobody checks bodies here: a block with a bad transaction, whose header is good
    const chain = await headersOnly()
    const bad = rules.tx.encode({ kind: 'bad', key: 'k', value: '', salt: 0 })
    const base = buildBlock(rules, chain.head, { txs: [{ kind: 'bad', key: 'k', value: '', salt: 0 }] })
    await chain.addHeaders([base.headerBytes])
    const disguise = { bodies: true, block: async () => encodeBlock(base.headerBytes, [bad]) }
    const server = await host({ chain, role: 'full', disguise })
    const light = await lightHost()
    await join(light, server)
    await liveAt(light, 1)
    await expect(light.sync.light.get({ tx: txId(bad), height: 1 })).rejects.toMatchObject({
      name: 'ProofUnavailableError',
      message: expect.stringContaining('that block is not valid')
    })
    expect(light.peers.charged).toEqual([])
  })
})
