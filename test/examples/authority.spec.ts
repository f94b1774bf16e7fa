import { readFile } from 'node:fs/promises'
import { Chain, encodeBlock, equalBytes, leafHash, merkleRoot } from 'blockwire/chain'
import { ed25519, type KeyPair } from 'blockwire/ed25519'
import { until } from 'blockwire/testing'
import { describe, expect, it } from 'vitest'
import { accounts, header, rules, start, transfer } from '../../dist/examples/authority/index.js'

type Node = Awaited<ReturnType<typeof start>>

const SLOT = 500
const keys = [1, 2, 3].map((seed) => ed25519.generate(new Uint8Array(32).fill(seed)))
const [ada, bob, cho] = keys as [KeyPair, KeyPair, KeyPair]
const validators = keys.map(({ publicKey }) => publicKey)
const money = new Map([
  [ada.publicKey, 100n],
  [bob.publicKey, 5n]
])

async function village(members: KeyPair[]): Promise<AsyncDisposable & { nodes: Node[] }> {
  const nodes: Node[] = []
  for (const key of members) nodes.push(await start(validators, money, key, nodes[0]?.multiaddrs))
  return {
    nodes,
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map((node) => node.stop()))
    }
  }
}

/** All have the same block at this height: one that is this deep under the heads does not change any more. */
async function agreement(nodes: Node[], height: number): Promise<void> {
  const [first, ...others] = nodes as [Node, ...Node[]]
  await until(`one block #${height}`, () => {
    const hash = first.chain.hashAt(height)
    return hash != null && others.every(({ chain }) => equalBytes(chain.hashAt(height) ?? new Uint8Array(), hash))
  })
}

function signers({ chain }: Node): number[] {
  const heights = Array.from({ length: chain.head.height }, (_, i) => i + 1)
  return heights.map((height) => chain.locate(chain.hashAt(height)!)!.header.signer)
}

async function balances({ chain }: Node): Promise<bigint[]> {
  return Promise.all(validators.map(async (address) => (await accounts.get(chain.state, address)).balance))
}

/** A payment of ada's, signed for the chain with this genesis. */
function pay(genesis: Uint8Array, to: Uint8Array, amount: bigint, seq: number) {
  return transfer.sign({ from: ada.publicKey, to, amount, seq }, ada.secretKey, genesis)
}

describe('the authority example', () => {
  it('has at most 60 lines, each at most 120 characters, and takes nothing but the public API', async () => {
    const text = await readFile(new URL('../../examples/authority/index.ts', import.meta.url), 'utf8')
    const lines = text.trimEnd().split('\n')
    expect(lines.length).toBeLessThanOrEqual(60)
    expect(lines.filter((line) => line.length > 120 || line.split(';').length > 3)).toEqual([])
    const imports = [...text.matchAll(/from '([^']+)'/g)].map(([, from]) => from)
    expect(imports).toEqual(['blockwire', 'blockwire/chain', 'blockwire/ed25519'])
  })

  it('runs over TCP: turns, a transfer that all see, a double spend that nobody takes, a validator that leaves', async () => {
    await using running = await village(keys)
    const { nodes } = running
    const [first, second, third] = nodes as [Node, Node, Node]
    await until('blocks of all three', () => new Set(signers(second)).size === 3)

    const payment = pay(first.chain.genesis.hash, bob.publicKey, 30n, 0)
    const { verdict, handle } = await third.pool.add(payment)
    expect(verdict).toEqual({ result: 'accept' })
    await handle!.included()
    const paid = async (): Promise<boolean> =>
      (await Promise.all(nodes.map(balances))).every((all) => all.join() === '70,35,0')
    let seen = false
    await until('the transfer on all nodes', () => {
      void paid().then((all) => {
        seen = all
      })
      return seen
    })

    const again = pay(first.chain.genesis.hash, cho.publicKey, 70n, 0)
    for (const node of nodes) {
      expect((await node.pool.add(again)).verdict).toMatchObject({ result: 'ignore', reason: 'state' })
    }
    const stolen = { ...pay(first.chain.genesis.hash, cho.publicKey, 1n, 1), amount: 70n }
    expect((await first.pool.add(stolen)).verdict).toMatchObject({ result: 'reject', detail: 'wrong signature' })

    await third.stop()
    const rest = [first, second]
    const height = Math.max(...rest.map(({ chain }) => chain.head.height))
    await Promise.all(rest.map(({ chain }) => chain.waitFor(height + 4)))
    await agreement(rest, height + 2)
    expect(signers(first).slice(height + 1)).not.toContain(2)
    expect(await balances(first)).toEqual([70n, 35n, 0n])
    for (let at = 1; at <= first.chain.head.height; at++) {
      const block = first.chain.locate(first.chain.hashAt(at)!)!.header
      const parent = first.chain.locate(block.parent)!.header
      const distance = (block.signer - parent.signer + 3) % 3
      expect(distance, `turn at #${at}`).not.toBe(0)
      expect(block.time - parent.time).toBeGreaterThanOrEqual(SLOT * distance)
    }
  }, 60_000)

  it('is followed by one who is no validator', async () => {
    await using running = await village([ada, bob, ed25519.generate()])
    const [first, , follower] = running.nodes as [Node, Node, Node]
    expect(follower.producer!.running).toBe(false)
    await follower.chain.waitFor(2)
    await agreement([first, follower], 1)
  }, 60_000)
})

describe('the rules of the authority example', () => {
  /** A block on head by this validator, `slots` after its parent; signed by `key`. */
  function block(chain: Village, signer: number, { key = keys[signer]!, slots = 1, txs = [] as Uint8Array[] } = {}) {
    const { hash: parent, header: last } = chain.head
    const root = merkleRoot(txs.map(leafHash))
    return encodeBlock(
      header.encode(header.sign({ parent, root, time: last.time + slots * SLOT, signer }, key.secretKey)),
      txs
    )
  }
  type Village = Chain<ReturnType<typeof header.decode>, ReturnType<typeof transfer.decode>>

  async function opened(): Promise<Village> {
    const chain: Village = new Chain({ rules: rules(validators, money) })
    await chain.open()
    return chain
  }

  it('refuse what was not signed by the one whose turn it is', async () => {
    const chain = await opened()
    const refused = { result: 'reject', reason: 'header' }
    expect(await chain.add(block(chain, 1, { key: cho }))).toMatchObject({ ...refused, detail: 'wrong signature' })
    expect(await chain.add(block(chain, 7, { key: cho, slots: 9 }))).toMatchObject(refused)
    expect(await chain.add(block(chain, 2))).toMatchObject({ ...refused, detail: 'not its turn' })
    expect(await chain.add(block(chain, 1))).toEqual({ result: 'accept' })
    // having signed lately is no question of time
    expect(await chain.add(block(chain, 1, { slots: 50 }))).toMatchObject({ ...refused, detail: 'not its turn' })
    expect(await chain.add(block(chain, 0, { slots: 2 }))).toEqual({ result: 'accept' })
    await chain.close()
  })

  it('refuse a block that spends twice, and transfers that were signed for another chain', async () => {
    const chain = await opened()
    const { hash } = chain.genesis
    const once = transfer.encode(pay(hash, bob.publicKey, 60n, 0))
    const twice = transfer.encode(pay(hash, cho.publicKey, 60n, 0))
    const beyond = transfer.encode(pay(hash, cho.publicKey, 60n, 1))
    for (const second of [twice, beyond]) {
      await chain.add(block(chain, 1, { txs: [once, second] }))
      expect(chain.head.height).toBe(0)
    }
    const foreign = transfer.encode(pay(new Uint8Array(32), bob.publicKey, 60n, 0))
    expect(await chain.add(block(chain, 1, { txs: [foreign] }))).toMatchObject({ result: 'reject', reason: 'tx' })
    expect(await chain.add(block(chain, 1, { txs: [once] }))).toEqual({ result: 'accept' })
    expect(await accounts.get(chain.state, bob.publicKey)).toEqual({ balance: 65n, seq: 0 })
    expect(await accounts.get(chain.state, ada.publicKey)).toEqual({ balance: 40n, seq: 1 })
    await chain.close()
  })

  it('are those of another chain where other people have the money or sign', () => {
    const id = (signing: Uint8Array[], owned: Map<Uint8Array, bigint>) => new Chain({ rules: rules(signing, owned) }).id
    const ids = [
      id(validators, money),
      id(validators, new Map([[bob.publicKey, 100n]])),
      id(validators.slice(0, 2), money)
    ]
    expect(new Set(ids).size).toBe(3)
  })
})
