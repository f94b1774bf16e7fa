import { type Rules, splitBlock, toHex } from 'blockwire/chain'
import { createNetwork, type Network, oneHead, type TestHeader, type TestTx, testRules, until } from 'blockwire/testing'
import { expect, test } from 'vitest'
import { dice } from '../helpers/dice.js'

type TestNode = Network<TestHeader, TestTx>['nodes'][number]

const NODES = 20
const TXS_PER_SECOND = 50
/** Between a partition and a heal, at least: a slow machine takes longer over the same transactions. */
const PHASE_MS = 2_500
/** Two minutes with BLOCKWIRE_LONG=1, which are the ones of the issue; otherwise a sixth of that. */
const PHASES = process.env.BLOCKWIRE_LONG === '1' ? 48 : 8
/** Of one node alone; all together make one every second. */
const BLOCK_MS = 1_000 * NODES

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))

const utf8 = new TextEncoder()

/**
 * Keys `ana/3` must come in sequence, once each, as transfers of an account do. All others pass the state as often as they come: nothing but the
 * pool keeps them from being mined twice.
 */
function partitionRules(): Rules<TestHeader, TestTx> {
  const rules = testRules({ network: 'partitions', genesisTime: Date.now() - 60_000 })
  const { applyTx } = rules.state!
  const place = (key: string): [string, number] | undefined => {
    const [, sender, sequence] = /^(\w+)\/(\d+)$/.exec(key) ?? []
    return sender == null ? undefined : [sender, Number(sequence)]
  }
  return {
    ...rules,
    state: {
      ...rules.state!,
      async applyTx(tx, ctx, db) {
        const [sender, sequence] = place(tx.key) ?? []
        if (sender == null) return applyTx(tx, ctx, db)
        const stored = await db.get(utf8.encode(sender))
        const next = stored == null ? 0 : Number(new TextDecoder().decode(stored))
        if (sequence !== next) return { reject: `${tx.key}, next is ${next}` }
        db.put(utf8.encode(sender), utf8.encode(`${next + 1}`))
        return true
      }
    },
    pool: {
      fee: ({ salt }) => BigInt(salt),
      order: ({ key }) => {
        const [sender, sequence] = place(key) ?? []
        return sender == null ? undefined : { sender: utf8.encode(sender), sequence: BigInt(sequence!) }
      }
    }
  }
}

/** How often each accepted transaction stands in the chain of this node. */
async function mined({ chain }: TestNode): Promise<Map<string, number>> {
  const times = new Map<string, number>()
  for (let height = 1; height <= chain.head.height; height++) {
    const block = await chain.block(chain.hashAt(height)!)
    for (const bytes of splitBlock(block!, chain.limits).txs) {
      const { key } = chain.rules.tx.decode(bytes)
      times.set(key, (times.get(key) ?? 0) + 1)
    }
  }
  return times
}

test(`20 nodes, partitions and heals, 50 transactions a second: one chain, none lost, none twice (SEED=${SEED})`, async () => {
  const random = dice(SEED)
  const pick = <T>(all: T[]): T => all[Math.floor(random() * all.length)]!
  await using network = await createNetwork({
    rules: partitionRules(),
    nodes: 0,
    shape: 'none'
  })
  const { nodes } = network
  let reorgs = 0
  let dropped = 0
  for (let i = 0; i < NODES; i++) {
    const due = new Map<string, number>()
    const node = await network.join(nodes.length === 0 ? [] : [pick(nodes), pick(nodes)], {
      produce: {
        aloneMs: 0,
        autoStart: false,
        // as a miner finds them: without memory
        when({ hash }) {
          const key = toHex(hash)
          const at = due.get(key) ?? Date.now() - BLOCK_MS * Math.log(1 - random())
          due.set(key, at)
          return at
        },
        seal: ({ header }) => ({
          header: { ...header, time: Math.max(header.time, Date.now()), nonce: i, weight: 1, bad: 0 }
        })
      }
    })
    node.chain.addEventListener('reorg', ({ detail }) => {
      reorgs++
      dropped += detail.dropped.length
    })
  }
  await until('all to have peers', () => nodes.every(({ status }) => status.peers.size >= 3), 60_000)
  for (const { producer } of nodes) producer!.run()

  const accepted = new Map<string, TestNode>()
  const refused: string[] = []
  const sequences = nodes.map(() => 0)
  let n = 0
  const submit = async (): Promise<void> => {
    const at = Math.floor(random() * NODES)
    const [key, salt] = n++ % 2 === 0 ? [`own${at}/${sequences[at]!++}`, 0] : [`key ${n}`, Math.floor(random() * 100)]
    const { verdict } = await nodes[at]!.pool.add({ kind: 'set', key, value: 'x', salt })
    if (verdict.result === 'accept') accepted.set(key, nodes[at]!)
    else refused.push(`${key} ${verdict.reason} ${verdict.detail ?? ''}`)
  }

  const submitted: Promise<void>[] = []
  for (let phase = 0; phase < PHASES; phase++) {
    if (phase % 2 === 0) network.heal()
    else {
      const groups: TestNode[][] = Array.from({ length: 2 + Math.floor(random() * 3) }, () => [])
      for (const node of nodes) pick(groups).push(node)
      network.partition(...groups)
    }
    const began = Date.now()
    const before = n
    while (n - before < (PHASE_MS / 1_000) * TXS_PER_SECOND) {
      const wanted = before + (Math.min(PHASE_MS, Date.now() - began) / 1_000) * TXS_PER_SECOND
      while (n < wanted) submitted.push(submit())
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  network.heal()
  await Promise.all(submitted)
  for (const { producer } of nodes) producer!.halt()
  expect(refused).toEqual([])
  expect(accepted.size).toBe(n)
  // otherwise nothing was tried
  expect(reorgs).toBeGreaterThan(0)
  expect(dropped).toBeGreaterThan(0)

  await until('all to have peers again', () => nodes.every(({ status }) => status.peers.size >= 3), 60_000)
  const mine = async (node: TestNode): Promise<void> => {
    const { chain, pool, blocks } = node
    const proposed = await chain.propose({
      txs: pool.select({ maxBytes: chain.limits.blockBytes }),
      seal: ({ header }) => ({
        header: { ...header, time: Math.max(header.time, Date.now()), nonce: 99, weight: 1, bad: 0 }
      })
    })
    if (proposed == null) throw new Error('the head moved')
    await blocks.publish(proposed.bytes)
  }
  // a node on the best chain: two of equal work are two heads until somebody goes on
  const best = (): TestNode => nodes.reduce((a, b) => (b.chain.head.work > a.chain.head.work ? b : a))
  await mine(best())
  const { height } = best().chain.head
  await oneHead(nodes, height, 60_000)

  // what is only at the node that it was submitted to is mined by that one
  for (const node of nodes) {
    if (node.pool.size === 0) continue
    await mine(node)
    await oneHead(nodes, node.chain.head.height, 60_000)
  }
  await until('all pools to be empty', () => nodes.every(({ pool }) => pool.size === 0))
  const times = await mined(nodes[0]!)
  const lost = [...accepted].filter(([key]) => !times.has(key)).map(([key, node]) => `${key} of ${nodes.indexOf(node)}`)
  expect({ lost, twice: [...times].filter(([, count]) => count !== 1) }).toEqual({ lost: [], twice: [] })
  expect(times.size).toBe(accepted.size)
  console.log(`${n} transactions, ${nodes[0]!.chain.head.height} blocks, ${reorgs} reorgs, ${dropped} dropped`)
}, 400_000)
